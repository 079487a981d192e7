"""Offline search for new architectures, given a table of trained ones and without training."""

from typing import Any

from ncp_sampler.defaults import BETA as BETA
from ncp_sampler.deprecated import old_name
from ncp_sampler.offline.confidence import BetaChoice as BetaChoice
from ncp_sampler.offline.confidence import choose_beta as choose_beta
from ncp_sampler.offline.problem import SearchProblem as SearchProblem
from ncp_sampler.offline.recipes import adapt as adapt
from ncp_sampler.offline.recipes import fit_paper as fit_paper
from ncp_sampler.offline.recipes import learn as learn
from ncp_sampler.offline.results import BestRow as BestRow
from ncp_sampler.offline.results import LimitCheck as LimitCheck
from ncp_sampler.offline.results import Solution as Solution
from ncp_sampler.offline.search import default_starts as default_starts
from ncp_sampler.offline.search import propagate_search as propagate_search
from ncp_sampler.offline.solutions import propagate_answers as propagate_answers
from ncp_sampler.offline.solutions import propagate_front as propagate_front
from ncp_sampler.records.csv_records import read_csv as read_csv
from ncp_sampler.records.records import Records as Records

__all__ = [
    "BETA",
    "BestRow",
    "BetaChoice",
    "LimitCheck",
    "Records",
    "SearchProblem",
    "Solution",
    "adapt",
    "choose_beta",
    "default_starts",
    "fit_paper",
    "learn",
    "propagate_answers",
    "propagate_front",
    "propagate_search",
    "read_csv",
]


def __getattr__(name: str) -> Any:
    """Return the object that replaces a deprecated name."""
    return old_name(__name__, name)
