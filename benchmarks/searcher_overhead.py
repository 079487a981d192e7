"""Overhead of ``NCPSearch`` per proposal, relative to the optimizer alone.

Run from the repository root, in an environment with the package's ``bench`` and ``ray`` extras:

    python -m benchmarks.searcher_overhead

writes OUT/searcher_overhead.md. A searcher and an optimizer with the same seed observe the same
trials, propose the same codes, and are timed in turn: ``suggest`` and ``ask``.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from ncp_sampler import NCPOptimizer, NCPSearch, nas_bench
from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table
from ncp_sampler.space.search_space import Params

PACKAGES = ("ncp_sampler", "ray", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class Times:
    """CPU milliseconds per proposal of the searcher and of the optimizer, in pairs.

    Attributes:
        trials: Number of trials finished before the first proposal.
        running: Number of running trials.
    """

    trials: int
    running: int
    suggest: tuple[float, ...]
    ask: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median ratio over the pairs."""
        return float(np.median(np.divide(self.suggest, self.ask)))


def measure(n_trials: int, n_running: int, repeats: int, seed: int = 0) -> Times:
    """Return the times of ``repeats`` pairs, with one more trial finished before each."""
    objective = nas_bench.objective("seg")
    space = objective.space
    search = NCPSearch(space=space, metric="mIoU", mode="max", seed=seed)
    optimizer = NCPOptimizer(space, directions={"mIoU": "maximize"}, seed=seed)
    codes = space.sample(n_trials, seed)
    for i, (code, (value,)) in enumerate(zip(codes, objective.evaluate(codes), strict=True)):
        params: Params = space.to_params(code)
        result = {"mIoU": value, **{f"config/{name}": v for name, v in params.items()}}
        search.on_trial_complete(f"earlier{i}", result=result)
        optimizer.tell(params, {"mIoU": value})
    running: list[Params] = []
    for i in range(n_running):
        (params,) = optimizer.ask(pending=running)
        assert search.suggest(f"running{i}") == params
        running.append(params)
    times: dict[str, list[float]] = {"suggest": [], "ask": []}
    for i in range(repeats):
        calls: list[tuple[str, Callable[[], Any]]] = [
            ("suggest", partial(search.suggest, f"new{i}")),
            ("ask", lambda: optimizer.ask(pending=running)[0]),
        ]
        proposed = []
        for name, call in calls if i % 2 else reversed(calls):
            start = time.process_time()
            proposed.append(call())
            times[name].append(1000 * (time.process_time() - start))
        params, suggested = proposed
        assert params == suggested, (params, suggested)
        value = float(objective.evaluate(space.to_code(params))[0, 0])
        search.on_trial_complete(f"new{i}", result={"mIoU": value})
        optimizer.tell(params, {"mIoU": value})
    return Times(n_trials, n_running, tuple(times["suggest"]), tuple(times["ask"]))


def markdown(measured: Sequence[Times], command: str) -> str:
    """Return the text of the result file."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    heads = ("finished trials", "running", "pairs", "`ask` (ms)", "`suggest` (ms)", "ratio")
    rows = []
    for times in measured:
        medians = [f"{np.median(ms):.1f}" for ms in (times.ask, times.suggest)]
        counts = [str(n) for n in (times.trials, times.running, len(times.ask))]
        rows.append([*counts, *medians, f"{times.ratio:.3f}"])
    return f"""# NCPSearch's time per suggestion beside the optimizer's own

Made by `{command}`.

Medians of CPU milliseconds, and of the pairs' ratios; the codes are the same in each pair. \
MRSpace, one thread, {os.cpu_count()} {platform.machine()} cores. \
Python {platform.python_version()}, {versions}.

{markdown_table(heads, rows, numbers=[True] * len(heads))}"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = make_parser(__doc__, prog="python -m benchmarks.searcher_overhead")
    parser.add_argument(
        "--trials", type=int, default=500, help="numbers of trials finished before the proposals"
    )
    parser.add_argument("--repeats", type=int, default=25, help="pairs")
    options = parse_benchmark(parser, given, "trials", "repeats")
    torch.set_num_threads(1)
    measured = [measure(options.trials, running, options.repeats) for running in (0, 8)]
    text = markdown(measured, shlex.join(["python", "-m", "benchmarks.searcher_overhead", *given]))
    (options.out / "searcher_overhead.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
