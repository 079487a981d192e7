"""Anchors, the head's loss and its boxes: round trips, hand-made matches, values by definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ncp_sampler.detection3d.anchors import (
    BACKGROUND,
    CAR,
    CYCLIST,
    IGNORED,
    PEDESTRIAN,
    Anchor,
    anchor_grid,
    assign,
    decode,
    encode,
    half_circle,
)
from ncp_sampler.detection3d.loss import detection_loss, find_boxes
from ncp_sampler.multi_resolution.anchor_head import AnchorHead, AnchorOutput

BLOCK = Anchor(size=(4.0, 2.0, 1.5), z=0.0, positive=0.6, negative=0.45)
POST = Anchor(size=(1.0, 1.0, 2.0), z=0.0)


def grid(*anchors: Anchor, cells: tuple[int, int] = (5, 6), cell: float = 1.0) -> Tensor:
    return anchor_grid(anchors, cells=cells, corner=(0.0, 0.0), cell=cell)


def test_grid_has_two_yaws_a_class_in_the_middle_of_each_cell() -> None:
    anchors = anchor_grid([CAR, PEDESTRIAN], cells=(3, 2), corner=(10.0, -6.0), cell=4.0)
    assert anchors.shape == (3, 2, 4, 7)
    assert anchors[..., 0].unique().tolist() == [12, 16]
    assert anchors[2, 1, 0].tolist() == pytest.approx([16, 4, -1, 3.9, 1.6, 1.5, 0])
    assert anchors[2, 1, 1].tolist() == pytest.approx([16, 4, -1, 3.9, 1.6, 1.5, math.pi / 2])
    assert anchors[0, 0, 3].tolist() == pytest.approx([12, -4, -0.6, 0.8, 0.6, 1.73, math.pi / 2])


def test_decoding_undoes_encoding() -> None:
    generator = torch.Generator().manual_seed(0)
    anchors = grid(CAR, CYCLIST).reshape(-1, 7)
    boxes = torch.rand(len(anchors), 7, generator=generator).add(0.1)
    boxes[:, 6] = (boxes[:, 6] - 0.6) * 2 * math.pi
    boxes[0, 6], boxes[1, 6] = math.pi / 4, -3 * math.pi / 4  # where the halves meet
    back = decode(encode(boxes, anchors), anchors, half_circle(boxes[:, 6]))
    torch.testing.assert_close(back[:, :6], boxes[:, :6])
    turn = back[:, 6] - boxes[:, 6]
    torch.testing.assert_close(turn.cos(), torch.ones_like(turn))
    assert (back[:, 6].abs() <= math.pi + 1e-6).all()


def test_residuals_are_those_of_the_paper() -> None:
    anchor = torch.tensor([[10.0, 0.0, -1.0, 3.0, 4.0, 2.0, 0.0]])  # its diagonal is 5
    box = torch.tensor([[11.0, -2.0, 0.0, 6.0, 4.0, 1.0, 0.3]])
    expected = [0.2, -0.4, 0.5, math.log(2), 0, -math.log(2), 0.3]
    assert encode(box, anchor)[0].tolist() == pytest.approx(expected)


def test_yaw_needs_no_more_than_its_sine() -> None:
    """A residual that is off by half a turn gives the same box, as the half circle decides."""
    anchors = grid(BLOCK).reshape(-1, 7)
    residuals = torch.zeros_like(anchors)
    residuals[:, 6] = 0.2
    turned = residuals.clone()
    turned[:, 6] += math.pi
    for half in (0, 1):
        halves = torch.full((len(anchors),), half)
        boxes = decode(residuals, anchors, halves)
        torch.testing.assert_close(boxes, decode(turned, anchors, halves))
        assert (half_circle(boxes[:, 6]) == half).all()


def test_untrained_residuals_of_any_size_give_finite_boxes() -> None:
    anchors = grid(BLOCK).reshape(-1, 7)
    residuals = torch.full_like(anchors, 1e4)
    assert torch.isfinite(decode(residuals, anchors, torch.ones(len(anchors)))).all()


def test_anchors_learn_the_boxes_that_they_overlap() -> None:
    anchors = grid(BLOCK, POST).reshape(-1, 7)
    boxes = torch.tensor([[[2.5, 2.5, 0, 4, 2, 1.5, 0.1], [4.5, 1.5, 0, 1, 1, 2, 0]]])
    target, box = assign(anchors, [BLOCK, POST], boxes, torch.tensor([[0, 1]]))
    target, box = target.view(5, 6, 4), box.view(5, 6, 4)
    # of the same size as the first box, so their overlap is 8 - |dx| 2 - ... of 8
    assert target[2, 2, 0] == 0  # on the spot
    assert target[2, 1, 0] == target[2, 3, 0] == 0  # 1 m along: 6 of 10 m²
    assert target[2, 0, 0] == BACKGROUND  # 2 m along: 4 of 12 m²
    assert target[1, 2, 0] == BACKGROUND  # 1 m across: 4 of 12 m²
    assert target[2, 2, 1] == BACKGROUND  # crosswise: 4 of 12 m²
    assert (target[..., 2:] == 1).nonzero().tolist() == [[1, 4, 0], [1, 4, 1]]  # squares: any yaw
    assert box[1, 4, 2] == 1
    assert box[2, 2, 0] == 0
    assert (target >= 0).sum() == 5


def test_between_the_thresholds_an_anchor_learns_nothing() -> None:
    anchor = Anchor(size=(4.0, 2.0, 1.5), z=0.0, positive=0.7, negative=0.45)
    boxes = torch.tensor([[[2.5, 2.5, 0, 4, 2, 1.5, 0]]])
    target, _ = assign(grid(anchor).reshape(-1, 7), [anchor], boxes, torch.tensor([[0]]))
    target = target.view(5, 6, 2)
    assert target[2, 1:4, 0].tolist() == [IGNORED, 0, IGNORED]


def test_each_box_is_learnt_by_its_best_anchor() -> None:
    boxes = torch.tensor([[[2.5, 2.5, 0, 1.2, 0.6, 1.5, 0], [2.6, 2.5, 0, 4, 2, 1.5, 0]]])
    anchors = grid(BLOCK).reshape(-1, 7)
    target, box = assign(anchors, [BLOCK], boxes, torch.tensor([[0, 0]]))
    assigned = set(box[target >= 0].tolist())
    assert assigned == {0, 1}  # the small one overlaps no anchor by more than 0.72 of 8 m²


@pytest.mark.parametrize(
    ("boxes", "labels"),
    [
        pytest.param(torch.zeros(2, 0, 7), torch.zeros(2, 0).long(), id="none in the batch"),
        pytest.param(torch.zeros(2, 3, 7), torch.full((2, 3), -1), id="all filled up"),
        pytest.param(
            torch.tensor([[[90.0, 90, 0, 4, 2, 1, 0]]]).repeat(2, 1, 1),
            torch.zeros(2, 1).long(),
            id="out of range",
        ),
    ],
)
def test_without_boxes_all_is_background(boxes: Tensor, labels: Tensor) -> None:
    anchors = grid(BLOCK, POST)
    target, box = assign(anchors.reshape(-1, 7), [BLOCK, POST], boxes, labels)
    assert (target == BACKGROUND).all()
    assert (box == 0).all()
    output = random_output(2, anchors, 2)
    loss = detection_loss(output, anchors, [BLOCK, POST], boxes, labels)
    loss.total.backward()
    assert loss.total == loss.classes
    assert loss.classes > 0
    assert loss.boxes == loss.directions == 0
    for part in output:
        assert part.grad is not None
        assert torch.isfinite(part.grad).all()


def random_output(n: int, anchors: Tensor, classes: int, seed: int = 0) -> AnchorOutput:
    generator = torch.Generator().manual_seed(seed)
    return AnchorOutput(
        *(
            torch.randn(n, *anchors.shape[:3], values, generator=generator).requires_grad_()
            for values in (classes, 7, 2)
        )
    )


def test_loss_is_that_of_the_definition() -> None:
    """Against plain loops over the anchors, for two samples with one box and with two."""
    kinds, anchors = [BLOCK, POST], grid(BLOCK, POST)
    output = random_output(2, anchors, 2)
    boxes = torch.tensor([[2.7, 2.4, 0.1, 3.8, 2, 1.5, 3.0], [4.5, 1.5, 0, 1, 1.1, 2, -2.0]])
    boxes = torch.stack((torch.stack((boxes[0], torch.zeros(7))), boxes))
    labels = torch.tensor([[0, -1], [0, 1]])
    target, which = assign(anchors.reshape(-1, 7), kinds, boxes, labels)
    classes, residuals, directions = (part.detach().flatten(1, 3) for part in output)

    count, focal, box_loss, direction = 0, 0.0, 0.0, 0.0
    for i, m in torch.cartesian_prod(torch.arange(2), torch.arange(target.shape[1])).tolist():
        if target[i, m] == IGNORED:
            continue
        for k in range(2):
            p = classes[i, m, k].sigmoid().item()
            is_class = target[i, m] == k
            focal += (
                -0.25 * (1 - p) ** 2 * math.log(p) if is_class else -0.75 * p**2 * math.log(1 - p)
            )
        if target[i, m] < 0:
            continue
        count += 1
        truth = boxes[i, which[i, m]]
        error = residuals[i, m] - encode(truth, anchors.reshape(-1, 7)[m])
        error[6] = error[6].sin()
        for e in error.abs().tolist():
            box_loss += 4.5 * e * e if e < 1 / 9 else e - 1 / 18
        half = half_circle(truth[6])
        direction += functional.cross_entropy(directions[i, m], half).item()

    loss = detection_loss(output, anchors, kinds, boxes, labels)
    assert count > 4
    assert loss.classes.item() == pytest.approx(focal / count, rel=1e-4)
    assert loss.boxes.item() == pytest.approx(box_loss / count, rel=1e-4)
    assert loss.directions.item() == pytest.approx(direction / count, rel=1e-4)
    total = 2 * box_loss + focal + 0.2 * direction
    assert loss.total.item() == pytest.approx(total / count, rel=1e-4)


def perfect_output(
    anchors: Tensor, kinds: list[Anchor], boxes: Tensor, labels: Tensor
) -> AnchorOutput:
    """Return the output of a head that predicts the boxes (1, G, 7) perfectly."""
    flat = anchors.reshape(-1, 7)
    target, box = assign(flat, kinds, boxes, labels)
    truth = boxes[0, box[0]]
    classes = torch.where(target[0, :, None] == torch.arange(len(kinds)), 10.0, -10.0)
    learns = target[0, :, None] >= 0
    residuals = torch.where(learns, encode(truth, flat), 0.0)
    directions = 20.0 * functional.one_hot(half_circle(truth[:, 6]), 2) - 10
    return AnchorOutput(
        *(v.view(1, *anchors.shape[:3], -1) for v in (classes, residuals, directions))
    )


def test_a_head_that_knows_the_boxes_has_no_loss_and_finds_them() -> None:
    kinds, anchors = [BLOCK, POST], grid(BLOCK, POST, cells=(12, 10))
    boxes = torch.tensor(
        [
            [
                [2.7, 2.4, 0.1, 3.8, 2, 1.5, 3.0],
                [6.5, 7.6, 0, 4.1, 2.1, 1, -1.5],
                [1, 9, 0, 1, 1.1, 2, 0.3],
            ]
        ]
    )
    labels = torch.tensor([[0, 0, 1]])
    output = perfect_output(anchors, kinds, boxes, labels)
    loss = detection_loss(output, anchors, kinds, boxes, labels)
    assert loss.total.item() == pytest.approx(0, abs=1e-4)
    detected = find_boxes(output, anchors)[0]
    assert len(detected.boxes) == 3
    order = detected.boxes[:, 1].argsort()
    torch.testing.assert_close(detected.boxes[order], boxes[0], rtol=1e-4, atol=1e-4)
    assert detected.labels[order].tolist() == [0, 0, 1]
    assert (detected.scores > 0.99).all()


def test_boxes_found_are_sorted_distinct_and_few() -> None:
    anchors = grid(BLOCK, POST, cells=(12, 10))
    output = random_output(2, anchors, 2, seed=1)
    for limits in ({}, {"score": 0.9}, {"most": 4}, {"candidates": 9}, {"score": 1.0}):
        detected = find_boxes(output, anchors, **limits)
        assert len(detected) == 2
        for boxes, scores, labels in detected:
            assert boxes.shape == (len(scores), 7)
            assert len(labels) == len(scores) <= min(limits.get("most", 100), 240)
            assert (scores.diff() <= 0).all()
            assert (scores >= limits.get("score", 0.1)).all()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"score": 1.5}, "score=1.5 must be between 0 and 1"),
        ({"iou": -0.1}, "iou=-0.1 must be between 0 and 1"),
        ({"candidates": 0}, "candidates=0 must be at least 1"),
        ({"most": 0}, "most=0 must be at least 1"),
    ],
)
def test_limits_out_of_range_are_refused(limits: dict[str, float], message: str) -> None:
    anchors = grid(BLOCK)
    with pytest.raises(ValueError, match=message):
        find_boxes(random_output(1, anchors, 1), anchors, **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", [1, 3])
def test_head_has_three_convolutions_of_known_size(classes: int) -> None:
    head = AnchorHead(in_channels=16, num_classes=classes)
    outputs = 2 * classes * (classes + 7 + 2)
    assert sum(p.numel() for p in head.parameters()) == outputs * (16 + 1)
    head.reset_parameters(torch.Generator().manual_seed(0))
    output = head(torch.randn(2, 16, 5, 4))
    shapes = [tuple(part.shape) for part in output]
    assert shapes == [(2, 5, 4, 2 * classes, values) for values in (classes, 7, 2)]
    assert output.classes.sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)


def test_head_gives_each_anchor_the_values_of_its_own_cell() -> None:
    head = AnchorHead(in_channels=3, num_classes=2)
    head.reset_parameters(torch.Generator().manual_seed(0))
    features = torch.zeros(1, 3, 4, 5)
    features[0, :, 1, 2] = 50.0
    for part, empty in zip(head(features), head(torch.zeros(1, 3, 4, 5)), strict=True):
        changed = (part != empty).flatten(3).any(-1)[0]
        assert changed.nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("arguments", [{"in_channels": 0}, {"num_classes": 0}])
def test_head_refuses(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="=0 must be at least 1"):
        AnchorHead(**{"in_channels": 8, "num_classes": 2, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (1.0, 0.0, 1.0)}, "must be length, width and height"),
        ({"size": (1.0, 1.0)}, "must be length, width and height"),
        ({"z": math.nan}, "z=nan must be a finite number"),
        ({"negative": 0.7}, "0 < negative <= positive <= 1"),
        ({"negative": 0.0}, "0 < negative <= positive <= 1"),
        ({"positive": 1.1}, "0 < negative <= positive <= 1"),
    ],
)
def test_anchor_refuses(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Anchor(**{"size": (4.0, 2.0, 1.5), "z": 0.0, **arguments})  # type: ignore[arg-type]
