"""PointPillars around a code: shapes, fitting one batch, determinism, and wrong input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ncp_sampler import MRSpace
from ncp_sampler.detection3d.anchors import Anchor
from ncp_sampler.detection3d.average_precision import average_precision
from ncp_sampler.detection3d.point_pillars import PointPillarsNet
from ncp_sampler.multi_resolution.layers import ResidualUnit

ANCHORS = (Anchor(size=(3.0, 1.5, 1.5), z=0.0), Anchor(size=(1.0, 1.0, 2.0), z=0.0))
RANGE = (0.0, -8.0, -2.0, 16.0, 8.0, 2.0)
SMALL = [8 if name[0] in "ioc" else 1 for name in MRSpace().columns]

Batch = tuple[list[Tensor], list[Tensor], list[Tensor]]


def network(seed: int = 0) -> PointPillarsNet:
    return PointPillarsNet(SMALL, anchors=ANCHORS, point_range=RANGE, pillar=0.5, seed=seed)


def batch() -> Batch:
    """Three scenes of two boxes, of one and of none, with points on their surfaces and around."""
    generator = torch.Generator().manual_seed(0)
    long = [4.0, 2.0, 0.0, 3.2, 1.4, 1.5, 0.4]
    square = [11.0, -5.0, 0.0, 1.0, 1.1, 2.0, -0.3]
    points, boxes, labels = [], [], []
    for rows, kinds in (([long, square], [0, 1]), ([square], [1]), ([], [])):
        own = torch.tensor(rows).reshape(-1, 7)
        share = torch.rand(len(own), 200, 4, generator=generator)
        inside = (share[..., :3] - 0.5) * own[:, None, 3:6]
        cos, sin = own[:, 6:].cos(), own[:, 6:].sin()
        x, y, z = inside.unbind(-1)
        turned = torch.stack((cos * x - sin * y, sin * x + cos * y, z), -1) + own[:, None, :3]
        around = torch.rand(300, 4, generator=generator) * torch.tensor([16, 16, 0.2, 0.3])
        around -= torch.tensor([0, 8, 1.2, 0])
        on_boxes = torch.cat((turned, share[..., 3:]), -1).reshape(-1, 4)
        points.append(torch.cat((on_boxes, around)))
        boxes.append(own)
        labels.append(torch.tensor(kinds, dtype=torch.long))
    return points, boxes, labels


def test_shapes_and_gradients() -> None:
    model, (points, boxes, labels) = network(), batch()
    output = model(points)
    assert [tuple(part.shape) for part in output] == [(3, 8, 8, 4, v) for v in (2, 7, 2)]
    assert model.grid(output).shape == (8, 8, 4, 7)
    assert model.grid(output)[0, 0, 0, :2].tolist() == [1, -7]  # the middle of a cell of 2 m
    for layer in model.modules():
        if isinstance(layer, ResidualUnit):  # as after some steps; at first they are identities
            torch.nn.init.constant_(layer.second.norm.weight, 0.1)
    loss = model.loss(points, boxes, labels)
    loss.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize(
    ("code", "shape"),
    [(SMALL, (124, 108)), ([2 if c == 1 else 24 for c in SMALL], (124, 108))],
)
def test_kitti_map_gives_an_anchor_every_64_cm(code: list[int], shape: tuple[int, int]) -> None:
    model = PointPillarsNet(code, seed=0).eval()
    points = torch.rand(500, 4, generator=torch.Generator().manual_seed(0)) * 30
    with torch.no_grad():
        output = model([points])
    assert output.boxes.shape == (1, *shape, 2, 7)
    grid = model.grid(output)
    assert (grid[0, 1, 0, 0] - grid[0, 0, 0, 0]).item() == pytest.approx(0.64)
    assert grid[-1, -1, 0, :2].tolist() == pytest.approx([69.12 - 0.32, 39.68 - 0.32], abs=1e-4)


def test_fitting_one_batch_finds_its_boxes() -> None:
    """A real loop: the loss falls, and untrained no box is found where trained all are."""
    model, (points, boxes, labels) = network(), batch()
    assert precision(model, (points, boxes, labels)) < 5
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(80):
        loss = model.loss(points, boxes, labels)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append([part.item() for part in loss])
    for name, before, after in zip(loss._fields, losses[0], losses[-1], strict=True):
        assert after < 0.3 * before, name
    assert precision(model, (points, boxes, labels)) == 100
    detected = model.eval().detect(points)
    assert (detected[2].scores < 0.5).all()  # where there is no box
    nearest = (detected[0].boxes[:, :2] - boxes[0][0, :2]).norm(dim=1).argmin()
    turn = detected[0].boxes[nearest, 6] - boxes[0][0, 6]
    assert turn.cos() > 0.95  # the front is where it should be


def precision(model: PointPillarsNet, scenes: Batch) -> float:
    """The lower one of both classes' average precisions in 3D at IoU 0.5."""
    points, boxes, labels = scenes
    model.eval()
    detected = model.detect(points)
    model.train()
    return min(average_precision(detected, boxes, labels, label=k, iou=0.5) for k in (0, 1))


def test_seed_fixes_the_weights_and_leaves_pytorch_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, same, reseeded = (network(seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], reseeded[name]) for name in first)


def test_training_step_is_the_same_each_time() -> None:
    gradients = []
    for _ in range(2):
        model = network()
        model.loss(*batch()).total.backward()
        gradients.append([p.grad for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)


def test_labels_may_be_of_bytes() -> None:
    points, boxes, labels = batch()
    model = network()
    expected = model.loss(points, boxes, labels).total
    assert torch.equal(model.loss(points, boxes, [k.byte() for k in labels]).total, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [torch.zeros(1, 7)]}, r"boxes\[0\] has a length"),
        ({"boxes": [torch.ones(1, 6)]}, r"boxes\[0\] of shape \(1, 6\)"),
        ({"boxes": [torch.full((1, 7), math.nan)]}, r"boxes\[0\] contains NaN"),
        ({"boxes": []}, "boxes has 0 samples and labels has 1"),
        ({"boxes": [], "labels": []}, "points has 1 samples and boxes has 0"),
        ({"points": 5}, "points=5 must be a sequence of tensors"),
        ({"points": [[1.0] * 4]}, r"points=\[\[1.0, .* must be a sequence of tensors"),
        ({"boxes": "x"}, "boxes='x' must be a sequence of tensors"),
        ({"labels": [0]}, r"labels=\[0\] must be a sequence of tensors"),
        ({"labels": [torch.tensor([2])]}, r"labels\[0\]=\[2\] must be in 0 to 1"),
        ({"labels": [torch.tensor([-1])]}, r"labels\[0\]=\[-1\] must be in 0 to 1"),
        ({"labels": [torch.tensor([0, 1])]}, r"labels\[0\] of shape \(2,\)"),
        ({"labels": [torch.tensor([0.0])]}, "type torch.float32 must have one integer"),
        ({"points": [torch.zeros(0, 4)]}, r"points\[0\] is empty"),
        ({"points": [torch.zeros(5, 5)]}, r"points\[0\] of shape \(5, 5\)"),
    ],
)
def test_malformed_scenes_are_refused(change: dict[str, list[Tensor]], message: str) -> None:
    scenes = {
        "points": [torch.ones(5, 4)],
        "boxes": [torch.ones(1, 7)],
        "labels": [torch.zeros(1).long()],
    }
    with pytest.raises(ValueError, match=message):
        network().loss(**{**scenes, **change})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"anchors": ()}, "anchors is empty"),
        ({"anchors": 5}, "anchors=5 must be a sequence of Anchor, one per class"),
        ({"point_range": 5}, "point_range=5 must be six numbers"),
        ({"anchors": ANCHORS[0]}, r"anchors=Anchor\(.* must be a sequence of Anchor, one per"),
        ({"anchors": ["car"]}, r"anchors=\['car'\] must be a sequence of Anchor"),
        ({"pillar": 1.0}, r"map of \(16, 16\) pillars; each side needs at least 32"),
        ({"pillar": 0.3}, "make this side of the range a multiple"),
        ({"code": [7, *SMALL[1:]]}, "7"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    defaults: dict[str, object] = {
        "code": SMALL,
        "anchors": ANCHORS,
        "point_range": RANGE,
        "pillar": 0.5,
    }
    with pytest.raises(ValueError, match=message):
        PointPillarsNet(**{**defaults, **arguments})  # type: ignore[arg-type]
