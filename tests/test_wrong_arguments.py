"""Wrong arguments of public callables: a ``ValueError`` that names argument, value and remedy.

The table reads as a user's session: what was typed, and how the answer begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ncp_sampler
from ncp_sampler import (
    MRSpace,
    NCPOptimizer,
    checks,
    detection3d,
    nas_bench,
    offline,
    predictors,
    propagation,
    training,
    visualization,
)
from ncp_sampler.integrations import ray
from ncp_sampler.space import Group

SPACE = MRSpace()
CODES = SPACE.sample(12, 0).astype(np.float64)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the table's calls may use."""
    records = offline.Records(SPACE, CODES, {"a": np.arange(12.0)})
    model = predictors.GaussianProcess().fit(SPACE.normalize(CODES), {"a": np.arange(12.0)})
    public: dict[str, Any] = {}
    modules = (detection3d, nas_bench, offline, predictors, propagation, training, visualization)
    for module in (ncp_sampler, ray, *modules):
        public |= {name: getattr(module, name) for name in module.__all__}
    return public | {
        "Group": Group,
        "SPACE": SPACE,
        "codes": CODES,
        "first": lambda codes: codes[:, 0],
        "same": lambda x: x,
        "model": model,
        "np": np,
        "optimizer": lambda **given: NCPOptimizer(
            SPACE, **{"directions": {"a": "maximize"}, **given}
        ),
        "problem": offline.SearchProblem(model, [propagation.Target("a")], space=SPACE),
        "records": records,
        "torch": torch,
    }


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("SearchSpace(None)", "dimensions=None must"),
        ('SearchSpace("abc")', "dimensions='abc' must"),
        ("SearchSpace([5])", "dimensions=[5] must"),
        ('SearchSpace([Integer("a", 0, 1)], features=5)', "features=5 must"),
        ('SearchSpace([Integer("a", 0, 1)], start=[7])', "a=7 is not"),
        ('SearchSpace([Integer("a", 0, 1)], start="x")', "start='x' must"),
        ('SearchSpace([Integer("a", 0, 1)], units=3)', "units=3 must"),
        ('SearchSpace([Integer("a", 0, 1)], groups=3)', "groups=3 must"),
        ('Categorical("x", None)', "x: choices=None must"),
        ('Categorical("x", "abc")', "x: choices='abc' must"),
        ("Categorical(None, (1, ))", "name=None must"),
        ("optimizer().ask(pending=5)", "pending=5 must"),
        ("optimizer().ask(fixed=5)", "fixed=5 must"),
        ("optimizer().ask(None)", "n=None must"),
        ("optimizer().tell(None, None)", "params=None must"),
        ('optimizer().tell({"a":1}, {"a":1})', "params do not fit the space: missing ['i1', 'i"),
        ("optimizer().tell([5], [5])", "params=[5] must"),
        (
            'optimizer().tell(SPACE.to_params(SPACE.start), {"a":1}, complete="no")',
            "params, metrics and complete have lengths 1, 1",
        ),
        ('optimizer().tell(SPACE.to_params(SPACE.start), {"a":None})', "metrics={'a': None} must"),
        ("optimizer(predictor=5)", "predictor=5 must"),
        ("optimizer(predictor=GaussianProcess)", "predictor=<class 'ncp_sampler.predictors.gauss"),
        ('optimizer(deterministic_objective="no")', "deterministic_objective='no' must"),
        ("optimizer(strategy=5)", "strategy=5 must"),
        ("optimizer(seed=-1)", "seed=-1 must"),
        ('optimizer(seed="x")', "seed='x' must"),
        ("optimizer(seed=1.5)", "seed=1.5 must"),
        ("optimizer(directions=5)", "directions=5 must"),
        ('optimizer(device="gpu9")', "device='gpu9' cannot"),
        ("optimizer(n_startup_trials=0)", "n_startup_trials=0 must"),
        ("optimizer(costs=5)", "costs=5 must"),
        ('optimizer(costs={"flops": 5})', "costs['flops']=5 must"),
        ('optimizer(costs={"flops": lambda codes: codes.detach()[:, 0]})', "costs['flops']=<func"),
        ('optimizer(costs={"flops": lambda params: params["no"]})', "costs['flops']=<function"),
        ('optimizer(limits={"flops": 1.0})', "limits has ['flops'], which costs"),
        ('optimizer(costs={"flops": costs.flops}, limits=5)', "limits=5 must"),
        ('optimizer(costs={"f": costs.flops}, limits={"f": "x"})', "limits['f']='x' must"),
        ('optimizer(constraints={"ms": None})', "constraints['ms']=None must"),
        ('optimizer(costs={"f": costs.flops}, constraints={"f": 1})', "constraints has ['f']"),
        ('optimizer(weights={"a": -1})', "weights['a']=-1 must"),
        ('optimizer(weights={"b": 1})', "weights={'b': 1} must"),
        ('optimizer(weights={"a": 0})', "weights={'a': 0} must"),
        ('optimizer().constrain({"ms": "x"})', "constraints['ms']='x' must"),
        ('NCPSampler(costs={"flops": costs.flops})', "costs has ['flops'], but there is no space"),
        ("NCPSampler(space=SPACE, costs={1.5: costs.flops})", "costs: key=1.5 must"),
        ('NCPSampler(space=SPACE, limits={"flops": 1})', "limits has ['flops'], which costs"),
        ("NCPSampler(constraints_func=5)", "constraints_func=5 must"),
        ("NCPSampler(weights={0: -1})", "weights[0]=-1 must"),
        ("optimizer(sources=5)", "sources=5 must be a sequence"),
        ('optimizer(sources="old.csv")', "sources='old.csv' must be a sequence"),
        ("optimizer(sources=[5])", "sources[0]=5 must be Records, the path of a CSV"),
        ('optimizer(sources=["no/such.csv"])', "sources[0]='no/such.csv' cannot be read"),
        ("NCPSampler(sources=5)", "sources=5 must be a sequence"),
        ("NCPSampler(sources=[5])", "sources[0]=5 must be a study, Records, the path"),
        ("NCPSearch(sources=[5])", "sources[0]=5 must be a ResultGrid, an ExperimentAnalysis"),
        ('Source(records, same_task="no")', "same_task='no' must be True, False or None"),
        ("Source(records, fixed=5)", "fixed=5 must map parameters"),
        ('optimizer(sources=[Source(records, fixed={"x": 1})])', "sources[0]: fixed has ['x']"),
        (
            'optimizer(sources=[Records(SPACE, codes, {"x": codes[:, 0], "y": codes[:, 1]})])',
            "sources[0] has the metrics ['x', 'y'], none of ['a']",
        ),
        (
            'optimizer(sources=[Records(SPACE, codes, {"a": np.full(12, np.nan)})])',
            "sources[0] has no trial with a value",
        ),
        (
            'optimizer(sources=[Records(SearchSpace([Integer("x", 0, 1)]), [[0]], {"a": [1]})])',
            "sources[0] lacks the parameters ['i1', 'i2'",
        ),
        ('NCPSearch(limits={"flops": 1})', "limits has ['flops'], which costs"),
        ('NCPSearch(constraints=["ms"])', "constraints=['ms'] must"),
        ("ReasonsCallback(5)", "search=5 must be the NCPSearch that the Tuner has"),
        ("TensorBoardLog(5)", "folder=5 must"),
        ('TensorBoardLog("x", name=5)', "name=5 must"),
        ("params_figure(5, SPACE)", "codes=5 must"),
        ("descent_figure(5, SPACE)", "study=5 must"),
        ("Float(None, 0, 1)", "name=None must"),
        ('Float("a", "x", 1)', "a: low='x' must"),
        ('Float("a", 0, 1, step="x")', "a: step='x' must"),
        ('Float("a", 0, 1, log="no")', "a: log='no' must"),
        ('Integer("a", 0.5, 1)', "a: low=0.5 must"),
        ('Integer("a", 0, 2**53+1)', "a: low=0 and"),
        ("Target(None)", "metric=None must"),
        ('Target("a", cost=5)', "cost=5 must"),
        ('Target("a", predictor=-1)', "predictor=-1 must"),
        ('Target("a", weight="x")', "weight='x' of 'a' must"),
        ('Target("a", bound="x")', "bound='x' of 'a' must"),
        ('Target("a", direction=5)', "direction=5 must"),
        ('Records(5, codes, {"a":np.arange(12.)})', "space=5 must"),
        ('Records(SPACE, "x", {"a":np.arange(12.)})', "codes='x' must"),
        ("Records(SPACE, codes, 5)", "metrics=5 must"),
        ('Records(SPACE, codes, {"a":"x"})', "metrics['a']='x' must"),
        ('records.take("x")', "rows must be some of 0 to 11, at least one"),
        ('records.best("b")', "metric='b' is not"),
        ('records.best("a", 5)', "direction=5 must"),
        ("records.values(None)", "metric=None is not"),
        ("adapt(5, records)", "source=5 must"),
        ("adapt(model, 5)", "records=5 must"),
        ('adapt(model, records, metrics="a")', "metrics='a' must"),
        ("adapt(GaussianProcess(), records)", "source is not fitted; call its fit first"),
        ("NASBenchMR(5)", "root=5 must"),
        ('NASBenchMR("/nope")', "root='/nope' holds"),
        ('propagate_search(records, Target("a"))', "targets=Target(metric='a', direction='maxi"),
        ('propagate_search(records, [Target("a")], starts=[[5.0]])', "starts=[[5.0]] must"),
        ('propagate_search(5, [Target("a")])', "sources=5 must"),
        ('propagate_search(records, [Target("a")], strategy=5)', "strategy=5 must"),
        ('propagate_search(records, [Target("a")], iterations=0)', "iterations=0 must"),
        ('propagate_search(records, [Target("a")], seed="x")', "seed='x' must"),
        ('propagate_search(records, [Target("a")], space=5)', "space=5 must"),
        ('propagate_search(model, [Target("a")], space=SPACE, seed=-1)', "seed=-1 must"),
        ('propagate_search(model, [Target("b")], space=SPACE)', "metric='b' is not"),
        ('propagate(5, SPACE.start, [Target("a")], space=SPACE)', "predictors=5 must"),
        ('propagate(model, SPACE.start, [Target("a")], space=5)', "space=5 must"),
        ('propagate(model, "x", [Target("a")], space=SPACE)', "code='x' must"),
        ("propagate(model, SPACE.start, 5, space=SPACE)", "targets=5 must"),
        ("propagate(model, SPACE.start, [5], space=SPACE)", "targets=[5] must"),
        (
            'propagate(model, SPACE.start, [Target("a")], space=SPACE, iterations="x")',
            "iterations='x' must",
        ),
        ('discrete_walk(model, SPACE.start, [Target("a")], space=5)', "space=5 must"),
        ('discrete_walk(model, SPACE.start, [Target("a")], space=SPACE, steps=0)', "steps=0 must"),
        (
            'discrete_walk(model, SPACE.start, [Target("a")], space=SPACE, revisit="no")',
            "revisit='no' must",
        ),
        ('GradientDescent("x")', "rate='x' must"),
        ('GradientDescent(scale="x")', "scale='x' must"),
        ("Adam(0)", "rate=0 must"),
        ("WinnerTakesAll(5)", "cost=5 must"),
        ("SearchProblem(records, 5)", "targets=5 must"),
        ('SearchProblem([], [Target("a")])', "sources is empty; give records or a fitted pre"),
        ('SearchProblem(records, [Target("a")], records=5)', "records=5 must"),
        ("learn(5)", "records=5 must"),
        ('learn(records, metrics=["z"])', "metric='z' is not"),
        ('learn(records, seed="x")', "seed='x' must"),
        ("fit_paper(records, epochs=0)", "epochs=0 must"),
        ("default_starts(5)", "problem=5 must"),
        ("random_search(5)", "problem=5 must"),
        ('net_adapt(problem, start="x")', "start='x' must"),
        ('evolution_search(problem, calls="x")', "calls='x' must"),
        ("local_search(problem, climbs=0)", "climbs=0 must"),
        ("local_search(problem, seconds=-1)", "seconds=-1 must"),
        ("local_search(problem, seed=None)", "seed=None must"),
        ("propagate_search(problem, climbs=-1)", "climbs=-1 must"),
        ("propagate_search(problem, climbs=None)", "climbs=None must"),
        ("propagate_answers(problem, n=0)", "n=0 must"),
        ("propagate_answers(problem, apart=28)", "apart=28 must"),
        ("propagate_answers(5, [Target('a')])", "sources=5 must"),
        ("propagate_front(problem)", "targets has 1 without a bound"),
        ("propagate_front(problem, n='x')", "n='x' must"),
        ("choose_caution(model, [Target('a')])", "sources=<ncp"),
        ("choose_caution(records, [Target('a')])", "sources[0] has 12 rows"),
        ("choose_caution(records, [Target('a')], cautions='x')", "sources[0] has 12 rows"),
        ("adapt(model, records, seed=-1)", "seed=-1 must"),
        ("choose_adapting(5, records)", "source=5 must"),
        ('propagate_search(records, [Target("a")], starts="x")', "starts='x' must"),
        ('regularized_evolution(first, SPACE, budget=5, start="x")', "start='x' must"),
        ("average_precision(5, [], [], label=0)", "detections=5 must"),
        ("average_precision([], 'x', [], label=0)", "boxes='x' must"),
        ("PointPillarsNet(SPACE.start, anchors=5)", "anchors=5 must"),
        (
            'MRSpace(width=64).build({**SPACE.to_params(SPACE.start), "i1": 128}, num_classes=2)',
            "i1=128",
        ),
        ("Surrogate(5)", "setting=5 must"),
        ("Objective(5, ['a'])", "model=5 must"),
        ("TableObjective(5, ['a'])", "table=5 must"),
        ("SPACE.column_slice([])", "unknown parameter []"),
        ('InfiniteMLP().fit([[0.5]], {"a": [1e101]})', "metrics['a'] has a value beyond 1e+100"),
        ("InfiniteMLP(steps=-1)", "steps=-1 must"),
        ("BayesianMLP(width=0)", "width=0 must"),
        ("BayesianMLP(seed=-1)", "seed=-1 must"),
        ("optimizer(predictor='forest')", "predictor='forest' must be one of ('auto', "),
        ("optimizer(predictor=None)", "predictor=None must be one of"),
        ("regularized_evolution(5, SPACE, budget=5)", "objective=5 must"),
        ("regularized_evolution(first, 5, budget=5)", "space=5 must"),
        ("regularized_evolution(first, SPACE, budget=5, seed=-1)", "seed=-1 must"),
        ('read_csv(5, metrics=["a"])', "path=5 must"),
        ('read_csv("/nope", metrics="a")', "path='/nope' cannot"),
        ('GaussianProcess(steps="x")', "steps='x' must"),
        ("GaussianProcess(capacity=0)", "capacity=0 must"),
        ('model.fit("x", {"a":[1]})', "x='x' must"),
        ("model.fit([[.1]*27], 5)", "metrics=5 must"),
        ('model.fit([[.1]*27], {"a":"x"})', "metrics['a']='x' must"),
        ('model.fit([[.1]*27], {"a":[1.]}, weights="x")', "weights='x' must"),
        ('model.fit([[.1]*27], {"a":[1.]}, steps=-1)', "steps=-1 must"),
        ("Committee(5)", "members=5 must"),
        ("Committee([5])", "members=[5] must"),
        ("Featured(5, same)", "inner=5 must"),
        ("Featured(model, 5)", "features=5 must"),
        ("Transferred(5)", "source=5 must"),
        ("Transferred(model, residual=5)", "residual=5 must"),
        ('MLPEnsemble(members="x")', "members='x' must"),
        ("MLPEnsemble(loss=5)", "loss=5 must"),
        ('MLPEnsemble.paper(epochs="x")', "epochs='x' must"),
        ("MLPEnsemble(seed=None)", "seed=None must"),
        ("MRSpace(width=9)", "width=9 must"),
        ('MRSpace(depth="x")', "depth='x' must"),
        ("SPACE.build(5, num_classes=3)", "code=5 must"),
        ('SPACE.build(SPACE.to_params(SPACE.start), num_classes="x")', "num_classes='x' must"),
        ("SPACE.from_string(5)", "text=5 is no"),
        ('SPACE.to_string("x")', "code=array(['x'], dtype='<U1') must"),
        ("SPACE.to_string(None)", "code has shape (1,); its last axis must be the"),
        ("SPACE.to_code(5)", "params=5 must"),
        ("SPACE.to_code([5])", "params=[5] must"),
        ("SPACE.to_code(None)", "params=None must"),
        ('SPACE.to_params("x")', "code='x' must"),
        ("SPACE.to_params(None)", "code=None must"),
        ('SPACE.round("x")', "code='x' must"),
        ("SPACE.normalize(None)", "code=None must"),
        ('SPACE.denormalize("x")', "code='x' must"),
        ('SPACE.sample("x")', "n='x' must"),
        ('SPACE.sample(2, "x")', "rng='x' must"),
        ("SPACE.sample(2, -1)", "rng=-1 must"),
        ('SPACE.neighbours("x")', "code='x' must"),
        ('SPACE.from_uniform("x")', "u='x' must"),
        ("SPACE.column_slice(5)", "unknown parameter 5; the space has ['i1', 'i2'"),
        ("SPACE.from_config(5)", "config=5 must"),
        ("SPACE.suggest(5)", "trial=5 must"),
        ('MultiResolutionNet("x", num_classes=3)', "code='x' must"),
        ("MultiResolutionNet(SPACE.start, num_classes=3, task=5)", "task=5 must"),
        ('MultiResolutionNet(SPACE.start, num_classes=3, seed="x")', "seed='x' must"),
        ('costs.flops("x")', "codes='x' must"),
        ("costs.flops(codes, resolution=5)", "resolution=5 must"),
        ("costs.flops(codes, convention=5)", "convention=5 must"),
        ("costs.flops(codes, task=5)", "task=5 must"),
        ('costs.params(codes, num_classes="x")', "num_classes='x' must"),
        ("costs.measure(5, (1, ))", "module=5 must"),
        ("costs.measure(torch.nn.Linear(1, 1), 5)", "input_shape=5 must"),
        ("NB201Space().from_string(5)", "text=5 is no"),
        ('NB201Space().to_string("x")', "code=array(['x'], dtype='<U1') must"),
        ("Anchor(size=None, z=0)", "size=None must"),
        ("Anchor((1, 1, 1), z='x')", "z='x' must"),
        ("Anchor((1, 1, 1), z=0, positive=None)", "positive=None must"),
        ("PillarEncoder(point_range=5)", "point_range=5 must"),
        ("PillarEncoder(pillar='x')", "pillar='x' must"),
        ("PillarEncoder(max_points=float('nan'))", "max_points=nan must"),
        ("average_precision([], [], [], label=0, iou='x', view='3d')", "iou='x' must"),
        ("halves('x', 0)", "n='x' must"),
        ("halves(10, None)", "split=None must"),
        ("Judge(5, [0, 1])", "table=5 must"),
        ("hard_starts(5, 2)", "table=5 must"),
        ("table_predictor(5)", "table=5 must"),
        ("table_objective(5)", "table=5 must"),
        ("objective('seg', metrics=5)", "metrics=5 must"),
        (
            "SearchSpace([Integer('a', 0, 1)], groups=[Group('t', 'q', ('b',))])",
            "groups has unknown",
        ),
        ("SearchSpace([Integer('a', 0, 1)], units={5: 5})", "units=5 must"),
        ("default_starts(problem, seed='x')", "seed='x' must"),
        ("Featured(model, lambda x: x[:1]).fit(codes, {'a': codes[:, 0]})", "features gives"),
        ("Featured(model, lambda x: x.detach()).fit(codes, {'a': codes[:, 0]})", "features gives"),
        ("Featured(model, lambda x: None).fit(codes, {'a': codes[:, 0]})", "features gives None"),
        ("propagate_search(records, [Target('a')], space=MRSpace(width=64))", "different search"),
    ],
)
def test_a_wrong_argument_is_named_with_a_remedy(
    names: dict[str, Any], call: str, answer: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 -- the table has the answers
        eval(call, dict(names))
    assert answer in str(refused.value)


def test_long_values_are_cut_in_a_message() -> None:
    with pytest.raises(ValueError, match=r"^n='xx.*\.\.\. must be a whole number$") as refused:
        checks.whole("n", "x" * 10_000)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({"low": 1}, 0, "n=0 must be at least 1"),
        ({"low": 1}, 0.5, "n=0.5 must be a whole number of at least 1"),
        ({"low": 1, "high": 4}, 5, "n=5 must be between 1 and 4"),
        ({"low": 1, "high": 4}, True, "n=True must be a whole number between 1 and 4"),
        ({}, None, "n=None must be a whole number"),
    ],
)
def test_whole_numbers(limits: dict[str, int], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.whole("n", value, **limits)
    assert checks.whole("n", np.int8(3), **limits) == 3


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({"low": 0}, -1, "x=-1 must be at least 0"),
        ({"above": 0}, 0.0, "x=0.0 must be above 0"),
        ({"low": 0, "below": 1}, 1, r"x=1 must be in \[0, 1\)"),
        ({"low": 0, "high": 1}, 2, "x=2 must be between 0 and 1"),
        ({"low": 0}, float("nan"), "x=nan must be a finite number of at least 0"),
        ({}, float("inf"), "x=inf must be a finite number"),
        ({}, 10**400, "must be a finite number"),
        ({}, "1", "x='1' must be a finite number"),
        ({}, True, "x=True must be a finite number"),
    ],
)
def test_real_numbers(limits: dict[str, Any], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.real("x", value, **limits)
    assert checks.real("x", np.float32(0.5), **limits) == 0.5
