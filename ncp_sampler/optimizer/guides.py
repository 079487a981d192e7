"""What an earlier search says of codes: its model, its best codes, and whether it was of this task.

Notation
    n, m      an earlier search's trials that have a value, and its metrics
    values    scaled by the earlier trials alone (``Goals.told``), all to be maximized
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler.optimizer.goals import Goals, Told
from ncp_sampler.optimizer.history import rows_to_fit
from ncp_sampler.predictors.condensed import Mean, condensed
from ncp_sampler.predictors.named import as_predictor
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.records.records import spread_of
from ncp_sampler.space.search_space import SearchSpace, code_key

_ROWS = 256  # that a model is fitted on: the better ones, and some of the rest
_BASIS = 64  # of them, that what it says is written on
_CAUTION = 2.0  # of its standard deviations, that a prediction counts as worse by
_BEST_SHARE, _FEWEST_BEST = 0.1, 20  # of the trials, that starts are taken from
_NEARNESS = 1.2  # the higher, the less rank counts beside distance
_SAME = 1e-3  # of a metric's spread, within which two values are one, of which one was rounded


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

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what was learnt of them holds functions, and is learnt again alike."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def told(self) -> Told:
        """The earlier trials in the acquisition's terms."""
        return self.goals.told(self.codes, self.metrics)

    @cached_property
    def columns(self) -> int:
        """How many columns ``cautious`` gives."""
        return len(self.told.learnt)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        weights = dict.fromkeys(self.goals.directions, 1.0)
        return self.told.order(weights, np.random.default_rng(0))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        return {code_key(code): i for i, code in enumerate(self.codes)}

    @cached_property
    def _unit(self) -> FloatArray:
        return self.space.normalize(self.codes)

    @cached_property
    def cautious(self) -> Mean:
        """Predicted values less some of the doubt, a column for each metric, differentiable.

        They are of the space's features (n, f), which whoever asks has computed anyway, or of unit
        codes (n, d) where it has none. Without caution a search would follow the model to where it
        knows nothing: to codes that are far from all that the earlier search tried.
        """
        rows, seen = rows_to_fit(self._order, _ROWS), self._unit
        features = self.space.features
        if features is not None:
            with torch.no_grad():
                seen = features(torch.as_tensor(seen, device=self.device)).double().cpu().numpy()
        scaled = None if features is None else _as_it_is
        model = as_predictor("auto", device=self.device, features=scaled)
        model.fit(seen[rows], self.told.take(rows).learnt)
        learnt = {name: self.told.learnt[name] for name in model.names}
        basis = rows_to_fit(self._order, _BASIS)
        return condensed(model, seen, learnt, basis, caution=_CAUTION)

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

    def agrees(self, codes: NDArray[Any], metrics: Mapping[str, FloatArray]) -> bool:
        """Whether trials of the present search show that the earlier one was of the same task.

        They do if every code that both have tried has the same values in both, and at least one of
        them has a value that no other code has.

        Args:
            codes: Legal, (k, d).
            metrics: Name -> what was told of it, (k,), NaN where missing.
        """
        rows, keys = self._rows, map(code_key, codes)
        pairs = [(i, rows[key]) for i, key in enumerate(keys) if key in rows]
        told = False
        for name, earlier in self.metrics.items():
            near = _SAME * spread_of(earlier) if not np.isnan(earlier).all() else 0.0
            for i, j in pairs:
                value = metrics[name][i]
                if np.isnan(value) or np.isnan(earlier[j]):
                    continue
                if abs(value - earlier[j]) > near:
                    return False
                told |= int((np.abs(earlier - earlier[j]) <= near).sum()) == 1
        return told


def _as_it_is(features: Tensor) -> Tensor:
    return features
