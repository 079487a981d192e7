"""Data of the report: searches, the architectures that they found, and all results of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from benchmarks.reproduction.prediction import Prediction
from ncp_sampler.nas_bench.table_walk import TableWalk
from ncp_sampler.propagation.propagate import Trace

BASIC = ("cls-50-1000", "seg", "video", "3ddet")  # the paper's four tasks


class Study(Enum):
    """Groups of searches, most of them a table of the paper."""

    LAMBDAS = "lambdas"  # Table 2
    BASELINES = "baselines"  # per setting; Tables 2 and 10 take rows from it
    JOINT = "joint"  # Table 3
    TRANSFER = "transfer"  # Table 4
    SUBSETS = "subsets"  # Table 5
    RESOLUTIONS = "resolutions"  # Table 8
    PRETRAINING = "pretraining"  # Table 9
    BOUNDED = "bounded"  # per setting and beta; no table of the paper
    PAIRS = "pairs"  # all settings alone and in pairs, with lambda and within a bound; appendix A.2
    FRONTS = "fronts"  # Figure 7; first split only, several results per setting


class Method(Enum):
    """Search methods."""

    # The published search: predictor and FLOPs of the published code, last code of one start
    PUBLISHED = "published"  # targets 0.1 standard deviations away, as in its configurations
    PAPER_TEXT = "paper_text"  # targets 1 standard deviation away, as in the paper's section 4.1
    NCP = "ncp"  # continuous, lower confidence bound, exact FLOPs, as the methods below
    WINNER_TAKES_ALL = "winner_takes_all"
    ONE_START = "one_start"  # NCP from the start code, or from another task's optimum
    MEAN = "mean"  # NCP on the predictor's mean
    RANDOM_SEARCH = "random_search"
    NEURAL_PREDICTOR = "neural_predictor"
    NET_ADAPT = "net_adapt"
    SHORT_NET_ADAPT = "short_net_adapt"  # with as many predictions as `ONE_START`
    EVOLUTION = "evolution"  # regularized
    PROPAGATION = "propagation"  # NCP without hill climbing, in `BOUNDED`
    HILL_CLIMBING = "hill_climbing"  # from random codes, in `BOUNDED`


@dataclass(frozen=True)
class Search:
    """Identity of a search, the same in every split.

    Attributes:
        study: Group of the search.
        method: Search method.
        weight: The paper's lambda of FLOPs; 1 for one setting with bounded FLOPs.
        settings: Settings searched for, by folder name; in `TRANSFER` the target only.
        within: Search whose FLOPs bound this one: a baseline, or `NCP` for a pair that stays
            below the larger of its two single searches.
        source: Setting whose optimum is the start, in `TRANSFER`.
        beta: Confidence coefficient of all methods, in `BOUNDED`; in `PAIRS`, of a
            bounded search.
    """

    study: Study
    method: Method
    weight: float
    settings: tuple[str, ...]
    within: Method | None = None
    source: str | None = None
    beta: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """Architecture that a search found in one split.

    Attributes:
        search: The search.
        split: Number of the split.
        code: Code of the architecture, (27,).
        scores: Setting -> main metric by the held-out evaluator, percent.
        flops: FLOPs by the tables' convention at 128x128, G.
        params: Parameters, M.
        multiply_adds: Multiply-adds of the network that the study's table in the paper counts, G.
        predictions: Metric -> the search's own prediction.
        calls: Number of predictions that the search made.
        seconds: Duration of the search.
        start_score: Score of the start on the target, percent, in `TRANSFER`.
        lead: Score minus the score of the baseline whose FLOPs are the bound, percent.
        disjoint_scores: Scores by two evaluators fitted on disjoint rows, percent, in `BOUNDED`.
        utility: Value of the search's objective, in `BOUNDED`.
    """

    search: Search
    split: int
    code: NDArray[np.int64]
    scores: Mapping[str, float]
    flops: float
    params: float
    multiply_adds: float
    predictions: Mapping[str, float]
    calls: int
    seconds: float
    start_score: float | None = None
    lead: float | None = None
    disjoint_scores: tuple[float, float] = (np.nan, np.nan)
    utility: float = np.nan


@dataclass(frozen=True)
class Results:
    """Everything that the report shows.

    Attributes:
        quick: True if only the basic settings were run, with a small budget.
        settings: Settings of NAS-Bench-MR whose tables were read.
        splits: Number of splits.
        searches: Results of all searches, split by split.
        predictions: Predictor errors, one entry per setting.
        evaluator_errors: Setting -> mean absolute error of its evaluators, percent.
        extremes: Setting -> mean trained value and mean score of the ten best rows that an
            evaluator was not fitted on, percent.
        correlations: Spearman correlations between ``settings``, (k, k).
        segmentation: Metric -> values of the segmentation table, percent, (n,); main metric first.
        walks: Walks over NAS-Bench-201, one entry per training set.
        traces: Strategy -> propagation on segmentation from the start code.
        clouds: Setting -> FLOPs (G), score (percent) and params (M) of the first split's training
            rows, (n, 3).
        seconds: Duration of the run.
    """

    quick: bool
    settings: tuple[str, ...]
    splits: int
    searches: list[SearchResult]
    predictions: list[Prediction]
    evaluator_errors: dict[str, float]
    extremes: dict[str, tuple[float, float]]
    correlations: NDArray[np.float64]
    segmentation: dict[str, NDArray[np.float64]]
    walks: list[TableWalk]
    traces: dict[str, Trace]
    clouds: dict[str, NDArray[np.float64]]
    seconds: float

    @property
    def basic(self) -> tuple[str, ...]:
        """Settings of the paper's four tasks whose tables were read."""
        return tuple(name for name in BASIC if name in self.settings)

    def correlation(self, first: str, second: str) -> float:
        """Return the Spearman correlation of two settings."""
        i, j = self.settings.index(first), self.settings.index(second)
        return float(self.correlations[i, j])

    def of(self, study: Study, *settings: str) -> dict[Search, list[SearchResult]]:
        """Group a study's results by search, in the order of the first split.

        Args:
            study: The study.
            *settings: Keep only searches for exactly these settings, if any are given.
        """
        groups: dict[Search, list[SearchResult]] = {}
        for result in self.searches:
            search = result.search
            if search.study is study and settings in ((), search.settings):
                groups.setdefault(search, []).append(result)
        return groups
