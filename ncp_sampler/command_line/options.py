"""Options that several programs have, added and checked in one way.

A wrong one is a ``ValueError`` that names the option as the user wrote it, for ``parser.error``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line in place of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; --help lists the options\n")


def make_parser(text: str | None, *, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser that shows defaults, described by the first paragraph of a program's docstring."""
    return argparse.ArgumentParser(
        prog=prog,
        description=(text or "").split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def check_at_least_one(options: argparse.Namespace, *names: str) -> None:
    """Refuses counts below 1.

    Raises:
        ValueError: There is one.
    """
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} {getattr(options, name)} must be at least 1")


def check_folder(out: Path, option: str = "--out") -> None:
    """Makes the folder of an option where it is missing.

    Raises:
        ValueError: It cannot be written to.
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
    """Options of a benchmark: the parser's, with ``--out``; it exits where one is wrong.

    Args:
        parser: It has the options but ``--out``.
        arguments: To be parsed.
        counts: The options that are at least 1.
    """
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), help="folder of the results"
    )
    options = parser.parse_args(arguments)
    try:
        check_at_least_one(options, *counts)
        check_folder(options.out)
    except ValueError as error:
        parser.error(str(error))
    return options
