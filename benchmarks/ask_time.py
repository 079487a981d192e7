"""CPU time of a proposal of ``NCPSampler``, by the number of trials and the objectives.

Run from the repository root, in an environment with the package's ``bench`` extra:

    python -m benchmarks.ask_time

writes OUT/ask_time.md and OUT/ask_time.csv: CPU milliseconds of ``study.ask`` on one thread, over
the 27 dimensions of ``MRSpace``, with the surrogates in the package. A study begins with finished
trials: half of them are random codes, and half are variations of the best ones. The surrogate
evaluates the proposal of each timed ask.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray

from ncp_sampler import NCPSampler, costs
from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table
from ncp_sampler.nas_bench.objectives import Objective, objective

PACKAGES = ("ncp_sampler", "optuna", "torch", "numpy", "scipy")
UNTIMED = 3  # untimed first asks of a study; the first reads the trials and starts a new fit
_CHANGED = 0.1  # fraction of a code's columns that a variation changes
_BEST = 10  # number of best random codes of which variations are made


@dataclass(frozen=True)
class Regime:
    """Objectives, limits and constraints of a search.

    Attributes:
        name: Name in the tables.
        metrics: Metrics in addition to the setting's main one.
        costs: Known costs, as for ``NCPSampler``.
        constrained: True if the setting's second metric must be above its first quartile.
    """

    name: str
    metrics: tuple[str, ...] = ()
    costs: Mapping[str | int, Any] = field(default_factory=dict)
    constrained: bool = False


REGIMES = {
    regime.name: regime
    for regime in (
        Regime("one metric"),
        Regime("metric and modeled FLOPs", ("flops",)),
        Regime("metric and known FLOPs", ("flops",), {1: costs.flops}),
        Regime("three metrics and a constraint", ("flops", "params"), constrained=True),
    )
}
Sampler = Callable[[Objective, Regime, int], optuna.samplers.BaseSampler]
SAMPLERS: dict[str, Sampler] = {
    "NCP": lambda surrogate, regime, seed: NCPSampler(
        space=surrogate.space, costs=regime.costs or None, seed=seed
    ),
    "TPE": lambda _surrogate, _regime, seed: optuna.samplers.TPESampler(seed=seed),
    "GPSampler": lambda _surrogate, _regime, seed: optuna.samplers.GPSampler(
        seed=seed, deterministic_objective=True
    ),
}


class Answers:
    """Values and constraints of codes in one regime of a setting."""

    def __init__(self, setting: str, regime: Regime) -> None:
        main, second, *_ = objective(setting)._model.metrics
        self.surrogate = objective(setting, metrics=(main, *regime.metrics))
        self.bounded = objective(setting, metrics=(second,)) if regime.constrained else None
        self.bound = 0.0
        if self.bounded is not None:
            random = self.bounded.evaluate(self.surrogate.space.sample(256, 0))
            self.bound = float(np.quantile(random, 0.25))

    def __call__(self, codes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values = self.surrogate.evaluate(codes)
        if self.bounded is None:
            return values, np.empty((len(codes), 0))
        return values, self.bound - self.bounded.evaluate(codes)


@dataclass(frozen=True)
class Times:
    """CPU milliseconds of asks.

    Attributes:
        trials: Number of trials finished before the first ask.
    """

    sampler: str
    regime: str
    trials: int
    setting: str
    ms: tuple[float, ...]


def history(answers: Answers, n: int, seed: int) -> NDArray[Any]:
    """Return distinct codes (n, 27): half random, half variations of the best random ones."""
    rng = np.random.default_rng(seed)
    space = answers.surrogate.space
    random = space.sample(n - n // 2, rng)
    signs = np.array([1.0 if way == "maximize" else -1.0 for way in answers.surrogate.directions])
    worth = answers(random)[0] * signs
    best = random[np.argsort(-worth, axis=0)[:_BEST].ravel()]
    made = best[rng.integers(len(best), size=2 * n)]  # may contain duplicates
    made = np.where(rng.random(made.shape) < _CHANGED, space.sample(2 * n, rng), made)
    _, first = np.unique(np.concatenate([random, made]), axis=0, return_index=True)
    codes: NDArray[Any] = np.concatenate([random, made])[np.sort(first)[:n]]
    return codes[rng.permutation(n)]


def measure(sampler: str, regime: Regime, n: int, setting: str, asks: int, seed: int = 0) -> Times:
    """Return the times of asks after ``n`` trials, with one more trial finished before each."""
    answers = Answers(setting, regime)
    surrogate = answers.surrogate
    space = surrogate.space
    study = optuna.create_study(
        directions=surrogate.directions, sampler=SAMPLERS[sampler](surrogate, regime, seed)
    )
    codes = history(answers, n, seed)
    distributions = space.distributions
    rows: list[dict[str, Any]] = space.to_params(codes)  # type: ignore[assignment]
    for params, values, broken in zip(rows, *answers(codes), strict=True):
        attrs = {f"constraints:{i}": float(value) for i, value in enumerate(broken)}
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=distributions, values=values.tolist(),
                system_attrs=attrs,
            )
        )  # fmt: skip
    times = []
    for _ in range(UNTIMED + asks):
        start = time.process_time()
        trial = study.ask(distributions)
        times.append(1000 * (time.process_time() - start))
        values, broken = answers(space.to_code(trial.params)[None])
        for i, value in enumerate(broken[0]):
            trial.set_constraint(str(i), float(value))
        study.tell(trial, values[0].tolist())
    return Times(sampler, regime.name, n, setting, tuple(times[UNTIMED:]))


def write_csv(measured: Sequence[Times], path: Path) -> None:
    """Write one row for each ask."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["sampler", "regime", "trials", "setting", "ms"])
        for times in measured:
            rows.writerows(
                [times.sampler, times.regime, times.trials, times.setting, f"{ms:.2f}"]
                for ms in times.ms
            )


def markdown(measured: Sequence[Times], command: str) -> str:
    """Return the text of the result file."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    by_row: dict[tuple[str, str, int], list[float]] = {}
    for times in measured:
        by_row.setdefault((times.regime, times.sampler, times.trials), []).extend(times.ms)
    rows = []
    for (regime, sampler, n), ms in by_row.items():
        own = by_row.get((regime, "NCP", n))
        ratio = "" if own is None else f"{np.median(ms) / np.median(own):.2f}"
        low, middle, high = np.quantile(ms, [0.1, 0.5, 0.9])
        numbers = [f"{middle:.1f}", f"{low:.1f} to {high:.1f}", ratio]
        rows.append([regime, sampler, str(n), str(len(ms)), *numbers])
    heads = ("searched for", "sampler", "trials", "asks", "median (ms)", "10 to 90 %", "over NCP")
    settings = ", ".join(dict.fromkeys(times.setting for times in measured))
    return f"""# CPU time of an ask

Made by `{command}`.

CPU milliseconds (`time.process_time`) of `study.ask`, one thread, MRSpace, 27 dimensions; \
surrogates {settings}. The constraint is on one more modeled metric. {os.cpu_count()} \
{platform.machine()} cores. Python {platform.python_version()}, {versions}.

{markdown_table(heads, rows, numbers=[False, False, *[True] * 5])}"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.ask_time")
    add = parser.add_argument
    add(
        "--trials",
        default="100,500,2000,10000",
        help="numbers of trials finished before the timed asks, separated by commas",
    )
    add("--regimes", default=",".join(REGIMES), help="regimes: what is searched for")
    add("--settings", default="cls-a,seg,video", help="surrogates")
    add("--asks", type=int, default=15, help="number of timed asks for each surrogate")
    add("--peers", default="TPE,GPSampler", help="samplers to compare with NCP, for one metric")
    add(
        "--peer-trials",
        default="100",
        help="numbers of trials finished before the asks of those samplers",
    )
    return parse_benchmark(parser, arguments, "asks")


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    trials, peer_trials = (
        [int(n) for n in text.split(",")] for text in (options.trials, options.peer_trials)
    )
    first, *_ = REGIMES
    plan = [("NCP", name, n) for name in options.regimes.split(",") for n in trials]
    plan += [
        (peer, first, n) for peer in filter(None, options.peers.split(",")) for n in peer_trials
    ]
    measured = []
    for sampler, name, n in plan:
        for setting in options.settings.split(","):
            measured.append(measure(sampler, REGIMES[name], n, setting, options.asks))
            middle = np.median(measured[-1].ms)
            print(f"{sampler}, {name}, {n} trials, {setting}: {middle:.1f} ms", flush=True)
    text = markdown(measured, shlex.join(["python", "-m", "benchmarks.ask_time", *given]))
    (options.out / "ask_time.md").write_text(text, encoding="utf-8")
    write_csv(measured, options.out / "ask_time.csv")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
