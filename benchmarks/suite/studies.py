"""Study of one sampler on one problem, and the CSV file of studies."""

from __future__ import annotations

import csv
import gzip
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from moocore import hypervolume
from numpy.typing import NDArray
from optuna.trial import TrialState

from benchmarks.suite import (
    architectures,
    categories,
    designs,
    functions,
    models,
    real_life,
    shifted,
    tables,
    trainings,
)
from benchmarks.suite.problem import Outcome, Params, Problem
from benchmarks.suite.samplers import SAMPLERS, holds_limits

CHECKPOINTS = (20, 50, 100, 200)
LATE = 60  # number of trials after which trials worse than random search's median are counted
_TIMED = 20  # number of asks whose median time is reported
_SPREAD = 0.5  # standard deviation of the log duration of a trial, if several run at once

_Maker = Callable[[], Problem]
PROBLEMS: dict[str, tuple[str, _Maker]] = {
    name: (family, make)
    for module in (
        architectures,
        tables,
        functions,
        models,
        designs,
        real_life,
        shifted,
        categories,
        trainings,
    )
    for name, family, make in module.problems()
}


@cache
def problem(name: str) -> Problem:
    """Return a problem, which is created once per process."""
    return PROBLEMS[name][1]()


@dataclass(frozen=True)
class Study:
    """Results of a study: a row of a CSV file.

    Attributes:
        family: Class of the problem.
        problem: Name of the problem.
        sampler: Key of ``SAMPLERS``.
        seed: Seed of the sampler, and of the problem's noise and instance.
        trials: Number of trials.
        steps: "n:loss" for each trial n after which the loss changes. The loss is the lowest
            feasible true value, negated if maximized. With several objectives, it is minus the
            hypervolume beyond the median of random search. With noise, it is the true value of the
            trial with the best observed value.
        worse: Share of the trials after ``LATE`` that are worse than the median of random search;
            empty without such trials, or with several objectives.
        ask_ms: Median CPU milliseconds of the last ``_TIMED`` asks up to each checkpoint, separated
            by spaces.
        seconds: CPU seconds of all asks and tells.
        within: Share of the observed values within one predictive standard deviation of the
            prediction with which their trial was proposed; empty without predictions.
        failures: Number of trials that failed; empty in rows of older versions.
    """

    family: str
    problem: str
    sampler: str
    seed: int
    trials: int
    steps: str
    worse: str
    ask_ms: str
    seconds: float
    within: str = ""
    failures: str = ""

    @property
    def losses(self) -> NDArray[np.float64]:
        """Return the loss after each trial; infinite before the first feasible one."""
        out = np.full(self.trials, np.inf)
        for step in self.steps.split():
            at, loss = step.split(":")
            out[int(at) - 1 :] = float(loss)
        return out


def run(name: str, sampler: str, seed: int, *, trials: int | None = None) -> Study:
    """Run one study on one thread, of at most ``trials`` trials if given."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of peers, each trial
    shared = problem(name)
    instance = shared if shared.instance is None else shared.instance(seed)
    if trials is not None:
        instance = replace(instance, trials=min(trials, instance.trials))
    study = optuna.create_study(
        directions=instance.directions, sampler=SAMPLERS[sampler](instance, seed)
    )
    study.add_trials(instance.earlier)
    noise, durations = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    outcomes: list[Outcome] = []
    finished: list[Params] = []
    ask, tell = np.zeros(instance.trials), np.zeros(instance.trials)
    clock = 0.0
    running: list[tuple[float, int, optuna.Trial, Params]] = []  # a heap, by their end
    for n in range(instance.trials + instance.workers - 1):
        if n < instance.trials:
            start = time.process_time()
            trial = study.ask()
            params = instance.suggest(trial)
            ask[n] = time.process_time() - start
            heappush(running, (clock + durations.lognormal(sigma=_SPREAD), n, trial, params))
        if n + 1 >= instance.workers:
            clock, _, trial, params = heappop(running)
            outcomes.append(instance.evaluate(params, noise))
            finished.append(params)
            start = time.process_time()
            reports = trial.number >= instance.reported_from and not holds_limits(sampler, instance)
            _finish(study, trial, outcomes[-1], reports=reports)
            tell[len(outcomes) - 1] = time.process_time() - start
    at = [n for n in CHECKPOINTS if n <= instance.trials]
    outcomes = _repeated(instance, finished, outcomes)
    losses = instance.losses(outcomes)
    late = losses[LATE:, 0] > shared.middle[0] if instance.trials > LATE else np.zeros(0)
    return Study(
        family=instance.family,
        problem=name,
        sampler=sampler,
        seed=seed,
        trials=instance.trials,
        steps=" ".join(_steps(curve(instance, outcomes))),
        worse=f"{late.mean():.4f}" if len(late) and losses.shape[1] == 1 else "",
        ask_ms=" ".join(f"{1000 * np.median(ask[max(0, n - _TIMED) : n]):.1f}" for n in at),
        seconds=round(float(ask.sum() + tell.sum()), 3),
        within=_within(study),
        failures=str(sum(outcome.failed for outcome in outcomes)),
    )


def _repeated(
    problem: Problem, params: Sequence[Params], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Return the outcomes, with the mean of further evaluations for each best trial so far."""
    if problem.mean is None:
        return list(outcomes)
    observed = problem.losses(outcomes, observed=True)[:, 0]
    best = np.concatenate([[np.inf], np.minimum.accumulate(observed)[:-1]])
    return [
        replace(outcome, true=problem.mean(given)) if better else outcome
        for outcome, given, better in zip(outcomes, params, observed < best, strict=True)
    ]


def _finish(study: optuna.Study, trial: optuna.Trial, outcome: Outcome, *, reports: bool) -> None:
    """Report a trial's result, with constraints if the trial reports them."""
    for i, violation in enumerate(outcome.violations):
        if reports and i not in outcome.unreported:
            trial.set_constraint(f"c{i}", violation)
    if outcome.values:
        study.tell(trial, outcome.values)
    else:
        study.tell(trial, state=TrialState.FAIL)


def _within(study: optuna.Study) -> str:
    within = []
    for trial in study.get_trials(deepcopy=False):
        reasons = trial.system_attrs.get("ncp:reasons", {})
        predicted = reasons.get("metrics", {})
        for name, value in zip(reasons.get("objectives", ()), trial.values or (), strict=False):
            if "std" in (metric := predicted.get(name, {})):
                within.append(abs(value - metric["mean"]) <= metric["std"])
    return f"{np.mean(within):.4f}" if within else ""


def curve(problem: Problem, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Return the loss after each trial, as defined by ``Study.steps``."""
    feasible = np.array([outcome.feasible for outcome in outcomes])
    losses = np.where(feasible[:, None], problem.losses(outcomes), np.inf)
    if losses.shape[1] > 1:
        inside: NDArray[np.bool_] = np.all(losses < problem.middle, axis=1)
        return np.array(
            [
                -hypervolume(losses[: n + 1][inside[: n + 1]], ref=problem.middle)
                if inside[: n + 1].any()
                else 0.0
                for n in range(len(losses))
            ]
        )
    observed = np.where(feasible, problem.losses(outcomes, observed=True)[:, 0], np.inf)
    looks_best = [int(np.argmin(observed[: n + 1])) for n in range(len(observed))]
    chosen: NDArray[np.float64] = losses[looks_best, 0]
    return chosen


def _steps(losses: NDArray[np.float64]) -> Iterator[str]:
    before = np.inf
    for n, loss in enumerate(losses, start=1):
        if loss != before:
            yield f"{n}:{loss:.8g}"
            before = loss


def append(study: Study, path: Path) -> None:
    """Add a row; in a file of an older version, also add the missing columns."""
    names = [column.name for column in fields(Study)]
    present = path.read_text(encoding="utf-8").splitlines()[:1] if path.exists() else []
    current = present == [",".join(names)]
    studies = [study] if current else [*load(path), study]
    with path.open("a" if current else "w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, names, lineterminator="\n")
        if not current:
            rows.writeheader()
        rows.writerows(map(asdict, studies))


def load(path: Path) -> list[Study]:
    """Return the rows of a file, which may be compressed (.gz), or none if it is missing."""
    if not path.exists():
        return []
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="", encoding="utf-8") as file:
        return [_study(row) for row in csv.DictReader(file)]


def _study(row: dict[str, Any]) -> Study:
    numbers = {"seed": int(row["seed"]), "trials": int(row["trials"])}
    return Study(**{**row, **numbers, "seconds": float(row["seconds"])})
