"""The searches behind Tables 2 to 5, 8, 9 and 10, for one split of the rows.

Every function gives rows for `report`; a row is one architecture, judged on all settings at hand
by models that its search never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.baselines import (
    evolution_search,
    net_adapt,
    neural_predictor,
    random_search,
)
from ncp_sampler.offline.problem import Found, SearchProblem, SearchRun
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import propagate
from ncp_sampler.reproduction.laboratory import (
    Half,
    Row,
    joint_problem,
    row,
)

Halves = Mapping[str, Half]

BASIC = ("cls-50-1000", "seg", "video")  # the paper's four tasks, less 3dDet
SUBSETS = ("cls-50-1000", "cls-50-100", "cls-10-1000")
RESOLUTIONS = ("seg", "seg-4x")
PRETRAINING = ("video", "video-p")
NAMES = {
    "cls-50-1000": "Cls",
    "seg": "Seg",
    "video": "Video",
    "cls-50-100": "B",
    "cls-10-1000": "C",
}

_LAMBDA = 0.5  # unless specified, section 4.1
_EVOLUTION_CALLS = 1000
_START = MRSpace().start
_PAPER = "the paper's plain search"
_FEWER = 0.95


def all_rows(halves: Halves, split: int) -> Iterator[Row]:
    """Everything that the settings at hand allow, for one split."""
    if "seg" in halves:
        yield from lambdas(halves, split)
    for setting in BASIC:
        if setting in halves:
            yield from baselines(halves, setting, split)
    if all(setting in halves for setting in BASIC):
        singles = []
        for found in joint(halves, "3", BASIC, _LAMBDA, split, [NAMES[s] for s in BASIC]):
            singles.append(found)
            yield found
        yield from transfer(halves, singles[: len(BASIC)], split)
    studies: list[tuple[str, Sequence[str], float, list[str]]] = [
        ("5", SUBSETS, 0.7, ["A", "B", "C"]),
        ("8", RESOLUTIONS, _LAMBDA, ["512x1024", "128x256"]),
        ("9", PRETRAINING, _LAMBDA, ["scratch", "pretrained"]),
    ]
    for table, settings, weight, names in studies:
        if all(setting in halves for setting in settings):
            yield from joint(halves, table, settings, weight, split, names, pairs=False)


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
    for weight in (0.7, 0.3, 0.1):
        yield row("2", f"{_PAPER}, λ = {weight}", split, paper_search(half, weight), halves)
        for strategy in ("continuous", "winner_takes_all"):
            found = propagate_search(half.problem(weight), strategy=strategy)
            name = f"NCP {strategy.replace('_', ' ')}, λ = {weight}"
            yield row("2", name, split, found, halves)


def baselines(halves: Halves, setting: str, split: int) -> Iterator[Row]:
    """Every baseline, and NCP at no more FLOPs than it took; Tables 2 and 10.

    The baselines maximize the predictor's mean less lambda times FLOPs, as they were published.
    NetAdapt runs to its end, and once more with as many predictions as NCP makes from one start.
    """
    half = halves[setting]
    table = f"baselines {setting}"
    yield row(table, _PAPER, split, paper_search(half, _LAMBDA), halves)
    found = propagate_search(half.problem(_LAMBDA))
    yield row(table, "NCP", split, found, halves)
    single = propagate_search(half.problem(_LAMBDA), starts=_START)
    yield row(table, "NCP from the start code alone", split, single, halves)
    plain = propagate_search(half.problem(_LAMBDA, caution=0.0))
    yield row(table, "NCP without caution", split, plain, halves)
    searches: dict[str, Callable[[SearchProblem], Found]] = {
        "random search": lambda p: random_search(p, seed=split),
        "Neural Predictor": lambda p: neural_predictor(p, seed=split)[0],
        "NetAdapt, as many predictions as NCP from one start": lambda p: net_adapt(
            p, start=_START, calls=single.calls
        ),
        "NetAdapt": lambda p: net_adapt(p, start=_START),
        "regularized evolution": lambda p: evolution_search(p, calls=_EVOLUTION_CALLS, seed=split),
    }
    for name, search in searches.items():
        other = row(table, name, split, search(half.problem(_LAMBDA, caution=0.0)), halves)
        yield other
        bounded = propagate_search(half.problem(1.0, bound=other.flops))
        yield row(
            table,
            f"NCP, at most the FLOPs of {name}",
            split,
            bounded,
            halves,
            ahead=float(half.judge.score(bounded.code)[0]) - other.judged[setting],
        )


def joint(
    halves: Halves,
    table: str,
    settings: Sequence[str],
    weight: float,
    split: int,
    names: Sequence[str],
    *,
    pairs: bool = True,
) -> Iterator[Row]:
    """Every setting alone, then pairs if asked for, then all together (equation 7).

    A pair is searched once more, within `_FEWER` times the FLOPs of the larger of its single ones.
    """
    k = len(settings)
    singles: dict[int, float] = {}
    groups = [[i] for i in range(k)]
    if pairs:
        groups += [[i, j] for i in range(k) for j in range(i + 1, k)]
    groups.append(list(range(k)))
    for group in groups:
        problem = joint_problem([halves[settings[i]] for i in group], weight)
        name = " + ".join(names[i] for i in group)
        if not pairs and len(group) == k == 2:
            name = "both"
        found = row(table, name, split, propagate_search(problem), halves)
        yield found
        if len(group) == 1:
            singles[group[0]] = found.flops
        elif pairs and len(group) == 2:
            most = _FEWER * max(singles[i] for i in group)
            bounded = joint_problem([halves[settings[i]] for i in group], weight, bound=most)
            name += f", at most {_FEWER:.0%} of the larger one's FLOPs"
            yield row(table, name, split, propagate_search(bounded), halves)


def transfer(halves: Halves, singles: Sequence[Row], split: int) -> Iterator[Row]:
    """Table 4: another task's optimum as the one start; its judged metric before the edit too."""
    by_name = {found.name: found for found in singles}
    for source in singles:
        for setting in BASIC:
            target = NAMES[setting]
            if target == source.name:
                continue
            start = np.asarray(by_name[source.name].code)
            found = propagate_search(halves[setting].problem(_LAMBDA), starts=start)
            yield row(
                "4",
                f"{source.name} to {target}",
                split,
                found,
                halves,
                before=source.judged[setting],
                after=float(halves[setting].judge.score(found.code)[0]),
            )
