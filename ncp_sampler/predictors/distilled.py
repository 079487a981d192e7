"""What boosted trees say of codes, learnt by another predictor.

Trees are flat away from the rows where a network's line goes on, and so they err otherwise: where
measurements are noisy a search on a network alone is led to corners. They have no gradient, though.
So they are asked about inputs that nobody measured, and a network learns their answers (Hinton et
al. 2015, Distilling the knowledge in a neural network).
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.around import Around
from ncp_sampler.predictors.featured import Features
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Predictor,
    State,
    Weights,
    check_predictor,
)
from ncp_sampler.predictors.scaling import training_arrays
from ncp_sampler.predictors.trees import fit_trees, predict_trees

_ROUNDS = 400  # trees of each booster
_LEAST_ROWS = 20  # with fewer a tree has no branches


class Distilled(Around):
    """Learns what boosted trees, fitted to the rows, say of these and of many other codes.

    Args:
        student: The predictor that learns from them.
        samples: The other unit codes, (k, d).
        features: What the trees see in place of a unit code, such as ``SearchSpace.features``; the
            student has its own.

    Raises:
        ValueError: No predictor, or samples that are not finite (k, d).

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler.predictors import MLPEnsemble
        >>> x = np.linspace(0, 1, 40)[:, None]
        >>> predictor = Distilled(MLPEnsemble(members=2, steps=20), np.random.rand(50, 1))
        >>> predictor.fit(x, {"loss": (x[:, 0] - 0.3) ** 2}).names
        ('loss',)
    """

    def __init__(
        self, student: Predictor, samples: ArrayLike, *, features: Features | None = None
    ) -> None:
        super().__init__(check_predictor("student", student))
        self.samples = checks.array("samples", samples)
        if self.samples.ndim != 2 or not np.isfinite(self.samples).all():
            raise ValueError(f"samples must be finite (k, d), got shape {self.samples.shape}")
        must = "be a function of unit codes, such as SearchSpace.features, or None"
        self.features: Features | None = checks.call("features", features, must)

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Distilled:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Raises:
            ValueError: As the student's ``fit``; or samples of other columns.
            ImportError: LightGBM is not installed.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        if self.samples.shape[1] != codes.shape[1]:
            raise ValueError(
                f"samples has {self.samples.shape[1]} columns, x has {codes.shape[1]}; give unit "
                "codes of one space"
            )
        asked = np.concatenate([self.samples, codes])
        seen = self._seen(asked)
        own = seen[len(self.samples) :]
        told = {}
        for name, column in zip(names, y.T, strict=True):
            known = ~np.isnan(column)
            if known.sum() < _LEAST_ROWS:
                told[name] = np.full(len(seen), column[known].mean())
                continue
            trees = fit_trees(own[known], column[known], _ROUNDS, weights=rows[known])
            told[name] = predict_trees(trees, seen)
        self.inner.fit(asked, told, steps=steps)
        return self

    def mean(self, x: Tensor) -> Tensor:
        return self.inner.mean(x)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.posterior(x)

    def condition(self, x: ArrayLike) -> Distilled:
        """Copy whose student takes its own mean at x (q, d) for observed."""
        other = copy.copy(self)
        other.inner = self.inner.condition(x)
        return other

    def state_dict(self) -> State:
        """The student's state."""
        return self.inner.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``."""
        self.inner.load_state_dict(state)

    def _seen(self, codes: FloatArray) -> FloatArray:
        if self.features is None:
            return codes
        with torch.no_grad():
            seen: FloatArray = self.features(torch.as_tensor(codes)).cpu().numpy()
        return seen
