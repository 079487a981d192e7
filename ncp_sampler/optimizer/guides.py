"""What an earlier search says of codes: its model, its best codes, and whether it was of this task.

Notation
    n, m      an earlier search's trials that have a value, and its metrics
    values    scaled by the earlier trials alone (``Goals.told``), all to be maximized
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler.optimizer.goals import Goals, Told
from ncp_sampler.optimizer.history import rows_to_fit
from ncp_sampler.predictors.condensed import Mean, condensed_mean
from ncp_sampler.predictors.named import as_predictor
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.space.search_space import SearchSpace

_ROWS = 256  # that a model is fitted on: the better ones, and some of the rest
_BASIS = 64  # of them, that its mean is written on
_BEST_SHARE, _FEWEST_BEST = 0.1, 20  # of the trials, that starts are taken from
_NEARNESS = 1.2  # the higher, the less rank counts beside distance
_DOUBT = 2.0  # by which a model's own is widened, in comparisons
_SPREAD = 2.0  # of another task's values, on this one's scale
_FREEDOM = 4.0  # of Student's t: neither a failure nor a lucky trial decides alone
_EVIDENCE = 3.0  # of the log odds that speak for another task


@dataclass(frozen=True)
class Guide:
    """An earlier search, learnt.

    Attributes:
        space: Of the codes.
        goals: Of the present search.
        codes: Legal codes of the earlier trials that have a value, (n, d).
        metrics: Name -> what was told of it, (n,), NaN where missing.
        device: Where its model computes.
    """

    space: SearchSpace
    goals: Goals
    codes: NDArray[Any]
    metrics: dict[str, FloatArray]
    device: torch.device

    @cached_property
    def told(self) -> Told:
        """The earlier trials in the acquisition's terms."""
        return self.goals.told(self.codes, self.metrics)

    @cached_property
    def columns(self) -> int:
        """How many columns ``mean`` gives."""
        return len(self.told.learnt)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        weights = dict.fromkeys(self.goals.directions, 1.0)
        return self.told.order(weights, np.random.default_rng(0))

    @cached_property
    def _unit(self) -> FloatArray:
        return self.space.normalize(self.codes)

    @cached_property
    def _model(self) -> Predictor:
        """Fitted on some of the trials."""
        rows = rows_to_fit(self._order, _ROWS)
        learnt = self.told.take(rows).learnt
        made = as_predictor("auto", device=self.device, features=self.space.features)
        return made.fit(self._unit[rows], learnt)

    @cached_property
    def mean(self) -> Mean:
        """Predicted values at unit codes (n, d), a column for each metric, differentiable."""
        names = self._model.names
        learnt = {name: self.told.learnt[name] for name in names}
        basis = rows_to_fit(self._order, _BASIS)
        return condensed_mean(self._model, self._unit, learnt, basis)

    def best(self) -> Iterator[NDArray[Any]]:
        """Good codes (d,), the best first, then each unlike those before."""
        pool = self._order[: max(_FEWEST_BEST, int(_BEST_SHARE * len(self._order)))]
        rank = np.arange(len(pool)) / len(pool)
        distance = np.full(len(pool), np.inf)
        at = 0
        for _ in range(len(pool)):
            yield self.codes[pool[at]]
            step = ((self._unit[pool] - self._unit[pool[at]]) ** 2).mean(axis=1)
            distance = np.minimum(distance, np.sqrt(step))
            at = int((distance * (_NEARNESS - rank)).argmax())

    def speaks_against(self, codes: NDArray[Any], metrics: dict[str, FloatArray]) -> bool:
        """Whether trials of the present search show that the earlier one was of another task.

        The log odds of their values under the earlier search's model, its doubt widened, and under
        a wide distribution of values that have nothing to do with the codes.

        Args:
            codes: Theirs, legal, (k, d).
            metrics: Name -> what was told of it, (k,).
        """
        mean, std = self._model.predict(self.space.normalize(codes))
        noise = np.asarray(getattr(self._model, "noise", np.zeros(mean.shape[1])))
        odds = 0.0
        for k, name in enumerate(self.told.objectives):
            if self.told.known[k]:
                continue
            j = self._model.names.index(name)
            value = _scaled(self.told, k, metrics[name])
            here = ~np.isnan(value)
            size = _DOUBT * np.hypot(std[here, j], noise[j])
            off = (value[here] - mean[here, j]) / size
            odds += float((_log_t(off) - np.log(size)).sum())
            odds -= float((_log_t(value[here] / _SPREAD) - np.log(_SPREAD)).sum())
        return odds < -_EVIDENCE


def _log_t(z: FloatArray) -> FloatArray:
    """Log density of Student's t, but for a constant."""
    found: FloatArray = -0.5 * (_FREEDOM + 1) * np.log1p(z**2 / _FREEDOM)
    return found


def _scaled(told: Told, k: int, values: FloatArray) -> FloatArray:
    """An objective's values, as they were told, on the scale of some trials."""
    raw, scaled = told.raw[:, k], told.values[:, k]
    has = ~np.isnan(scaled)
    order = np.argsort(raw[has], kind="stable")
    known, at = np.unique(raw[has][order], return_index=True)
    ends = scaled[has][order][at]
    if len(known) == 1:
        return np.where(np.isnan(values), np.nan, np.sign(values - known[0]) * 2 * _SPREAD)
    found = np.interp(values, known, ends)
    best = int(ends.argmax())  # where the scale is linear
    inner = 1 if best == 0 else best - 1
    slope = (ends[best] - ends[inner]) / (known[best] - known[inner])
    beyond = values > known[-1] if best else values < known[0]
    found = np.where(beyond, ends[best] + slope * (values - known[best]), found)
    return np.where(np.isnan(values), np.nan, found)
