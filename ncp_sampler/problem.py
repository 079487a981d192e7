"""What an offline search is about: predictors, targets, and how legal codes compare.

Notation
    records    codes and what was measured of them, one set for each task or setting
    utility    sum over targets of weight * (signed prediction) / scale; a bound costs what it
               lacks, ahead of everything else
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.committee import Committee
from ncp_sampler.featured import Featured
from ncp_sampler.gaussian_process import GaussianProcess
from ncp_sampler.mlp_ensemble import MLPEnsemble
from ncp_sampler.mr_features import smooth_features
from ncp_sampler.mr_space import MRSpace
from ncp_sampler.predictor import Predictor
from ncp_sampler.propagation import Target, Trace, label, predict_targets
from ncp_sampler.records import Records
from ncp_sampler.space import SearchSpace

FloatArray = NDArray[np.float64]
Source = Records | Predictor

_UNIFORM_CODES = 1024  # for the scales of a predictor that comes without records
_PROCESS_ROWS = 2500  # exact inference on so many takes seconds
_BOUND_FIRST = 1e3  # a bound's lack over what other targets can gain
_LEAST_SCALE = 1e-12


@dataclass(frozen=True)
class Found:
    """What a search proposes.

    Attributes:
        code: Legal code, (d,).
        predictions: Metric -> mean prediction; a known cost -> its value.
        uncertainty: Metric -> standard deviation of the prediction; 0 for a known cost.
        utility: What the search maximized.
        holds: Whether the predictions, less the caution asked for, keep every bound.
        calls: Codes of which a prediction was made, with or without a gradient.
        seconds: Wall time of the search; learning not included.
        trace: How each start was edited; None for a baseline.
        start: Which start of the trace led to the code.
    """

    code: NDArray[Any]
    predictions: dict[str, float]
    uncertainty: dict[str, float]
    utility: float
    holds: bool
    calls: int
    seconds: float
    trace: Trace | None = None
    start: int = 0


class Problem:
    """Predictors and targets of an offline search; compares legal codes.

    Args:
        sources: Records, which are learnt from, or fitted predictors; one for each task.
        targets: At least one; ``predictor`` says which source has the metric. A target without
            ``scale`` takes the metric's standard deviation over the records, or over random codes
            of the space where the source is a predictor.
        space: The codes' search space; the records' own if None.
        records: What fitted predictors learnt: to start from, and to scale costs and codes by.
        seed: Of learning and of random codes.

    Raises:
        ValueError: No source or target, sources of unlike spaces, records that no
            target learns from, or an unknown metric.
    """

    def __init__(
        self,
        sources: Source | Sequence[Source],
        targets: Sequence[Target],
        *,
        space: SearchSpace | None = None,
        records: Sequence[Records] = (),
        seed: int = 0,
    ) -> None:
        given = list(sources) if isinstance(sources, Sequence) else [sources]
        if not given:
            raise ValueError("sources is empty; give records or a fitted predictor")
        if not targets:
            raise ValueError("targets is empty; give at least one Target")
        learnt = [source for source in given if isinstance(source, Records)]
        self.records = [*learnt, *records]
        spaces = [records.space for records in self.records] + ([space] if space else [])
        if not spaces:
            raise ValueError("space is missing; predictors do not know theirs, so give it")
        if any(other.columns != spaces[0].columns for other in spaces):
            raise ValueError("sources of different search spaces cannot be searched together")
        self.space = spaces[0]
        for target in targets:
            if target.cost is None and not 0 <= target.predictor < len(given):
                raise ValueError(
                    f"target {target.metric!r} wants source {target.predictor}, there are "
                    f"{len(given)}"
                )
        self._random = self.space.sample(_UNIFORM_CODES, seed)
        wanted = {
            i: [t.metric for t in targets if t.cost is None and t.predictor == i]
            for i in range(len(given))
        }
        idle = [
            i for i, source in enumerate(given) if isinstance(source, Records) and not wanted[i]
        ]
        if idle:
            raise ValueError(
                f"no target learns from source {idle[0]}; drop it, or give a Target with "
                f"predictor={idle[0]}"
            )
        self.predictors = [
            learn(source, metrics=wanted[i], seed=seed) if isinstance(source, Records) else source
            for i, source in enumerate(given)
        ]
        self.targets = [
            target if target.scale else replace(target, scale=self._scale(target, given))
            for target in targets
        ]
        self.calls = 0

    def unit(self, codes: ArrayLike) -> torch.Tensor:
        """Unit codes of codes, on the predictors' device."""
        return torch.as_tensor(
            self.space.normalize(codes), dtype=torch.float64, device=self.predictors[0].device
        )

    def values(self, codes: ArrayLike, *, caution: bool = True) -> FloatArray:
        """Predictions of every target at codes (n, d), shape (targets, n)."""
        targets = self.targets if caution else [replace(t, caution=0.0) for t in self.targets]
        x = self.unit(np.atleast_2d(np.asarray(codes)))
        self.calls += len(x)
        with torch.no_grad():
            values = predict_targets(self.predictors, targets, x, self.space)
        return values.cpu().numpy()

    def lacks(self, values: FloatArray) -> FloatArray:
        """By how much bounds are missed, in weighted scales, (n,); 0 where all hold."""
        total = np.zeros(values.shape[1])
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is not None:
                sign = 1.0 if target.direction == "maximize" else -1.0
                missed = np.maximum(sign * (target.bound - row), 0.0)
                total += target.weight * missed / (target.scale or 1.0)
        return total

    def utility(self, codes: ArrayLike) -> FloatArray:
        """Utility of codes (n, d), shape (n,)."""
        return self.utility_of(self.values(codes))

    def utility_of(self, values: FloatArray) -> FloatArray:
        """Utility of predictions (targets, n), shape (n,)."""
        total = -_BOUND_FIRST * self.lacks(values)
        for row, target in zip(values, self.targets, strict=True):
            if target.bound is None:
                sign = 1.0 if target.direction == "maximize" else -1.0
                total += sign * target.weight * row / (target.scale or 1.0)
        return total

    def found(
        self, code: NDArray[Any], *, since: float, trace: Trace | None = None, start: int = 0
    ) -> Found:
        """A code as a search's result."""
        calls, values = self.calls, self.values(code)
        with torch.no_grad():
            posteriors = [p.posterior(self.unit(code[None])) for p in self.predictors]
        predictions, uncertainty = {}, {}
        for i, (target, mean) in enumerate(
            zip(self.targets, self.values(code, caution=False)[:, 0], strict=True)
        ):
            name = label(self.targets, i)
            predictions[name], uncertainty[name] = float(mean), 0.0
            if target.cost is None:
                column = self.predictors[target.predictor].names.index(target.metric)
                uncertainty[name] = float(posteriors[target.predictor][1][0, column])
        self.calls = calls  # predictions of the answer itself are no search
        return Found(
            code=code,
            predictions=predictions,
            uncertainty=uncertainty,
            utility=float(self.utility_of(values)[0]),
            holds=bool(self.lacks(values)[0] <= 0),
            calls=calls,
            seconds=time.perf_counter() - since,
            trace=trace,
            start=start,
        )

    def _scale(self, target: Target, sources: Sequence[Source]) -> float:
        if target.cost is not None:
            codes = self.records[0].codes if self.records else self._random
            values = target.cost(torch.as_tensor(np.asarray(codes, dtype=np.float64)))
            return max(float(values.std()), _LEAST_SCALE)
        source = sources[target.predictor]
        if isinstance(source, Records):
            return max(float(np.nanstd(source.values(target.metric))), _LEAST_SCALE)
        if target.metric not in source.names:
            raise ValueError(
                f"metric={target.metric!r} is not predicted; predictor {target.predictor} has "
                f"{list(source.names)}"
            )
        mean, _ = source.predict(self.space.normalize(self._random))
        return max(float(mean[:, source.names.index(target.metric)].std()), _LEAST_SCALE)


def learn(records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0) -> Predictor:
    """A predictor of records: a Gaussian process and an MLP ensemble, their mean.

    For ``MRSpace`` codes both see `mr_features.smooth_features`, else the unit code itself.

    Args:
        records: At least two rows.
        metrics: Those to learn; all by default.
        seed: Of the networks.

    Raises:
        ValueError: A metric that the records lack, or one without a value.
    """
    names = list(records.metrics) if metrics is None else list(dict.fromkeys(metrics))
    networks = MLPEnsemble(
        members=8,
        shared=128,
        head=64,
        dropout=0.2,
        loss="smooth_l1",
        steps=600,
        warm_steps=None,
        batch_size=128,
        learning_rate=0.003,
        weight_decay=1.0,
        schedule="one_cycle",
        bootstrap=False,
        seed=seed,
    )
    predictor: Predictor = Committee([GaussianProcess(capacity=_PROCESS_ROWS), networks])
    if isinstance(records.space, MRSpace):
        predictor = Featured(predictor, smooth_features)
    return predictor.fit(
        records.space.normalize(records.codes), {name: records.values(name) for name in names}
    )


def fit_paper(
    records: Records, *, metrics: Sequence[str] | None = None, seed: int = 0, epochs: int = 200
) -> MLPEnsemble:
    """The published recipe on the same records, for comparison: `MLPEnsemble.paper`."""
    names = list(records.metrics) if metrics is None else list(dict.fromkeys(metrics))
    return MLPEnsemble.paper(n_rows=len(records), epochs=epochs, seed=seed).fit(
        records.space.normalize(records.codes), {name: records.values(name) for name in names}
    )
