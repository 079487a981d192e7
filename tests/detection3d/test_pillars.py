"""The pillar encoder: its map is that of plain loops, its caps hold, wrong input is refused."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor

from ncp_sampler.detection3d.pillars import KITTI_RANGE, PillarEncoder

RANGE = (0.0, -2.0, -1.0, 6.0, 2.0, 1.0)  # of 6 × 4 m: 12 pillars of 0.5 m along x, 8 along y


def encoder(max_pillars: int = 1000, max_points: int = 100) -> PillarEncoder:
    torch.manual_seed(0)
    return PillarEncoder(
        point_range=RANGE, pillar=0.5, max_pillars=max_pillars, max_points=max_points
    ).eval()


def cloud(points: int, seed: int) -> Tensor:
    """Points in and around the range."""
    share = torch.rand(points, 4, generator=torch.Generator().manual_seed(seed))
    return share * torch.tensor([7.0, 5.0, 2.5, 1.0]) - torch.tensor([0.5, 2.5, 1.25, 0.0])


def test_kitti_map_is_496_by_432() -> None:
    assert PillarEncoder().shape == (496, 432)
    assert KITTI_RANGE == (0, -39.68, -3, 69.12, 39.68, 1)


def test_map_is_that_of_the_definition() -> None:
    model = encoder()
    clouds = [cloud(300, 0), cloud(90, 1)]
    bev = model(clouds)
    assert bev.shape == (2, 64, 8, 12)
    for points, image in zip(clouds, bev, strict=True):
        pillars = defaultdict(list)
        for x, y, z, r in points.tolist():
            if 0 <= x < 6 and -2 <= y < 2 and -1 <= z < 1:
                pillars[int((y + 2) // 0.5), int(x // 0.5)].append((x, y, z, r))
        expected = torch.zeros(64, 8, 12)
        for (row, column), inside in pillars.items():
            own = torch.tensor(inside)
            centre = torch.tensor([(column + 0.5) * 0.5, (row + 0.5) * 0.5 - 2])
            decorated = torch.cat((own, own[:, :3] - own[:, :3].mean(0), own[:, :2] - centre), 1)
            expected[:, row, column] = model.norm(model.linear(decorated)).relu().amax(0)
        torch.testing.assert_close(image, expected)


def test_order_of_points_does_not_matter_below_the_cap() -> None:
    model, points = encoder(), cloud(400, 2)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model([points]), model([points[order]]))


def test_samples_do_not_mix() -> None:
    model, clouds = encoder(), [cloud(200, 4), cloud(50, 5), cloud(300, 6)]
    together = model(clouds)
    torch.testing.assert_close(together, torch.cat([model([points]) for points in clouds]))


@pytest.mark.parametrize("most", [1, 10, 50])
def test_pillars_above_the_cap_are_left_out_evenly(most: int) -> None:
    points = cloud(2000, 7)  # all 96 pillars are occupied
    everything, limited = encoder()([points]), encoder(max_pillars=most)([points])
    kept = (limited != 0).any(1)
    assert (everything != 0).any(1).all()
    assert kept.sum() == most
    torch.testing.assert_close(limited, everything * kept[:, None])
    gaps = kept.flatten().nonzero()[:, 0].diff()
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_points_above_the_cap_are_left_out_evenly() -> None:
    line = torch.zeros(10, 4)
    line[:, 0] = torch.linspace(0.05, 0.45, 10)  # in one pillar
    torch.testing.assert_close(encoder(max_points=5)([line]), encoder()([line[1::2]]))
    torch.testing.assert_close(encoder(max_points=10)([line]), encoder()([line]))


def test_same_clouds_give_the_same_map_to_the_last_bit() -> None:
    model, points = encoder(max_pillars=20, max_points=3), [cloud(2000, 8)]
    assert torch.equal(model(points), model(points))


def test_clouds_of_doubles_are_taken_too() -> None:
    model, points = encoder(), cloud(200, 11)
    torch.testing.assert_close(model([points.double()]), model([points]))


def test_cloud_out_of_range_gives_an_empty_map() -> None:
    assert (encoder()([torch.full((5, 4), 50.0), cloud(100, 9)])[0] == 0).all()
    assert (encoder()([torch.full((5, 4), 50.0)]) == 0).all()


def test_gradients_reach_the_linear_layer_and_the_points() -> None:
    model, points = encoder().train(), cloud(300, 10).requires_grad_()
    model([points]).square().sum().backward()
    assert model.linear.weight.grad is not None
    assert points.grad is not None
    for gradient in (model.linear.weight.grad, points.grad):
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any()


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ([], "points has no clouds"),
        ([torch.zeros(0, 4)], r"points\[0\] is empty"),
        ([torch.zeros(3, 4), torch.zeros(3, 3)], r"points\[1\] of shape \(3, 3\)"),
        ([torch.zeros(4)], r"points\[0\] of shape \(4,\)"),
        ([torch.full((3, 4), math.nan)], r"points\[0\] contains NaN or infinity"),
        ([torch.full((3, 4), math.inf)], r"points\[0\] contains NaN or infinity"),
        ([torch.full((3, 4), 50.0)], "0 of the batch lie within point_range"),
    ],
)
def test_malformed_clouds_are_refused(clouds: list[Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder().train()(clouds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"point_range": RANGE[:5]}, "must be six numbers"),
        ({"point_range": (*RANGE[:5], math.nan)}, "must be six numbers"),
        ({"point_range": (0, 2, -1, 6, -2, 1)}, "each low end below its high"),
        ({"point_range": (0, -2, -1, 6.1, 2, 1)}, "12.2 pillars of 0.5 m along x"),
        ({"point_range": (0, -2.2, -1, 6, 2, 1)}, "8.4 pillars of 0.5 m along y"),
        ({"pillar": 0.0}, "pillar=0.0 must be above 0"),
        ({"pillar": 100.0}, "make this side of the range a multiple"),
        ({"max_pillars": 0}, "max_pillars=0 must be at least 1"),
        ({"max_points": 0}, "max_points=0 must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    defaults: dict[str, object] = {"point_range": RANGE, "pillar": 0.5}
    with pytest.raises(ValueError, match=message):
        PillarEncoder(**{**defaults, **arguments})  # type: ignore[arg-type]
