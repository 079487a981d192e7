"""Fuzzing: checks of the properties in ``tests/properties`` on thousands of random cases.

Run from the repository root, in an environment with the package's ``dev`` extra:

    python -m benchmarks.fuzz --cases 10000 --jobs 2

The run draws spaces, values and histories, including unusual ones. It checks that nothing raises an
error or a warning, that every proposal is valid and new, and that a restored search continues
exactly. Several kinds of cases imitate realistic studies: trials that fail in a region, constraints
that only some trials report, params in another order, ranges that change, and configs from JSON.

The cases of a kind are run in parts. When a part has ended, its row is added to OUT/fuzz.csv.
OUT/fuzz.md has the figures, and each finding as a script. ``--resume`` continues an interrupted
run.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import multiprocessing
import os
import platform
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table

PACKAGES = ("ncp_sampler", "hypothesis", "optuna", "ray", "torch", "numpy", "scipy")
PART = 100  # number of cases in one run of hypothesis, which begins with small cases
# kind -> module of its cases and its check, and its share of all cases
KINDS = {
    "spaces": ("tests.properties.test_space_codes", 0.1),
    "ask and tell": ("tests.properties.test_ask_tell", 0.15),
    "Optuna, declared": ("tests.properties.test_optuna_declared", 0.1),
    "Optuna, inferred": ("tests.properties.test_optuna_inferred", 0.1),
    "Ray": ("tests.properties.test_ray_search", 0.1),
    "failed regions": ("tests.properties.test_failed_regions", 0.1),
    "partial constraints": ("tests.properties.test_partial_constraints", 0.1),
    "reordered params": ("tests.properties.test_reordered_params", 0.1),
    "changed ranges": ("tests.properties.test_changed_ranges", 0.1),
    "JSON round trips": ("tests.properties.test_json_round_trips", 0.05),
}
IMPORTS = """from math import inf, nan

from ncp_sampler import Categorical, Float, Integer
from optuna.distributions import *
from tests.properties.optuna_trials import Ending
from tests.properties.strategies import Setup
from {module} import *
"""


@dataclass(frozen=True)
class Part:
    """Cases of one kind that are drawn together, from their own seed.

    Attributes:
        kind: Key of ``KINDS``.
        number: Position among the parts of its kind, starting at 0.
        seed: Seed of the whole run.
        planned: Number of cases to draw.
    """

    kind: str
    number: int
    seed: int
    planned: int


@dataclass(frozen=True)
class Row:
    """Results of one part, as a row of the CSV file.

    Attributes:
        cases: Number of cases tried, up to the first finding.
        asks: Number of proposals checked in these cases.
        seconds: Total CPU seconds.
        slowest: CPU seconds of the slowest case.
        findings: Script and end of the traceback for each finding, joined by form feeds.
    """

    kind: str
    number: int
    seed: int
    planned: int
    cases: int
    asks: int
    seconds: float
    slowest: float
    findings: str

    @property
    def part(self) -> Part:
        return Part(self.kind, self.number, self.seed, self.planned)


class Tally:
    """Counter of tried cases of a part, which keeps the smallest case of each kind of failure."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.cases = self.asks = 0
        self.slowest = 0.0
        self.failures: dict[tuple[str, str], str] = {}  # type and place -> what to show

    def try_case(self, case: Any) -> None:
        start = time.process_time()
        try:
            asks = self._module.check(case)
        except Exception as error:  # every error is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            # hypothesis shrinks failing cases, and tries the smallest one last
            self.failures[type(error).__name__, place] = self._show(case, error)
            raise
        if not self.failures:
            self.cases += 1
            self.asks += asks
            self.slowest = max(self.slowest, time.process_time() - start)

    def _show(self, case: Any, error: Exception) -> str:
        script = IMPORTS.format(module=self._module.__name__) + f"\ncheck({case!r})"
        trace = "".join(traceback.format_exception(error, limit=-3))
        return f"```python\n{script}\n```\n\n```text\n{trace.rstrip()}\n```"


def run_part(part: Part) -> Row:
    """Draw and try the cases of a part."""
    torch.set_num_threads(1)
    module = import_module(KINDS[part.kind][0])
    tally = Tally(module)
    seed = f"{part.seed}, {part.kind}, {part.number}"  # a string has the same hash in any process
    cases: st.SearchStrategy[Any] = module.cases()
    tried: Callable[[], None] = given(cases)(tally.try_case)
    limits = settings(
        max_examples=part.planned,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    tried = hypothesis.seed(int.from_bytes(seed.encode(), "big"))(limits(tried))
    start = time.process_time()
    logger = logging.getLogger("ncp_sampler")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            tried()
        except Exception:
            if not tally.failures:
                raise
        finally:
            logger.setLevel(level)
    seconds = time.process_time() - start
    findings = "\f".join(tally.failures.values())
    return Row(
        **asdict(part), cases=tally.cases, asks=tally.asks, seconds=round(seconds, 2),
        slowest=round(tally.slowest, 2), findings=findings,
    )  # fmt: skip


def plan(n_cases: int, seed: int) -> list[Part]:
    """Return the parts of a run, alternating between kinds."""
    parts = []
    for kind, (_, share) in KINDS.items():
        left, number = math.ceil(n_cases * share), 0
        while left > 0:
            parts.append(Part(kind, number, seed, min(left, PART)))
            left, number = left - PART, number + 1
    return sorted(parts, key=lambda part: part.number)


def run(parts: Sequence[Part], jobs: int) -> Iterator[Row]:
    """Yield the rows of the parts as they finish."""
    if len(parts) == 1:  # a process takes longer to start than a part
        yield run_part(parts[0])
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_part, parts)


def read(path: Path) -> list[Row]:
    """Return the rows of an earlier run, or none without a file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [_row(cells) for cells in csv.DictReader(file)]


def _row(cells: Mapping[str, str]) -> Row:
    integers = ("number", "seed", "planned", "cases", "asks")
    typed: dict[str, Any] = {**cells, **{name: int(cells[name]) for name in integers}}
    return Row(**typed | {name: float(cells[name]) for name in ("seconds", "slowest")})


def markdown(rows: Sequence[Row], command: str) -> str:
    """Return the text of the result file."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    heads = ("kind", "cases", "proposals", "findings", "seconds", "slowest case (s)")
    table = []
    for kind in [*KINDS, "all"]:
        of_kind = [row for row in rows if kind in (row.kind, "all")]
        counts = (
            sum(row.cases for row in of_kind),
            sum(row.asks for row in of_kind),
            sum(len(row.findings.split("\f")) for row in of_kind if row.findings),
        )
        slowest = max((row.slowest for row in of_kind), default=0.0)
        seconds = sum(row.seconds for row in of_kind)
        table.append([kind, *map(str, counts), f"{seconds:.0f}", f"{slowest:.1f}"])
    texts = [text for row in rows if row.findings for text in row.findings.split("\f")]
    findings = "".join(f"\n## Finding {i}\n\n{text}\n" for i, text in enumerate(texts, 1))
    return f"""# Fuzzing

Made by `{command}`.

Seconds are of processor time, of one thread, {os.cpu_count()} {platform.machine()} cores. \
Python {platform.python_version()}, {versions}.

{markdown_table(heads, table, numbers=True)}{findings}"""


def main(arguments: Sequence[str] | None = None) -> int:
    given_arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _options(given_arguments)
    path = options.out / "fuzz.csv"
    parts = plan(options.cases, options.seed)
    rows = [row for row in read(path) if row.part in parts] if options.resume else []
    left = [part for part in parts if part not in [row.part for row in rows]]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(map(asdict, rows))
        for row in run(left, options.jobs):
            writer.writerow(asdict(row))
            file.flush()
            rows.append(row)
            said = "FINDING" if row.findings else "ok"
            print(f"{len(rows)}/{len(parts)} {row.kind} {row.number}: {said}", flush=True)
    rows.sort(key=lambda row: parts.index(row.part))
    command = shlex.join(["python", "-m", "benchmarks.fuzz", *given_arguments])
    text = markdown(rows, command)
    (options.out / "fuzz.md").write_text(text, encoding="utf-8")
    print(text)
    return int(any(row.findings for row in rows))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.fuzz")
    parser.add_argument(
        "--cases", type=int, default=10_000, help="number of cases of all kinds together"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all random draws")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the parts in OUT, which must be from the same version of the code",
    )
    return parse_benchmark(parser, arguments, "cases", "jobs")


if __name__ == "__main__":
    sys.exit(main())
