"""Targets of offline searches, checked against the rows before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.command_line.cost_functions import load_function
from ncp_sampler.command_line.option_types import Bound
from ncp_sampler.command_line.search_options import SearchOptions
from ncp_sampler.command_line.sources import SearchSource
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.offline.known_costs import cost_at, cost_of_codes
from ncp_sampler.propagation.targets import Cost, Target
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

FLOPS = "flops"  # name of the target for the exact FLOPs
_RANDOM_CODES = 1000  # number of random codes checked against a limit that no row satisfies


def search_targets(sources: Sequence[SearchSource], options: SearchOptions) -> list[Target]:
    """Return the targets for metrics and costs.

    Raises:
        ValueError: No target is left to improve, a limit cannot be satisfied, or an option names an
            unknown column or does not fit the space.
    """
    space = sources[0].records.space
    known = {}
    for term in options.costs:
        bounds = [limit.value for limit in options.limits if limit.name == term.name]
        known[term.name] = cost_of_codes(term.name, load_function(term), space, bounds=bounds)
    targets = [
        Target(
            metric,
            direction,
            weight=weight * (1.0 if metric == source.main else options.weight),
            bound=options.bounds[i] if options.bounds and metric == source.main else None,
            predictor=i,
        )
        for i, (source, weight) in enumerate(zip(sources, options.task_weights, strict=True))
        for metric, direction in source.directions.items()
    ]
    targets += _cost_targets(sources, known, options)
    for limit in options.limits:
        targets += _limits(limit, sources, known)
    if not any(target.weight and target.bound is None for target in targets):
        raise ValueError("nothing is left to improve; give --lambda above 0, or no --min-metric")
    if options.front and sum(bool(t.weight) and t.bound is None for t in targets) < 2:
        raise ValueError(
            "--front needs two targets without a limit; give two metrics, such as "
            "--metrics accuracy,ms:min, and --lambda above 0"
        )
    return targets


def _cost_targets(
    sources: Sequence[SearchSource], known: Mapping[str, Cost], options: SearchOptions
) -> list[Target]:
    """Return the targets for costs that are optimized, for the exact FLOPs, and for their limit."""
    ways = {name: way for terms in options.metrics for name, way in terms.items()}
    limited = {limit.name for limit in options.limits}
    unused = [name for name in known if name not in ways and name not in limited]
    if unused:
        raise ValueError(
            f"--cost {unused[0]} is not used; give --metrics {unused[0]}:min, or a --bound"
        )
    targets = [
        Target(name, ways[name], weight=options.weight, cost=cost)
        for name, cost in known.items()
        if name in ways
    ]
    exact = isinstance(sources[0].records.space, MRSpace)
    alone = all(len(source.directions) == 1 for source in sources) and not targets
    if exact and options.weight and alone:
        targets.append(Target(FLOPS, "minimize", weight=options.weight, cost=costs.flops))
    if options.max_gflops is not None:
        if not exact:
            raise ValueError(
                "--max-gflops needs a table with the 27 columns of MRSpace; to limit a column or a "
                f"--cost of your own, give --bound 'gflops<={options.max_gflops:g}'"
            )
        targets.append(Target(FLOPS, "minimize", bound=options.max_gflops, cost=costs.flops))
    return targets


def _limits(
    limit: Bound, sources: Sequence[SearchSource], known: Mapping[str, Cost]
) -> list[Target]:
    """Return the targets for a limit on a cost, on a parameter, or on a metric in each source."""
    space, name = sources[0].records.space, limit.name
    if name in known or name in space.names:
        cost = known[name] if name in known else _column(space, limit)
        values = cost_at(cost, sources[0].table.codes)
        if not limit.is_satisfied_by(values).any():
            sampled = cost_at(cost, space.sample(_RANDOM_CODES, 0))
            if not limit.is_satisfied_by(sampled).any():
                raise _unusable(limit, np.concatenate([values, sampled]))
        return [Target(name, limit.direction, bound=limit.value, cost=cost)]
    targets = []
    for i, source in enumerate(sources):
        if name in source.records.metrics:
            values = source.table.values(name)
            if not limit.is_satisfied_by(values).any() and name != source.main:
                raise _unusable(limit, values)
            value = float(np.log(limit.value)) if name in source.logged else limit.value
            targets.append(Target(name, limit.direction, bound=value, predictor=i))
    if not targets:
        raise ValueError(
            f"--bound '{limit}' must name a metric, a parameter or a --cost, one of "
            f"{[*sources[0].records.metrics, *space.names, *known]}"
        )
    return targets


def _column(space: SearchSpace, limit: Bound) -> Cost:
    """Return the cost of a code that is the value of a numeric parameter."""
    if isinstance(space.dimensions[space.names.index(limit.name)], Categorical):
        raise ValueError(f"--bound '{limit}': {limit.name!r} is a categorical, not a number")
    at = space.column_slice(limit.name).start
    return lambda codes: codes[:, at]


def _unusable(limit: Bound, values: NDArray[np.float64]) -> ValueError:
    nearest = np.nanmin(values) if limit.direction == "minimize" else np.nanmax(values)
    return ValueError(
        f"--bound '{limit}' is satisfied by no row; the nearest row has {nearest:.4g}; relax the "
        "bound"
    )
