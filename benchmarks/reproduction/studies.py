"""The searches behind Tables 2 to 5, 8, 9 and 10, for one split of the rows.

In come settings, each with its half of the rows learnt; out come rows: one architecture each,
judged on all settings at hand by models that its search never saw.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.reproduction.bounded import bounded
from benchmarks.reproduction.laboratory import Half, joint_problem, judged_row
from benchmarks.reproduction.rows import Method, Row, Search, Study
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.answers import propagate_front
from ncp_sampler.offline.baselines import (
    evolution_search,
    net_adapt,
    neural_predictor,
    random_search,
)
from ncp_sampler.offline.problem import Found, SearchRun
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import propagate

Halves = Mapping[str, Half]

BASIC = ("cls-50-1000", "seg", "video")  # the paper's four tasks, less 3dDet
SUBSETS = ("cls-50-1000", "cls-50-100", "cls-10-1000")
RESOLUTIONS = ("seg", "seg-4x")
PRETRAINING = ("video", "video-p")
FEWER = 0.95  # of the FLOPs of the larger of a pair's single searches

_LAMBDA = 0.5  # unless specified, section 4.1
_LAMBDAS = (0.7, 0.3, 0.1)
_EVOLUTION_CALLS = 1000
_START = MRSpace().start


def all_rows(halves: Halves, split: int) -> Iterator[Row]:
    """Everything that the settings at hand allow, for one split."""
    if "seg" in halves:
        yield from lambdas(halves, split)
    for setting in BASIC:
        if setting in halves:
            yield from baselines(halves, setting, split)
            yield from bounded(halves[setting], split)
    if all(setting in halves for setting in BASIC):
        rows = list(joint(halves, Study.JOINT, BASIC, _LAMBDA, split, pairs=True))
        yield from rows
        yield from transfer(halves, rows[: len(BASIC)], split)
    for study, settings, weight in (
        (Study.SUBSETS, SUBSETS, 0.7),
        (Study.RESOLUTIONS, RESOLUTIONS, _LAMBDA),
        (Study.PRETRAINING, PRETRAINING, _LAMBDA),
    ):
        if all(setting in halves for setting in settings):
            yield from joint(halves, study, settings, weight, split)


def fronts(halves: Halves, split: int) -> Iterator[Row]:
    """Figure 7: of each basic setting the best codes at several levels of FLOPs."""
    for setting in BASIC:
        search = Search(Study.FRONTS, Method.NCP, _LAMBDA, (setting,))
        for found in propagate_front(halves[setting].problem(_LAMBDA)):
            yield judged_row(search, split, found, halves)


def paper_search(half: Half, weight: float) -> Found:
    """The published search: one start, the last code as it comes, its predictor's own words."""
    problem = half.paper_problem(weight)
    run = SearchRun(problem)
    trace = propagate(
        problem.predictors,
        _START,
        problem.targets,
        space=problem.space,
        strategy=GradientDescent(scale=half.paper.x_std),
    )
    run.calls += len(trace.loss)
    return run.found(trace.final[0], trace=trace)


def lambdas(halves: Halves, split: int) -> Iterator[Row]:
    """Table 2: trade-offs on segmentation, continuous and winner takes all."""
    half = halves["seg"]
    for weight in _LAMBDAS:
        problem = half.problem(weight)
        answers = {
            Method.PAPER: paper_search(half, weight),
            Method.NCP: propagate_search(problem),
            Method.WINNER_TAKES_ALL: propagate_search(problem, strategy="winner_takes_all"),
        }
        for method, found in answers.items():
            search = Search(Study.LAMBDAS, method, weight, (half.setting,))
            yield judged_row(search, split, found, halves)


def baselines(halves: Halves, setting: str, split: int) -> Iterator[Row]:
    """NCP's variants, and every baseline with NCP at no more FLOPs than it took; Tables 2 and 10.

    The baselines maximize the predictor's mean less lambda times FLOPs, as they were published; so
    does NCP within their FLOPs, without caution.
    NetAdapt runs to its end, and once more with as many predictions as NCP makes from one start.
    """
    half = halves[setting]
    careful, plain = half.problem(_LAMBDA), half.problem(_LAMBDA, caution=0.0)
    answers = {
        Method.PAPER: paper_search(half, _LAMBDA),
        Method.NCP: propagate_search(careful),
        Method.ONE_START: propagate_search(careful, starts=_START),
        Method.NO_CAUTION: propagate_search(plain),
    }
    calls = answers[Method.ONE_START].calls
    others = {
        Method.RANDOM_SEARCH: random_search(plain, seed=split),
        Method.NEURAL_PREDICTOR: neural_predictor(plain, seed=split)[0],
        Method.SHORT_NET_ADAPT: net_adapt(plain, start=_START, calls=calls),
        Method.NET_ADAPT: net_adapt(plain, start=_START),
        Method.EVOLUTION: evolution_search(
            plain, calls=round(half.effort.evolution * _EVOLUTION_CALLS), seed=split
        ),
    }
    for method, found in {**answers, **others}.items():
        search = Search(Study.BASELINES, method, _LAMBDA, (setting,))
        row = judged_row(search, split, found, halves)
        yield row
        if method in others:
            within = propagate_search(half.problem(1.0, caution=0.0, bound=row.flops))
            yield judged_row(
                Search(Study.BASELINES, Method.NCP, 1.0, (setting,), within=method),
                split,
                within,
                halves,
                ahead=float(half.judge.score(within.code)[0]) - row.judged[setting],
            )


def joint(
    halves: Halves,
    study: Study,
    settings: Sequence[str],
    weight: float,
    split: int,
    *,
    pairs: bool = False,
) -> Iterator[Row]:
    """Every setting alone, then pairs if asked for, then all together (equation 7).

    A pair is searched once more, within `FEWER` times the FLOPs of the larger of its single ones.
    """
    singles: dict[str, float] = {}
    groups: list[tuple[str, ...]] = [(setting,) for setting in settings]
    if pairs:
        groups += itertools.combinations(settings, 2)
    for group in [*groups, tuple(settings)]:
        parts = [halves[setting] for setting in group]
        search = Search(study, Method.NCP, weight, group)
        found = propagate_search(joint_problem(parts, weight))
        row = judged_row(search, split, found, halves)
        yield row
        if len(group) == 1:
            singles[group[0]] = row.flops
        elif pairs and len(group) == 2:
            most = FEWER * max(singles[setting] for setting in group)
            found = propagate_search(joint_problem(parts, weight, bound=most))
            yield judged_row(replace(search, within=Method.NCP), split, found, halves)


def transfer(halves: Halves, singles: Sequence[Row], split: int) -> Iterator[Row]:
    """Table 4: another task's optimum as the one start; its judged metric before the edit too."""
    for single in singles:
        (source,) = single.search.settings
        for target in BASIC:
            if target == source:
                continue
            search = Search(Study.TRANSFER, Method.ONE_START, _LAMBDA, (target,), source=source)
            found = propagate_search(halves[target].problem(_LAMBDA), starts=single.code)
            yield judged_row(search, split, found, halves, before=single.judged[target])
