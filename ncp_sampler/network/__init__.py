"""The network behind a code, its heads, and what the four tasks need beside it."""

from __future__ import annotations

from ncp_sampler.network.anchors import CAR, CYCLIST, PEDESTRIAN, Anchor
from ncp_sampler.network.average_precision import average_precision
from ncp_sampler.network.detection import AnchorOutput, DetectionLoss, Detections
from ncp_sampler.network.heads import resize_logits
from ncp_sampler.network.multi_resolution import MultiResolutionNet
from ncp_sampler.network.pillars import PillarEncoder
from ncp_sampler.network.point_pillars import PointPillarsNet

__all__ = [
    "CAR",
    "CYCLIST",
    "PEDESTRIAN",
    "Anchor",
    "AnchorOutput",
    "DetectionLoss",
    "Detections",
    "MultiResolutionNet",
    "PillarEncoder",
    "PointPillarsNet",
    "average_precision",
    "resize_logits",
]
