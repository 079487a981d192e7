"""Repeat the paper's studies on the tables of NAS-Bench-MR, and write a report with pictures.

    python examples/reproduce_paper.py --root DATA --quick

The tables are not part of the package: pass the `data` folder of a copy of the upstream repository,
or set NCP_BENCH_ROOT. A full run has ten splits of the rows and all settings, and takes over an
hour on two cores. --quick runs one split, and only the settings of the paper's four tasks, with a
smaller budget; it takes minutes. 3dDet is included if its table is available. The code of the
studies is in `benchmarks/reproduction`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `benchmarks` is not installed

from benchmarks.reproduction.report import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", default=os.environ.get("NCP_BENCH_ROOT"))
    parser.add_argument("--out", default="reproduction", help="output folder for the report")
    parser.add_argument(
        "--quick", action="store_true", help="basic settings, one split, a smaller budget"
    )
    parser.add_argument("--splits", type=int, help="number of splits; 10, or 1 with --quick")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    console = Console()
    if not args.root:
        parser.error("--root is missing: give the tables' folder, or set NCP_BENCH_ROOT")
    try:
        with console.status("fitting, searching, scoring") as status:
            report = write_report(
                args.root,
                args.out,
                quick=args.quick,
                splits=args.splits,
                processes=args.processes,
                progress=lambda text: status.update(f"fitting, searching, scoring: {text}"),
            )
    except ValueError as error:
        parser.error(str(error))
    console.print(f"The report is {report}")


if __name__ == "__main__":
    main()
