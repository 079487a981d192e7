"""Search space: params <-> code <-> unit code, and what a search wants to know of it.

In come the dimensions; out go codes of params and back, draws, neighbours, and the hooks that
generic code reads off any space: ``start``, ``features``, ``units`` and ``groups``.

Notation
    D          number of dimensions (parameters)
    d          number of columns: one per number, one per choice of a categorical
    params     dictionary name -> value, the host tool's form
    code       (n, d) in natural units; a categorical is one-hot
    unit code  (n, d) in [0, 1], log dimensions in log; predictors and propagation work on it
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.space.columns import Columns, FloatArray, _Numbers
from ncp_sampler.space.dimensions import (
    Categorical,
    Dimension,
    Float,
    Integer,
    decode,
    from_uniform,
    n_values,
    suggest,
    values,
)
from ncp_sampler.space.hooks import Group, check_groups, check_units, comparable
from ncp_sampler.space.interpolation import InterpolatedFeatures, ParamFeatures

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Params: TypeAlias = dict[str, Any]

MAX_ENUMERATED = 100_000


class SearchSpace:
    """An ordered set of dimensions, and the one codec between params, codes and unit codes.

    Args:
        dimensions: ``Integer``, ``Float`` or ``Categorical``, in the order of the code.
        start: Code (d,) that a search begins from, or its params; None for no such code.
        features: What predictors see of unit codes in their place: a differentiable map of tensors
            (n, d) to (n, f). None for the unit codes themselves.
        param_features: What predictors see beside unit codes: a plain function of params, such as
            parameters, depth or FLOPs, that gives a number or a sequence of them. It is called
            with legal params alone, once for each, and interpolated between them.
        units: Metric or cost -> its unit, such as "%", as pictures show it.
        groups: Parameters that pictures show together; by default those of one range.

    Attributes:
        dimensions: The dimensions, in order.
        columns: Name of each of the d columns of a code: the parameter's name, or
            ``name=choice`` for a categorical.
        features: As given, or what ``param_features`` become; None without either.
        units: As given; empty if None.
        groups: As given.

    Two spaces are equal if they are of the same class and all arguments are equal; functions are
    equal if they are the same function.

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
        kinds = (Integer, Float, Categorical)
        listed = isinstance(dimensions, Sequence) and not isinstance(dimensions, str)
        if not listed or not all(isinstance(dim, kinds) for dim in dimensions):
            must = "be a sequence of dimensions, such as [Integer('width', 8, 64)]"
            raise checks.refusal("dimensions", dimensions, must)
        self.dimensions: tuple[Dimension, ...] = tuple(dimensions)
        if not self.dimensions:
            raise ValueError("dimensions is empty; a search space needs at least one")
        for name in self.names:
            if self.names.count(name) > 1:
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

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(dim.name for dim in self.dimensions)

    @property
    def size(self) -> float:
        """Number of legal codes; infinite if a dimension is continuous."""
        return math.prod(float(n_values(dim)) for dim in self.dimensions)

    @property
    def start(self) -> NDArray[Any] | None:
        """The code (d,) that a search begins from, if there is one."""
        return None if self._start is None else self._start.copy()

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The same space as Optuna distributions, name -> distribution.

        Raises:
            ValueError: A grid of which Optuna would leave out the last value.
        """
        # looked up late: the adapters stand above the spaces, and may be missing
        conversion = import_module("ncp_sampler.integrations.optuna.conversion")
        found: dict[str, BaseDistribution] = conversion.to_distributions(self)
        return found

    def tune_space(self) -> dict[str, Any]:
        """The same space as Ray Tune domains, name -> domain, for a Tuner's ``param_space``."""
        domains: dict[str, Any] = import_module("ncp_sampler.integrations.ray.space").to_domains(
            self
        )
        return domains

    def same_codes(self, other: SearchSpace) -> bool:
        """Return True if both spaces have the same valid codes, of the same params.

        Raises:
            ValueError: It is no search space.
        """
        checks.instance("other", other, SearchSpace, "be a SearchSpace, such as MRSpace()")
        return self._codec() == other._codec()

    def column_slice(self, name: str) -> slice:
        """Columns of a code that hold parameter ``name``.

        Raises:
            ValueError: No such parameter.
        """
        if not isinstance(name, str) or name not in self._columns.slices:
            raise ValueError(f"unknown parameter {name!r}; the space has {list(self.names)}")
        return self._columns.slices[name]

    def from_config(self, config: Mapping[str, Any]) -> NDArray[Any]:
        """Code (d,) of a trainable's config, which may hold other things besides.

        Raises:
            ValueError: A parameter is missing or has an illegal value.
        """
        checks.instance("config", config, Mapping, "be a dictionary of params")
        return self.to_code({name: config[name] for name in self.names if name in config})

    def suggest(self, trial: BaseTrial) -> Params:
        """Params of one Optuna trial: calls ``trial.suggest_*`` for each dimension, in order."""
        if not hasattr(trial, "suggest_int"):
            raise checks.refusal("trial", trial, "be an Optuna trial")
        return {dim.name: suggest(dim, trial) for dim in self.dimensions}

    def to_code(
        self, params: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, clip: bool = False
    ) -> NDArray[Any]:
        """Code of params: shape (d,) for one dictionary, (n, d) for a sequence of n.

        Args:
            params: Exactly the space's parameters, each with a legal value.
            clip: Take the nearest legal value for a number off the range or the grid, rather
                than raise (a study can hold such values: Optuna lets users enqueue them).

        Raises:
            ValueError: A parameter is missing, unknown, or has an illegal value.
        """
        if isinstance(params, Mapping):
            code: NDArray[Any] = self.to_code([params], clip=clip)[0]
            return code
        must = "be params, a dictionary from names to values, or a sequence of such dictionaries"
        numbers = self._encode(checks.sequence("params", params, Mapping, must))
        return (
            self.round(numbers)
            if clip
            else self._columns.check_legal(numbers).astype(self._columns.dtype)
        )

    @overload
    def to_params(self, code: Sequence[float] | NDArray[Any]) -> Params: ...
    @overload
    def to_params(self, code: Sequence[Sequence[float]]) -> list[Params]: ...
    def to_params(self, code: Any) -> Params | list[Params]:
        """Params of a legal code: a dictionary for shape (d,), a list of n for (n, d).

        Raises:
            ValueError: Wrong length, NaN, or an illegal number (``round`` gives the nearest code).
        """
        numbers = self._columns.check_legal(self._columns.check_shape(code))
        if numbers.ndim > 2:
            raise ValueError(f"code has shape {numbers.shape}; it must be (d,) or (n, d)")
        code = np.atleast_2d(numbers)
        found = [decode(dim, code[:, self._columns.slices[dim.name]]) for dim in self.dimensions]
        rows = [
            dict(zip(self._columns.slices, row, strict=True)) for row in zip(*found, strict=True)
        ]
        return rows[0] if numbers.ndim == 1 else rows

    def round(self, code: ArrayLike | torch.Tensor) -> NDArray[Any]:
        """Nearest legal code, shape kept: clipped, on the grid, one choice per categorical.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        legal = self._columns.round(self._columns.check_shape(code))
        return legal.astype(self._columns.dtype, copy=False)

    def normalize(self, code: ArrayLike) -> FloatArray:
        """Unit code of a code, shape kept: ``low`` is 0, ``high`` is 1 (0 if they are equal).

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        return self._columns.normalize(self._columns.check_shape(code))

    def denormalize(self, unit: _Numbers) -> _Numbers:
        """Code of a unit code, not rounded, shape kept; differentiable for a tensor."""
        return self._columns.denormalize(unit)

    def from_uniform(self, u: ArrayLike) -> NDArray[Any]:
        """Legal codes (n, d) of numbers u (n, D) in [0, 1), each value of a dimension alike.

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
        return self.round(np.hstack(list(map(from_uniform, self.dimensions, numbers.T))))

    def sample(self, n: int, rng: np.random.Generator | int | None = None) -> NDArray[Any]:
        """Draws n >= 0 legal codes, shape (n, d), uniformly (log dimensions in log)."""
        checks.whole("n", n, low=0)
        return self.from_uniform(checks.generator(rng).random((n, len(self.dimensions))))

    def neighbours(self, code: ArrayLike) -> NDArray[Any]:
        """Legal codes (m, d) that differ from one code (d,) in one dimension by one step.

        A categorical's neighbours are its other choices; a continuous dimension moves by 5 % of
        its unit range.

        Raises:
            ValueError: Another shape, or NaN.
        """
        base = self._columns.round(self._columns.check_shape(code))
        if base.ndim != 1:
            raise ValueError(f"code has shape {base.shape}; it must be one code, (d,)")
        return self._columns.neighbours(base).astype(self._columns.dtype, copy=False)

    def enumerate(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Every legal code, shape (size, d), the last dimension changing first; or some of them.

        Args:
            start: Position of the first code among all, from 0.
            stop: Position after the last code; None for the end.

        Raises:
            ValueError: A continuous dimension, more than 100,000 codes, or a position below 0.
        """
        if self.size > MAX_ENUMERATED:
            raise ValueError(f"the space has {self.size:.3g} codes, over {MAX_ENUMERATED}")
        first = checks.whole("start", start, low=0)
        last = int(self.size) if stop is None else checks.whole("stop", stop, low=0)
        at = np.arange(first, min(last, int(self.size)))
        found: list[FloatArray] = []
        for dim in reversed(self.dimensions):
            at, index = np.divmod(at, int(n_values(dim)))
            found.append(values(dim, index))
        return self.round(np.hstack(found[::-1]))

    def _codec(self) -> tuple[Any, ...]:
        """Return what decides which codes are valid: the dimensions, and their conditions."""
        return self.dimensions, ()

    def _hooks(self) -> tuple[Any, ...]:
        start = None if self.start is None else self.start.tolist()
        return start, comparable(self.features, self), self.units, self.groups

    def _encode(self, rows: Sequence[Mapping[str, Any]]) -> FloatArray:
        for row in rows:
            if row.keys() != self._columns.slices.keys():
                missing = [name for name in self._columns.slices if name not in row]
                unknown = [name for name in row if name not in self._columns.slices]
                raise ValueError(
                    f"params do not fit the space: missing {missing}, unknown {unknown}; "
                    f"give exactly {list(self.names)}"
                )
        code = np.zeros((len(rows), len(self.columns)))
        numbers = [[row[name] for name in self._columns.numeric] for row in rows]
        kinds = set(map(type, itertools.chain.from_iterable(numbers)))
        if not all(map(checks.is_number, kinds)):
            items = ((name, row[name]) for row in rows for name in self._columns.numeric)
            name, value = next(item for item in items if not checks.is_number(type(item[1])))
            raise ValueError(f"{name}={value!r} is not a number; give an int or a float")
        try:
            columns = np.array(numbers, dtype=np.float64).reshape(
                len(rows), len(self._columns.numeric)
            )
        except OverflowError:
            raise ValueError("params has a number beyond the range of a float") from None
        code[:, list(self._columns.numeric.values())] = columns
        for dim in self.dimensions:
            if isinstance(dim, Categorical):
                picked = np.array([dim.index(row[dim.name]) for row in rows], dtype=int)
                code[:, self._columns.slices[dim.name]] = values(dim, picked)
        return self._columns.check_shape(code)

    def _check_start(self, start: ArrayLike | Mapping[str, Any]) -> NDArray[Any]:
        if isinstance(start, Mapping):
            return self.to_code(start)
        if np.shape(start) != (len(self.columns),):
            must = f"be one legal code of {len(self.columns)} numbers, its params, or None"
            raise checks.refusal("start", start, must)
        return self.to_code(self.to_params(np.asarray(start)))


def code_key(code: NDArray[Any]) -> bytes:
    """What tells legal codes apart."""
    return np.asarray(code, dtype=np.float64).tobytes()
