"""Input and output transforms of predictors: features, and standardized or bounded metrics.

Notation
    n, d, f, m   codes, columns of a code, features, metrics
    y            metrics (n, m), NaN where missing
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Model,
    Moments,
    Predictor,
    Pullback,
    State,
    Weights,
    as_model,
    to_array,
    torch_vjp,
)

if TYPE_CHECKING:
    from typing_extensions import Self

LARGEST = 1e100  # maximum magnitude of a metric, so that its square is finite
_LEAST_SPREAD = 1e-12  # minimum spread, as a fraction of the distance from the median to the best
TAIL = 3.0  # number of spreads below the median at which ``bounded_tail`` begins to level off


class Wrapper(Model):
    """Model that delegates everything that a subclass does not define to an inner predictor.

    Args:
        inner: The wrapped predictor.

    Raises:
        ValueError: ``inner`` is not a predictor.
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
        """Standard deviation (m,) of each metric's noise; 0 if the inner model has no noise."""
        noise: FloatArray = getattr(self.inner, "noise", np.zeros(len(self.names)))
        return noise

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Self:
        self.inner.fit(x, metrics, weights=weights, steps=steps)
        return self

    @property
    def unseen(self) -> FloatArray | None:
        return self.inner.unseen

    def moments(self, x: FloatArray) -> Moments:
        return self.inner.moments(x)

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        return self.inner.mean_vjp(x)

    def condition(self, x: ArrayLike) -> Self:
        conditioned = copy.copy(self)
        conditioned.inner = self.inner.condition(x)
        return conditioned

    def state_dict(self) -> State:
        return self.inner.state_dict()

    def load_state_dict(self, state: State) -> None:
        self.inner.load_state_dict(state)


class FeatureMap(Protocol):
    """Map from unit codes to features that computes its own gradient."""

    def vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return features (n, f) of unit codes x (n, d), and their pullback."""


# Map from unit codes (n, d) to features (n, f); PyTorch differentiates a function of tensors
Features: TypeAlias = Callable[[Tensor], Tensor] | FeatureMap


class FeaturePredictor(Wrapper):
    """Predictor whose inputs are features of a code.

    Gradients flow through the feature map, so propagation still edits the code. Like unit codes,
    features are scaled to [0, 1]; the rows of each fit determine the scale.

    Args:
        inner: Predictor that takes the features as inputs.
        features: Differentiable map from unit codes (n, d) to features (n, f), such as
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
        self._range: FloatArray | None = None  # minimum and spread of each feature, (2, f)

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> FeaturePredictor:
        """Fit metrics of unit codes; see ``Predictor``.

        Raises:
            ValueError: As for the inner predictor's ``fit``; or the features are not finite, not
                of shape (n, f), or not differentiable.
        """
        raw = self._checked(unit_codes("x", x))
        low, spread = raw.min(0), np.ptp(raw, axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        super().fit((raw - low) / spread, metrics, weights=weights, steps=steps)
        self._range = np.stack([low, spread])
        return self

    def moments(self, x: FloatArray) -> Moments:
        scaled, pullback = self._scaled(x)
        mean, std, vjp = self.inner.moments(scaled)
        return Moments(mean, std, lambda by_mean, by_std: pullback(vjp(by_mean, by_std)))

    def mean_vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        scaled, pullback = self._scaled(x)
        mean, by_features = self.inner.mean_vjp(scaled)
        return mean, lambda g: pullback(by_features(g))

    def sequential_residuals(self, rows: Sequence[int], *, behind: int = 0) -> FloatArray | None:
        return self.inner.sequential_residuals(rows, behind=behind)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray] | None:
        return self.inner.leave_one_out()

    def condition(self, x: ArrayLike) -> FeaturePredictor:
        return super().condition(self._scaled(np.asarray(x, dtype=np.float64))[0])

    def state_dict(self) -> State:
        ends = None if self._range is None else self._range.tolist()
        return {"inner": super().state_dict(), "range": ends}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state["inner"])
        self._range = None if state["range"] is None else np.array(state["range"])

    def _checked(self, x: FloatArray) -> FloatArray:
        """Return features (n, f) of unit codes x (n, d), after checking the map."""
        n, features, pullback = len(x), self.features, None
        given: Any
        if callable(features) and not hasattr(features, "vjp"):
            leaf = torch.as_tensor(x, dtype=torch.float64, device=self.device)
            with torch.enable_grad():
                given = features(leaf.requires_grad_(True))
            differentiable = isinstance(given, Tensor) and given.requires_grad
        else:
            given, pullback = features.vjp(x)
            differentiable = isinstance(given, np.ndarray)
        shape: tuple[int, ...] = getattr(given, "shape", ())
        fits = differentiable and len(shape) == 2 and shape[0] == n
        if not fits or not bool((abs(given) < math.inf).all()):
            raise ValueError(
                f"features gives {checks.shown(shape or given)} for {n} codes; it must give finite "
                f"numbers ({n}, f), differentiable with respect to them"
            )
        if pullback is None:
            return to_array(given)
        gradient = pullback(np.zeros(shape))
        if np.shape(gradient) != x.shape:
            raise ValueError(
                f"features.vjp gives a pullback whose gradient has shape {np.shape(gradient)}; it "
                f"must have that of the codes, {x.shape}"
            )
        return np.asarray(given, dtype=np.float64)

    def _scaled(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        """Return scaled features (n, f) of unit codes x (n, d), and their pullback."""
        if self._range is None:
            raise RuntimeError("the predictor is not fitted; call fit first")
        low, spread = self._range
        raw, pullback = features_vjp(self.features, x, self.device)
        return (raw - low) / spread, lambda g: pullback(g / spread)


@dataclass(frozen=True)
class ExtendedFeatures:
    """Features of unit codes, followed by the values of functions that compute their own gradients.

    This class makes the predictions of another model inputs of a predictor.

    Attributes:
        features: Map from unit codes to features; None for the unit codes themselves.
        functions: Unit codes (n, d) -> values (n, k) and their pullback, such as ``mean_vjp``.
    """

    features: Features | None
    functions: Sequence[Callable[[FloatArray], tuple[FloatArray, Pullback]]]

    def __post_init__(self) -> None:
        if not (self.features is None or callable(self.features) or hasattr(self.features, "vjp")):
            raise checks.refusal("features", self.features, "be a map of unit codes, or None")
        checks.sequence("functions", self.functions, Callable, "be a sequence of functions")

    def vjp(self, x: FloatArray) -> tuple[FloatArray, Pullback]:
        own = (x, lambda g: g) if self.features is None else features_vjp(self.features, x)
        parts = [own, *(function(x) for function in self.functions)]
        ends = np.cumsum([values.shape[1] for values, _ in parts])[:-1]

        def pullback(g: FloatArray) -> FloatArray:
            pieces = zip(parts, np.split(g, ends, axis=1), strict=True)
            return np.asarray(sum(of_part(piece) for (_, of_part), piece in pieces))

        return np.concatenate([values for values, _ in parts], axis=1), pullback


def features_vjp(
    features: Features, x: FloatArray, device: torch.device | str = "cpu"
) -> tuple[FloatArray, Pullback]:
    """Return features (n, f) of unit codes x (n, d), and their pullback to x."""
    if callable(features) and not hasattr(features, "vjp"):
        return torch_vjp(features, x, device)
    return features.vjp(x)


def with_features(model: Model, features: Features | None) -> Model:
    """Return the model with the feature map, if any; a model with its own features is unchanged."""
    if features is None or isinstance(model, FeaturePredictor):
        return model
    return FeaturePredictor(model, features)


def unit_codes(name: str, value: ArrayLike) -> FloatArray:
    """Check an argument and return it as unit codes (n, d).

    Raises:
        ValueError: The shape is wrong, or a number is not finite.
    """
    codes = checks.array(name, value)
    if codes.ndim != 2 or not np.isfinite(codes).all():
        raise ValueError(
            f"{name} must be finite unit codes of shape (n, d), got shape {codes.shape}"
        )
    return codes


def training_arrays(
    x: ArrayLike, metrics: Metrics, weights: Weights
) -> tuple[tuple[str, ...], FloatArray, FloatArray, FloatArray]:
    """Check the arguments of ``fit``; return names, x (n, d), y (n, m) and weights (n,).

    Raises:
        ValueError: Shapes do not match, codes are not finite, metrics are infinite or huge, a
            weight is negative, or a metric has no value.
    """
    codes = unit_codes("x", x)
    n = len(codes)
    checks.instance("metrics", metrics, Mapping, "map names to values of shape (n,)")
    if not metrics:
        raise ValueError("metrics is empty; give at least one name -> values")
    y = np.empty((n, len(metrics)))
    for j, (name, values) in enumerate(metrics.items()):
        label = f"metrics[{name!r}]"
        column = checks.array(label, values)
        if column.shape != (n,):
            raise ValueError(f"{label} has shape {column.shape}, x has {n} codes")
        if np.isinf(column).any():
            raise ValueError(f"{label} has infinite values; clip them, or give NaN if unknown")
        if (np.abs(column) > LARGEST).any():
            raise ValueError(f"{label} has a value beyond {LARGEST:g}; scale it")
        if np.isnan(column).all():
            raise ValueError(f"{label} has no value; give at least one that is not NaN")
        y[:, j] = column
    rows = np.ones(n) if weights is None else checks.array("weights", weights)
    if rows.shape != (n,) or not (np.isfinite(rows).all() and (rows >= 0).all()):
        raise ValueError(f"weights must be {n} finite numbers of at least 0")
    return tuple(metrics), codes, y, rows


def standardizer(y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean and standard deviation (m,) of y (n, m), ignoring NaN.

    The standard deviation of a constant metric is 1.
    """
    rows = np.where(np.isnan(y), 0.0, weights[:, None])
    total = np.maximum(rows.sum(0), 1e-300)
    filled = np.nan_to_num(y)
    mean = (rows * filled).sum(0) / total
    std = np.sqrt((rows * (filled - mean) ** 2).sum(0) / total)
    constant = std <= 1e-9 * np.maximum(np.abs(mean), 1.0)
    if constant.any():  # or tiny, so that squares may underflow
        size = np.maximum(np.abs(filled).max(0), np.finfo(float).tiny)
        relative = np.sqrt((rows * ((filled - mean) / size) ** 2).sum(0) / total)
        std = np.where(constant, np.where(relative > 1e-9, relative * size, 1.0), std)
    return mean, std


def bounded_tail(values: FloatArray, tail: float = TAIL) -> FloatArray:
    """Standardize a metric (n,) and bound its lower tail, so that outliers do not set the scale.

    Let z be the distance from the median in units of the spread (the distance from the median to
    the better quartile), and t the ``tail``. Values of z below -t are replaced by -t (2 + t / z),
    which is smooth, preserves the order, and is never below -2 t. NaN stays NaN.
    """
    if np.isnan(values).all():
        return values
    middle, upper = np.nanquantile(values, [0.5, 0.75])
    spread = upper - middle
    if not spread > 0:
        spread = np.nanstd(values)
    # if steps are 1e-300 and the best value is far beyond, squares must not underflow or overflow
    spread = max(spread, _LEAST_SPREAD * (np.nanmax(values) - middle))
    with np.errstate(over="ignore"):  # in the bad tail, which is bounded below
        z = (values - middle) / (spread if spread > 0 else 1.0)
    below = z < -tail
    z[below] = -tail * (2 + tail / z[below])
    sd = np.nanstd(z)
    return np.asarray((z - np.nanmean(z)) / (sd if sd > 0 else 1.0))
