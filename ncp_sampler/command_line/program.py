"""Command ``ncp-sampler``: runs one of its subcommands and prints the answer.

Each subcommand returns its answer as JSON values, which are printed as tables or, with ``--json``,
as JSON. PyTorch is imported only when a subcommand runs, so ``--help`` and errors in options take a
fraction of a second.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ncp_sampler
from ncp_sampler.command_line.options import OneLineParser
from ncp_sampler.command_line.search_options import add_search, search_options
from ncp_sampler.command_line.stored_study_options import add_study

_Answer = tuple[dict[str, Any], Callable[[Mapping[str, Any]], None]]  # answer and its printer

_ABOUT = """\
Search the published tables or your own tables offline, and summarize Optuna studies.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit code: 0, or 2 after an error.

    Args:
        arguments: Arguments of the command; None for those of the command line.
    """
    try:
        given = _parse(arguments)
        answer, show = (_search if given.pop("command") == "search" else _study)(given)
        show(answer)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "rich":
            return _fail(
                "rich, which draws the tables, is not installed: pip install rich, or "
                'pip install ".[viz]" in the clone; --json does not need it'
            )
        return _fail(f"{package} is not installed: pip install {package}")
    except (ImportError, OSError, ValueError) as error:
        return _fail(str(error))
    return 0


class _Version(argparse.Action):
    """Action that prints the version; it is read only when needed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"ncp-sampler {ncp_sampler.__version__}")
        parser.exit()


def _parse(arguments: Sequence[str] | None) -> dict[str, Any]:
    parser = OneLineParser(prog="ncp-sampler", description=_ABOUT)
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS,
        help="print the version and exit",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in (add_search(commands), add_study(commands)):
        command.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return vars(parser.parse_args(arguments))


def _search(given: Mapping[str, Any]) -> _Answer:
    options = search_options(given)
    if options.json:
        from ncp_sampler.command_line.search import run_search

        return run_search(options), _print_json
    # imported first, so that a missing rich is reported before the search runs
    from ncp_sampler.command_line.answer import print_columns, print_found
    from ncp_sampler.command_line.search import run_search

    return run_search(options, before=print_columns), print_found


def _study(given: Mapping[str, Any]) -> _Answer:
    from ncp_sampler.command_line.stored_study import summary

    show: Callable[[Mapping[str, Any]], None] = _print_json
    if not given["json"]:
        from ncp_sampler.command_line.stored_study_tables import print_summary

        show = print_summary
    return summary(given["storage"], name=given["name"], trial=given["trial"]), show


def _print_json(answer: Mapping[str, Any]) -> None:
    print(json.dumps(_without_infinity(answer), indent=2, allow_nan=False))


def _without_infinity(value: Any) -> Any:
    """Return JSON values with infinite numbers as text, because JSON has no infinity."""
    if isinstance(value, Mapping):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(item) for item in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _fail(message: str) -> int:
    print(f"ncp-sampler: error: {' '.join(message.split())}", file=sys.stderr)
    return 2
