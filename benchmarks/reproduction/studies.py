"""Searches of one split of the rows: Tables 2 to 5 and 8 to 10, Figure 7, and equal bounds.

Each search uses only the training rows of its settings. `evaluate` scores its architecture by
models that are fitted to the other rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.baselines import (
    evolution_search,
    local_search,
    net_adapt,
    neural_predictor,
    random_search,
)
from benchmarks.reproduction.budgets import Budget
from benchmarks.reproduction.results import BASIC, Method, Search, SearchResult, Study
from benchmarks.reproduction.setting_split import SettingSplit, evaluate, joint_problem
from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.results import Solution
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.offline.search import find
from ncp_sampler.offline.solutions import propagate_front
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll

Settings = Mapping[str, SettingSplit]

SUBSETS = ("cls-50-1000", "cls-50-100", "cls-10-1000")
RESOLUTIONS = ("seg", "seg-4x")
PRETRAINING = ("video", "video-p")
REDUCTION = 0.95  # bound of a pair, as a fraction of the FLOPs of its larger single search
GFLOPS = 2.5  # bound of all searches in `BOUNDED`, by the tables' convention
BETAS = (BETA, 0.0)  # confidence coefficients in `BOUNDED`

_LAMBDA = 0.5  # section 4.1: the value unless specified
_LAMBDAS = (0.7, 0.3, 0.1)
_EVOLUTION_CALLS, _BOUNDED_EVOLUTION_CALLS = 1000, 3000
_MAX_CLIMBS = 20  # maximum number of random starts of hill climbing
_STEPS = {Method.PUBLISHED: 0.1, Method.PAPER_TEXT: 1.0}  # distance of targets, in deviations
_START = MRSpace().start


def all_searches(settings: Settings, split: int) -> Iterator[SearchResult]:
    """Run every study for which all settings are given."""
    if "seg" in settings:
        yield from lambdas(settings, split)
    for setting in BASIC:
        if setting in settings:
            yield from baselines(settings, setting, split)
            yield from bounded(settings[setting], split)
    names = basic(settings)
    if len(names) > 1:
        results = list(joint(settings, Study.JOINT, names, _LAMBDA, split, pairs=True))
        yield from results
        yield from transfer(settings, results[: len(names)], split)
    for study, names, weight in (
        (Study.SUBSETS, SUBSETS, 0.7),
        (Study.RESOLUTIONS, RESOLUTIONS, _LAMBDA),
        (Study.PRETRAINING, PRETRAINING, _LAMBDA),
    ):
        if settings.keys() >= {*names}:
            yield from joint(settings, study, names, weight, split)
    if settings.keys() > {*basic(settings)}:  # not a quick run
        yield from pairs(settings, split)


def basic(settings: Settings) -> tuple[str, ...]:
    """Return the given settings of the paper's four tasks, in the paper's order."""
    return tuple(name for name in BASIC if name in settings)


def fronts(settings: Settings, split: int) -> Iterator[SearchResult]:
    """Search the metric-FLOPs front of each basic setting (Figure 7)."""
    for name in basic(settings):
        setting = settings[name]
        search = Search(Study.FRONTS, Method.NCP, _LAMBDA, (name,))
        for solution in propagate_front(setting.problem(_LAMBDA), n=setting.budget.levels):
            yield evaluate(search, split, solution, settings)


def published_search(setting: SettingSplit, weight: float, method: Method) -> Solution:
    """Propagate the start code through the published predictor, and return the last code."""
    problem = setting.published_problem(weight, _STEPS[method])
    run = SearchRun(problem)
    trace = propagate(
        problem.predictors,
        _START,
        problem.targets,
        space=problem.space,
        strategy=GradientDescent(scale=setting.code_scale()),
    )
    run.calls += len(trace.loss)
    return run.solution(trace.final[0], trace=trace)


def ncp_search(problem: SearchProblem, budget: Budget, **options: Any) -> Solution:
    """Return the code that ``propagate_search`` compares with the best measured row.

    Args:
        problem: The problem.
        budget: Budget of the run.
        **options: Options of ``propagate_search``.
    """
    return find(SearchRun(problem, compares=False), **{"climbs": budget.climbs, **options})


def lambdas(settings: Settings, split: int) -> Iterator[SearchResult]:
    """Search segmentation at several lambdas (Table 2)."""
    setting = settings["seg"]
    for weight in _LAMBDAS:
        problem = setting.problem(weight)
        winner = WinnerTakesAll(costs.flops, scale=setting.code_scale())
        solutions = {
            **{method: published_search(setting, weight, method) for method in _STEPS},
            Method.NCP: ncp_search(problem, setting.budget),
            Method.WINNER_TAKES_ALL: ncp_search(problem, setting.budget, strategy=winner),
        }
        for method, solution in solutions.items():
            search = Search(Study.LAMBDAS, method, weight, (setting.setting,))
            yield evaluate(search, split, solution, settings)


def baselines(settings: Settings, name: str, split: int) -> Iterator[SearchResult]:
    """Run NCP's variants, the baselines, and NCP within each baseline's FLOPs (Tables 2 and 10).

    The baselines maximize the predictor's mean minus lambda times FLOPs, as published, and so does
    NCP within their FLOPs. NetAdapt runs to its end, and once more with as many predictions as
    NCP makes from one start.
    """
    setting = settings[name]
    problem, on_mean = setting.problem(_LAMBDA), setting.problem(_LAMBDA, beta=0.0)
    variants = {
        **{method: published_search(setting, _LAMBDA, method) for method in _STEPS},
        Method.NCP: ncp_search(problem, setting.budget),
        Method.ONE_START: ncp_search(problem, setting.budget, starts=_START),
        Method.MEAN: ncp_search(on_mean, setting.budget),
    }
    calls = variants[Method.ONE_START].calls
    children = round(setting.budget.evolution * _EVOLUTION_CALLS)
    peers = {
        Method.RANDOM_SEARCH: random_search(on_mean, seed=split),
        Method.NEURAL_PREDICTOR: neural_predictor(on_mean, seed=split)[0],
        Method.SHORT_NET_ADAPT: net_adapt(on_mean, start=_START, calls=calls),
        Method.NET_ADAPT: net_adapt(on_mean, start=_START),
        Method.EVOLUTION: evolution_search(on_mean, calls=children, seed=split),
    }
    for method, solution in {**variants, **peers}.items():
        search = Search(Study.BASELINES, method, _LAMBDA, (name,))
        result = evaluate(search, split, solution, settings)
        yield result
        if method in peers:
            bounded_problem = setting.problem(1.0, beta=0.0, bound=result.flops)
            within = ncp_search(bounded_problem, setting.budget)
            search = Search(Study.BASELINES, Method.NCP, 1.0, (name,), within=method)
            lead = setting.score(within.code) - result.scores[name]
            yield evaluate(search, split, within, settings, lead=lead)


def bounded(setting: SettingSplit, split: int) -> Iterator[SearchResult]:
    """Run NCP, its two parts and its peers on the same objective within the same FLOPs.

    The objective is the same for all, so that the comparison is one of optimizers. Hill climbing
    takes as many random starts as end within NCP's seconds.
    """
    children = round(setting.budget.evolution * _BOUNDED_EVOLUTION_CALLS)
    for beta in BETAS:
        problem = setting.problem(1.0, beta=beta, bound=GFLOPS)
        ncp = ncp_search(problem, setting.budget)
        solutions = {
            Method.NCP: ncp,
            Method.PROPAGATION: ncp_search(problem, setting.budget, climbs=0),
            Method.HILL_CLIMBING: local_search(
                problem, climbs=_MAX_CLIMBS, seconds=ncp.seconds, seed=split
            ),
            Method.NET_ADAPT: net_adapt(problem, start=_START),
            Method.EVOLUTION: evolution_search(problem, calls=children, seed=split),
        }
        for method, solution in solutions.items():
            search = Search(Study.BOUNDED, method, 1.0, (setting.setting,), beta=beta)
            result = evaluate(search, split, solution, {setting.setting: setting})
            first, second = (float(model.score(result.code)[0]) for model in setting.disjoint)
            yield replace(result, disjoint_scores=(first, second), utility=solution.utility)


def joint(
    settings: Settings,
    study: Study,
    names: Sequence[str],
    weight: float,
    split: int,
    *,
    pairs: bool = False,
) -> Iterator[SearchResult]:
    """Search each setting alone, then all together (equation 7), and optionally all pairs.

    A pair is searched again, within `REDUCTION` times the FLOPs of its larger single search.
    """
    flops: dict[str, float] = {}
    groups: list[tuple[str, ...]] = [(name,) for name in names]
    if pairs:
        groups += itertools.combinations(names, 2)
    for group in [*groups, tuple(names)]:
        members = [settings[name] for name in group]
        search = Search(study, Method.NCP, weight, group)
        solution = ncp_search(joint_problem(members, weight), members[0].budget)
        result = evaluate(search, split, solution, settings)
        yield result
        if len(group) == 1:
            flops[group[0]] = result.flops
        elif pairs and len(group) == 2:
            bound = REDUCTION * max(flops[name] for name in group)
            problem = joint_problem(members, weight, bound=bound)
            solution = ncp_search(problem, members[0].budget)
            yield evaluate(replace(search, within=Method.NCP), split, solution, settings)


def transfer(
    settings: Settings, singles: Sequence[SearchResult], split: int
) -> Iterator[SearchResult]:
    """Search each basic setting from the optimum of each other one (Table 4)."""
    for single, target in itertools.product(singles, basic(settings)):
        (source,) = single.search.settings
        if target != source:
            search = Search(Study.TRANSFER, Method.ONE_START, _LAMBDA, (target,), source=source)
            setting = settings[target]
            problem = setting.problem(_LAMBDA)
            solution = ncp_search(problem, setting.budget, starts=single.code)
            yield evaluate(search, split, solution, settings, start_score=single.scores[target])


def pairs(settings: Settings, split: int) -> Iterator[SearchResult]:
    """Search every setting alone and every pair together, with lambda and within a bound.

    With lambda, as in the paper, the architectures also differ in FLOPs. Within the same bound,
    only the tasks differ.
    """
    groups = [*((name,) for name in settings), *itertools.combinations(settings, 2)]
    for group in groups:
        members = [settings[name] for name in group]
        for weight, beta, bound in ((_LAMBDA, None, None), (1.0, BETA, GFLOPS)):
            search = Search(Study.PAIRS, Method.NCP, weight, group, beta=beta)
            problem = joint_problem(members, weight, bound=bound)
            solution = ncp_search(problem, members[0].budget)
            yield evaluate(search, split, solution, {name: settings[name] for name in group})
