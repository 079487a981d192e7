"""Time for importing the package, and for ``--help``.

Run from the repository root, in an environment with the package:

    python -m benchmarks.import_time

writes OUT/import_time.md. Each measurement starts a new Python process. The cases alternate, so
that other load on the machine affects all of them equally.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table

COMMANDS = {
    "Python alone": "pass",
    "`import ncp_sampler`": "import ncp_sampler",
    "`ncp-sampler search --help`": (
        "from ncp_sampler.command_line.program import main; main(['search', '--help'])"
    ),
    "`import torch`": "import torch",
    "`from ncp_sampler import NCPSampler`": "from ncp_sampler import NCPSampler",
}
PACKAGES = ("ncp_sampler", "optuna", "torch", "numpy", "scipy")


def seconds(code: str) -> float:
    """Return the wall time of a new Python process that runs the code."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begin


def markdown(measured: dict[str, list[float]], command: str) -> str:
    """Return the text of the result file."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    n = len(measured["Python alone"])
    bare = float(np.median(measured["Python alone"]))
    rows = []
    for name, times in measured.items():
        median = float(np.median(times))
        rows.append([name, f"{median:.2f}", f"{median - bare:.2f}", f"{max(times):.2f}"])
    heads = ("process", "median (s)", "beyond Python's own (s)", "longest (s)")
    return f"""# How long an import takes

Made by `{command}`.

Wall time of {n} new processes each, in turn, after one that fills the disk's cache. \
{os.cpu_count()} {platform.machine()} cores, Python {platform.python_version()}, {versions}.

{markdown_table(heads, rows, numbers=[False, True, True, True])}"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = make_parser(__doc__, prog="python -m benchmarks.import_time")
    parser.add_argument(
        "--repeats", type=int, default=10, help="number of processes for each figure"
    )
    options = parse_benchmark(parser, given, "repeats")
    measured: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for i in range(options.repeats + 1):
        for name, code in COMMANDS.items():
            taken = seconds(code)
            if i:
                measured[name].append(taken)
    text = markdown(measured, shlex.join(["python", "-m", "benchmarks.import_time", *given]))
    (options.out / "import_time.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
