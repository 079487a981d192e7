"""Options shared by several programs, with their checks.

An invalid option raises a ``ValueError``, whose message names the option as the user wrote it and
can be passed to ``parser.error``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Argument parser that prints an error as one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; --help lists the options\n")


def make_parser(text: str | None, *, prog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser that shows defaults, with the first paragraph of a text as description."""
    return argparse.ArgumentParser(
        prog=prog,
        description=(text or "").split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def check_at_least_one(options: argparse.Namespace, *names: str) -> None:
    """Check that counts are at least 1.

    Raises:
        ValueError: A count is below 1.
    """
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} {getattr(options, name)} must be at least 1")


def check_folder(out: Path, option: str = "--out") -> None:
    """Create the folder that an option names, if it does not exist.

    Raises:
        ValueError: The folder cannot be created or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"{option} {out} must be a folder that can be written to: {error}"
        ) from error


def parse_benchmark(
    parser: argparse.ArgumentParser, arguments: Sequence[str], *counts: str
) -> argparse.Namespace:
    """Parse the options of a benchmark, including ``--out``; exit if an option is invalid.

    Args:
        parser: Parser with the other options.
        arguments: Arguments of the command line.
        counts: Options that must be at least 1.
    """
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), help="folder for the results"
    )
    options = parser.parse_args(arguments)
    try:
        check_at_least_one(options, *counts)
        check_folder(options.out)
    except ValueError as error:
        parser.error(str(error))
    return options
