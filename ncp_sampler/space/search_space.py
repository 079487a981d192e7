"""Search space: conversion between params, codes and unit codes; samples and neighbors of codes.

Notation
    D          number of dimensions (parameters)
    d          number of columns: one per integer or float, one per category of a categorical
    params     dictionary name -> value, as Optuna and Ray use it
    code       (n, d) in natural units; a categorical is one-hot
    unit code  (n, d) in [0, 1]; log dimensions are scaled logarithmically; BoTorch calls it the
               normalized input
"""

from __future__ import annotations

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
from ncp_sampler.space.conditional_columns import ConditionalColumns
from ncp_sampler.space.conditions import Conditions, checked_conditions
from ncp_sampler.space.dimensions import Dimension, checked_dimensions, suggest
from ncp_sampler.space.encoding import encode
from ncp_sampler.space.hooks import Group, check_groups, check_units, comparable
from ncp_sampler.space.interpolation import EffectiveFeatures, InterpolatedFeatures, ParamFeatures

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Params: TypeAlias = dict[str, Any]

MAX_ENUMERATED = 100_000


@with_old_names
class SearchSpace:
    """Ordered set of dimensions, with conversion between params, codes and unit codes.

    Args:
        dimensions: ``Integer``, ``Float`` or ``Categorical``, in the order of the code.
        conditions: Parameter -> its parent, a categorical or an integer, and the values of the
            parent for which the parameter exists, such as ``{"width_3": ("n_layers", [3, 4])}``. A
            parameter that does not exist is absent from params, and its columns in a code contain
            the middle of its range.
        start: Code (d,) from which a search starts, or its params; None for no start code.
        features: Differentiable map of unit codes, tensor (n, d) -> (n, f), whose values are the
            inputs of predictors. Columns of parameters that do not exist contain the middle. None
            to use the unit codes themselves.
        param_features: Plain function of params whose values are inputs of predictors in addition
            to the unit codes, such as the number of weights, depth or FLOPs. The function returns a
            number or a sequence of numbers. It is called once for each valid code, and its values
            are interpolated between valid codes.
        units: Metric or cost -> its unit, such as "%", for figures.
        groups: Parameters that figures show together; by default, those with the same range.

    Attributes:
        dimensions: The dimensions, in order.
        conditions: Parameter -> its parent and values, parents first, without conditions that
            always hold.
        names: The parameters' names, in order.
        columns: Name of each of the d columns of a code: the parameter's name, or
            ``name=category`` for a categorical.
        features: As given, or derived from ``param_features`` or conditions; None without these.
        units: As given; empty if None.
        groups: As given.

    Two spaces of one class are equal if their arguments are equal; two functions are equal if they
    are the same object.

    Raises:
        ValueError: There are no dimensions, two have the same name, the start is outside the space,
            or the conditions are invalid: a parent is unknown or a float, the values are missing or
            are not values of the parent, or there is a cycle.

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
        conditions: Conditions | None = None,
        start: ArrayLike | Mapping[str, Any] | None = None,
        features: Callable[[torch.Tensor], torch.Tensor] | None = None,
        param_features: ParamFeatures | None = None,
        units: Mapping[str, str] | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        self.dimensions: tuple[Dimension, ...] = checked_dimensions(dimensions)
        self.names = tuple(dim.name for dim in self.dimensions)
        self.conditions = checked_conditions(conditions, self.dimensions)
        self._columns = (
            ConditionalColumns(self.dimensions, self.conditions)
            if self.conditions
            else Columns(self.dimensions)
        )
        self.columns: tuple[str, ...] = self._columns.names
        must = "be a function of unit codes, or None"
        self._features = checks.call("features", features, must)
        if param_features is not None:
            if features is not None:
                raise ValueError("features and param_features are both given; give one of them")
            plain = SearchSpace(self.dimensions, conditions=self.conditions)
            self._features = InterpolatedFeatures(plain, param_features)
        self.features = self._features
        if self.conditions:
            self.features = EffectiveFeatures(self._columns.effective, self._features)
        self.units = check_units(units or {})
        self.groups = check_groups(groups, self.names)
        self._start = None if start is None else self._check_start(start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace) or type(self) is not type(other):
            return False
        return self.same_codes(other) and self._hooks() == other._hooks()

    def __hash__(self) -> int:
        return hash((type(self), *self._codec()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.dimensions)} dimensions, {self.size:.3g} codes)"

    @cached_property
    def size(self) -> float:
        """Number of valid codes; infinite if a dimension is continuous.

        The number is an upper bound if a parent has more than 100,000 values.
        """
        return self._columns.size()

    @property
    def start(self) -> NDArray[Any] | None:
        """Code (d,) from which a search starts, if there is one."""
        return None if self._start is None else self._start.copy()

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna distributions, name -> distribution.

        Raises:
            ValueError: Optuna would leave out the last value of a grid.
        """
        # imported late: the integrations are a higher layer, and may be missing
        conversion = import_module("ncp_sampler.integrations.optuna.conversion")
        return dict(conversion.to_distributions(self))

    def tune_space(self) -> dict[str, Any]:
        """Return Ray Tune domains, name -> domain, for a Tuner's ``param_space``."""
        ray_space = import_module("ncp_sampler.integrations.ray.space")
        return dict(ray_space.to_domains(self))

    def same_codes(self, other: SearchSpace) -> bool:
        """Return True if both spaces map the same params to the same valid codes.

        Raises:
            ValueError: ``other`` is not a search space.
        """
        checks.instance("other", other, SearchSpace, checks.A_SPACE)
        return self._codec() == other._codec()

    def missing(self, params: Mapping[str, Any]) -> list[str]:
        """Return the parameters that exist according to their parents but are missing in params."""
        return [name for name in self._columns.existing(params) if name not in params]

    def exists(self, codes: ArrayLike, *, by_column: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the parameters that exist in codes (n, d), or of their columns.

        The mask has shape (n, D), or (n, d) if ``by_column`` is True.
        """
        numbers = np.atleast_2d(self._columns.check_shape(codes))
        if by_column:
            return self._columns.exists_by_column(numbers)
        return self._columns.exists(self._columns.to_values(numbers))

    def column_slice(self, name: str) -> slice:
        """Return the columns of a code that contain the parameter ``name``.

        Raises:
            ValueError: There is no such parameter.
        """
        if not isinstance(name, str) or name not in self._columns.slices:
            raise ValueError(f"unknown parameter {name!r}; the space has {list(self.names)}")
        return self._columns.slices[name]

    def from_config(self, config: Mapping[str, Any]) -> NDArray[Any]:
        """Return the code (d,) of a Ray Tune config, which may contain other entries.

        Raises:
            ValueError: A parameter is missing or has an invalid value.
        """
        checks.instance("config", config, Mapping, "be a dictionary of params")
        return self.to_code({name: config[name] for name in self.names if name in config})

    def suggest(self, trial: BaseTrial) -> Params:
        """Return an Optuna trial's params; call ``trial.suggest_*`` for each dimension in order.

        Parameters that do not exist are not suggested; parents come before their children.
        """
        if not hasattr(trial, "suggest_int"):
            raise checks.refusal("trial", trial, "be an Optuna trial")
        params: Params = {}
        for i in self._columns.order():
            if self._columns.may_follow(i, params):
                params[self.names[i]] = suggest(self.dimensions[i], trial)
        return {name: params[name] for name in self.names if name in params}

    def to_code(
        self, params: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, clip: bool = False
    ) -> NDArray[Any]:
        """Return the code of params: (d,) for one dictionary, (n, d) for a sequence of n.

        Args:
            params: The space's parameters, each with a valid value. A parameter that does not
                exist may be missing, and its value is ignored.
            clip: True to replace a number off the range or grid with the nearest valid value,
                instead of raising an error (a study can contain such values, because Optuna lets
                users enqueue them).

        Raises:
            ValueError: A parameter is missing, unknown, or has an invalid value.
        """
        if isinstance(params, Mapping):
            code: NDArray[Any] = self.to_code([params], clip=clip)[0]
            return code
        must = "be params, a dictionary from names to values, or a sequence of such dictionaries"
        rows = checks.sequence("params", params, Mapping, must)
        numbers = encode(rows, self._columns)
        if clip:
            return self.round(numbers)
        return self._columns.check_valid(numbers).astype(self._columns.dtype)

    @overload
    def to_params(self, code: Sequence[float] | NDArray[Any]) -> Params: ...
    @overload
    def to_params(self, code: Sequence[Sequence[float]]) -> list[Params]: ...
    def to_params(self, code: Any) -> Params | list[Params]:
        """Return the params of a valid code: a dictionary for (d,), a list of n for (n, d).

        Params do not contain parameters that do not exist.

        Raises:
            ValueError: The length is wrong, or a number is NaN or invalid (``round`` returns the
                nearest code).
        """
        numbers = self._columns.check_valid(self._columns.check_shape(code))
        if numbers.ndim > 2:
            raise ValueError(f"code has shape {numbers.shape}; it must be (d,) or (n, d)")
        rows = self._columns.to_params(np.atleast_2d(numbers))
        return rows[0] if numbers.ndim == 1 else rows

    def round(self, code: ArrayLike | torch.Tensor) -> NDArray[Any]:
        """Return the nearest valid code: clipped, on the grid, with one category per categorical.

        Columns of parameters that do not exist contain the middle.

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        valid = self._columns.round(self._columns.check_shape(code))
        return valid.astype(self._columns.dtype, copy=False)

    def effective(self, unit: torch.Tensor) -> torch.Tensor:
        """Return unit codes (n, d) with the middle where a parameter does not exist.

        Between valid codes, the nearest valid code determines which parameters exist. Gradients
        pass through existing parameters and are 0 elsewhere.
        """
        return self._columns.effective(unit)

    def normalize(self, code: ArrayLike) -> FloatArray:
        """Return the unit code, in the same shape: ``low`` is 0 and ``high`` is 1 (0 if equal).

        Raises:
            ValueError: Wrong number of columns, or NaN.
        """
        return self._columns.normalize(self._columns.check_shape(code))

    def denormalize(self, unit: Numbers) -> Numbers:
        """Return the unrounded code of a unit code; differentiable if given a tensor."""
        return self._columns.denormalize(unit)

    def from_uniform(self, u: ArrayLike) -> NDArray[Any]:
        """Return valid codes (n, d) for uniformly distributed numbers u (n, D) in [0, 1].

        All values of a dimension are equally likely; in a log dimension, the logarithm is uniform.
        A log integer follows Optuna: uniform between the logs of ``low - 1/2`` and ``high + 1/2``,
        then rounded.

        Raises:
            ValueError: The shape is wrong, or a number is outside [0, 1].
        """
        return self.round(self._columns.from_uniform(checks.array("u", u)))

    def sample(self, n: int, rng: np.random.Generator | int | None = None) -> NDArray[Any]:
        """Draw n valid codes, shape (n, d); n may be 0.

        Each dimension is uniform; a log dimension is uniform on the log scale. With conditions, all
        parameters are drawn before those that do not exist are left out. Therefore, codes with few
        parameters are drawn more often than codes with many.
        """
        checks.integer("n", n, low=0)
        return self.from_uniform(checks.generator(rng).random((n, len(self.dimensions))))

    def neighbors(self, code: ArrayLike) -> NDArray[Any]:
        """Return the valid codes (m, d) that differ from one code (d,) by one step.

        A categorical changes to each of its other categories, and a continuous dimension moves
        by 5 % of its unit range. If a step makes a parameter exist, its value is the middle.

        Raises:
            ValueError: The shape is wrong, or a number is NaN.
        """
        base = self._columns.round(self._columns.check_shape(code))
        if base.ndim != 1:
            raise ValueError(f"code has shape {base.shape}; it must be one code, (d,)")
        return self._columns.neighbors(base).astype(self._columns.dtype, copy=False)

    def enumerate(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return all valid codes (n, d), or a range of them; the last dimension changes first.

        Args:
            start: Position of the first code among all codes, starting at 0.
            stop: Position after the last code; None for the end.

        Raises:
            ValueError: A dimension is continuous, there are more than 100,000 codes, or a position
                is below 0.
        """
        if self.size > MAX_ENUMERATED:
            raise ValueError(f"the space has {self.size:.3g} codes, over {MAX_ENUMERATED}")
        first = checks.integer("start", start, low=0)
        last = int(self.size) if stop is None else checks.integer("stop", stop, low=0)
        return self.round(self._columns.enumerate(first, last))

    def _codec(self) -> tuple[Any, ...]:
        """Return the dimensions and conditions, which determine the valid codes."""
        return self.dimensions, self._columns.key

    def _hooks(self) -> tuple[Any, ...]:
        start = None if self.start is None else self.start.tolist()
        return start, comparable(self._features, self), self.units, self.groups

    def _check_start(self, start: ArrayLike | Mapping[str, Any]) -> NDArray[Any]:
        if isinstance(start, Mapping):
            return self.to_code(start)
        if np.shape(start) != (len(self.columns),):
            must = f"be one valid code of {len(self.columns)} numbers, its params, or None"
            raise checks.refusal("start", start, must)
        return self.to_code(self.to_params(np.asarray(start)))


def code_key(code: NDArray[Any]) -> bytes:
    """Return a hashable value that distinguishes valid codes."""
    return np.asarray(code, dtype=np.float64).tobytes()
