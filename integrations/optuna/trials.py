"""What Optuna stores, in the optimizer's terms: distributions, params, metrics, claims.

In come distributions, trials and studies; out go spaces, params, pins and metrics by name. Two
ways lead back: a space's distributions, and claims.

A *claim* is what a running trial publishes as soon as its params are chosen, before any of them is
suggested, so that other workers see them: JSON, name -> Optuna's internal representation (a
categorical is its index), in system attributes ``ncp:claim:0, ncp:claim:1, ...``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ncp_sampler import checks
from ncp_sampler.space.conditional import Condition, ConditionalSpace
from ncp_sampler.space.dimensions import Categorical, Dimension, Float, Integer, check_in_optuna
from ncp_sampler.space.search_space import Params, SearchSpace

REASONS_KEY = "ncp:reasons"
_CLAIM_KEY = "ncp:claim"
_CHUNK_LENGTH = 2_045  # characters, as Optuna's samplers: RDBStorage documents 2,046 as too many
CONSTRAINTS_KEY = "constraints"  # of Optuna's
_METRIC_NAMES_KEY = "study:metric_names"  # Study.metric_names, which Hyperband's study lacks

Distributions = dict[str, BaseDistribution]


def to_dimension(name: str, distribution: BaseDistribution) -> Dimension:
    """The dimension of one Optuna distribution.

    Raises:
        ValueError: A kind, a range or choices that codes cannot hold exactly.
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


def _unequal(choices: Sequence[Any]) -> tuple[Any, ...]:
    """Return choices without those equal to an earlier one, as 1.0 is to 1."""
    try:
        kept = dict.fromkeys(choices)
    except TypeError:  # some cannot be hashed, such as lists
        return tuple(choices)
    return tuple(choices) if len(kept) == len(choices) else tuple(kept)


def check_categories(space: SearchSpace) -> None:
    """Refuse categories that Optuna stores as others: a search would propose them again and again.

    Raises:
        ValueError: Equal categories.
    """
    for dim in space.dimensions:
        if isinstance(dim, Categorical) and len(_unequal(dim.choices)) < len(dim.choices):
            raise ValueError(
                f"space has {dim.name!r} with categories that are equal for Optuna, as 1, 1.0 and "
                f"True are: {checks.shown(dim.choices)}; leave one of each, or give texts"
            )


def to_distribution(dim: Dimension) -> BaseDistribution:
    """The Optuna distribution of one dimension.

    Raises:
        ValueError: A grid in log, or one of which Optuna would leave out the last value.
    """
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
    """The space as Optuna distributions, name -> distribution; ``to_space`` gives it back.

    Raises:
        ValueError: No space, a grid in log, or one of which Optuna would leave out the last value.

    Examples:
        >>> from ncp_sampler import Integer, SearchSpace
        >>> to_distributions(SearchSpace([Integer("width", 8, 64, step=8)]))
        {'width': IntDistribution(high=64, log=False, low=8, step=8)}
    """
    checks.instance("space", space, SearchSpace, "be a SearchSpace, such as MRSpace()")
    return {dim.name: to_distribution(dim) for dim in space.dimensions}


def to_space(
    distributions: Mapping[str, BaseDistribution], conditions: Sequence[Condition] = ()
) -> SearchSpace:
    """The search space of distributions, in their order, and of conditions where there are some.

    Raises:
        ValueError: No distributions by name, or one that codes cannot hold exactly.

    Examples:
        >>> from optuna.distributions import IntDistribution
        >>> to_space({"width": IntDistribution(8, 64, step=8)}).dimensions
        (Integer(name='width', low=8, high=64, step=8, log=False),)
    """
    must = 'map names to distributions, such as {"x": FloatDistribution(0, 1)}'
    checks.instance("distributions", distributions, Mapping, must)
    dims = [to_dimension(name, dist) for name, dist in distributions.items()]
    return ConditionalSpace(dims, conditions) if conditions else SearchSpace(dims)


def to_searched_space(
    distributions: Mapping[str, BaseDistribution], conditions: Sequence[Condition] = ()
) -> SearchSpace:
    """Return the space to search of distributions, as ``to_space``, without equal categories.

    Optuna stores a category as the first one that it is equal to, 1.0 as 1: a search would propose
    the others again and again.
    """
    searched = {
        name: CategoricalDistribution(_unequal(one.choices))
        if isinstance(one, CategoricalDistribution)
        else one
        for name, one in distributions.items()
    }
    return to_space(searched, conditions)


def is_searchable(name: str, distribution: BaseDistribution) -> bool:
    """Whether the optimizer can propose the parameter, and has something to choose."""
    return not distribution.single() and not reason_against(name, distribution)


def reason_against(name: str, distribution: BaseDistribution) -> str:
    """Why the optimizer cannot propose the parameter; empty if it can."""
    try:
        to_dimension(name, distribution)
    except ValueError as error:
        return f"its values cannot be searched ({error})"
    return ""


def nearest_code(space: SearchSpace, params: Params) -> tuple[NDArray[Any], bool] | None:
    """Legal code nearest to params, and whether a number had to move; None if there is none.

    There is none for a choice that the space lacks, or for something that is not a number.
    """
    try:
        code = space.to_code(params, clip=True)
    except ValueError:
        return None
    try:
        space.to_code(params)
    except ValueError:
        return code, True
    return code, False


def legal_pins(distributions: Distributions, pins: Mapping[str, Any]) -> Params:
    """Those pins that are values of the distributions, in the space's own types."""
    legal: Params = {}
    for name in distributions.keys() & pins.keys():
        space = to_space({name: distributions[name]})
        try:
            legal |= space.to_params(space.round(space.to_code({name: pins[name]})))
        except ValueError:
            continue  # Optuna warns of it, and uses it
    return legal


def nearest_pins(distributions: Distributions, pins: Mapping[str, Any]) -> Params:
    """The legal values nearest to the pins of the distributions, where there are some."""
    nearest: Params = {}
    for name in distributions.keys() & pins.keys():
        space = to_space({name: distributions[name]})
        found = nearest_code(space, {name: pins[name]})
        nearest |= {} if found is None else space.to_params(found[0])
    return nearest


def pins_of(study: Study, trial: FrozenTrial) -> Params:
    """Values that the trial will have whatever is proposed, legal or not.

    They are set by ``PartialFixedSampler``, by ``Study.enqueue_trial`` or suggested already.
    """
    pins: Params = {}
    sampler: BaseSampler | None = study.sampler
    while isinstance(sampler, PartialFixedSampler):  # the outer one wins
        pins = {**getattr(sampler, "_fixed_params", {}), **pins}
        sampler = getattr(sampler, "_base_sampler", None)
    return {**pins, **trial.system_attrs.get("fixed_params", {}), **trial.params}


def metric_names(study: Study) -> list[str]:
    """The study's metric names, else ``value``, or ``value_0``, ``value_1``, ..."""
    n = len(study.directions)
    attrs = study._storage.get_study_system_attrs(study._study_id)
    names = attrs.get(_METRIC_NAMES_KEY)
    if names is not None and len(set(names)) == n:
        return list(names)
    return ["value"] if n == 1 else [f"value_{i}" for i in range(n)]


def was_stopped(trial: FrozenTrial) -> bool:
    """Return True if a finished trial was pruned, but not because its last report was NaN."""
    if trial.state != TrialState.PRUNED:
        return False
    last = None if trial.last_step is None else trial.intermediate_values[trial.last_step]
    return last is None or not math.isnan(last)


def metrics_of(trial: FrozenTrial, names: Sequence[str]) -> dict[str, float]:
    """What a finished trial teaches: nothing if it failed or was pruned before any report."""
    if trial.state == TrialState.COMPLETE:
        return dict(zip(names, trial.values, strict=True))
    if trial.state == TrialState.PRUNED and len(names) == 1:
        step = trial.last_step
        value = trial.value if step is None else trial.intermediate_values[step]
        return {} if value is None else {names[0]: value}
    return {}


def constraints_of(trial: FrozenTrial) -> dict[str, float]:
    """Constraints of a trial by a name of ours, kept where at most 0; none where it has none.

    ``Trial.set_constraint`` stores each by its key; ``constraints_func`` a list.
    """
    listed = trial.system_attrs.get(CONSTRAINTS_KEY) or ()
    found = {str(i): value for i, value in enumerate(listed)}
    prefix = f"{CONSTRAINTS_KEY}:"
    for key, value in trial.system_attrs.items():
        if key.startswith(prefix):
            found[key.removeprefix(prefix)] = value
    return {f"constraint {key}": float(value) for key, value in found.items()}


def by_name(
    argument: str, given: Mapping[str | int, Any] | None, names: Sequence[str]
) -> dict[str, Any]:
    """Values by metric, where a user may have given an objective's index for its name.

    Raises:
        ValueError: An index that the study does not have.
    """
    wrong = [key for key in given or {} if isinstance(key, int) and not 0 <= key < len(names)]
    if wrong:
        raise ValueError(
            f"{argument} has the objectives {wrong}, the study has {len(names)}, from 0 on; give "
            "an index, or a name of study.set_metric_names"
        )
    return {
        names[key] if isinstance(key, int) else key: value for key, value in (given or {}).items()
    }


def publish_claim(
    study: Study, trial: FrozenTrial, params: Params, distributions: Distributions
) -> None:
    """Shows the chosen params to the other workers, replacing an earlier claim of the trial."""
    text = json.dumps({n: d.to_internal_repr(params[n]) for n, d in distributions.items()})
    for i in range(0, len(text), _CHUNK_LENGTH):
        study._storage.set_trial_system_attr(
            trial._trial_id, f"{_CLAIM_KEY}:{i // _CHUNK_LENGTH}", text[i : i + _CHUNK_LENGTH]
        )


def publish_reasons(study: Study, trial: FrozenTrial, reasons: Mapping[str, Any]) -> None:
    """Leaves in the trial why it was proposed: one attribute, under 4 kB (``explanation.py``)."""
    study._storage.set_trial_system_attr(trial._trial_id, REASONS_KEY, dict(reasons))


def claimed_params(trial: FrozenTrial, distributions: Distributions) -> Params:
    """Return the params that an unfinished trial has or will have, as far as they are known.

    A claim that is half written or corrupt counts as none: its writer looks at the other trials
    after writing, so that it is the one to step aside.
    """
    chunks: list[str] = []
    while isinstance(chunk := trial.system_attrs.get(f"{_CLAIM_KEY}:{len(chunks)}"), str):
        chunks.append(chunk)
    params: Params = {}
    try:
        # a longer claim before this one leaves chunks behind, which raw_decode does not read
        claim, _ = json.JSONDecoder().raw_decode("".join(chunks))
        for name, distribution in distributions.items():
            if name in claim:
                params[name] = distribution.to_external_repr(claim[name])
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError):
        params = {}
    return {**params, **trial.system_attrs.get("fixed_params", {}), **trial.params}


def unchecked_proposal(trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
    """Return the proposal for a parameter for which Optuna asks once more; None if it is invalid.

    Optuna refuses the proposal of a stepped float that is more than a 1e-8th of a step off the
    grid, even if no float is nearer: most values of ``FloatDistribution(1e6, 1e6 + 1, step=1e-3)``,
    those that its own samplers draw included. It does not check the value that it asks for then.
    """
    claimed = claimed_params(trial, {name: distribution})
    return legal_pins({name: distribution}, claimed).get(name)


def describe_misfit(
    name: str, suggested: BaseDistribution | None, declared: BaseDistribution
) -> str:
    """Message for an objective that suggests a declared parameter otherwise, or not at all."""
    return (
        f"parameter {name!r}: the objective suggests {suggested or 'nothing of this name'}, but "
        f"the sampler's space declares {declared}; make them agree (`space.suggest(trial)` "
        f"suggests a space as declared), or leave `space` out to have it inferred from the study"
    )
