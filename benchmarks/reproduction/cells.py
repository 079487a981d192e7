"""Labels and cells of the report's tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.reproduction.results import BASIC, Method, Results, Search, SearchResult, Study
from benchmarks.reproduction.studies import REDUCTION
from ncp_sampler.formatting import with_error

NOTHING = "–"
NOT_QUICK = "not run with --quick"
METHODS = {
    Method.PUBLISHED: "published search, published settings",
    Method.PAPER_TEXT: "published search, steps of 1 σ",
    Method.NCP: "NCP",
    Method.WINNER_TAKES_ALL: "NCP winner takes all",
    Method.ONE_START: "NCP from the start code alone",
    Method.MEAN: "NCP on the mean (β = 0)",
    Method.RANDOM_SEARCH: "random search",
    Method.NEURAL_PREDICTOR: "Neural Predictor",
    Method.NET_ADAPT: "NetAdapt",
    Method.SHORT_NET_ADAPT: "NetAdapt, as many predictions as NCP from one start",
    Method.EVOLUTION: "regularized evolution",
    Method.PROPAGATION: "propagation alone",
    Method.HILL_CLIMBING: "hill climbing alone",
}
TASK_LABELS = {"cls-50-1000": "Cls", "seg": "Seg", "video": "Video", "3ddet": "3dDet"}
_SETTING_LABELS = {
    Study.JOINT: TASK_LABELS,
    Study.SUBSETS: {"cls-50-1000": "A", "cls-50-100": "B", "cls-10-1000": "C"},
    Study.RESOLUTIONS: {"seg": "512x1024", "seg-4x": "128x256"},
    Study.PRETRAINING: {"video": "scratch", "video-p": "pretrained"},
}


def settings_label(study: Study, settings: tuple[str, ...]) -> str:
    """Return the label of settings that are searched together."""
    labels = _SETTING_LABELS[study]
    if len(settings) == len(labels) == 2:
        return "both"
    return " + ".join(labels[setting] for setting in settings)


def without_detection(results: Results) -> str:
    """Return the sentence on 3dDet if its table was not read."""
    if "3ddet" in results.settings:
        return ""
    return "3dDet is left out: its table (`3ddet/trainval.pkl`) was not among those given. "


def joint_label(search: Search) -> str:
    """Return the label of a search of Table 3."""
    if search.settings == BASIC:
        return "Four tasks"
    bound = f", at most {REDUCTION:.0%} of the larger one's FLOPs" if search.within else ""
    return settings_label(search.study, search.settings) + bound


def mean(results: Sequence[SearchResult], attribute: str) -> str:
    """Format the mean of a number of each result."""
    return f"{np.mean([getattr(result, attribute) for result in results]):.2f}"


def score(results: Sequence[SearchResult], setting: str) -> str:
    """Format the mean score on a setting, with its standard error."""
    return with_error([result.scores[setting] for result in results])


def prediction(results: Sequence[SearchResult], metric: str) -> str:
    """Format the mean of the searches' own predictions of a metric."""
    return f"{np.mean([result.predictions[metric] for result in results]):.2f}"


def calls(results: Sequence[SearchResult]) -> str:
    """Format the median number of predictions."""
    return f"{np.median([result.calls for result in results]):.0f}"


def seconds(results: Sequence[SearchResult], form: str) -> str:
    """Format the median duration."""
    return f"{np.median([result.seconds for result in results]):{form}}"


def printed(values: Sequence[float] | None, n: int) -> list[str]:
    """Format the n numbers that the paper prints, or as many empty cells."""
    return [NOTHING] * n if values is None else [f"{value:.2f}" for value in values]
