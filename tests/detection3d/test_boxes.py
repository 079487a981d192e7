"""Overlap of boxes, their suppression and average precision, against values known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ncp_sampler.detection3d.average_precision import average_precision
from ncp_sampler.detection3d.boxes import (
    check_boxes,
    nearest_rectangles,
    rectangle_iou,
    suppress,
)
from ncp_sampler.detection3d.loss import Detections
from ncp_sampler.detection3d.rotated_boxes import bev_iou, box_iou

QUARTER = math.pi / 2
OCTAGON = 2 * (math.sqrt(2) - 1)  # a unit square cut with itself turned by 45 degrees


def box(
    x: float = 0, y: float = 0, z: float = 0, size: tuple[float, ...] = (4, 2, 1), yaw: float = 0
) -> Tensor:
    return torch.tensor([[x, y, z, *size, yaw]], dtype=torch.float64)


def random_boxes(count: int, seed: int) -> Tensor:
    boxes = torch.rand(count, 7, generator=torch.Generator().manual_seed(seed)).double()
    boxes[:, :2] *= 4
    boxes[:, 3:6] = 0.3 + 4 * boxes[:, 3:6]
    boxes[:, 6] = (boxes[:, 6] - 0.5) * 4 * math.pi
    return boxes


@pytest.mark.parametrize(
    ("first", "second", "bev", "volume"),
    [
        pytest.param(box(), box(), 1, 1, id="the same"),
        pytest.param(box(), box(yaw=math.pi), 1, 1, id="turned around"),
        pytest.param(box(), box(yaw=QUARTER), 4 / 12, 4 / 12, id="crossed"),
        pytest.param(box(), box(x=2), 4 / 12, 4 / 12, id="shifted, two sides in common"),
        pytest.param(box(), box(x=4), 0, 0, id="side by side, touching"),
        pytest.param(box(), box(x=4, yaw=math.pi), 0, 0, id="touching, turned around"),
        pytest.param(box(), box(x=4, y=2), 0, 0, id="touching at a corner"),
        pytest.param(box(), box(x=1, size=(1, 1, 1), yaw=0.3), 1 / 8, 1 / 8, id="one in the other"),
        pytest.param(box(), box(x=1.5, size=(1, 1, 1)), 1 / 8, 1 / 8, id="inside, along a side"),
        pytest.param(box(), box(x=90), 0, 0, id="far apart"),
        pytest.param(box(), box(z=0.5), 1, 1 / 3, id="higher by half"),
        pytest.param(box(), box(z=2), 1, 0, id="above"),
        pytest.param(
            box(size=(1, 1, 1)),
            box(size=(1, 1, 1), yaw=math.pi / 4),
            OCTAGON / (2 - OCTAGON),
            OCTAGON / (2 - OCTAGON),
            id="squares at 45 degrees",
        ),
    ],
)
@pytest.mark.parametrize(("shift", "turn"), [(0.0, 0.0), (70.0, 0.7)])
def test_exact_overlap_has_the_value_known(
    first: Tensor, second: Tensor, bev: float, volume: float, shift: float, turn: float
) -> None:
    moved = []
    for b in (first, second):
        x, y = b[0, 0].item(), b[0, 1].item()
        cos, sin = math.cos(turn), math.sin(turn)
        moved.append(
            box(shift + cos * x - sin * y, shift + sin * x + cos * y, yaw=b[0, 6].item() + turn)
        )
        moved[-1][0, 2:6] = b[0, 2:6]
    for a, b in (moved, moved[::-1]):
        assert bev_iou(a, b).item() == pytest.approx(bev, abs=1e-7)
        assert box_iou(a, b).item() == pytest.approx(volume, abs=1e-7)


def test_exact_overlap_is_that_of_dense_points() -> None:
    a, b = random_boxes(6, 0), random_boxes(5, 1)
    line = torch.linspace(-5, 9, 701, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)

    def within(boxes: Tensor) -> Tensor:
        offset = points - boxes[:, None, :2]
        cos, sin = boxes[:, 6:].cos(), boxes[:, 6:].sin()
        along = cos * offset[..., 0] + sin * offset[..., 1]
        across = cos * offset[..., 1] - sin * offset[..., 0]
        return (along.abs() <= boxes[:, 3:4] / 2) & (across.abs() <= boxes[:, 4:5] / 2)

    in_a, in_b = within(a).double(), within(b).double()
    shared = in_a @ in_b.T
    counted = shared / (in_a.sum(1)[:, None] + in_b.sum(1) - shared)
    iou = bev_iou(a, b)
    assert (iou > 0).sum() > 15
    torch.testing.assert_close(iou, counted, atol=1e-2, rtol=0)


def test_exact_overlap_is_symmetric_and_bounded() -> None:
    a, b = random_boxes(80, 2), random_boxes(70, 3)
    for iou in (bev_iou, box_iou):
        torch.testing.assert_close(iou(a, b), iou(b, a).T, atol=1e-7, rtol=0)
        assert ((iou(a, b) >= 0) & (iou(a, b) <= 1)).all()
        assert iou(a, a[:0]).shape == (80, 0)


@pytest.mark.parametrize(
    ("yaw", "rectangle"),
    [
        (0.0, [-2, -1, 2, 1]),
        (0.7, [-2, -1, 2, 1]),
        (0.9, [-1, -2, 1, 2]),
        (-QUARTER, [-1, -2, 1, 2]),
        (3.0, [-2, -1, 2, 1]),
    ],
)
def test_nearest_rectangle_turns_to_the_nearest_right_angle(
    yaw: float, rectangle: list[float]
) -> None:
    assert nearest_rectangles(box(yaw=yaw))[0].tolist() == rectangle


def test_rectangle_overlap_is_the_exact_one_of_boxes_at_right_angles() -> None:
    a, b = random_boxes(30, 4), random_boxes(20, 5)
    a[:, 6], b[:, 6] = 0, QUARTER
    expected = bev_iou(a, b)
    assert (expected > 0).any()
    assert (expected == 0).any()
    torch.testing.assert_close(
        rectangle_iou(nearest_rectangles(a), nearest_rectangles(b)), expected, atol=1e-7, rtol=0
    )


def greedy(rectangles: Tensor, labels: Tensor, iou: float) -> list[bool]:
    """Non-maximum suppression as the textbook has it: one after the other."""
    overlap = rectangle_iou(rectangles, rectangles)
    stays: list[bool] = []
    for i in range(len(labels)):
        beaten = any(stays[j] and labels[i] == labels[j] and overlap[i, j] > iou for j in range(i))
        stays.append(not beaten)
    return stays


@pytest.mark.parametrize("iou", [0.0, 0.1, 0.5, 1.0])
def test_suppression_is_the_greedy_one(iou: float) -> None:
    generator = torch.Generator().manual_seed(6)
    rectangles = nearest_rectangles(torch.stack([random_boxes(60, seed) for seed in (7, 8)]))
    labels = torch.randint(2, (2, 60), generator=generator)
    stays = suppress(rectangles, labels, iou=iou)
    expected = [greedy(r, k, iou) for r, k in zip(rectangles, labels, strict=True)]
    assert stays.tolist() == expected
    assert stays.all() == (iou == 1)


def test_what_is_suppressed_suppresses_nothing() -> None:
    chain = nearest_rectangles(torch.cat([box(x=x, size=(1, 1, 1)) for x in (0, 0.3, 0.6)]))
    same_label, two = torch.zeros(3).long(), torch.tensor([0, 1, 0])
    assert suppress(chain, same_label, iou=0.5).tolist() == [True, False, True]
    assert suppress(chain, two, iou=0.2).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (torch.zeros(2, 6), r"\(2, 6\) must be of shape \(m, 7\)"),
        (torch.zeros(7), r"\(7,\) must be"),
        (torch.ones(1, 7).long(), "int64 must be of a floating type"),
        (torch.full((1, 7), math.nan), "NaN or infinity"),
        (box(size=(4, 0, 1)), "width or height of 0; all must be > 0"),
    ],
)
def test_malformed_boxes_are_refused(boxes: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_boxes(boxes)


def detections_of(*rows: tuple[float, float, int]) -> Detections:
    """Detections of unit height, from rows of x, score and label."""
    boxes = torch.cat([box(x=x) for x, _, _ in rows]) if rows else torch.zeros(0, 7)
    scores, labels = [s for _, s, _ in rows], [k for _, _, k in rows]
    return Detections(boxes, torch.tensor(scores), torch.tensor(labels, dtype=torch.long))


@pytest.mark.parametrize(
    ("detections", "truths", "expected"),
    [
        pytest.param([detections_of((0, 0.9, 0))], [[0]], 100, id="perfect"),
        pytest.param([detections_of()], [[0]], 0, id="nothing found"),
        pytest.param([detections_of((9, 0.9, 0))], [[0]], 0, id="only false ones"),
        pytest.param(
            [detections_of((0, 0.9, 0))], [[0, 9]], 50, id="half of the recalls at precision 1"
        ),
        pytest.param([detections_of((9, 0.9, 0), (0, 0.8, 0))], [[0]], 50, id="false one first"),
        pytest.param([detections_of((9, 0.7, 0), (0, 0.8, 0))], [[0]], 100, id="false one last"),
        pytest.param(
            [detections_of((0, 0.9, 0), (0.1, 0.8, 0))], [[0, 9]], 50, id="found twice counts once"
        ),
        pytest.param(
            [detections_of((9, 0.9, 1), (0, 0.8, 0))], [[0]], 100, id="another class's is left out"
        ),
        pytest.param(
            [detections_of((9, 0.9, 0)), detections_of((0, 0.8, 0))],
            [[], [0]],
            50,
            id="over two samples",
        ),
        pytest.param(
            # precisions 1, 1/2, 2/3 at recalls 1/2, 1/2, 1
            [detections_of((0, 0.9, 0), (50, 0.8, 0), (9, 0.7, 0))],
            [[0, 9]],
            100 * (0.5 * 1 + 0.5 * 2 / 3),
            id="a step of precision",
        ),
        pytest.param(
            # recall 1/3 is reached by 13 of the 40 recalls
            [detections_of((0, 0.9, 0))],
            [[0, 9, 18]],
            100 * 13 / 40,
            id="recalls are at multiples of 1/40",
        ),
    ],
)
def test_average_precision_has_the_value_known(
    detections: list[Detections], truths: list[list[float]], expected: float
) -> None:
    boxes = [torch.cat([box(x=x) for x in xs]) if xs else torch.zeros(0, 7) for xs in truths]
    labels = [torch.zeros(len(xs)).long() for xs in truths]
    value = average_precision(detections, boxes, labels, label=0)
    assert value == pytest.approx(expected)


def test_each_detection_takes_the_free_box_that_it_overlaps_most() -> None:
    # the second is nearer to the first box, which the better score has taken: it gets the other
    detections = [detections_of((0, 0.9, 0), (0.5, 0.8, 0))]
    boxes, labels = [torch.cat((box(x=0), box(x=1.2)))], [torch.zeros(2).long()]
    assert average_precision(detections, boxes, labels, label=0, iou=0.6) == 100


def test_views_differ_by_height() -> None:
    detections = [detections_of((0, 0.9, 0))]
    boxes, labels = [box(z=0.5)], [torch.zeros(1).long()]
    values = [
        average_precision(detections, boxes, labels, label=0, iou=0.5, view=view)
        for view in ("bev", "3d")
    ]
    assert values == [100, 0]


def test_average_precision_of_many_is_that_of_the_definition() -> None:
    """Against the precision-recall curve by plain loops, on random detections."""
    rng = np.random.default_rng(0)
    detections, boxes = [], []
    for _ in range(12):
        truth = rng.choice(np.arange(0, 60, 6), size=rng.integers(0, 5), replace=False)
        guesses = [(float(x + rng.normal(0, 1)), float(rng.random()), 0) for x in truth]
        guesses += [(float(x), float(rng.random()), 0) for x in rng.uniform(0, 60, 3)]
        detections.append(detections_of(*guesses))
        boxes.append(torch.cat([box(x=x) for x in truth]) if len(truth) else torch.zeros(0, 7))
    labels = [torch.zeros(len(b)).long() for b in boxes]

    ranked = sorted(
        ((s.item(), i, d) for i, f in enumerate(detections) for d, s in enumerate(f.scores)),
        reverse=True,
    )
    taken: set[tuple[int, int]] = set()
    curve = []
    for count, (_, i, d) in enumerate(ranked, start=1):
        overlaps = bev_iou(detections[i].boxes[d : d + 1], boxes[i])[0].tolist()
        free = [(o, j) for j, o in enumerate(overlaps) if (i, j) not in taken]
        if free and max(free)[0] >= 0.5:
            taken.add((i, max(free)[1]))
        curve.append((len(taken), len(taken) / count))
    total = sum(len(b) for b in boxes)
    recalls = [max((p for t, p in curve if 40 * t >= r * total), default=0) for r in range(1, 41)]
    value = average_precision(detections, boxes, labels, label=0, iou=0.5, view="bev")
    assert 5 < value < 95
    assert value == pytest.approx(100 * sum(recalls) / 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view": "side"}, "view='side' must be one of"),
        ({"iou": 0.0}, "iou=0.0 must be above 0"),
        ({"label": 1}, "label=1 has no true box"),
        ({"labels": []}, "boxes has 1 samples and labels has 0"),
        ({"boxes": "x"}, "boxes='x' must be a sequence of tensors"),
        ({"boxes": [[1.0] * 7]}, r"boxes=\[\[1.0, .* must be a sequence of tensors"),
        ({"labels": 5}, "labels=5 must be a sequence of tensors"),
        ({"labels": [torch.zeros(1)]}, r"labels\[0\] of shape .* must have one integer"),
        ({"labels": [torch.zeros(3).long()]}, r"labels\[0\] of shape \(3,\) .* one integer"),
        ({"detections": 5}, "detections=5 must be a sequence of Detections"),
        ({"detections": []}, "detections has 0 samples and boxes has 1"),
        (
            {"detections": [Detections(*[torch.zeros(2)] * 3)]},
            r"detections\[0\] has boxes, scores and labels of shapes .* must be \(m, 7\)",
        ),
        (
            {"detections": [Detections(5, 5, 5)]},  # type: ignore[arg-type]
            r"detections\[0\].boxes=5 must be a tensor",
        ),
        ({"label": "car"}, "label='car' must be an integer"),
        ({"boxes": [torch.zeros(1, 6)]}, r"\(1, 6\) must be of shape"),
    ],
)
def test_average_precision_refuses(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "detections": [detections_of((0, 0.9, 0))],
        "boxes": [box()],
        "labels": [torch.zeros(1).long()],
        "label": 0,
    }
    with pytest.raises(ValueError, match=message):
        average_precision(**{**arguments, **change})  # type: ignore[arg-type]
