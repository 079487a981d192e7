"""Features of params that a user gives, such as a size, with gradients."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler import Categorical, Float, Integer, MRSpace, NCPOptimizer, SearchSpace
from ncp_sampler.predictors import FeaturePredictor, GaussianProcess, Matern52

DIMENSIONS: list[Integer | Float | Categorical] = [
    Integer("width", 8, 64, step=8),
    Integer("depth", 1, 100, log=True),
    Categorical("op", ("conv", "pool", None)),
    Float("rate", 1e-3, 1.0, log=True),
    Float("drop", 0.0, 0.6, step=0.2),
    Integer("one", 3, 3),
]


def size(params: Mapping[str, Any]) -> list[float]:
    factor = {"conv": 9.0, "pool": 1.0, None: 0.0}[params["op"]]
    return [params["width"] ** 2 * params["depth"] * factor, params["rate"] * params["drop"]]


SPACE = SearchSpace(DIMENSIONS, param_features=size)


def features(unit: torch.Tensor) -> torch.Tensor:
    assert SPACE.features is not None
    made: torch.Tensor = SPACE.features(unit)
    return made


def test_valid_codes_have_the_functions_own_values_beside_their_numbers() -> None:
    codes = SPACE.sample(200, 0)
    codes[:, SPACE.column_slice("rate")] = 10 ** np.linspace(-3, 0, 21)[np.arange(200) % 21, None]
    unit = torch.as_tensor(SPACE.normalize(codes))
    computed = features(unit)
    assert computed.shape == (200, len(SPACE.columns) + 2)
    assert torch.equal(computed[:, :-2], unit)
    np.testing.assert_allclose(
        computed[:, -2:].numpy(),
        [size(params) for params in SPACE.to_params(codes.tolist())],
        rtol=1e-9,
    )


def test_between_valid_codes_there_is_no_step_and_the_gradient_is_the_slope() -> None:
    torch.manual_seed(0)
    d = len(SPACE.columns)
    for _ in range(5):
        start, end = torch.rand((2, 1, d), dtype=torch.float64)
        way = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
        along = features(start + (end - start) * way)[:, -2:]
        jump = along.diff(dim=0).abs().amax(0)
        assert bool((jump < 0.01 * SPREAD).all()), jump
    x = torch.rand((8, d), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(features, (x,), eps=1e-8, atol=1e-3, rtol=1e-3)


SPREAD = torch.tensor([64**2 * 100 * 9.0, 0.6], dtype=torch.float64)


def test_a_choices_share_is_its_weight() -> None:
    space = SearchSpace(
        [Categorical("op", ("a", "b", "c"))], param_features=lambda p: 2.0 ** "abc".index(p["op"])
    )
    assert space.features is not None
    unit = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], dtype=torch.float64)
    assert space.features(unit)[:, -1].tolist() == pytest.approx([1.9, 3.3])


def test_each_params_are_asked_for_once() -> None:
    asked: list[int] = []

    def note(params: Mapping[str, Any]) -> float:
        asked.append(params["n"])
        return float(params["n"])

    space = SearchSpace([Integer("n", 1, 9)], param_features=note)
    assert space.features is not None
    unit = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    np.testing.assert_allclose(space.features(unit)[:, 1].numpy(), np.linspace(1, 9, 50))
    space.features(unit)
    assert sorted(asked) == list(range(1, 10))


@pytest.mark.parametrize(
    "wrong", [lambda _: float("nan"), lambda _: "many", lambda _: [[1.0]], lambda p: p["nothing"]]
)
def test_a_function_of_no_use_is_refused_with_the_space(wrong: Any) -> None:
    match = r"param_features (gives|raises KeyError:) .* for params \{'width': 8, .* must give a "
    with pytest.raises(ValueError, match=match):
        SearchSpace(DIMENSIONS, param_features=wrong)


def test_other_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="param_features"):
        SearchSpace(DIMENSIONS, param_features="width")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="features and param_features are both given"):
        SearchSpace(DIMENSIONS, features=lambda x: x, param_features=size)
    space = SearchSpace([Integer("n", 1, 9)], param_features=lambda p: [1.0] * (1 + (p["n"] > 4)))
    assert space.features is not None
    with pytest.raises(ValueError, match="the same number of finite values for all params"):
        space.features(torch.tensor([[0.9]]))


def test_what_the_space_tells_is_what_a_predictor_learns_from() -> None:
    """A metric that is a function of the size is predicted far better with the size in sight."""
    codes = SPACE.sample(160, 0)
    unit = SPACE.normalize(codes)
    value = np.array([np.sin(3e-5 * size(params)[0]) for params in SPACE.to_params(codes.tolist())])
    errors = []
    for predictor in (
        GaussianProcess(Matern52()),
        FeaturePredictor(GaussianProcess(Matern52()), features),
    ):
        predictor.fit(unit[:60], {"y": value[:60]}, steps=150)
        mean, _ = predictor.predict(unit[60:])
        errors.append(np.abs(mean[:, 0] - value[60:]).mean())
    assert errors[1] < 0.7 * errors[0]


def test_the_spaces_features_go_before_whatever_predicts() -> None:
    space = MRSpace()
    for predictor in ("gp", "infinite-mlp", GaussianProcess()):
        made = NCPOptimizer(space, directions={"y": "maximize"}, predictor=predictor).predictor
        assert isinstance(made, FeaturePredictor)
        assert made.features is space.features
    own = FeaturePredictor(GaussianProcess(), lambda x: x[:, :3])
    kept = NCPOptimizer(space, directions={"y": "maximize"}, predictor=own).predictor
    assert isinstance(kept, FeaturePredictor)
    assert kept.features is own.features
    plain = NCPOptimizer(SearchSpace(DIMENSIONS), directions={"y": "maximize"}).predictor
    assert not isinstance(plain, FeaturePredictor)


def test_features_of_a_space_with_very_many_choices() -> None:
    """A proposal looks at some of the choices; the features are still those of whole codes."""
    many = Categorical("id", tuple(range(300)))
    space = SearchSpace(
        [many, Integer("n", 0, 9)], param_features=lambda p: p["id"] % 7 + p["n"] / 10
    )
    optimizer = NCPOptimizer(space, directions={"y": "maximize"}, seed=0)
    for _ in range(14):
        params = optimizer.ask()[0]
        optimizer.tell(params, {"y": params["id"] % 7 - abs(params["n"] - 4)})
    assert space.to_params(space.to_code(params)) == params


def test_it_pickles_with_the_space() -> None:
    again = pickle.loads(pickle.dumps(SPACE))
    unit = torch.rand((3, len(SPACE.columns)), dtype=torch.float64)
    assert torch.equal(again.features(unit), features(unit))
