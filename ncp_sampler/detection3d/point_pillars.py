"""PointPillars, a detector of boxes in point clouds, with the network of a code as its backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ncp_sampler import checks
from ncp_sampler.detection3d.anchors import CAR, Anchor, anchor_grid
from ncp_sampler.detection3d.boxes import check_truths
from ncp_sampler.detection3d.loss import (
    DetectionLoss,
    Detections,
    detection_loss,
    find_boxes,
)
from ncp_sampler.detection3d.pillars import (
    BEV_CHANNELS,
    KITTI_PILLAR,
    KITTI_RANGE,
    PillarEncoder,
    check_points,
)
from ncp_sampler.multi_resolution.anchor_head import AnchorOutput
from ncp_sampler.multi_resolution.layers import seeded
from ncp_sampler.multi_resolution.network import MultiResolutionNet

SMALLEST_MAP = 32  # Minimum number of pillars along each side of the map

_STRIDE = 4  # Number of pillars along each side of a cell in the head's feature map


class PointPillarsNet(nn.Module):
    """Network for 3D detection: pillar encoder, multi-resolution network of a code, anchor head.

    This is PointPillars (Lang et al. 2019) with the network of a code as its 2D backbone, as in
    section 3.2 of the NCP paper. The defaults are for KITTI's cars: a map of 496×432 pillars, with
    anchors every 0.64 m.

    Args:
        code: The 27 integers of an ``MRSpace`` code, or its params (a dictionary).
        anchors: Anchors, one per class; the module ``anchors`` defines anchors for KITTI's classes.
        point_range: Low x, y, z, then high x, y, z in meters.
        pillar: Side length of a pillar in meters; the range needs at least 32 along x and along y.
        max_pillars: Maximum number of pillars per sample.
        max_points: Maximum number of points per pillar.
        seed: Seed of the initial weights; None to use PyTorch's global generator.
        initialization: Initialization of the backbone, as for ``MultiResolutionNet``.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> from ncp_sampler.detection3d import CAR, CYCLIST, PointPillarsNet
        >>> from ncp_sampler.training import StreetScenes
        >>> points, boxes, labels = StreetScenes("train", length=1)[0]
        >>> code = MRSpace(width=16, depth=1).sample(1, 0)[0]
        >>> net = PointPillarsNet(
        ...     code, anchors=[CAR, CYCLIST], point_range=(0, -8, -3, 16, 8, 1), pillar=0.25, seed=0
        ... )
        >>> net.loss([points], [boxes], [labels]).total.backward()
        >>> found = net.eval().detect([points])[0]
        >>> len(found.boxes) == len(found.scores)
        True
    """

    def __init__(
        self,
        code: Mapping[str, Any] | ArrayLike | Tensor,
        *,
        anchors: Sequence[Anchor] = (CAR,),
        point_range: Sequence[float] = KITTI_RANGE,
        pillar: float = KITTI_PILLAR,
        max_pillars: int = 12_000,
        max_points: int = 100,
        seed: int | None = None,
        initialization: str = "identity",
    ) -> None:
        super().__init__()
        must = "be a sequence of Anchor, one per class"
        if not checks.sequence("anchors", anchors, Anchor, must):
            raise ValueError("anchors is empty; give one per class")
        self.anchors = tuple(anchors)
        self.encoder = PillarEncoder(
            point_range=point_range,
            pillar=pillar,
            max_pillars=max_pillars,
            max_points=max_points,
            generator=seeded(seed),
        )
        if min(self.encoder.shape) < SMALLEST_MAP:
            raise ValueError(
                f"point_range={tuple(point_range)} and pillar={pillar} give a map of "
                f"{self.encoder.shape} pillars; each side needs at least {SMALLEST_MAP}: "
                "widen the range, or use smaller pillars"
            )
        self.trunk = MultiResolutionNet(
            code,
            task="detection3d",
            num_classes=len(anchors),
            in_channels=BEV_CHANNELS,
            seed=seed,
            initialization=initialization,
        )

    def forward(self, points: Sequence[Tensor]) -> AnchorOutput:
        """Return the output for every anchor, given n point clouds (p, 4).

        Raises:
            ValueError: As for ``PillarEncoder``.
        """
        output: AnchorOutput = self.trunk(self.encoder(points))
        return output

    def loss(
        self, points: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> DetectionLoss:
        """Return the loss of n samples, whose ``total`` is to be minimized.

        Args:
            points: Point cloud of each sample, (p, 4).
            boxes: True boxes of each sample, (g, 7); (0, 7) for no boxes.
            labels: Classes of the true boxes of each sample, (g,), integers 0 to K - 1.

        Raises:
            ValueError: If the lists differ in length, or if an element does not have this form.
        """
        self._check_truths(points, boxes, labels)
        output = self(points)
        return detection_loss(
            output,
            self.grid(output),
            self.anchors,
            pad_sequence(list(boxes), batch_first=True),
            pad_sequence([k.long() for k in labels], batch_first=True, padding_value=-1),
        )

    @torch.no_grad()
    def detect(
        self, points: Sequence[Tensor], *, score: float = 0.1, iou: float = 0.5, most: int = 100
    ) -> list[Detections]:
        """Return the boxes detected in each of n point clouds; call ``eval()`` first.

        Args:
            points: Point cloud of each sample, (p, 4).
            score: Minimum probability of a box, in [0, 1].
            iou: Overlap above which, of two boxes of a class, the one with the lower score is
                removed, in [0, 1].
            most: Maximum number of boxes per sample, at least 1.
        """
        output = self(points)
        return find_boxes(output, self.grid(output), score=score, iou=iou, most=most)

    def grid(self, output: AnchorOutput) -> Tensor:
        """Return the anchors of an output as boxes (H, W, A, 7)."""
        x, y = self.encoder.point_range[:2]
        return anchor_grid(
            self.anchors,
            cells=(output.boxes.shape[1], output.boxes.shape[2]),
            corner=(x, y),
            cell=_STRIDE * self.encoder.pillar,
            device=output.boxes.device,
        )

    def _check_truths(
        self, points: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> None:
        check_points(points)
        check_truths(boxes, labels)
        if len(points) != len(boxes):
            raise ValueError(
                f"points has {len(points)} samples and boxes has {len(boxes)}; they must have "
                "equal lengths"
            )
        for i, label in enumerate(labels):
            if not ((label >= 0) & (label < len(self.anchors))).all():
                raise ValueError(
                    f"labels[{i}]={label.tolist()} must be in 0 to {len(self.anchors) - 1}: "
                    "there is one class per anchor"
                )
