"""3D detection: PointPillars with the network of a code as backbone, its loss, and evaluation."""

from ncp_sampler.detection3d.anchors import CAR as CAR
from ncp_sampler.detection3d.anchors import CYCLIST as CYCLIST
from ncp_sampler.detection3d.anchors import PEDESTRIAN as PEDESTRIAN
from ncp_sampler.detection3d.anchors import Anchor as Anchor
from ncp_sampler.detection3d.average_precision import average_precision as average_precision
from ncp_sampler.detection3d.loss import DetectionLoss as DetectionLoss
from ncp_sampler.detection3d.loss import Detections as Detections
from ncp_sampler.detection3d.pillars import PillarEncoder as PillarEncoder
from ncp_sampler.detection3d.point_pillars import PointPillarsNet as PointPillarsNet

__all__ = [
    "CAR",
    "CYCLIST",
    "PEDESTRIAN",
    "Anchor",
    "DetectionLoss",
    "Detections",
    "PillarEncoder",
    "PointPillarsNet",
    "average_precision",
]
