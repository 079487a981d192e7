from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import optuna
import pytest

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    MRSpace,
    SearchSpace,
)
from ncp_sampler.space.dimensions import Dimension
from tests.space_examples import CODE, MIXED, PARAMS, SMALL

NAN = float("nan")
CHOICES = (None, True, False, 0, 1, 1.0, 0.5, NAN, "a", "1", "None", (1, 2), (1, (2,)), (), 2**60)


def random_dimension(name: str, rng: np.random.Generator) -> Dimension:
    steps = int(10 ** rng.uniform(0, 6)) * int(rng.integers(2))  # at times a single value
    size = 10 ** rng.uniform(-5, 10)
    match rng.integers(6):
        case 0:
            low, step = int(rng.integers(-(10**9), 10**9)), int(rng.integers(1, 10))
            return Integer(name, low, low + step * steps, step)
        case 1:
            start = int(rng.integers(1, 100))
            return Integer(name, start, start + steps, log=True)
        case 2:
            return Float(name, -size, size * rng.integers(-1, 2))
        case 3:
            return Float(name, 1e-6, 1e-6 * 10 ** rng.integers(9), log=True)
        case 4:
            offset, width = rng.choice([0, 0.1, -0.3, 100.7]), rng.choice([0.1, 0.25, 1e-3])
            return Float(name, offset, offset + steps * width, width)
        case _:
            picked = rng.permutation(len(CHOICES))[: rng.integers(1, 7)]
            return Categorical(name, tuple(CHOICES[i] for i in picked))


def random_space(seed: int) -> SearchSpace:
    rng = np.random.default_rng(seed)
    return SearchSpace([random_dimension(f"p{i}", rng) for i in range(rng.integers(1, 7))])


def identical(a: Any, b: Any) -> bool:
    """Equal values of the same types; repr tells 1, 1.0 and True apart, and knows NaN."""
    return repr(a) == repr(b)


# Drawing, neighbors, enumeration


def test_sample_is_uniform_and_seeded() -> None:
    n = 20_000
    codes = MIXED.sample(n, 0)
    np.testing.assert_array_equal(codes, MIXED.sample(n, np.random.default_rng(0)))
    np.testing.assert_array_equal(MIXED.round(codes), codes)
    for column, count in ((0, 16), (2, 11)):  # every value of a grid alike, the ends too
        values, counts = np.unique(codes[:, column], return_counts=True)
        assert len(values) == count
        np.testing.assert_allclose(counts, n / count, rtol=0.15)
    np.testing.assert_allclose(codes[:, 5:].mean(0), 0.25, atol=0.02)
    unit = MIXED.normalize(codes)
    for column in (3, 4):
        np.testing.assert_allclose(
            np.quantile(unit[:, column], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02
        )
    share = np.log(1.5 / 0.5) / np.log(512.5 / 0.5)  # of 1 in a log integer, as Optuna
    assert (codes[:, 1] == 1).mean() == pytest.approx(share, abs=0.02)


def test_from_uniform() -> None:
    codes = MIXED.from_uniform([[0.0] * 6, [1 - 2**-53] * 6, [1.0] * 6])
    low = {"units": 4, "batch": 1, "dropout": 0.0, "rate": 1e-5, "shift": -1.0, "act": "relu"}
    assert MIXED.to_params(codes[0]) == low
    high = {"units": 64, "batch": 512, "dropout": 1.0, "act": 1}
    for code in codes[1:]:
        assert high.items() <= MIXED.to_params(code).items()


@pytest.mark.parametrize(
    ("u", "message"),
    [
        ([0.5] * 6, r"u has shape \(6,\); it must be \(n, 6\)"),
        ([[0.5] * 9], r"u has shape \(1, 9\); it must be \(n, 6\)"),
        ([[0.5] * 5 + [1.1]], r"outside \[0, 1\]"),
        ([[0.5] * 5 + [NAN]], r"outside \[0, 1\]"),
    ],
)
def test_wrong_uniform_numbers(u: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MIXED.from_uniform(u)


def test_neighbours() -> None:
    code = MIXED.round(MIXED.to_code({**PARAMS, "units": 4, "shift": 0.98}))
    params = MIXED.to_params(code)
    rows: Any = MIXED.to_params(MIXED.neighbors(code))
    moves = [
        item for row in rows for item in row.items() if not identical(item[1], params[item[0]])
    ]
    assert len(moves) == len(rows) == 1 + 2 + 2 + 2 + 2 + 3
    values = {name: sorted(v for key, v in moves if key == name) for name in MIXED.names[:-1]}
    assert values["units"] == [8]
    assert values["batch"] == [2, 4]
    assert values["dropout"] == pytest.approx([0.2, 0.4])
    assert values["rate"] == pytest.approx([0.01 * 10**-0.25, 0.01 * 10**0.25])
    assert values["shift"] == pytest.approx([0.88, 1.0])
    assert [v for key, v in moves if key == "act"] == ["relu", None, 1]
    with pytest.raises(ValueError, match=r"shape \(1, 9\); it must be one code"):
        MIXED.neighbors([CODE])


def test_enumerate() -> None:
    codes = SMALL.enumerate()
    assert codes.shape == (18, 4)
    assert len(np.unique(codes, axis=0)) == 18
    params: Any = SMALL.to_params(codes)
    assert {(p["n"], p["c"], p["x"]) for p in params} == {
        (n, c, x) for n in (1, 2, 3) for c in "ab" for x in (0.0, 0.25, 0.5)
    }
    for space, size in ((MIXED, "inf"), (MRSpace(), "1.21e")):
        with pytest.raises(ValueError, match=f"the space has {size}.* codes, over 100000"):
            space.enumerate()
    np.testing.assert_array_equal(SMALL.enumerate(5, 9), codes[5:9])
    np.testing.assert_array_equal(SMALL.enumerate(16, 30), codes[16:])
    with pytest.raises(ValueError, match="start=-1 must"):
        SMALL.enumerate(-1)


# Random spaces


@pytest.mark.parametrize("seed", range(40))
def test_random_spaces(seed: int) -> None:
    space = random_space(seed)
    codes = space.sample(40, seed)
    params: Any = space.to_params(codes)
    again = space.to_code(params)
    assert again.tobytes() == codes.tobytes()
    assert identical(space.to_params(again), params)
    assert identical(space.to_params(codes[0].tolist()), params[0])
    np.testing.assert_array_equal(space.to_code(params[0]), codes[0])

    unit = space.normalize(codes)
    assert unit.min() >= 0
    assert unit.max() <= 1 + 1e-12
    np.testing.assert_allclose(space.round(space.denormalize(unit)), codes, rtol=1e-10, atol=1e-9)

    rng = np.random.default_rng(seed)
    far = space.round(codes + rng.normal(size=codes.shape) * 10 ** rng.uniform(-9, 12))
    np.testing.assert_array_equal(space.round(far), far)
    assert identical(space.to_params(space.to_code(space.to_params(far))), space.to_params(far))

    near = space.neighbors(codes[0])
    assert len(np.unique(near, axis=0)) == len(near)
    np.testing.assert_array_equal(space.round(near), near)
    for code in near:
        moved = [n for n in space.names if (code != codes[0])[space.column_slice(n)].any()]
        assert len(moved) == 1
    if space.size <= 2000:
        assert len(np.unique(space.enumerate(), axis=0)) == space.size
    assert pickle.loads(pickle.dumps(space)) == space


# Optuna


def study_of(space: SearchSpace, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))


def test_suggest_and_distributions_agree() -> None:
    study = study_of(MIXED, 0)
    for _ in range(20):
        trial = study.ask()
        params = MIXED.suggest(trial)
        assert identical(params, trial.params)
        assert list(params) == list(MIXED.names)
        assert trial.distributions == MIXED.distributions
        assert identical(MIXED.to_params(MIXED.to_code(params)), params)
        study.tell(trial, params["shift"])
    trial = study.ask(MIXED.distributions)  # define-and-run, the same space
    assert identical(MIXED.suggest(trial), trial.params)
    assert optuna.search_space.intersection_search_space(study.trials) == MIXED.distributions


def test_every_code_can_be_enqueued() -> None:
    study = study_of(SMALL, 0)
    rows: Any = SMALL.to_params(SMALL.enumerate())
    for params in rows:
        study.enqueue_trial(params)
    for params in rows:
        assert identical(SMALL.suggest(study.ask()), params)


@pytest.mark.parametrize("seed", range(10))
def test_random_spaces_fit_optuna(seed: int) -> None:
    space = random_space(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Choices for a categorical distribution")
        distributions = space.distributions
        params: Any = space.to_params(space.sample(20, seed))
        for row in params:
            for name, value in row.items():
                distribution = distributions[name]
                assert distribution._contains(distribution.to_internal_repr(value))
        trial = study_of(space, seed).ask()
        drawn = space.suggest(trial)
        assert trial.distributions == distributions
    assert identical(space.to_params(space.to_code(drawn)), drawn)


def test_a_negative_number_of_draws_is_refused() -> None:
    with pytest.raises(ValueError, match="n=-1 must be at least 0"):
        MIXED.sample(-1)
