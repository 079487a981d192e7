"""Pareto fronts, the boxes beyond them, and what advances a front."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler.search.pareto import advances, boxes_beyond, chebyshev, pareto_front, thinned


def test_chebyshev_takes_the_worst_metric_and_the_sum() -> None:
    values, weights = np.array([[-1.0, -4.0], [-2.0, -2.0]]), np.array([0.5, 0.5])
    value, gradient = chebyshev(values, weights)
    assert value.tolist() == pytest.approx([-4.5, -3.0])
    for k in range(2):
        step = np.zeros((2, 2))
        step[0, k] = 1e-6
        rise = chebyshev(values + step, weights)[0] - chebyshev(values - step, weights)[0]
        assert gradient[0, k] == pytest.approx(rise[0] / 2e-6)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("size", [0, 1, 12])
def test_boxes_are_what_the_front_does_not_dominate(m: int, size: int) -> None:
    """They do not overlap, and a point is in one of them if it is better than the reference."""
    rng = np.random.default_rng(m * size)
    points = rng.random((3 * size, m)).round(1)  # equal values too
    front = points[pareto_front(points)] if size else points
    low, high = boxes_beyond(front, np.zeros(m))
    at = rng.uniform(-0.1, 1.1, (2000, m))
    within = (at[:, None] > low) & (at[:, None] < high)
    inside = np.all(within, axis=2).sum(axis=1)
    dominated = np.any(np.all(at[:, None] <= front, axis=2), axis=1)
    assert np.array_equal(inside, np.all(at > 0, axis=1) & ~dominated)


def test_pareto_front_is_that_of_the_definition() -> None:
    values = np.random.default_rng(0).random((200, 3)).round(1)
    rows = [tuple(row) for row in values.tolist()]
    best = {
        row
        for row in rows
        if not any(
            point != row and all(a >= b for a, b in zip(point, row, strict=True)) for point in rows
        )
    }
    front = [tuple(row) for row in values[pareto_front(values)].tolist()]
    assert set(front) == best
    assert len(front) == len(set(front))


def test_a_thinned_front_keeps_its_ends() -> None:
    angle = np.linspace(0.1, 1.4, 60)
    front = np.stack([np.cos(angle), np.sin(angle)], 1)
    few = thinned(front, 8)
    assert len(few) == 8
    assert (few.max(axis=0) == front.max(axis=0)).all()
    assert np.abs(np.diff(few, axis=0)).max() < 0.4


def test_a_trial_advances_a_front_that_is_better_than_all_of_it_by_a_margin() -> None:
    startup = [[0.0, 10.0], [10.0, 0.0], [4.0, 4.0]]
    later = {
        "between two": ([4.2, 4.2], False),  # by less than a twentieth of the spread
        "better": ([5.0, 5.0], True),
        "worse than what advanced it": ([4.9, 4.9], False),
        "not feasible": ([9.0, 9.0], False),
        "beyond the reference": ([10.5, -2.0], False),
        "an end of it": ([11.0, 0.0], True),
        "without a value": ([np.nan, 11.0], False),
    }
    values = np.array([*startup, *(value for value, _ in later.values())])
    feasible = np.array([True] * 3 + [name != "not feasible" for name in later])
    moves = advances(values, feasible, np.array([-1.0, -1.0]), n_startup=3)
    assert moves[0] == 0
    assert advances(values[:2], feasible[:2], np.array([-1.0, -1.0]), n_startup=3).tolist() == [0]
    assert np.isfinite(moves[1:]).tolist() == [moved for _, moved in later.values()]
    assert moves[np.isfinite(moves)].tolist() == [0, 1, 2]
