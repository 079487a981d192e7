"""NCP and its baselines within one bound on FLOPs, with the same caution, judged twice.

What a search finds depends on what it maximizes, and on how well it does; here all of them maximize
the same, so that only the second is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.baselines import evolution_search, local_search, net_adapt
from ncp_sampler.offline.problem import Found
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.reproduction.laboratory import Half, judged_row
from ncp_sampler.reproduction.rows import Method, Row, Search, Study

GFLOPS = 2.5  # at most, by the tables' convention
CAUTIONS = (BETA, 0.0)
_EVOLUTION_CALLS = 3000
_LOCAL_SEARCHES = 20  # at most, in as many seconds as NCP takes


def bounded(half: Half, split: int) -> Iterator[Row]:
    """Every method's answer within the bound, with caution and without."""
    for caution in CAUTIONS:
        for method, found in _answers(half, caution, split).items():
            search = Search(Study.BOUNDED, method, 1.0, (half.setting,), caution=caution)
            row = judged_row(search, split, found, {half.setting: half})
            first, second = (float(judge.score(row.code)[0]) for judge in half.disjoint)
            yield replace(row, disjoint=(first, second), utility=found.utility)


def _answers(half: Half, caution: float, split: int) -> dict[Method, Found]:
    problem = half.problem(1.0, caution=caution, bound=GFLOPS)
    ours = propagate_search(problem)
    return {
        Method.NCP: ours,
        Method.PROPAGATION: propagate_search(problem, climbs=0),
        Method.LOCAL_SEARCH: local_search(
            problem, climbs=_LOCAL_SEARCHES, seconds=ours.seconds, seed=split
        ),
        Method.NET_ADAPT: net_adapt(problem, start=MRSpace().start),
        Method.EVOLUTION: evolution_search(
            problem, calls=round(half.effort.evolution * _EVOLUTION_CALLS), seed=split
        ),
    }
