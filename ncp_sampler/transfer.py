"""A predictor of one task, reused for another of which few architectures are known.

Notation
    s (n, k)   the source's k predictions at codes x, standardized over the fitted rows
    y (n,)     a target metric at the same rows
    y = c + s b + r(x),   b by ridge regression, r a Gaussian process of what it leaves
The first term carries what the tasks share, the second what they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler.gaussian_process import GaussianProcess
from ncp_sampler.predictor import Predictor, State, posterior_arrays, training_arrays
from ncp_sampler.records import Records

_FOLDS = 5
_RIDGE = 1.0  # of the standardized predictions, in rows' worth of evidence


class Transferred:
    """Predictor of a new task that starts from a fitted predictor of another.

    Args:
        source: A fitted predictor of the same search space; it is not changed. Its metrics need
            not be those of the new task.
        residual: Predictor of what the source does not explain; a ``GaussianProcess`` if None.

    Raises:
        ValueError: The source is not fitted.
    """

    def __init__(self, source: Predictor, *, residual: Predictor | None = None) -> None:
        if not source.names:
            raise ValueError("source is not fitted; call its fit first")
        self.source = source
        self.residual: Predictor = (
            GaussianProcess(device=source.device) if residual is None else residual
        )
        self._mean = self._std = self._offset = self._slope = torch.zeros(0)

    @property
    def names(self) -> tuple[str, ...]:
        """The new task's metrics, in the order of the last axis of all outputs."""
        return self.residual.names

    @property
    def device(self) -> torch.device:
        """Where the source computes."""
        return self.source.device

    @property
    def capacity(self) -> int | None:
        """How many rows the residual's predictor should be given at most."""
        return self.residual.capacity

    @property
    def slope(self) -> NDArray[np.float64]:
        """Weights b (k, m) of the source's standardized predictions in each metric."""
        weights: NDArray[np.float64] = self._slope.cpu().numpy()
        return weights

    def fit(
        self,
        x: ArrayLike,
        metrics: Mapping[str, ArrayLike],
        *,
        weights: ArrayLike | None = None,
        steps: int | None = None,
    ) -> Transferred:
        """Learns metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Raises:
            ValueError: As ``predictor.training_arrays``.
        """
        names, codes, y, rows = training_arrays(x, metrics, weights)
        predicted, _ = self.source.predict(codes)
        mean, std = predicted.mean(0), predicted.std(0)
        std = np.where(std > 1e-9, std, 1.0)
        s = (predicted - mean) / std
        offset, slope = np.zeros(y.shape[1]), np.zeros((s.shape[1], y.shape[1]))
        for j in range(y.shape[1]):
            known = ~np.isnan(y[:, j]) & (rows > 0)
            w = rows[known] / max(rows[known].sum(), 1e-300)
            centre_s, centre_y = w @ s[known], w @ y[known, j]
            ds, dy = s[known] - centre_s, y[known, j] - centre_y
            ridge = _RIDGE / known.sum() * np.eye(s.shape[1])
            slope[:, j] = np.linalg.solve(ds.T @ (w[:, None] * ds) + ridge, ds.T @ (w * dy))
            offset[j] = centre_y - centre_s @ slope[:, j]
        self._mean, self._std, self._offset, self._slope = (
            torch.as_tensor(value, dtype=torch.float64, device=self.device)
            for value in (mean, std, offset, slope)
        )
        left = y - offset - s @ slope
        self.residual.fit(
            codes,
            {name: left[:, j] for j, name in enumerate(names)},
            weights=weights,
            steps=steps,
        )
        return self

    def mean(self, x: Tensor) -> Tensor:
        """Mean (n, m) at unit codes x (n, d), differentiable."""
        return self._shared(self.source.mean(x)) + self.residual.mean(x)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) at x; both models' uncertainties add up."""
        source, source_std = self.source.posterior(x)
        residual, residual_std = self.residual.posterior(x)
        variance = (source_std.to(torch.float64) / self._std) ** 2 @ self._slope**2
        return self._shared(source) + residual, (variance + residual_std**2).sqrt()

    def predict(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for arrays, without gradients."""
        return posterior_arrays(self, x)

    def condition(self, x: ArrayLike) -> Transferred:
        """Copy whose residual takes its own mean at x (q, d) for observed."""
        other = Transferred(self.source, residual=self.residual.condition(x))
        other._mean, other._std = self._mean, self._std
        other._offset, other._slope = self._offset, self._slope
        return other

    def state_dict(self) -> State:
        """The source's and the residual's states, and what joins them."""
        joint = {"mean": self._mean, "std": self._std, "offset": self._offset, "slope": self._slope}
        return {
            "source": self.source.state_dict(),
            "residual": self.residual.state_dict(),
            "joint": {name: value.cpu().numpy().copy() for name, value in joint.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; a Gaussian process wants its rows again (fit, steps=0)."""
        self.source.load_state_dict(state["source"])
        self.residual.load_state_dict(state["residual"])
        self._mean, self._std, self._offset, self._slope = (
            torch.as_tensor(np.asarray(state["joint"][name]), device=self.device)
            for name in ("mean", "std", "offset", "slope")
        )

    def _shared(self, source: Tensor) -> Tensor:
        return ((source.to(torch.float64) - self._mean) / self._std) @ self._slope + self._offset


def adapt(
    source: Predictor, records: Records, *, metrics: Sequence[str] | None = None
) -> Predictor:
    """The better of two predictors of few records: transferred from a source, or from scratch.

    Which is better is told by 5-fold cross-validation on the records alone. Related tasks gain
    while there are a few dozen rows; unlike ones, or hundreds of rows, do not.

    Args:
        source: A fitted predictor of another task in the same space.
        records: Rows of the new task, at least 5.
        metrics: Those to learn; all by default.

    Raises:
        ValueError: Fewer than 5 rows, a metric that the records lack, or a source not fitted.
    """
    if len(records) < _FOLDS:
        raise ValueError(f"records has {len(records)} rows; give at least {_FOLDS}")
    names = list(records.metrics) if metrics is None else list(metrics)
    x = records.space.normalize(records.codes)
    values = {name: records.values(name) for name in names}
    spread = np.array([max(float(np.nanstd(column)), 1e-12) for column in values.values()])
    makers: list[Callable[[], Predictor]] = [lambda: Transferred(source), GaussianProcess]
    fold = np.random.default_rng(0).permutation(len(x)) % _FOLDS
    errors = []
    for make in makers:
        total = 0.0
        for k in range(_FOLDS):
            known, held = fold != k, fold == k
            model = make().fit(x[known], {name: v[known] for name, v in values.items()})
            truth = np.stack([v[held] for v in values.values()], axis=1)
            total += float(np.nansum(np.abs(model.predict(x[held])[0] - truth) / spread))
        errors.append(total)
    return makers[int(np.argmin(errors))]().fit(x, values)
