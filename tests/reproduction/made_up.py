"""Made-up results of a run of the report: every study, with scores that a reader can compute."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from benchmarks.reproduction.prediction import Prediction
from benchmarks.reproduction.results import BASIC, Method, Results, Search, SearchResult, Study
from benchmarks.reproduction.studies import BETAS, PRETRAINING, RESOLUTIONS, SUBSETS
from ncp_sampler.multi_resolution.space import MRSpace

EIGHT = (
    *("cls-50-1000", "seg", "video", "cls-50-100", "cls-10-1000", "seg-4x", "video-p", "cls-10c"),
)
NINE = (*EIGHT, "3ddet")
METRICS = ("top1", "mIoU", "moderate")
START = MRSpace().start.astype(np.int64)


def alone_and_together(study: Study, settings: tuple[str, ...], weight: float) -> list[Search]:
    groups = [*((setting,) for setting in settings), settings]
    return [Search(study, Method.NCP, weight, group) for group in groups]


def basic_searches(basic: tuple[str, ...] = BASIC) -> list[Search]:
    searches = [
        Search(Study.LAMBDAS, method, weight, ("seg",))
        for weight in (0.7, 0.3, 0.1)
        for method in (Method.PUBLISHED, Method.PAPER_TEXT, Method.NCP, Method.WINNER_TAKES_ALL)
    ]
    published_searches = (Method.PUBLISHED, Method.PAPER_TEXT)
    variants = (*published_searches, Method.NCP, Method.ONE_START, Method.MEAN)
    for setting in basic:
        for method in Method:
            if method not in (Method.WINNER_TAKES_ALL, Method.PROPAGATION, Method.HILL_CLIMBING):
                search = Search(Study.BASELINES, method, 0.5, (setting,))
                searches.append(search)
                if method not in variants:
                    searches.append(replace(search, method=Method.NCP, weight=1.0, within=method))
        searches += [
            Search(Study.BOUNDED, method, 1.0, (setting,), beta=beta)
            for beta in BETAS
            for method in (Method.NCP, Method.PROPAGATION, Method.EVOLUTION)
        ]
        searches += 2 * [Search(Study.FRONTS, Method.NCP, 0.5, (setting,))]
    *singles, together = alone_and_together(Study.JOINT, basic, 0.5)
    searches += singles
    for pair in itertools.combinations(basic, 2):
        search = Search(Study.JOINT, Method.NCP, 0.5, pair)
        searches += [search, replace(search, within=Method.NCP)]
    searches.append(together)
    for source, target in itertools.permutations(basic, 2):
        searches.append(Search(Study.TRANSFER, Method.ONE_START, 0.5, (target,), source=source))
    return searches


def related_searches() -> list[Search]:
    return [
        *alone_and_together(Study.SUBSETS, SUBSETS, 0.7),
        *alone_and_together(Study.RESOLUTIONS, RESOLUTIONS, 0.5),
        *alone_and_together(Study.PRETRAINING, PRETRAINING, 0.5),
    ]


def result(search: Search, split: int) -> SearchResult:
    """Score the settings 50, 51, 52, ... in the first split, and 1 higher in each further one."""
    is_ncp = search.method is Method.NCP
    return SearchResult(
        search=search,
        split=split,
        code=START,
        scores={setting: 50.0 + i + split for i, setting in enumerate(NINE)},
        flops=1.0 + 0.1 * split,
        params=5.0 + split,
        multiply_adds=30.0 + search.weight,
        predictions=dict.fromkeys(METRICS, 80.0 + split),
        calls=100 + split,
        seconds=0.2 * split,
        start_score=40.0 + split if search.source else None,
        lead=split - 0.5 if search.within not in (None, Method.NCP) else None,
        disjoint_scores=(70.0 if is_ncp else 70.0 + split, 72.0),
        utility=9.0 if is_ncp else 8.5,
    )


def pair_searches(settings: tuple[str, ...]) -> list[Search]:
    groups = [*((setting,) for setting in settings), *itertools.combinations(settings, 2)]
    kinds = [(0.5, None), (1.0, BETAS[0])]
    return [
        Search(Study.PAIRS, Method.NCP, weight, group, beta=beta)
        for group in groups
        for weight, beta in kinds
    ]


def made_up(searches: list[Search], splits: int, settings: tuple[str, ...] = NINE) -> Results:
    """Results of all searches, split by split as in a run."""
    figures = (70.0, 5.0, 1507, 500, 0.7, 0.03, 0.8, 0.9, 0.95, 0.4, 4.0, 0.2, 0.3)
    searched = {name for search in searches for name in search.settings}
    places = np.arange(len(settings))
    return Results(
        quick=splits == 1,
        settings=settings,
        splits=splits,
        searches=[result(search, split) for split in range(splits) for search in searches],
        predictions=[Prediction(name, *figures) for name in settings if name in searched],
        evaluator_errors={"seg": 0.75},
        extremes={"seg": (78.0, 77.5)},
        correlations=1 / (1 + np.abs(np.subtract.outer(places, places))),
        segmentation={"mIoU": np.arange(9.0), "mAcc": np.arange(9.0), "aAcc": np.arange(9.0)[::-1]},
        walks=[],
        traces={},
        clouds={setting: np.ones((4, 3)) for setting in BASIC if setting in settings},
        seconds=600.0,
    )
