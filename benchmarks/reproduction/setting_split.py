"""One setting in one split: half of the rows for the search, the other half for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from benchmarks.reproduction.budgets import Budget
from benchmarks.reproduction.published_predictor import PublishedPredictor, fit_published
from benchmarks.reproduction.results import BASIC, Search, SearchResult, Study
from ncp_sampler.defaults import BETA
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench.held_out_evaluator import HeldOutEvaluator, halves
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.offline.problem import SearchProblem
from ncp_sampler.offline.recipes import learn
from ncp_sampler.offline.results import Solution
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import FloatArray, Records

_N_EXTREMES = 10  # number of best rows in `SettingSplit.extremes`


def _multiply_adds(task: str, size: tuple[int, int], classes: int) -> Callable[..., Tensor]:
    """Return the function that counts multiply-adds (G) of a task's network at an input size."""
    return partial(
        costs.flops, convention="multiply_adds", task=task, resolution=size, num_classes=classes
    )


# Networks that the paper's tables count; FLOPs are searched by the tables' convention at 128x128
_CITYSCAPES = _multiply_adds("segmentation", (512, 1024), 19)
_COUNTS = {
    Study.JOINT: _multiply_adds("segmentation", (128, 128), 19),
    Study.TRANSFER: _multiply_adds("segmentation", (128, 128), 19),
    Study.SUBSETS: _multiply_adds("classification", (224, 224), 50),
    Study.PRETRAINING: _multiply_adds("classification", (112, 112), 51),
}


@dataclass(frozen=True)
class SettingSplit:
    """Training rows and predictors of a search, and evaluators fitted to the other rows.

    Attributes:
        setting: Folder name of the setting.
        main: Main metric.
        records: Training rows.
        predictor: Default offline predictor, fitted on the training rows.
        published: Predictor of the published code, fitted on the training rows; None for settings
            that the published search is not run on.
        evaluator: Held-out evaluator, fitted on all other rows.
        disjoint: Two evaluators, each fitted on half of the other rows.
        budget: Budget of the run.
    """

    setting: str
    main: str
    records: Records
    predictor: Predictor
    published: PublishedPredictor | None
    evaluator: HeldOutEvaluator
    disjoint: tuple[HeldOutEvaluator, HeldOutEvaluator]
    budget: Budget

    def code_scale(self) -> FloatArray:
        """Return the standard deviation (d,) of the training unit codes, the paper's unit."""
        scale: FloatArray = self.records.space.normalize(self.records.codes).std(0)
        return scale

    def scale(self, metric: str) -> float:
        """Return the standard deviation of a metric over the training rows."""
        return float(self.records.values(metric).std())

    def score(self, code: ArrayLike) -> float:
        """Return the held-out evaluator's value of the main metric, percent."""
        return float(self.evaluator.score(code)[0])

    def problem(
        self, weight: float, *, beta: float = BETA, bound: float | None = None
    ) -> SearchProblem:
        """Return the search problem of this setting alone."""
        return joint_problem([self], weight, beta=beta, bound=bound)

    def published_problem(self, weight: float, step: float) -> SearchProblem:
        """Return the problem with the published predictor, FLOPs modeled by it, and beta 0.

        Args:
            weight: The paper's lambda.
            step: Distance of the targets from the predictions, standard deviations.
        """
        targets = [
            replace(target, step=step, scale=self.scale(target.metric), beta=0.0)
            for target in (Target(self.main), Target("flops", "minimize", weight=weight))
        ]
        assert self.published is not None  # only basic settings are searched so
        return SearchProblem(self.published, targets, records=[self.records])

    def extremes(self) -> tuple[float, float]:
        """Return mean trained value and mean score of the ten best training rows, percent."""
        best = self.records.take(self.records.best(self.main)[:_N_EXTREMES])
        scores = self.evaluator.score(best.codes.astype(np.int64))
        return float(best.values(self.main).mean()), float(scores.mean())

    def cloud(self) -> FloatArray:
        """Return FLOPs (G), score (percent) and params (M) of the training rows, (n, 3)."""
        codes = self.records.codes.astype(np.int64)
        params = costs.params(codes, num_classes=19).numpy()
        return np.stack([costs.flops(codes).numpy(), self.evaluator.score(codes), params], axis=1)


def prepare(bench: NASBenchMR, setting: str, split: int, budget: Budget) -> SettingSplit:
    """Fit the predictors on one half of a setting's rows and the evaluators on the other."""
    table = bench.table(setting)
    training, evaluation = halves(len(table.codes), split)
    records = table.records().take(training)
    return SettingSplit(
        setting=table.setting,
        main=table.main,
        records=records,
        predictor=learn(records, metrics=[table.main], seed=split),
        published=fit_published(
            records, table.main, list(table.metrics), seed=split, epochs=budget.epochs
        )
        if table.setting in BASIC
        else None,
        evaluator=HeldOutEvaluator(table, evaluation),
        disjoint=(
            HeldOutEvaluator(table, evaluation[::2]),
            HeldOutEvaluator(table, evaluation[1::2]),
        ),
        budget=budget,
    )


def joint_problem(
    splits: Sequence[SettingSplit],
    weight: float,
    *,
    beta: float = BETA,
    bound: float | None = None,
) -> SearchProblem:
    """Return the problem of several settings, whose gradients and FLOPs terms add (equation 7).

    Args:
        splits: The settings.
        weight: The paper's lambda, per setting.
        beta: Confidence coefficient of the predictions.
        bound: Largest FLOPs (G), in place of a step downwards.
    """
    targets = [
        Target(split.main, beta=beta, predictor=i, scale=split.scale(split.main))
        for i, split in enumerate(splits)
    ]
    flops = Target(
        "flops",
        "minimize",
        weight=weight * len(splits),
        bound=bound,
        cost=costs.flops,
        scale=splits[0].scale("flops"),
    )
    return SearchProblem(
        [split.predictor for split in splits],
        [*targets, flops],
        records=[split.records for split in splits],
    )


def evaluate(
    search: Search,
    split: int,
    solution: Solution,
    settings: Mapping[str, SettingSplit],
    *,
    start_score: float | None = None,
    lead: float | None = None,
) -> SearchResult:
    """Score a search's solution on all given settings, and count its costs."""
    code = np.asarray(solution.code, dtype=np.int64)
    return SearchResult(
        search=search,
        split=split,
        code=code,
        scores={name: setting.score(code) for name, setting in settings.items()},
        flops=float(costs.flops(code)[0]),
        params=float(costs.params(code, num_classes=19)[0]),
        multiply_adds=float(_COUNTS.get(search.study, _CITYSCAPES)(code)[0]),
        predictions=solution.predictions,
        calls=solution.calls,
        seconds=solution.seconds,
        start_score=start_score,
        lead=lead,
    )
