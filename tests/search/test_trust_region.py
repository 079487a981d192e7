"""The trust region of proposals: its width, and what it always contains."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, Integer, NCPOptimizer, SearchSpace
from ncp_sampler.propagation import Adam
from ncp_sampler.search.maximize import Maximizer
from ncp_sampler.search.objectives import Objectives
from ncp_sampler.search.trust_region import (
    TrustRegion,
    plateau_length,
    side_length,
    trust_region,
    trust_region_of,
)

SPACE = SearchSpace(
    [
        Float("rate", 1e-5, 1.0, log=True),
        Integer("depth", 1, 5),
        Integer("width", 8, 128, step=8),
        Categorical("act", ("relu", "gelu", "silu")),
    ]
)
CENTER = SPACE.normalize(SPACE.to_code([{"rate": 1e-2, "depth": 2, "width": 64, "act": "gelu"}]))[0]


def merits(text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
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
    assert side_length(merits(text), 4) == expected


def test_a_region_on_a_front_halves_sooner() -> None:
    assert side_length(merits("----"), 12) == 2.0
    assert side_length(merits("----"), 12, front=True) == 1.0  # 12 / 3 failures


def test_a_region_on_a_front_is_around_one_of_its_points() -> None:
    """After four failures half as wide; as long as none is feasible, anywhere."""
    metrics = {"a": np.array([1.0, 3.0, *[0.0] * 6]), "b": np.array([3.0, 1.0, *[0.0] * 6])}
    unit = np.array([[0.1], [0.9], *[[0.5]] * 6])
    space = SearchSpace([Float("x", 0, 1)])
    objectives = Objectives(
        space,
        {"a": "maximize", "b": "maximize"},
        costs=None,
        limits=None,
        constraints={"c": 1.0},
        weights=None,
    )
    for c, is_whole in ((0.0, False), (2.0, True)):
        observed = objectives.scale(unit, {**metrics, "c": np.full(8, c)})
        region = trust_region_of(
            space, unit[1], observed, np.array([1, 0, *range(2, 8)]), n_startup=4, plateau=0
        )
        assert region.is_whole == is_whole
        assert is_whole or (region.low[0], region.high[0]) == pytest.approx((0.4, 1.0))


def test_a_region_around_the_best_code_contains_categories_and_steps() -> None:
    assert trust_region(SPACE, CENTER, merits("")).is_whole
    small = trust_region(SPACE, CENTER, merits("-" * 16))
    np.testing.assert_allclose((small.high - small.low)[0], 2 / 2**4)
    step = np.array([1 / 4, 1 / 15])
    np.testing.assert_allclose(small.low[1:3], CENTER[1:3] - step, atol=1e-12)
    np.testing.assert_allclose(small.high[1:3], CENTER[1:3] + step, atol=1e-12)
    np.testing.assert_array_equal([small.low[3:], small.high[3:]], [[0] * 3, [1] * 3])


def test_the_region_contains_codes_by_some_columns() -> None:
    region = TrustRegion(np.array([0.2, 0.0]), np.array([0.4, 1.0]))
    codes = np.array([[0.3, 0.5], [0.5, 0.5]])
    assert region.contains(codes, np.array([True, True])).tolist() == [True, False]
    assert region.contains(codes, np.array([False, True])).all()
    np.testing.assert_array_equal(region.clip(codes), [[0.3, 0.5], [0.4, 0.5]])


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


def test_as_long_as_all_trials_tie_the_whole_space_is_covered() -> None:
    """A network that learns at a few rates only; elsewhere its accuracy is that of chance."""
    space = SearchSpace(
        [Float("rate", 1e-6, 10, log=True), Float("momentum", 0, 1), Integer("width", 1, 64)]
    )

    def accuracy(params: dict[str, float]) -> float:
        off = abs(float(np.log10(params["rate"])) + 2.2)
        learns = off < 0.45 and params["momentum"] >= 0.6
        return 0.9 - off - abs(params["width"] - 50) / 500 if learns else 0.1

    best = []
    for seed in range(4):
        optimizer = NCPOptimizer(space, directions={"accuracy": "maximize"}, seed=seed)
        values = []
        for _ in range(40):
            (params,) = optimizer.ask()
            values.append(accuracy(params))
            optimizer.tell(params, {"accuracy": values[-1]})
        best.append(max(values))
    assert min(best) > 0.85  # a box around the first trial found it with seeds 0 and 3 alone


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 0, 0, 0], 4), ([0, 0, 0, 1], 3), ([0, 0, 1, 1, 1], 5), ([3, 2, 1, 0], 1), ([0, 1], 1)],
)
def test_a_plateau_ends_where_a_trial_stands_out(values: list[float], expected: int) -> None:
    codes = np.linspace(0, 1, len(values))[:, None]
    objectives = Objectives(SearchSpace([Float("x", 0, 1)]), {"a": "maximize"})
    observed = objectives.scale(codes, {"a": np.array(values, dtype=float)})
    order = observed.order(np.random.default_rng(0))
    assert plateau_length(observed, order) == expected


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


def test_late_proposals_for_a_front_are_near_it() -> None:
    """DTLZ2 with three objectives: on its front the other six parameters are in the middle."""
    space = SearchSpace([Float(f"x{i}", 0, 1) for i in range(8)])
    optimizer = NCPOptimizer(space, directions=dict.fromkeys("abc", "minimize"), seed=2)
    off = []
    for _ in range(60):
        (params,) = optimizer.ask()
        x = np.array([*params.values()])
        u, v = x[:2] * np.pi / 2
        off.append(float(((x[2:] - 0.5) ** 2).sum()))
        sphere = (np.cos(u) * np.cos(v), np.cos(u) * np.sin(v), np.sin(u))
        optimizer.tell(params, {k: (1 + off[-1]) * y for k, y in zip("abc", sphere, strict=True)})
    assert np.median(off[30:]) < 0.5  # that of random codes; in the whole space .9


class Fewest:
    """An acquisition function that is the higher the fewer layers a code has."""

    lowest, has_floor = -np.inf, False

    def __init__(self) -> None:
        self.screened = np.empty((0, 0))  # the most codes that were evaluated at once

    def __call__(self, unit: np.ndarray) -> np.ndarray:
        self.screened = max(self.screened, unit, key=len)
        return -unit[:, 0]

    def value_and_gradient(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient = np.zeros_like(unit)
        gradient[:, 0] = -1.0
        return self(unit), gradient


def test_a_layer_may_go_however_small_the_region_is() -> None:
    """Its column is in the middle then, far from the center's; that of the other layer counts."""
    space = SearchSpace(
        [Integer("n_layers", 1, 2), Float("w0", 0, 1), Float("w1", 0, 1)],
        conditions={"w1": ("n_layers", [2])},
    )
    center = space.normalize(space.to_code({"n_layers": 2, "w0": 0.9, "w1": 0.9}))
    region = trust_region(space, center, merits("-" * 20))
    assert not region.is_whole
    none = np.full(len(center), np.nan)
    maximizer = Maximizer(
        Fewest(),  # type: ignore[arg-type]
        space, Adam(), none, lambda codes: np.zeros(len(codes), dtype=bool), region,
    )  # fmt: skip
    maximum = maximizer.maximize(center[None], np.random.default_rng(0))
    assert maximum is not None
    params = space.to_params(maximum.code)
    assert params.keys() == {"n_layers", "w0"}
    assert region.low[1] <= params["w0"] <= region.high[1] < 1.0 + 1e-9
    assert region.low[2] > 0.5


def test_each_code_is_screened_once() -> None:
    """A kind without parameters is one code among the random ones, not a third of them."""
    space = SearchSpace(
        [Categorical("kind", ("none", "one", "two")), Float("x", 0, 1), Float("y", 0, 1)],
        conditions={"x": ("kind", ["one", "two"]), "y": ("kind", ["two"])},
    )
    acquisition, none = Fewest(), np.full(5, np.nan)
    maximizer = Maximizer(
        acquisition,  # type: ignore[arg-type]
        space, Adam(), none, lambda codes: np.zeros(len(codes), dtype=bool), TrustRegion.whole(5),
    )  # fmt: skip
    maximizer.maximize(space.normalize(space.sample(3, 0)), np.random.default_rng(0))
    screened = acquisition.screened
    assert len(np.unique(screened, axis=0)) == len(screened) > 300
