"""One half of a setting's rows to learn from and search, the other half to judge by."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench import Judge, NASBenchMR, halves
from ncp_sampler.nas_bench.settings import find_setting
from ncp_sampler.offline.learning import fit_paper, learn
from ncp_sampler.offline.problem import Found, SearchProblem
from ncp_sampler.offline.records import Records
from ncp_sampler.offline.search import CAUTION
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.propagation.targets import Target

# paper: the tables' FLOPs are learnt and judged at 128x128; Tables 2 and 8, 5 and 9 count others
MEASURES: dict[str, dict[str, Any]] = {
    "128": {"task": "segmentation", "resolution": (128, 128), "num_classes": 19},
    "512x1024": {"task": "segmentation", "resolution": (512, 1024), "num_classes": 19},
    "224": {"task": "classification", "resolution": (224, 224), "num_classes": 50},
    "112": {"task": "classification", "resolution": (112, 112), "num_classes": 51},
}


@dataclass(frozen=True)
class Half:
    """A setting, as a search sees it in one split, and its judge."""

    setting: str
    main: str
    records: Records
    predictor: Any
    paper: MLPEnsemble
    judge: Judge
    seconds: dict[str, float]

    def targets(
        self, weight: float, *, caution: float = CAUTION, bound: float | None = None, index: int = 0
    ) -> list[Target]:
        """The main metric up; exact FLOPs down with a weight, or at most a bound (G)."""
        return [
            Target(self.main, caution=caution, predictor=index, scale=self.scale(self.main)),
            Target(
                "flops",
                "minimize",
                weight=weight,
                bound=bound,
                cost=costs.flops,
                scale=self.scale("flops"),
            ),
        ]

    def scale(self, metric: str) -> float:
        """Standard deviation of a metric over the learnt rows."""
        return float(self.records.values(metric).std())

    def problem(self, weight: float, **options: Any) -> SearchProblem:
        """The search problem of this setting alone."""
        return joint_problem([self], weight, **options)

    def paper_problem(self, weight: float) -> SearchProblem:
        """The paper's: its own predictor, FLOPs learnt by a head of it, no caution."""
        targets = [
            Target(self.main, scale=self.scale(self.main)),
            Target("flops", "minimize", weight=weight, scale=self.scale("flops")),
        ]
        return SearchProblem(self.paper, targets, records=[self.records])


def prepare(bench: NASBenchMR, setting: str, split: int, *, epochs: int) -> Half:
    """Learns one half of a setting's rows and fits its judge on the other."""
    table = bench.table(find_setting(setting).name)
    mine, others = halves(len(table.codes), split)
    records = table.records().take(mine)
    since = time.perf_counter()
    predictor = learn(records, metrics=[table.main], seed=split)
    fitted = time.perf_counter()
    paper = fit_paper(records, metrics=[*table.metrics, "flops"], seed=split, epochs=epochs)
    seconds = {"ours": fitted - since, "paper": time.perf_counter() - fitted}
    judge = Judge(table, others)
    return Half(table.setting, table.main, records, predictor, paper, judge, seconds)


def joint_problem(
    parts: Sequence[Half], weight: float, *, caution: float = CAUTION, bound: float | None = None
) -> SearchProblem:
    """Several settings at once: their gradients and FLOPs terms add up (equation 7)."""
    targets = [parts[0].targets(weight * len(parts), caution=caution, bound=bound)[1]]
    for i, part in enumerate(parts):
        targets.insert(i, part.targets(weight, caution=caution, index=i)[0])
    return SearchProblem(
        [part.predictor for part in parts], targets, records=[part.records for part in parts]
    )


@dataclass(frozen=True)
class Row:
    """One search of one split.

    Attributes:
        table: Of the paper.
        name: The row in it.
        split: Which halves.
        code: What was found, (27,).
        judged: Setting -> judged main metric, percent.
        flops: By the table's convention at 128x128, G.
        params: M.
        measured: Name of `MEASURES` -> G multiply-adds.
        predicted: Metric -> the search's own prediction; empty if nothing was searched.
        calls: Predictions that the search made.
        seconds: Of the search.
        extra: Anything else that a table shows.
    """

    table: str
    name: str
    split: int
    code: NDArray[np.int64]
    judged: Mapping[str, float]
    flops: float
    params: float
    measured: Mapping[str, float]
    predicted: Mapping[str, float]
    calls: int
    seconds: float
    extra: Mapping[str, float] = field(default_factory=dict)


def row(
    table: str,
    name: str,
    split: int,
    found: Found | NDArray[Any],
    halves_by_setting: Mapping[str, Half],
    **extra: float,
) -> Row:
    """Judges what was found on every setting at hand."""
    code = found.code if isinstance(found, Found) else found
    code = np.asarray(code, dtype=np.int64)
    return Row(
        table=table,
        name=name,
        split=split,
        code=code,
        judged={key: float(half.judge.score(code)[0]) for key, half in halves_by_setting.items()},
        flops=float(costs.flops(code)[0]),
        params=float(costs.params(code, num_classes=19)[0]),
        measured={
            key: float(costs.flops(code, convention="multiply_adds", **kind)[0])
            for key, kind in MEASURES.items()
        },
        predicted=found.predictions if isinstance(found, Found) else {},
        calls=found.calls if isinstance(found, Found) else 0,
        seconds=found.seconds if isinstance(found, Found) else 0.0,
        extra=dict(extra),
    )
