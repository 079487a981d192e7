"""Options of ``ncp-sampler study``."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Summarize a study in an Optuna storage: its best trial or Pareto front, the importances of its
parameters, and why NCPSampler proposed a trial. Nothing is written to the storage.
"""
_EXAMPLES = """\
examples:
  ncp-sampler study sqlite:///runs.db
  ncp-sampler study runs.db --name digits --trial 17
  ncp-sampler study journal.log --json | jq .best.params
  ncp-sampler study redis://localhost:6379
  ncp-sampler study grpc://localhost:13000

STORAGE is the URL of a database (as in Optuna), a SQLite or journal file, the URL of a Redis server
with a journal, or grpc://HOST:PORT for Optuna's gRPC server.
"""


def add_study(commands: Any) -> argparse.ArgumentParser:
    """Add the command ``study`` to the subcommands of a parser, and return its parser."""
    study: argparse.ArgumentParser = commands.add_parser(
        "study",
        help="summarize a study in an Optuna storage",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.add_argument("storage", metavar="STORAGE", help="URL or file")
    study.add_argument("--name", metavar="NAME", help="name of the study, if there are several")
    text = (
        "trial whose reasons are shown: number, best or last (default: best; last if there are "
        "several objectives)"
    )
    study.add_argument("--trial", type=_trial, metavar="N", help=text)
    return study


def _trial(text: str) -> int | str:
    if text in ("best", "last"):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a nonnegative integer, best or last")
    return int(text)
