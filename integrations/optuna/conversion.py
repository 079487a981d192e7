"""Conversion of Optuna's distributions, trials and studies to the optimizer's types and back.

A *pin* is a fixed value of a parameter in a trial, which the sampler's proposal cannot change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from ncp_sampler import checks
from ncp_sampler.space.conditions import Conditions
from ncp_sampler.space.dimensions import (
    Categorical,
    Dimension,
    Float,
    Integer,
    check_in_optuna,
    n_values,
)
from ncp_sampler.space.search_space import Params, SearchSpace

REASONS_KEY = "ncp:reasons"  # Trial attribute with the reasons for its proposal, under 4 kB
_TASK_KEY = "ncp:task:"  # User attribute of a reported task, followed by the objective's index
_CONSTRAINTS_KEY = "constraints"  # Trial attribute in which Optuna's samplers store constraints
_METRIC_NAMES_KEY = "study:metric_names"  # Attribute of Study.metric_names, absent in Hyperband

Distributions = dict[str, BaseDistribution]
Goals = dict[str, Any]  # argument -> a dictionary by an objective's name or index, or a string


def to_dimension(name: str, distribution: BaseDistribution) -> Dimension:
    """Return the dimension of an Optuna distribution.

    Raises:
        ValueError: The distribution has another type, or values that a code cannot store.
    """
    if isinstance(distribution, CategoricalDistribution):
        return Categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return Integer(name, low, high, distribution.step, distribution.log)
    if isinstance(distribution, FloatDistribution):
        return Float(name, distribution.low, distribution.high, distribution.step, distribution.log)
    must = "be a FloatDistribution, an IntDistribution or a CategoricalDistribution"
    raise checks.refusal(f"{name}: distribution", distribution, must)


def to_distribution(dim: Dimension) -> BaseDistribution:
    """Return the Optuna distribution of a dimension; raise the errors of ``to_distributions``."""
    check_in_optuna(dim)
    if isinstance(dim, Categorical):
        return CategoricalDistribution(dim.choices)
    if isinstance(dim, Integer):
        return IntDistribution(dim.low, dim.high, log=dim.log, step=dim.step)
    if dim.step is not None:
        low, high, step = (Decimal(str(number)) for number in (dim.low, dim.high, dim.step))
        if (high - low) % step:
            raise ValueError(
                f"{dim.name}: low={dim.low} and step={dim.step} give no grid up to "
                f"high={dim.high} in decimals, as Optuna counts; round low and step"
            )
    return FloatDistribution(dim.low, dim.high, log=dim.log, step=dim.step)


def to_distributions(space: SearchSpace) -> Distributions:
    """Return the space as Optuna distributions by name; ``to_space`` is the inverse.

    The distributions do not include the conditions of the space.

    Raises:
        ValueError: The argument is not a space, or a dimension has a grid on a log scale or a grid
            whose last value Optuna would leave out.

    Examples:
        >>> from ncp_sampler import Integer, SearchSpace
        >>> to_distributions(SearchSpace([Integer("width", 8, 64, step=8)]))
        {'width': IntDistribution(high=64, log=False, low=8, step=8)}
    """
    checks.instance("space", space, SearchSpace, checks.A_SPACE)
    return {dim.name: to_distribution(dim) for dim in space.dimensions}


def to_space(
    distributions: Mapping[str, BaseDistribution], conditions: Conditions | None = None
) -> SearchSpace:
    """Return the search space with the given distributions, in their order, and conditions.

    Raises:
        ValueError: The argument does not map names to distributions, or codes cannot store a
            distribution exactly.

    Examples:
        >>> from optuna.distributions import IntDistribution
        >>> to_space({"width": IntDistribution(8, 64, step=8)}).dimensions
        (Integer(name='width', low=8, high=64, step=8, log=False),)
    """
    must = 'map names to distributions, such as {"x": FloatDistribution(0, 1)}'
    checks.instance("distributions", distributions, Mapping, must)
    dims = [to_dimension(name, distribution) for name, distribution in distributions.items()]
    return SearchSpace(dims, conditions=conditions)


def to_searched_space(
    distributions: Mapping[str, BaseDistribution], conditions: Conditions | None = None
) -> SearchSpace:
    """Return the space to search: like ``to_space``, but with only one of several equal categories.

    Optuna replaces a category by the first one that is equal (1.0 by 1). The other categories are
    therefore never observed, and a search would propose them again and again.
    """
    searched = dict(distributions)
    for name, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            searched[name] = CategoricalDistribution(_unequal(distribution.choices))
    return to_space(searched, conditions)


def check_categories(space: SearchSpace) -> None:
    """Raise ValueError if categories are equal; ``to_searched_space`` explains why."""
    for dim in space.dimensions:
        if isinstance(dim, Categorical) and len(_unequal(dim.choices)) < len(dim.choices):
            raise ValueError(
                f"space has {dim.name!r} with categories that are equal for Optuna, as 1, 1.0 and "
                f"True are: {checks.shown(dim.choices)}; keep one of each, or use strings"
            )


def is_searchable(name: str, distribution: BaseDistribution) -> bool:
    """Return True if the parameter has several values and the optimizer can propose them."""
    return not distribution.single() and not reason_against(name, distribution)


def reason_against(name: str, distribution: BaseDistribution) -> str:
    """Return the reason why the optimizer cannot propose the parameter; empty if it can."""
    try:
        to_dimension(name, distribution)
    except ValueError as error:
        return f"its values cannot be searched ({error})"
    return ""


def nearest_code(space: SearchSpace, params: Params) -> tuple[NDArray[Any], bool] | None:
    """Return the valid code nearest to params, and True if a value differs from the params.

    Return None if the params do not fit the space.
    """
    try:
        code = space.to_code(params, clip=True)
    except ValueError:
        return None
    with suppress(ValueError):
        space.to_code(params)
        return code, False
    return code, True


def missing_params(space: SearchSpace, params: Mapping[str, Any]) -> list[str]:
    """Return the parameters with several values that exist but are missing in params."""
    return space.missing(with_single_values(space, params))


def with_single_values(space: SearchSpace, params: Mapping[str, Any]) -> Params:
    """Return params plus the single-valued parameters, which an objective need not suggest."""
    single = {
        dim.name: dim.choices[0] if isinstance(dim, Categorical) else dim.low
        for dim in space.dimensions
        if n_values(dim) == 1
    }
    return {**single, **params}


def check_suggested(
    space: SearchSpace, declared: Distributions, trial: FrozenTrial, state: TrialState
) -> None:
    """Raise ValueError if a finished trial did not suggest the parameters of a space as declared.

    A pruned trial may lack some parameters. Suggested values of parameters that do not exist are
    ignored.

    Raises:
        ValueError: A distribution differs, or a parameter that exists has none.
    """
    missing = [] if state == TrialState.PRUNED else missing_params(space, trial.params)
    for name, distribution in declared.items():
        suggested = trial.distributions.get(name)
        if suggested != distribution and (suggested is not None or name in missing):
            raise ValueError(describe_misfit(name, suggested, distribution))


def valid_pins(
    distributions: Distributions, pins: Mapping[str, Any], *, clip: bool = False
) -> Params:
    """Return the valid pins; with ``clip``, invalid numbers become the nearest valid values."""
    valid: Params = {}
    for name in distributions.keys() & pins.keys():
        # Optuna warns about an invalid pin and uses it. The distribution itself can be invalid for
        # a code, too, for example if a range has grown beyond 2**53.
        with suppress(ValueError):
            space = to_space({name: distributions[name]})
            valid |= space.to_params(space.round(space.to_code({name: pins[name]}, clip=clip)))
    return valid


def pins_of(study: Study, trial: FrozenTrial) -> Params:
    """Return pins from ``PartialFixedSampler``, ``Study.enqueue_trial`` and earlier suggestions."""
    pins: Params = {}
    sampler: Any = study.sampler
    while isinstance(sampler, PartialFixedSampler):  # the outer one wins
        pins = {**getattr(sampler, "_fixed_params", {}), **pins}
        sampler = getattr(sampler, "_base_sampler", None)
    return {**pins, **trial.system_attrs.get("fixed_params", {}), **trial.params}


def metric_names(study: Study) -> list[str]:
    """Return the study's metric names, by default ``value``, or ``value_0``, ``value_1``, ..."""
    n = len(study.directions)
    attrs = study._storage.get_study_system_attrs(study._study_id)
    names = attrs.get(_METRIC_NAMES_KEY)
    if names is not None and len(set(names)) == n:
        return list(names)
    return ["value"] if n == 1 else [f"value_{i}" for i in range(n)]


def was_stopped(trial: FrozenTrial) -> bool:
    """Return True if a finished trial was pruned after it had reported a value.

    A trial that reported tasks was not stopped: these values are final. A trial that reported
    nothing, or whose last report is NaN, was not stopped but failed: an objective rejects params in
    this way, for example a network that is too large. TPE also ranks such a trial last.
    """
    if trial.state != TrialState.PRUNED or _has_task(trial):
        return False
    last = trial.last_step
    value = trial.value if last is None else trial.intermediate_values[last]
    return value is not None and not math.isnan(value)


def has_failed(trial: FrozenTrial) -> bool:
    """Return True if a finished trial failed or was pruned before it reported a value."""
    if trial.state == TrialState.PRUNED:
        return trial.last_step is None and trial.value is None and not _has_task(trial)
    return trial.state == TrialState.FAIL


def _has_task(trial: FrozenTrial) -> bool:
    """Return True if ``report_task`` stored the value of at least one task."""
    return any(key.startswith(_TASK_KEY) for key in trial.user_attrs)


def reported_tasks(trial: FrozenTrial | Trial, names: Sequence[str]) -> dict[str, float]:
    """Return the values that ``report_task`` stored with a trial, by objective name.

    ``names`` are the names of all objectives. The values are stored by index, because names can be
    set or changed later.
    """
    attrs = trial.user_attrs
    keys = [f"{_TASK_KEY}{i}" for i in range(len(names))]
    return {k: float(attrs[key]) for k, key in zip(names, keys, strict=True) if key in attrs}


def store_task(trial: Trial, index: int, value: float) -> None:
    """Store an objective's value as a user attribute of a running trial."""
    trial.set_user_attr(f"{_TASK_KEY}{index}", value)


def metrics_of(trial: FrozenTrial, directions: Mapping[str, str]) -> dict[str, float]:
    """Return the metrics of a finished trial; empty if it failed or was pruned before any report.

    If a trial reported some of its tasks, these are its metrics. If it then failed, the other tasks
    count as infinitely bad.
    """
    names = [*directions]
    if trial.state == TrialState.COMPLETE:
        return dict(zip(names, trial.values, strict=True))
    if tasks := reported_tasks(trial, names):
        if trial.state == TrialState.FAIL:
            worst = {"maximize": -math.inf, "minimize": math.inf}
            return {name: worst[way] for name, way in directions.items()} | tasks
        return tasks
    if trial.state == TrialState.PRUNED and len(names) == 1:
        last = trial.last_step
        value = trial.value if last is None else trial.intermediate_values[last]
        return {} if value is None else {names[0]: value}
    return {}


def constraints_of(trial: FrozenTrial) -> dict[str, float]:
    """Return the constraint values of a trial, under internal names; at most 0 means satisfied.

    ``Trial.set_constraint`` stores each constraint under its own key; ``constraints_func`` stores
    all of them as one list.
    """
    listed = trial.system_attrs.get(_CONSTRAINTS_KEY) or ()
    values = {str(i): value for i, value in enumerate(listed)}
    for attribute, value in trial.system_attrs.items():
        if attribute.startswith(f"{_CONSTRAINTS_KEY}:"):
            values[attribute.partition(":")[2]] = value
    return {f"constraint {key}": float(value) for key, value in values.items()}


def publish_constraints(
    study: Study, trial: FrozenTrial, function: Callable[[FrozenTrial], Sequence[float]]
) -> None:
    """Store the result of ``constraints_func`` in the trial attribute used by Optuna's samplers."""
    given = function(trial)
    try:
        values = [float(value) for value in given]
        if any(map(math.isnan, values)):
            raise ValueError
    except (TypeError, ValueError):
        must = "be a function that returns a sequence of numbers, without NaN"
        where = f", which returns {checks.shown(given)} for trial {trial.number},"
        raise checks.refusal("constraints_func", function, must, where) from None
    study._storage.set_trial_system_attr(trial._trial_id, _CONSTRAINTS_KEY, values)


def named_goals(goals: Goals, names: Sequence[str]) -> dict[str, Any]:
    """Return the goals by metric name; raise ValueError if there is no objective with an index."""
    named: dict[str, Any] = {}
    for argument, given in goals.items():
        if isinstance(given, str):
            named[argument] = given
            continue
        wrong = [key for key in given if isinstance(key, int) and not 0 <= key < len(names)]
        if wrong:
            raise ValueError(
                f"{argument} has the objectives {wrong}, but the study has {len(names)}, counted "
                "from 0; give an index, or a name of study.set_metric_names"
            )
        by_name = {names[k] if isinstance(k, int) else k: v for k, v in given.items()}
        named[argument] = by_name or None  # an empty mapping of weights differs from None
    return named


def describe_misfit(
    name: str, suggested: BaseDistribution | None, declared: BaseDistribution
) -> str:
    """Return the error message for a parameter that the objective does not suggest as declared."""
    return (
        f"parameter {name!r}: the objective suggests {suggested or 'nothing of this name'}, but "
        f"the sampler's space declares {declared}; make them agree (`space.suggest(trial)` "
        f"suggests a space as declared), or leave `space` out to have it inferred from the study"
    )


def _unequal(choices: Sequence[Any]) -> tuple[Any, ...]:
    """Return the choices without those that equal an earlier choice, such as 1.0 after 1."""
    try:
        unequal = dict.fromkeys(choices)
    except TypeError:  # a choice cannot be hashed, such as a list
        return tuple(choices)
    return tuple(unequal)
