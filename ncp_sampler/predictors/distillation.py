"""Distillation of boosted trees into a differentiable predictor.

Far from the rows, the predictions of trees are constant, whereas a network extrapolates. With noisy
measurements, a search with a network alone therefore ends in corners of the space. However, trees
have no gradient. Therefore, trees label unmeasured codes, and a network is fitted to these labels
(Hinton et al. 2015, "Distilling the knowledge in a neural network").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import FloatArray, Metrics, Predictor, Weights, as_model
from ncp_sampler.predictors.transforms import (
    Features,
    Wrapper,
    features_vjp,
    training_arrays,
    unit_codes,
)
from ncp_sampler.predictors.trees import fit_trees, predict_trees

_ROUNDS = 400  # number of trees of each booster
_MIN_ROWS = 20  # minimum number of rows; with fewer, a tree has no branches


class Distilled(Wrapper):
    """Predictor fitted to the predictions of boosted trees at the rows and at many other codes.

    Args:
        student: Predictor to fit to the labels.
        samples: Additional unit codes, which the trees label, (k, d).
        features: Map from unit codes to the trees' inputs, such as ``SearchSpace.features``; the
            student may have its own features.

    Raises:
        ValueError: The student is not a predictor, or the samples are not finite or not of shape
            (k, d).

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
        super().__init__(as_model("student", student))
        self.samples = unit_codes("samples", samples)
        must = "be a function of unit codes, such as SearchSpace.features, or None"
        self.features: Features | None = checks.call("features", features, must)

    @property
    def unseen(self) -> FloatArray | None:
        """None: the inner predictor's rows have labels of trees in place of measured values."""
        return None

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Distilled:
        """Fit metrics of unit codes; see ``Predictor``.

        Raises:
            ValueError: As for the student's ``fit``; or the samples have a different number of
                columns.
            ImportError: LightGBM is not installed.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        if self.samples.shape[1] != codes.shape[1]:
            raise ValueError(
                f"samples has {self.samples.shape[1]} columns, x has {codes.shape[1]}; give unit "
                "codes of one space"
            )
        queries = np.concatenate([self.samples, codes])
        inputs = queries if self.features is None else features_vjp(self.features, queries)[0]
        own = inputs[len(self.samples) :]
        labels = {}
        for name, column in zip(names, y.T, strict=True):
            known = ~np.isnan(column)
            if known.sum() < _MIN_ROWS:
                labels[name] = np.full(len(inputs), column[known].mean())
                continue
            trees = fit_trees(own[known], column[known], _ROUNDS, weights=rows[known])
            labels[name] = predict_trees(trees, inputs)
        self.inner.fit(queries, labels, steps=steps)
        return self
