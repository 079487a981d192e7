"""NCPSampler's arguments, search spaces and proposals."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from ncp_sampler import NCPOptimizer, NCPSampler, SearchSpace
from ncp_sampler.predictors import NNGP, GaussianProcess
from ncp_sampler.propagation import Adam, Strategy, WinnerTakesAll
from tests.optuna_examples import SPACE, new_study, objective, params_of, score


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"space": {"x": 1}},
            r"space=\{'x': 1\} must be a SearchSpace, such as SearchSpace.* or None",
        ),
        ({"space": 5}, "space=5 must be a SearchSpace"),
        ({"seed": -1}, "seed=-1 must be between 0 and 4294967295, or None"),
        ({"seed": 1.5}, "seed=1.5 must be an integer"),
        ({"seed": True}, "seed=True must be an integer"),
        ({"seed": 2**32}, "seed=4294967296 must be between 0 and 4294967295"),
        ({"n_startup_trials": 0}, "n_startup_trials=0 must be at least 1"),
        ({"n_startup_trials": 2.5}, "n_startup_trials=2.5 must be an integer of at least 1"),
        ({"strategy": "steepest"}, "strategy='steepest' must be one of .* or a strategy such as"),
        ({"strategy": WinnerTakesAll}, "strategy=<class .*WinnerTakesAll'> must be one of"),
        ({"independent_sampler": RandomSampler}, "independent_sampler=<class .* an Optuna sampler"),
        (
            {"independent_sampler": 5},
            r"independent_sampler=5 .* such as RandomSampler\(\), or None",
        ),
        ({"warn_independent_sampling": "yes"}, "_sampling='yes' must be True or False"),
        ({"deterministic_objective": "no"}, "deterministic_objective='no' must be True or False"),
        ({"device": 1.5}, "device=1.5 cannot be used here"),
        ({"device": "nope"}, "device='nope' cannot be used here .* use 'cpu'"),
        ({"device": "meta"}, "device='meta'"),
    ],
)
def test_wrong_arguments_raise_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NCPSampler(**arguments)


def test_name_is_the_default_of_optuna() -> None:
    assert str(NCPSampler()) == "NCPSampler"


@pytest.mark.parametrize(
    "strategy", ["continuous", "winner_takes_all", Adam(rate=0.2), WinnerTakesAll()], ids=str
)
def test_same_proposals_as_the_optimizer_by_hand(strategy: Strategy | str) -> None:
    settings: dict[str, Any] = {"seed": 5, "n_startup_trials": 3, "strategy": strategy}
    study = new_study(NCPSampler(space=SPACE, **settings))
    study.optimize(objective, n_trials=6)

    optimizer = NCPOptimizer(SPACE, directions={"value": "maximize"}, **settings)
    by_hand = []
    for _ in range(6):
        [params] = optimizer.ask()
        optimizer.tell(params, {"value": score(params)})
        by_hand.append(params)
    assert params_of(study) == by_hand


def test_a_strategy_object_is_used_and_pickled_with_the_sampler() -> None:
    """It stands for its shorthand where its settings are the default ones."""
    runs = []
    strategies: list[Strategy | str] = ["winner_takes_all", WinnerTakesAll(), "continuous"]
    for strategy in strategies:
        sampler = NCPSampler(space=SPACE, seed=5, n_startup_trials=3, strategy=strategy)
        study = new_study(sampler)
        study.optimize(objective, n_trials=4)
        study.sampler = pickle.loads(pickle.dumps(sampler))
        study.optimize(objective, n_trials=4)
        runs.append(params_of(study))
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("space", [SPACE, None])
def test_seed_decides_the_proposals(space: SearchSpace | None) -> None:
    runs = []
    for seed in (1, 1, 2):
        study = new_study(NCPSampler(space=space, seed=seed, n_startup_trials=3))
        study.optimize(objective, n_trials=5)
        runs.append(params_of(study))
    assert runs[0] == runs[1] != runs[2]


def test_declared_space_is_searched_from_the_first_trial_on() -> None:
    sampler = NCPSampler(space=SPACE)
    study = new_study(sampler)
    trial = study.ask()
    trial.suggest_int("width", 8, 32, step=8)
    inferred = trial.relative_search_space
    assert inferred is not None
    assert list(inferred) == ["width", "rate", "op", "drop"]  # not the single value
    inferred.clear()  # PartialFixedSampler does so
    assert sampler.infer_relative_search_space(study, study.trials[0])


def test_values_have_the_types_of_the_distributions() -> None:
    study = new_study()
    for _ in range(12):
        trial = study.ask(fixed_distributions=SPACE.distributions)
        types = {name: type(value) for name, value in trial.params.items()}
        assert types["op"] in (str, type(None))
        assert (types["width"], types["rate"], types["drop"]) == (int, float, float)
        study.tell(trial, 1.0)


def test_single_values_need_not_be_suggested() -> None:
    study = new_study(NCPSampler(space=SPACE, seed=5))
    for _ in range(3):
        trial = study.ask({n: d for n, d in SPACE.distributions.items() if n != "one"})
        study.tell(trial, score(trial.params))
    optimizer = NCPOptimizer(SPACE, directions={"value": "maximize"}, seed=5)
    assert [{**p, "one": 3} for p in params_of(study)] == optimizer.ask(3)


@pytest.mark.parametrize(
    "suggest",
    [
        lambda t: t.suggest_int("x", 1, 10**15, log=True),
        lambda t: t.suggest_int("x", -(2**60), 2**60),  # beyond codes: sampled independently
        lambda t: t.suggest_float("x", 0, 1e15, step=0.001),  # too fine for codes: likewise
        lambda t: t.suggest_categorical("x", [1, True, "1", None, 2.5]),
        lambda t: t.suggest_categorical("x", ["a", "a"]),  # one choice twice: likewise
    ],
)
def test_inferred_space_takes_what_optuna_allows(suggest: Callable[[Trial], Any]) -> None:
    study = new_study(NCPSampler(seed=0, n_startup_trials=1))

    def wide(trial: Trial) -> float:
        suggest(trial)
        return trial.suggest_float("y", 0, 1)

    study.optimize(wide, n_trials=4)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_proposals_outside_a_new_range_are_sampled_independently(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def moving(trial: Trial) -> float:
        return trial.suggest_float("y", 0, 1 + trial.number % 2) + trial.suggest_int("x", 0, 3)

    study = new_study(NCPSampler(seed=0, n_startup_trials=4))
    study.optimize(moving, n_trials=4)
    assert not [m for m in caplog.messages if "sampled by" in m]  # during startup
    study.optimize(moving, n_trials=8)
    [message] = [m for m in caplog.messages if "sampled by" in m]
    assert "sampled by RandomSampler, since its proposal is outside FloatDistribution" in message

    silent = NCPSampler(seed=0, n_startup_trials=1, warn_independent_sampling=False)
    caplog.clear()
    new_study(silent).optimize(moving, n_trials=8)
    assert not [m for m in caplog.messages if "sampled by" in m]


def test_equal_codes_of_trials_that_differ_elsewhere_may_repeat() -> None:
    def hidden(trial: Trial) -> float:
        branch = trial.suggest_categorical("branch", ["y", "z"])
        return trial.suggest_int("x", 0, 2**60) + (branch == "y")  # beyond codes

    sampler = NCPSampler(seed=0, n_startup_trials=2, warn_independent_sampling=False)
    study = new_study(sampler)
    study.optimize(hidden, n_trials=8)
    optimizers = [h.optimizer for s in sampler._studies.values() for h in s.spaces]
    assert optimizers[-1].space.names == ("branch",)
    assert not optimizers[-1].deterministic_objective


def test_independent_sampler_is_the_users() -> None:
    class Lowest(RandomSampler):
        calls: tuple[str, ...] = ()

        def sample_independent(self, study: Any, trial: Any, name: str, dist: Any) -> Any:
            return dist.low

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            self.calls += ("before",)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            self.calls += ("after",)

        def reseed_rng(self) -> None:
            self.calls += ("reseed",)

    lowest = Lowest()
    study = new_study(NCPSampler(space=SPACE, independent_sampler=lowest))
    study.optimize(lambda trial: objective(trial) + trial.suggest_float("more", 7, 9), n_trials=1)
    study.sampler.reseed_rng()
    assert study.best_params["more"] == 7
    assert lowest.calls == ("before", "after", "reseed")


def test_independent_draws_depend_on_seed_trial_and_name_alone() -> None:
    def draw(study: Study) -> dict[str, Any]:
        trial = study.ask()
        for name in "ab":
            trial.suggest_int(name, 0, 10**6)
        return trial.params

    study = new_study(NCPSampler(seed=0))
    runs = [draw(study) for _ in range(2)]
    study.sampler = NCPSampler(seed=0)  # another worker, or the study resumed
    runs.append(draw(study))
    numbers = [number for params in runs for number in params.values()]
    assert len(set(numbers)) == 6
    again = new_study(NCPSampler(seed=0))
    assert [draw(again) for _ in range(3)] == runs
    reseeded = new_study(NCPSampler(seed=1))
    assert draw(reseeded) != runs[0]


@pytest.mark.parametrize("predictor", ["infinite-mlp", GaussianProcess(NNGP(), steps=5)])
def test_predictor_is_chosen_by_name_or_given(predictor: Any) -> None:
    """A given one is copied: it is each study's own."""
    values = []
    for _ in range(2):
        study = new_study(NCPSampler(space=SPACE, seed=0, n_startup_trials=4, predictor=predictor))
        study.optimize(objective, n_trials=8)
        values.append(params_of(study))
    assert values[0] == values[1]
    by_gp = new_study(NCPSampler(space=SPACE, seed=0, n_startup_trials=4, predictor="gp"))
    by_gp.optimize(objective, n_trials=8)
    assert values[0][:4] == params_of(by_gp)[:4]
    assert values[0][4:] != params_of(by_gp)[4:]
    with pytest.raises(ValueError, match="predictor='tree' must be one of"):
        NCPSampler(predictor="tree")
