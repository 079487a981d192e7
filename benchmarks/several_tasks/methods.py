"""Methods that search one problem and name an architecture after given numbers of trials.

A trial trains an architecture on every task. A trial with only some of the tasks counts as a
fraction of a trial. The answer of every method is chosen by the same rule: among its observed
trials, the one with the smallest regret in its worst task, relative to the observed values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.several_tasks.problems import FloatArray, Tasks
from ncp_sampler import NCPSampler, costs
from ncp_sampler.integrations.optuna import compromise, report_task

_GIFT = (
    20  # number of random architectures that standardize a hand-made scalar; they are not counted
)


@dataclass(frozen=True)
class Run:
    """Trials and answers of a method.

    Attributes:
        codes: Codes in the order of their trials, (n, d), or (n m, d) of a study for each task.
        answers: Number of trials -> code that the method would give then, (d,).
    """

    codes: NDArray[Any]
    answers: dict[int, NDArray[Any]]


Make = Callable[[Tasks, int], optuna.samplers.BaseSampler]
Method = Callable[[Tasks, int, Sequence[int]], Run]


def least_regret(values: FloatArray) -> int:
    """Return the position of the observed values (n, m) with the least regret in the worst task."""
    best, worst = values.max(0), values.min(0)
    return int(((best - values) / np.where(best > worst, best - worst, 1.0)).max(1).argmin())


def _several(make: Make, *, reports: float = 1.0) -> Method:
    """Return a method with an objective for each task.

    Args:
        make: Factory of the sampler.
        reports: Probability that a task of a trial is reported; each trial reports at least one.
    """

    def run(problem: Tasks, seed: int, checkpoints: Sequence[int]) -> Run:
        directions: list[Any] = ["maximize"] * len(problem.names) + ["minimize"] * problem.flops
        study = optuna.create_study(directions=directions, sampler=make(problem, seed))
        names = [*problem.names, *["flops"] * problem.flops]
        study.set_metric_names(names)
        rng, answers = np.random.default_rng([seed, 7]), {}
        codes: list[NDArray[Any]] = []
        seen: list[FloatArray] = []
        for n in range(1, max(checkpoints) + 1):
            trial = study.ask()
            code = problem.space.to_code(problem.space.suggest(trial))
            value = problem.evaluate(code[None])[0]
            kept = rng.random(len(value)) < reports
            kept[rng.integers(len(kept))] = True
            known = {k: float(v) for k, v, keep in zip(names, value, kept, strict=False) if keep}
            if problem.flops:
                known["flops"] = float(costs.flops(code))
            codes.append(code)
            seen.append(value)
            if kept.all():
                study.tell(trial, list(known.values()))
            else:
                for name, value in known.items():
                    report_task(trial, name, value)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            if n in checkpoints:
                answers[n] = codes[
                    least_regret(np.array(seen)) if reports == 1 else compromise(study).number
                ]
        return Run(np.array(codes), answers)

    return run


def _scalar(make: Make, combine: Callable[[FloatArray], float]) -> Method:
    """Return a method with one objective, a user's scalarization of the standardized values."""

    def run(problem: Tasks, seed: int, checkpoints: Sequence[int]) -> Run:
        gift = problem.evaluate(problem.space.sample(_GIFT, seed))
        mean, std = gift.mean(0), np.maximum(gift.std(0), 1e-9)
        study = optuna.create_study(direction="maximize", sampler=make(problem, seed))
        codes: list[NDArray[Any]] = []
        seen: list[FloatArray] = []
        answers = {}
        for n in range(1, max(checkpoints) + 1):
            trial = study.ask()
            code = problem.space.to_code(problem.space.suggest(trial))
            value = problem.evaluate(code[None])[0]
            codes.append(code)
            seen.append(value)
            study.tell(trial, combine((value - mean) / std))
            if n in checkpoints:
                answers[n] = codes[least_regret(np.array(seen))]
        return Run(np.array(codes), answers)

    return run


def _alone(make: Make) -> Method:
    """Return a method with a separate study for each task; the studies share the trials.

    The answer is the best compromise among the best architectures of all studies, by their true
    values. The evaluations on the other tasks are not counted.
    """

    def run(problem: Tasks, seed: int, checkpoints: Sequence[int]) -> Run:
        m, answers = len(problem.names), {}
        studies = [
            optuna.create_study(direction="maximize", sampler=make(problem, seed + 1000 * k))
            for k in range(m)
        ]
        codes: list[NDArray[Any]] = []
        best: list[tuple[float, NDArray[Any]]] = [(-np.inf, np.empty(0))] * m
        for n in range(1, max(checkpoints) + 1):
            for k, study in enumerate(studies):
                trial = study.ask()
                code = problem.space.to_code(problem.space.suggest(trial))
                value = float(problem.evaluate(code[None])[0, k])
                study.tell(trial, value)
                codes.append(code)
                best[k] = max(best[k], (value, code), key=lambda pair: pair[0])
            if n in checkpoints:
                best_codes = np.array([code for _, code in best])
                regrets = problem.regrets(problem.evaluate(best_codes))
                answers[n] = best_codes[regrets.max(1).argmin()]
        return Run(np.array(codes), answers)

    return run


def _ncp(**options: Any) -> Make:
    def make(problem: Tasks, seed: int) -> optuna.samplers.BaseSampler:
        known: Any = {"flops": costs.flops} if problem.flops else None
        return NCPSampler(space=problem.space, seed=seed, costs=known, **options)

    return make


def _gp(_: Tasks, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)


def _tpe(_: Tasks, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def _nsga2(_: Tasks, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)


def _random(_: Tasks, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _sum(z: FloatArray) -> float:
    return float(z.sum())


def _worst(z: FloatArray) -> float:
    return float(z.min())


METHODS: dict[str, tuple[str, Method]] = {
    "ncp-front": ("NCP, front", _several(_ncp())),
    "ncp-compromise": ("NCP, compromise", _several(_ncp(objective_weights="compromise"))),
    "ncp-weights": ("NCP, weights in std", _several(_ncp(objective_weights="std"))),
    "ncp-half": (
        "NCP, half of the reports",
        _several(_ncp(objective_weights="compromise"), reports=0.5),
    ),
    "ncp-sum": ("NCP, own sum", _scalar(_ncp(), _sum)),
    "ncp-worst": ("NCP, own minimum", _scalar(_ncp(), _worst)),
    "ncp-alone": ("NCP, a study per task", _alone(_ncp())),
    "gp": ("GPSampler, front", _several(_gp)),
    "gp-sum": ("GPSampler, own sum", _scalar(_gp, _sum)),
    "gp-worst": ("GPSampler, own minimum", _scalar(_gp, _worst)),
    "gp-alone": ("GPSampler, a study per task", _alone(_gp)),
    "tpe": ("TPE, front", _several(_tpe)),
    "tpe-sum": ("TPE, own sum", _scalar(_tpe, _sum)),
    "nsga2": ("NSGA-II, population 20", _several(_nsga2)),
    "random": ("random", _several(_random)),
}
