"""Search space: params <-> code <-> unit code, draws, neighbors, and hooks of generic code.

Notation
    D          number of dimensions (parameters)
    d          number of columns: one per number, one per category of a categorical
    params     dictionary name -> value, as Optuna and Ray use it
    code       (n, d) in natural units; a categorical is one-hot
    unit code  (n, d) in [0, 1], log dimensions in log; BoTorch calls it the normalized input
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.space.columns import Columns, FloatArray, Numbers
from ncp_sampler.space.dimensions import (
    Categorical,
    Dimension,
    Float,
    Integer,
    decode,
    n_values,
    suggest,
)
from ncp_sampler.space.hooks import Group, check_groups, check_units, comparable
from ncp_sampler.space.interpolation import InterpolatedFeatures, ParamFeatures

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Params: TypeAlias = dict[str, Any]

MAX_ENUMERATED = 100_000


@with_old_names
class SearchSpace:
    """An ordered set of dimensions, and the codec between params, codes and unit codes.

    Args:
        dimensions: ``Integer``, ``Float`` or ``Categorical``, in the order of the code.
        start: Code (d,) that a search begins from, or its params; None for no such code.
        features: Input of predictors in place of unit codes: a differentiable map of tensors
            (n, d) to (n, f). None for the unit codes themselves.
        param_features: Input of predictors in addition to unit codes: a plain function of params,
            such as parameters, depth or FLOPs, that returns a number or a sequence of them. It is
            called once for each valid params, and interpolated between them.
        units: Metric or cost -> its unit, such as "%", for pictures.
        groups: Parameters that pictures show together; by default those of one range.

    Attributes:
        dimensions: The dimensions, in order.
        names: The parameters' names, in order.
        columns: Name of each of the d columns of a code: the parameter's name, or
            ``name=category`` for a categorical.
        features: As given, or made of ``param_features``; None without either.
        units: As given; empty if None.
        groups: As given.

    Spaces of one class with equal arguments are equal; functions are equal if they are the same.

    Raises:
        ValueError: No dimension, two of the same name, or a start outside the space.

    Examples:
        >>> from ncp_sampler import Categorical, Integer, SearchSpace
        >>> norm = Categorical("norm", ["batch", "layer"])
        >>> space = SearchSpace([Integer("width", 8, 64, step=8), norm])
        >>> code = space.to_code({"width": 16, "norm": "layer"})
        >>> code.tolist()
        [16, 0, 1]
        >>> space.to_params(code)
        {'width': 16, 'norm': 'layer'}
        >>> space.columns
        ('width', 'norm=batch', 'norm=layer')
    """

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        *,
        start: ArrayLike | Mapping[str, Any] | None = None,
        features: Callable[[torch.Tensor], torch.Tensor] | None = None,
        param_features: ParamFeatures | None = None,
        units: Mapping[str, str] | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        must = "be a sequence of dimensions, such as [Integer('width', 8, 64)]"
        given = checks.sequence("dimensions", dimensions, (Integer, Float, Categorical), must)
        self.dimensions: tuple[Dimension, ...] = tuple(given)
        if not self.dimensions:
            raise ValueError("dimensions is empty; a search space needs at least one")
        self.names = tuple(dim.name for dim in self.dimensions)
        (name, count), *_ = Counter(self.names).most_common(1)
        if count > 1:
            raise ValueError(f"dimensions has {name!r} more than once; rename one")
        self._columns = Columns(self.dimensions)
        self.columns: tuple[str, ...] = self._columns.names
        self.features = checks.call("features", features, "be a function of unit codes, or None")
        if param_features is not None:
            if features is not None:
                raise ValueError("features and param_features are both given; give one of them")
            self.features = InterpolatedFeatures(SearchSpace(self.dimensions), param_features)
        self.units = check_units(units or {})
        self.groups = check_groups(groups, self.names)
        self._start = None if start is None else self._check_start(start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace) or type(self) is not type(other):
            return False
        return self.same_codes(other) and self._hooks() == other._hooks()

    def __hash__(self) -> int:
        return hash((type(self), self.dimensions))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.dimensions)} dimensions, {self.size:.3g} codes)"

    @cached_property
    def size(self) -> float:
        """Number of valid codes; infinite if a dimension is continuous."""
        return math.prod(float(n_values(dim)) for dim in self.dimensions)

    @property
    def start(self) -> NDArray[Any] | None:
        """The code (d,) that a search begins from, if there is one."""
        return None if self._start is None else self._start.copy()

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return Optuna distributions, name -> distribution.

        Raises:
            ValueError: A grid of which Optuna would leave out the last value.
        """
        # imported late: the integrations are a higher layer, and may be missing
        conversion = import_module("ncp_sampler.integrations.optuna.conversion")
        return dict(conversion.to_distributions(self))

    def tune_space(self) -> dict[str, Any]:
        """Return Ray Tune domains, name -> domain, for a Tuner's ``param_space``."""
        ray_space = import_module("ncp_sampler.integrations.ray.space")
        return dict(ray_space.to_domains(self))

    def same_codes(self, other: SearchSpace) -> bool:
        """Return True if both spaces have the same valid codes, of the same params.

        Raises:
            ValueError: It is no search space.
        """
        checks.instance("other", other, SearchSpace, "be a SearchSpace, such as MRSpace()")
        return self._codec() == other._codec()

    def column_slice(self, name: str) -> slice:
        """Return the columns of a code that hold parameter ``name``.

        Raises:
            ValueError: No such parameter.
        """
        if not isinstance(name, str) or name not in self._columns.slices:
            raise ValueError(f"unknown parameter {name!r}; the space has {list(self.names)}")
        return self._columns.slices[name]

    def from_config(self, config: Mapping[str, Any]) -> NDArray[Any]:
        """Return the code (d,) of a trainable's config, which may hold other entries.

        Raises:
            ValueError: A parameter is missing or has an invalid value.
        """
        checks.instance("config", config, Mapping, "be a dictionary of params")
        return self.to_code({name: config[name] for name in self.names if name in config})

    def suggest(self, trial: BaseTrial) -> Params:
        """Return params of one Optuna trial, by ``trial.suggest_*`` for each dimension in order."""
        if not hasattr(trial, "suggest_int"):
            raise checks.refusal("trial", trial, "be an Optuna trial")
        return {dim.name: suggest(dim, trial) for dim in self.dimensions}

    def to_code(
        self, params: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, clip: bool = False
    ) -> NDArray[Any]:
        """Return the code of params: shape (d,) for one dictionary, (n, d) for a sequence of n.

        Args:
            params: Exactly the space's parameters, each with a valid value.
            clip: Take the nearest valid value for a number off the range or the grid, rather
                than raise (a study can hold such values: Optuna lets users enqueue them).

        Raises:
            ValueError: A parameter is missing, unknown, or has an invalid value.
        """
        if isinstance(params, Mapping):
            code: NDArray[Any] = self.to_code([params], clip=clip)[0]
            return code
        must = "be params, a dictionary from names to values, or a sequence of such dictionaries"
        numbers = self._encode(checks.sequence("params", params, Mapping, must))
        if clip:
            return self.round(numbers)
        return self._columns.check_valid(numbers).astype(self._columns.dtype)

    @overload
    def to_params(self, code: Sequence[float] | NDArray[Any]) -> Params: ...
    @overload
    def to_params(self, code: Sequence[Sequence[float]]) -> list[Params]: ...
    def to_params(self, code: Any) -> Params | list[Params]:
        """Return params of a valid code: a dictionary for shape (d,), a list of n for (n, d).

        Raises:
            ValueError: Wrong length, NaN, or an invalid number (``round`` gives the nearest code).
        """
        numbers = self._columns.check_valid(self._columns.check_shape(code))
        if numbers.ndim > 2:
            raise ValueError(f"code has shape {numbers.shape}; it must be (d,) or (n, d)")
        values = self._columns.to_values(np.atleast_2d(numbers))
        by_name = map(decode, self.dimensions, values.T)
        rows = [dict(zip(self.names, row, strict=True)) for row in zip(*by_name, strict=True)]
        return rows[0] if numbers.ndim == 1 else rows

    def round(self, code: ArrayLike | torch.Tensor) -> NDArray[Any]:
        """Return the nearest valid code: clipped, on the grid, one category per categorical.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        valid = self._columns.round(self._columns.check_shape(code))
        return valid.astype(self._columns.dtype, copy=False)

    def normalize(self, code: ArrayLike) -> FloatArray:
        """Return the unit code, shape kept: ``low`` is 0, ``high`` is 1 (0 if they are equal).

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        return self._columns.normalize(self._columns.check_shape(code))

    def denormalize(self, unit: Numbers) -> Numbers:
        """Return the code of a unit code, not rounded, shape kept; differentiable for a tensor."""
        return self._columns.denormalize(unit)

    def from_uniform(self, u: ArrayLike) -> NDArray[Any]:
        """Return valid codes (n, d) of numbers u (n, D) in [0, 1), all values equally likely.

        A log integer follows Optuna: uniform between the logs of ``low - 1/2`` and
        ``high + 1/2``, then rounded.

        Raises:
            ValueError: Another shape, or a number outside [0, 1].
        """
        numbers = checks.array("u", u)
        if numbers.ndim != 2 or numbers.shape[1] != len(self.dimensions):
            raise ValueError(f"u has shape {numbers.shape}; it must be (n, {len(self.dimensions)})")
        if not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError("u has a number outside [0, 1]; take it from a uniform distribution")
        return self.round(self._columns.from_uniform(numbers))

    def sample(self, n: int, rng: np.random.Generator | int | None = None) -> NDArray[Any]:
        """Draw n >= 0 valid codes, shape (n, d), uniformly (log dimensions in log)."""
        checks.integer("n", n, low=0)
        return self.from_uniform(checks.generator(rng).random((n, len(self.dimensions))))

    def neighbors(self, code: ArrayLike) -> NDArray[Any]:
        """Return the valid codes (m, d) that differ from one code (d,) by one step.

        A categorical's neighbors are its other categories; a continuous dimension moves by 5 % of
        its unit range.

        Raises:
            ValueError: Another shape, or NaN.
        """
        base = self._columns.round(self._columns.check_shape(code))
        if base.ndim != 1:
            raise ValueError(f"code has shape {base.shape}; it must be one code, (d,)")
        return self._columns.neighbors(base).astype(self._columns.dtype, copy=False)

    def enumerate(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return all valid codes, or a range of them, (n, d); the last dimension changes first.

        Args:
            start: Position of the first code among all, from 0.
            stop: Position after the last code; None for the end.

        Raises:
            ValueError: A continuous dimension, more than 100,000 codes, or a position below 0.
        """
        if self.size > MAX_ENUMERATED:
            raise ValueError(f"the space has {self.size:.3g} codes, over {MAX_ENUMERATED}")
        first = checks.integer("start", start, low=0)
        last = int(self.size) if stop is None else checks.integer("stop", stop, low=0)
        positions = np.arange(first, min(last, int(self.size)))
        counts = np.array([int(n_values(dim)) for dim in self.dimensions])
        strides = int(self.size) // np.cumprod(counts)
        return self.round(self._columns.at(positions[:, None] // strides % counts))

    def _codec(self) -> tuple[Any, ...]:
        """Return what decides which codes are valid: the dimensions, and their conditions."""
        return self.dimensions, ()

    def _hooks(self) -> tuple[Any, ...]:
        start = None if self.start is None else self.start.tolist()
        return start, comparable(self.features, self), self.units, self.groups

    def _encode(self, rows: Sequence[Mapping[str, Any]]) -> FloatArray:
        """Return codes (n, d) of params, which may be off their ranges and grids."""
        for row in rows:
            if row.keys() != self._columns.slices.keys():
                missing = [name for name in self.names if name not in row]
                unknown = [name for name in row if name not in self._columns.slices]
                raise ValueError(
                    f"params do not fit the space: missing {missing}, unknown {unknown}; "
                    f"give exactly {list(self.names)}"
                )
        names = [self.names[i] for i in self._columns.numeric]
        numbers = [[row[name] for name in names] for row in rows]
        if not all(map(checks.is_number, set(map(type, itertools.chain.from_iterable(numbers))))):
            items = ((name, row[name]) for row in rows for name in names)
            name, value = next(item for item in items if not checks.is_number(type(item[1])))
            raise ValueError(f"{name}={value!r} is not a number; give an int or a float")
        values, shape = np.empty((len(rows), len(self.names))), (len(rows), len(names))
        try:
            values[:, self._columns.numeric] = np.array(numbers, dtype=float).reshape(shape)
        except OverflowError:
            raise ValueError("params has a number beyond the range of a float") from None
        for i, dim in self._columns.categoricals.items():
            values[:, i] = [dim.index(row[dim.name]) for row in rows]
        return self._columns.check_shape(self._columns.from_values(values))

    def _check_start(self, start: ArrayLike | Mapping[str, Any]) -> NDArray[Any]:
        if isinstance(start, Mapping):
            return self.to_code(start)
        if np.shape(start) != (len(self.columns),):
            must = f"be one valid code of {len(self.columns)} numbers, its params, or None"
            raise checks.refusal("start", start, must)
        return self.to_code(self.to_params(np.asarray(start)))


def code_key(code: NDArray[Any]) -> bytes:
    """Return a hashable value that tells valid codes apart."""
    return np.asarray(code, dtype=np.float64).tobytes()
