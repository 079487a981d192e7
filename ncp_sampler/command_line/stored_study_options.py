"""Options of ``ncp-sampler study``."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Sums up a study in a storage of Optuna: its best trial, or the front of several objectives; which
parameters matter; and why NCPSampler proposed a trial. Nothing is written to the storage.
"""
_EXAMPLES = """\
examples:
  ncp-sampler study sqlite:///runs.db
  ncp-sampler study runs.db --name digits --trial 17
  ncp-sampler study journal.log --json | jq .best.params
  ncp-sampler study redis://localhost:6379
  ncp-sampler study grpc://localhost:13000

STORAGE is a database's URL as Optuna takes it, the file of a SQLite database, a journal file, the
URL of Redis with a journal in it, or grpc://HOST:PORT of Optuna's gRPC server.
"""


def add_study(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to those of a parser."""
    study: argparse.ArgumentParser = commands.add_parser(
        "study",
        help="sum up a study in a storage of Optuna",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.add_argument("storage", metavar="STORAGE", help="URL or file")
    study.add_argument("--name", metavar="NAME", help="of the study, where there are several")
    text = "whose reasons are shown: a number, best or last (default best; last of a front)"
    study.add_argument("--trial", type=_trial, metavar="N", help=text)
    return study


def _trial(text: str) -> int | str:
    if text in ("best", "last"):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 on, best or last")
    return int(text)
