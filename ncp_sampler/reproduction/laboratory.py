"""One half of a setting's rows to learn from and search, the other half to judge by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench.judge import Judge, halves
from ncp_sampler.nas_bench.settings import find_setting
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.offline.learning import fit_paper, learn
from ncp_sampler.offline.problem import Found, SearchProblem
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import FloatArray, Records
from ncp_sampler.reproduction.effort import Effort
from ncp_sampler.reproduction.rows import Row, Search, Study

_EXTREMES = 10


@dataclass(frozen=True)
class _Network:
    """What is built around a code, where a table of the paper counts multiply-adds."""

    task: str
    resolution: tuple[int, int]
    num_classes: int


# paper: FLOPs are learnt and judged at 128x128, as Tables 3 and 4 have them; the others' differ
_CITYSCAPES = _Network("segmentation", (512, 1024), 19)
_COUNTED = {
    Study.LAMBDAS: _CITYSCAPES,
    Study.BASELINES: _CITYSCAPES,
    Study.BOUNDED: _CITYSCAPES,
    Study.FRONTS: _CITYSCAPES,
    Study.JOINT: _Network("segmentation", (128, 128), 19),
    Study.TRANSFER: _Network("segmentation", (128, 128), 19),
    Study.SUBSETS: _Network("classification", (224, 224), 50),
    Study.RESOLUTIONS: _CITYSCAPES,
    Study.PRETRAINING: _Network("classification", (112, 112), 51),
}


@dataclass(frozen=True)
class Half:
    """A setting, as a search sees it in one split, and its judge."""

    setting: str
    main: str
    records: Records
    predictor: Predictor
    paper: MLPEnsemble
    judge: Judge
    disjoint: tuple[Judge, Judge]  # of its rows the ones, and the others
    effort: Effort

    def main_target(self, *, caution: float = BETA, index: int = 0) -> Target:
        """The main metric up; ``index`` is its predictor's in the problem."""
        return Target(self.main, caution=caution, predictor=index, scale=self.scale(self.main))

    def flops_target(self, weight: float, *, bound: float | None = None) -> Target:
        """Exact FLOPs down with a weight, or at most a bound (G)."""
        return Target(
            "flops",
            "minimize",
            weight=weight,
            bound=bound,
            cost=costs.flops,
            scale=self.scale("flops"),
        )

    def scale(self, metric: str) -> float:
        """Standard deviation of a metric over the learnt rows."""
        return float(self.records.values(metric).std())

    def problem(
        self, weight: float, *, caution: float = BETA, bound: float | None = None
    ) -> SearchProblem:
        """The search problem of this setting alone."""
        return joint_problem([self], weight, caution=caution, bound=bound)

    def paper_problem(self, weight: float) -> SearchProblem:
        """The paper's: its own predictor, FLOPs learnt by a head of it, no caution."""
        targets = [
            Target(self.main, scale=self.scale(self.main)),
            Target("flops", "minimize", weight=weight, scale=self.scale("flops")),
        ]
        return SearchProblem(self.paper, targets, records=[self.records])

    def extremes(self) -> tuple[float, float]:
        """The ten best learnt rows: means of what they were trained to and are judged, percent."""
        best = self.records.take(self.records.best(self.main)[:_EXTREMES])
        judged = self.judge.score(best.codes.astype(np.int64))
        return float(best.values(self.main).mean()), float(judged.mean())

    def cloud(self) -> FloatArray:
        """Of the learnt rows: FLOPs (G), judged main metric (percent) and params (M), (n, 3)."""
        codes = self.records.codes.astype(np.int64)
        sizes = costs.params(codes, num_classes=19).numpy()
        return np.stack([costs.flops(codes).numpy(), self.judge.score(codes), sizes], axis=1)


def prepare(bench: NASBenchMR, setting: str, split: int, effort: Effort) -> Half:
    """Learns one half of a setting's rows and fits its judges on the other."""
    table = bench.table(find_setting(setting).name)
    mine, others = halves(len(table.codes), split)
    records = table.records().take(mine)
    return Half(
        setting=table.setting,
        main=table.main,
        records=records,
        predictor=learn(records, metrics=[table.main], seed=split),
        paper=fit_paper(
            records, metrics=[*table.metrics, "flops"], seed=split, epochs=effort.epochs
        ),
        judge=Judge(table, others),
        disjoint=(Judge(table, others[::2]), Judge(table, others[1::2])),
        effort=effort,
    )


def joint_problem(
    parts: Sequence[Half], weight: float, *, caution: float = BETA, bound: float | None = None
) -> SearchProblem:
    """Several settings at once: their gradients and FLOPs terms add up (equation 7)."""
    return SearchProblem(
        [part.predictor for part in parts],
        [
            *(part.main_target(caution=caution, index=i) for i, part in enumerate(parts)),
            parts[0].flops_target(weight * len(parts), bound=bound),
        ],
        records=[part.records for part in parts],
    )


def judged_row(
    search: Search,
    split: int,
    found: Found,
    halves_by_setting: Mapping[str, Half],
    *,
    before: float | None = None,
    ahead: float | None = None,
) -> Row:
    """Judges what was found on every setting at hand."""
    code = np.asarray(found.code, dtype=np.int64)
    network = _COUNTED[search.study]
    counted = costs.flops(
        code,
        convention="multiply_adds",
        task=network.task,
        resolution=network.resolution,
        num_classes=network.num_classes,
    )
    return Row(
        search=search,
        split=split,
        code=code,
        judged={key: float(half.judge.score(code)[0]) for key, half in halves_by_setting.items()},
        flops=float(costs.flops(code)[0]),
        params=float(costs.params(code, num_classes=19)[0]),
        counted=float(counted[0]),
        predicted=found.predictions,
        calls=found.calls,
        seconds=found.seconds,
        before=before,
        ahead=ahead,
    )
