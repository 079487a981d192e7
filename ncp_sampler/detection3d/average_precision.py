"""Average precision of detected boxes at 40 recall levels, as in KITTI.

Notation
    n       number of samples
    D, G    largest numbers of detections and of true boxes of a class in any sample
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from ncp_sampler import checks
from ncp_sampler.detection3d.boxes import check_truths
from ncp_sampler.detection3d.loss import Detections
from ncp_sampler.detection3d.rotated_boxes import bev_iou, box_iou
from ncp_sampler.multi_resolution.blueprint import BOX_VALUES

VIEWS = ("bev", "3d")

_RECALLS = 40  # Number of recall levels


def average_precision(
    detections: Sequence[Detections],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    *,
    label: int,
    iou: float = 0.7,
    view: str = "3d",
) -> float:
    """Return the average precision of one class over a data set.

    The detections of a sample are matched in order of decreasing score: each is matched with the
    true box of its class that it overlaps most among those that are not yet matched, if the overlap
    is at least ``iou``. A detection without such a box is a false positive. The precision at a
    recall level is the best precision at this or a higher recall. The result is the mean of this
    precision over the recall levels 1/40, 2/40, ..., 1 (Simonelli et al. 2019, "Disentangling
    monocular 3D object detection", section 5). KITTI's difficulty levels and ignored regions are
    not implemented: leave out boxes that should not count.

    Args:
        detections: Detections of each of n samples.
        boxes: True boxes of each sample, (g, 7).
        labels: Classes of the true boxes of each sample, (g,).
        label: Class to evaluate.
        iou: Minimum overlap (IoU) at which a detection counts as true, in (0, 1]; KITTI uses 0.7
            for cars and 0.5 for pedestrians and cyclists.
        view: "bev" for the overlap seen from above, "3d" for the overlap of the volumes.

    Returns:
        Average precision in percent, 0 to 100.

    Raises:
        ValueError: If the lists differ in length, an argument is out of its range, or no sample has
            a box of the class.

    Examples:
        >>> import torch
        >>> from ncp_sampler.detection3d import Detections
        >>> box = torch.tensor([[5.0, 0.0, -1.0, 3.9, 1.6, 1.5, 0.0]])
        >>> found = Detections(box, torch.tensor([0.9]), torch.tensor([0]))
        >>> average_precision([found], [box], [torch.tensor([0])], label=0, iou=0.7)
        100.0
    """
    checks.one_of("view", view, VIEWS)
    checks.number("iou", iou, above=0, high=1)
    checks.integer("label", label)
    _check(detections)
    check_truths(boxes, labels)
    if len(detections) != len(boxes):
        raise ValueError(
            f"detections has {len(detections)} samples and boxes has {len(boxes)}; they must have "
            "equal lengths"
        )
    truths = [b[k == label].cpu() for b, k in zip(boxes, labels, strict=True)]
    total = sum(len(truth) for truth in truths)
    if total == 0:
        raise ValueError(f"label={label} has no true box; leave the class out")
    of_class = [_of_class(d, label) for d in detections]
    overlap = bev_iou if view == "bev" else box_iou
    overlaps = [overlap(f.boxes, truth) for f, truth in zip(of_class, truths, strict=True)]
    hits = _match(overlaps, iou)
    scores = torch.cat([f.scores for f in of_class])
    hit = torch.cat([h[: len(f.scores)] for h, f in zip(hits, of_class, strict=True)])
    return _area(hit[scores.argsort(descending=True, stable=True)], total)


def _check(detections: Sequence[Detections]) -> None:
    """Raise ValueError unless each element has boxes (m, 7), scores (m,) and labels (m,)."""
    must = "be a sequence of Detections, one for each sample"
    for i, detected in enumerate(checks.sequence("detections", detections, Detections, must)):
        for name, part in detected._asdict().items():
            checks.instance(f"detections[{i}].{name}", part, Tensor, "be a tensor")
        shapes = (
            tuple(detected.boxes.shape),
            tuple(detected.scores.shape),
            tuple(detected.labels.shape),
        )
        count = shapes[0][:1]
        if shapes != ((*count, BOX_VALUES), count, count):
            raise ValueError(
                f"detections[{i}] has boxes, scores and labels of shapes {shapes}; they must be "
                f"(m, {BOX_VALUES}), (m,) and (m,)"
            )


def _of_class(detections: Detections, label: int) -> Detections:
    """Return the detections of one class on the CPU, in order of decreasing score."""
    of_class = detections.labels == label
    scores, order = detections.scores[of_class].detach().cpu().sort(descending=True, stable=True)
    boxes = detections.boxes[of_class].detach().cpu()[order]
    return Detections(boxes, scores, detections.labels[of_class].cpu()[order])


def _match(overlaps: Sequence[Tensor], threshold: float) -> Tensor:
    """Return a mask (n, D) of the detections that match a true box.

    Args:
        overlaps: Overlap of each detection with each true box of a sample, (d, g), for n samples.
        threshold: Minimum overlap of a match.
    """
    most = max(1, *(o.shape[1] for o in overlaps)) if overlaps else 1
    rows = [pad(o, (0, most - o.shape[1]), value=-1.0) for o in overlaps]
    free = pad_sequence(rows, batch_first=True, padding_value=-1.0)  # (n, D, G)
    hits = torch.zeros(free.shape[:2], dtype=torch.bool)
    for rank in range(free.shape[1]):
        best, box = free[:, rank].max(-1)
        hits[:, rank] = best >= threshold
        sample = hits[:, rank].nonzero()[:, 0]
        free[sample, :, box[sample]] = -1.0
    return hits


def _area(hit: Tensor, total: int) -> float:
    """Return the average precision in percent.

    Args:
        hit: True for detections that match a true box, in order of decreasing score.
        total: Number of true boxes.
    """
    true = hit.cumsum(0)
    precision = true.double() / torch.arange(1, len(hit) + 1)
    best_from_here = precision.flip(0).cummax(0).values.flip(0)
    reached = torch.searchsorted(true * _RECALLS, torch.arange(1, _RECALLS + 1) * total)
    at_recall = torch.cat((best_from_here, precision.new_zeros(1)))[reached]
    return 100 * at_recall.mean().item()
