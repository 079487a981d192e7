"""Transforms of what a predictor is given: input features, standardized or bounded metrics.

Notation
    n, d, f, m   codes, columns of a code, features, metrics
    y            metrics (n, m), NaN where missing
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import (
    ArrayModel,
    FloatArray,
    Metrics,
    Model,
    Moments,
    Predictor,
    Pullback,
    State,
    Weights,
    as_model,
    torch_vjp,
)

LARGEST = 1e100  # largest magnitude of a metric, so that its square is finite
_LEAST_SPREAD = 1e-12  # smallest spread, as a share of the distance from the median to the best
_TAIL = 3.0  # spreads below the median where ``bounded_tail`` begins to level off


class Wrapper(ArrayModel):
    """A model of the metrics of an inner predictor.

    Args:
        inner: The predictor that it wraps.
    """

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner if isinstance(inner, Model) else as_model("inner", inner)

    @property
    def names(self) -> tuple[str, ...]:
        return self.inner.names

    @property
    def device(self) -> torch.device:
        return self.inner.device

    @property
    def max_rows(self) -> int | None:
        return self.inner.max_rows

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of each metric's noise, (m,); 0 where the inner model has none."""
        noise: FloatArray = getattr(self.inner, "noise", np.zeros(len(self.names)))
        return noise


class FeatureMap(Protocol):
    """A map of unit codes to features with a gradient of its own."""

    def vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return features (n, f) of unit codes x (n, d), and their pullback."""


# A map of unit codes (n, d) to features (n, f); PyTorch differentiates a function of tensors
Features: TypeAlias = Callable[[Tensor], Tensor] | FeatureMap


class FeaturePredictor(Wrapper):
    """A predictor of the features of a code.

    Gradients flow through the feature map, so that propagation still edits the code. Features are
    scaled to [0, 1] over the rows of each fit, as unit codes are.

    Args:
        inner: The predictor of the features.
        features: Differentiable map of unit codes (n, d) -> (n, f), such as
            ``SearchSpace.features``, or a ``FeatureMap``.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> import torch
        >>> from ncp_sampler.predictors import GaussianProcess
        >>> def features(unit):
        ...     return torch.cat([unit, unit**2], 1)
        >>> predictor = FeaturePredictor(GaussianProcess(), features)
        >>> predictor.fit(x, {"loss": (x[:, 0] - 0.3) ** 2}).names
        ('loss',)
    """

    def __init__(self, inner: Predictor, features: Features) -> None:
        super().__init__(inner)
        must = "be a function of unit codes, such as SearchSpace.features"
        if not hasattr(features, "vjp"):
            checks.call("features", features, must, required=True)
        self.features = features
        self._range: tuple[FloatArray, FloatArray] | None = None  # minimum and spread, (f,)

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> FeaturePredictor:
        """Fit metrics (name -> (n,), NaN where missing) of unit codes x (n, d).

        Raises:
            ValueError: As the inner predictor's ``fit``; codes that are not finite (n, d); or a map
                that is not differentiable, or not finite.
        """
        codes = np.asarray(x, dtype=np.float64)
        if codes.ndim != 2 or not np.isfinite(codes).all():
            raise ValueError(f"x must be finite unit codes of shape (n, d), got {codes.shape}")
        raw = self._checked(codes)
        low, spread = raw.min(0), np.ptp(raw, axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        self.inner.fit((raw - low) / spread, metrics, weights=weights, steps=steps)
        self._range = low, spread
        return self

    def moments(self, x: FloatArray) -> Moments:
        """Return mean and standard deviation (n, m) at unit codes x (n, d), with their gradient."""
        scaled, pullback = self._scaled(x)
        mean, std, vjp = self.inner.moments(scaled)
        return Moments(mean, std, lambda by_mean, by_std: pullback(vjp(by_mean, by_std)))

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return the mean (n, m), and its pullback from gradients by it."""
        scaled, pullback = self._scaled(x)
        mean, by_features = self.inner.mean_vjp(scaled)
        return mean, lambda g: pullback(by_features(g))

    def sequential_residuals(self, rows: Sequence[int]) -> FloatArray | None:
        """Return the inner predictor's one-step-ahead residuals."""
        return self.inner.sequential_residuals(rows)

    def condition(self, x: ArrayLike) -> FeaturePredictor:
        """Return a copy that has observed its own mean at x (q, d)."""
        other = copy.copy(self)
        other.inner = self.inner.condition(self._scaled(np.asarray(x, dtype=np.float64))[0])
        return other

    def state_dict(self) -> State:
        """Return the inner predictor's state and the features' range."""
        ends = None if self._range is None else [end.tolist() for end in self._range]
        return {"inner": self.inner.state_dict(), "range": ends}

    def load_state_dict(self, state: State) -> None:
        """Continue from ``state_dict``; a process needs its rows again (fit, steps=0)."""
        self.inner.load_state_dict(state["inner"])
        low, spread = (np.array(end) for end in state["range"] or ((), ()))
        self._range = (low, spread) if state["range"] else None

    def _checked(self, codes: FloatArray) -> FloatArray:
        """Return features (n, f) of unit codes, after a check of the map."""
        if not callable(self.features) or hasattr(self.features, "vjp"):
            return self.features.vjp(codes)[0]
        x = torch.as_tensor(codes, dtype=torch.float64, device=self.device)
        with torch.enable_grad():
            raw = self.features(x.requires_grad_(True))
        fits = isinstance(raw, Tensor) and raw.shape == (len(x), *raw.shape[1:2])
        if not fits or not raw.requires_grad or not bool(raw.isfinite().all()):
            raise ValueError(
                f"features gives {checks.shown(getattr(raw, 'shape', raw))} for {len(x)} codes; it "
                f"must give a finite tensor ({len(x)}, f), differentiable by the codes"
            )
        return raw.detach().double().cpu().numpy()

    def _scaled(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        if self._range is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        low, spread = self._range
        raw, pullback = features_vjp(self.features, x, self.device)
        return (raw - low) / spread, lambda g: pullback(g / spread)


def features_vjp(
    features: Features, x: FloatArray, device: torch.device | str = "cpu"
) -> tuple[FloatArray, Pullback]:
    """Return features (n, f) of unit codes x (n, d), and their pullback to x."""
    if callable(features) and not hasattr(features, "vjp"):
        return torch_vjp(features, x, device)
    return features.vjp(x)


def training_arrays(
    x: ArrayLike, metrics: Metrics, weights: ArrayLike | None
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Check what ``fit`` was given; return names, x (n, d), y (n, m) and weights (n,).

    Raises:
        ValueError: Shapes that do not fit, NaN or infinite codes, infinite or huge metrics, a
            negative weight, a metric without a single value.
    """
    codes = checks.array("x", x)
    checks.instance("metrics", metrics, Mapping, "map names to values of shape (n,)")
    if codes.ndim != 2 or not np.isfinite(codes).all():
        raise ValueError(f"x must be finite unit codes of shape (n, d), got shape {codes.shape}")
    if not metrics:
        raise ValueError("metrics is empty; give at least one name -> values")
    names = tuple(metrics)
    columns = [checks.array(f"metrics[{name!r}]", metrics[name]) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.shape != (len(codes),):
            raise ValueError(
                f"metrics[{name!r}] has shape {column.shape}, x has {len(codes)} codes"
            )
        if np.isinf(column).any():
            raise ValueError(f"metrics[{name!r}] is infinite; clip it, or NaN where unknown")
        if (np.abs(column[~np.isnan(column)]) > LARGEST).any():
            raise ValueError(f"metrics[{name!r}] has a value beyond {LARGEST:g}; scale it")
        if np.isnan(column).all():
            raise ValueError(f"metrics[{name!r}] has no value; give at least one that is not NaN")
    rows = np.ones(len(codes)) if weights is None else checks.array("weights", weights)
    if rows.shape != (len(codes),) or not (np.isfinite(rows).all() and (rows >= 0).all()):
        raise ValueError(f"weights must be {len(codes)} finite numbers of at least 0")
    return names, codes, np.stack(columns, axis=1), rows


def standardizer(
    y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation (m,) of y (n, m), NaN excluded; 1 if constant."""
    rows = np.where(np.isnan(y), 0.0, weights[:, None])
    total = np.maximum(rows.sum(0), 1e-300)
    filled = np.nan_to_num(y)
    mean = (rows * filled).sum(0) / total
    std = np.sqrt((rows * (filled - mean) ** 2).sum(0) / total)
    return mean, np.where(std > 1e-9 * np.maximum(np.abs(mean), 1.0), std, 1.0)


def bounded_tail(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardize metrics (n, m) with the bad tail bounded, so that no outlier sets the scale.

    With z the distance from the median in spreads (a spread being from the median to the better
    quarter) and t = 3, z below -t becomes -t (2 + t / z): smooth, in the same order, and never
    below -2 t. NaN stays NaN.
    """
    out = np.empty_like(values)
    for source, column in zip(values.T, out.T, strict=True):
        if np.isnan(source).all():
            column[:] = source
            continue
        middle, upper = np.nanquantile(source, [0.5, 0.75])
        spread = upper - middle
        if not spread > 0:
            spread = np.nanstd(source)
        # a best value far beyond steps of 1e-300 must leave numbers whose square is one still
        spread = max(spread, _LEAST_SPREAD * (np.nanmax(source) - middle))
        with np.errstate(over="ignore"):  # of the bad tail, which is bounded below
            z = (source - middle) / (spread if spread > 0 else 1.0)
        below = z < -_TAIL
        z[below] = -_TAIL * (2 + _TAIL / z[below])
        sd = np.nanstd(z)
        column[:] = (z - np.nanmean(z)) / (sd if sd > 0 else 1.0)
    return out


def with_features(model: Model, features: Features | None) -> Model:
    """Return the model behind a feature map; itself without one, or with features of its own."""
    if features is None or isinstance(model, FeaturePredictor):
        return model
    return FeaturePredictor(model, features)
