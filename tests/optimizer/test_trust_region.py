"""The box that proposals come from: how wide, and what is always in it."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace
from ncp_sampler.optimizer.trust_region import Box, side, trust_region

SPACE = SearchSpace(
    [
        Float("rate", 1e-5, 1.0, log=True),
        Integer("depth", 1, 5),
        Integer("width", 8, 128, step=8),
        Categorical("act", ("relu", "gelu", "silu")),
    ]
)
CENTRE = SPACE.normalize(SPACE.to_code([{"rate": 1e-2, "depth": 2, "width": 64, "act": "gelu"}]))[0]


def worths(text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Trials that are better than all before (+) or not (-), or without a value (?)."""
    rising = np.arange(1.0, len(text) + 2)
    signs = {"+": 1.0, "-": 0.0, "?": np.nan}
    return np.array([0.5, *(r * signs[c] for r, c in zip(rising, text, strict=False))])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 2.0),
        ("----", 1.0),
        ("---?", 1.0),
        ("---+---", 2.0),
        ("--------", 0.5),
        ("----+++", 2.0),
        ("--------++++", 1.0),
        ("-" * 4 * 8, 2.0 / 2**8 if 2.0 / 2**8 >= 2**-7 else 2.0),
        ("+++" * 4, 2.0),
    ],
)
def test_the_side_halves_after_failures_and_doubles_after_successes(
    text: str, expected: float
) -> None:
    """Four dimensions: four failures in a row halve it, three successes double it."""
    assert side(worths(text), 4) == expected


def test_a_box_around_the_best_code_leaves_choices_and_steps() -> None:
    assert trust_region(SPACE, CENTRE, worths("")).is_whole
    small = trust_region(SPACE, CENTRE, worths("-" * 16))
    np.testing.assert_allclose((small.high - small.low)[0], 2 / 2**4)
    step = np.array([1 / 4, 1 / 15])
    np.testing.assert_allclose(small.low[1:3], CENTRE[1:3] - step, atol=1e-12)
    np.testing.assert_allclose(small.high[1:3], CENTRE[1:3] + step, atol=1e-12)
    np.testing.assert_array_equal([small.low[3:], small.high[3:]], [[0] * 3, [1] * 3])


def test_the_box_holds_codes_by_some_columns() -> None:
    box = Box(np.array([0.2, 0.0]), np.array([0.4, 1.0]))
    codes = np.array([[0.3, 0.5], [0.5, 0.5]])
    assert box.holds(codes, np.array([True, True])).tolist() == [True, False]
    assert box.holds(codes, np.array([False, True])).all()
    np.testing.assert_array_equal(box.clip(codes), [[0.3, 0.5], [0.4, 0.5]])


def test_late_proposals_are_no_worse_than_random_ones() -> None:
    """0.1 put a fifth of them on corners of the space."""
    space = SearchSpace([Float(f"x{i}", -5, 5) for i in range(6)])

    def loss(x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return float(((x - 1.5) ** 2 + 10 * (1 - np.cos(2 * (x - 1.5)))).sum())

    middle = np.median([loss(code) for code in space.sample(200, 0)])
    optimizer = NCPOptimizer(space, directions={"y": "minimize"}, seed=0)
    losses = []
    for _ in range(60):
        (params,) = optimizer.ask()
        losses.append(loss(np.array([params[name] for name in space.names])))
        optimizer.tell(params, {"y": losses[-1]})
    assert np.mean(losses[-20:] > middle) <= 0.1


def test_the_first_trial_is_the_middle_of_the_space() -> None:
    optimizer = NCPOptimizer(SPACE, directions={"y": "minimize"}, seed=3)
    (params,) = optimizer.ask()
    assert params["depth"] == 3
    assert params["width"] == 72
    assert params["rate"] == pytest.approx(10**-2.5)


def test_a_noisy_objective_is_searched_around_the_best_mean_and_repeated() -> None:
    """The luckiest trial is not the best one: trials of what is good are repeated."""
    space = SearchSpace([Integer("x", 0, 8), Integer("y", 0, 8)])
    noise = np.random.default_rng(0)
    optimizer = NCPOptimizer(
        space, directions={"loss": "minimize"}, seed=0, deterministic_objective=False
    )
    tried = []
    for _ in range(60):
        (params,) = optimizer.ask()
        tried.append(tuple(params.values()))
        loss = (params["x"] - 6) ** 2 + (params["y"] - 2) ** 2 + 4 * noise.standard_normal()
        optimizer.tell(params, {"loss": loss})
    late = tried[-20:]
    assert len(set(late)) < len(late)
    assert np.mean([abs(x - 6) + abs(y - 2) for x, y in late]) < 2.5
