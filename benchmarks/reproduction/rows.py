"""One row of the report: which search of which study, and the architecture that it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Study(Enum):
    """Searches that the report shows together, most as a table of the paper."""

    LAMBDAS = "lambdas"  # Table 2
    BASELINES = "baselines"  # one for each setting; Tables 2 and 10 take rows from it
    JOINT = "joint"  # Table 3
    TRANSFER = "transfer"  # Table 4
    SUBSETS = "subsets"  # Table 5
    RESOLUTIONS = "resolutions"  # Table 8
    PRETRAINING = "pretraining"  # Table 9
    BOUNDED = "bounded"  # one for each setting and caution; no table of the paper
    FRONTS = "fronts"  # Figure 7; of the first split, several rows a setting


class Method(Enum):
    """Ways to search."""

    PAPER = "paper"  # NCP as published: its predictor, learnt FLOPs, one start, no caution
    NCP = "ncp"  # continuous, with caution and exact FLOPs, as all below
    WINNER_TAKES_ALL = "winner_takes_all"
    ONE_START = "one_start"  # NCP from the start code, or from another task's optimum
    NO_CAUTION = "no_caution"  # NCP by the predictor's mean
    RANDOM_SEARCH = "random_search"
    NEURAL_PREDICTOR = "neural_predictor"
    NET_ADAPT = "net_adapt"
    SHORT_NET_ADAPT = "short_net_adapt"  # as many predictions as `ONE_START` made
    EVOLUTION = "evolution"  # regularized
    PROPAGATION = "propagation"  # NCP without the single steps that follow, in `BOUNDED`
    LOCAL_SEARCH = "local_search"  # single steps from random codes, in `BOUNDED`


@dataclass(frozen=True)
class Search:
    """Which search it is; the same in every split.

    Attributes:
        study: It belongs to.
        method: How it searches.
        weight: The paper's lambda of FLOPs; 1 for one setting within FLOPs.
        settings: Searched for, by folder name; in `TRANSFER` the target alone.
        within: The search whose FLOPs it must not exceed: a baseline; or `NCP`, where a pair has to
            stay a little below the larger of its two settings' own.
        source: Setting whose optimum is the start, in `TRANSFER`.
        caution: Of all methods, in `BOUNDED`.
    """

    study: Study
    method: Method
    weight: float
    settings: tuple[str, ...]
    within: Method | None = None
    source: str | None = None
    caution: float | None = None


@dataclass(frozen=True)
class Row:
    """What a search found in one split.

    Attributes:
        search: Which one.
        split: Which halves.
        code: What was found, (27,).
        judged: Setting -> judged main metric, percent; of every setting at hand.
        flops: By the table's convention at 128x128, G.
        params: M.
        counted: G multiply-adds of the network that the study's table in the paper counts.
        predicted: Metric -> the search's own prediction.
        calls: Predictions that the search made.
        seconds: Of the search.
        before: Judged metric of the start on the target, percent, in `TRANSFER`.
        ahead: Judged metric less that of the search which it stays within, percent; for a baseline.
        disjoint: Judged metric by two judges without a row in common, percent, in `BOUNDED`.
        utility: What the search reached of its objective, in `BOUNDED`.
    """

    search: Search
    split: int
    code: NDArray[np.int64]
    judged: Mapping[str, float]
    flops: float
    params: float
    counted: float
    predicted: Mapping[str, float]
    calls: int
    seconds: float
    before: float | None = None
    ahead: float | None = None
    disjoint: tuple[float, float] | None = None
    utility: float | None = None
