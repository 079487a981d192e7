"""Maximization of an acquisition function: starts, propagation, rounding, and hill climbing.

Notation
    unit (n, d)   unit codes
    pinned (d,)   values of fixed columns, NaN elsewhere
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.ascent import Adam, ascend
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.search.acquisition import Acquisition
from ncp_sampler.search.trust_region import TrustRegion
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

Excluded: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]  # codes (n, d) -> True to exclude

N_BEST, _N_RANDOM, _N_SCREENED = 8, 16, 512  # best codes; random codes; screened ones
_ITERATIONS = 12  # number of steps; twice as many, from 48 starts, find nothing better
_PERTURBED_SHARE, _PERTURBATION = 0.3, 0.1  # fraction of columns; std relative to the region
_CHANGED = 20  # mean number of columns in which a random code of the region differs from its center
_CLIMBS, _CLIMB_WIDTH = 2, 3  # numbers of rounds of hill climbing, and of codes per round
_MOST_CHANGED = 5000  # maximum number of codes in further rounds, which only change categories
_SHORT_STEPS = Adam()  # a strategy whose steps are too short to change a category
_EXHAUSTIVE = 2048  # maximum size of a space that is evaluated exhaustively


@dataclass(frozen=True)
class Maximum:
    """Best code of a search.

    Attributes:
        code: The code, (d,).
        value: Acquisition value of the code.
        trail: Codes before and after each step of the search, in order, each (k, d).
    """

    code: NDArray[Any]
    value: float
    trail: Sequence[tuple[NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True)
class Maximizer:
    """Search for the valid code with the highest acquisition value.

    Attributes:
        acquisition: Function to maximize.
        space: The search space.
        strategy: Strategy that edits the codes.
        pinned: Values of fixed columns, NaN elsewhere, (d,).
        excluded: Predicate for codes that must not be proposed.
        region: Trust region.
        project: Function that projects codes (n, d) to within the limits; None without limits.
    """

    acquisition: Acquisition
    space: SearchSpace
    strategy: Strategy
    pinned: FloatArray
    excluded: Excluded
    region: TrustRegion
    project: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    def maximize(self, best: FloatArray, rng: np.random.Generator) -> Maximum | None:
        """Return the best code found, or None if every evaluated code is excluded.

        Args:
            best: Unit codes to start from, best first, (n, d); only the first ``N_BEST`` are used.
            rng: Random generator that draws the random starts.
        """
        inside = self._search(best, rng)
        lowest = self.acquisition.lowest
        if self.region.is_whole or not (inside is None or inside.value < lowest):
            return inside
        # all codes found within the trust region are excluded or probably infeasible
        outside = replace(self, region=TrustRegion.whole(best.shape[1]))._search(best, rng)
        if outside is None or (inside is not None and outside.value <= inside.value):
            return inside
        return outside

    def _search(self, best: FloatArray, rng: np.random.Generator) -> Maximum | None:
        """Return the best code found in the trust region."""
        if self.space.size <= _EXHAUSTIVE:
            codes = self._allowed(self._valid(self.space.enumerate()))
            return _best(codes, self._values(codes), [])
        start = self._starts(best, rng)
        edited = self._ascended(start)
        ends, began = self.space.denormalize(edited), self.space.denormalize(start)
        if self.project is not None:
            ends = self.project(ends)
        if self.acquisition.has_floor:  # keep the starts: ascent may leave the feasible region
            ends, began = np.concatenate([ends, began]), np.concatenate([began, began])
        valid = self._valid(ends)
        trail = [(self._valid(began), valid)]
        codes = self._allowed(valid)
        values = self._values(codes)
        codes, values = self._climbed(codes, values, start, trail)
        return _best(codes, values, trail)

    def _ascended(self, start: FloatArray) -> FloatArray:
        """Return unit codes (s, d) edited along the gradient of the acquisition function."""
        if self.strategy == _SHORT_STEPS and self._only_categories:
            return start  # all steps together are a third of the range, which changes no category
        return ascend(
            self.acquisition.value_and_gradient,
            start,
            space=self.space,
            strategy=self.strategy,
            iterations=_ITERATIONS,
            free=np.isnan(self.pinned).astype(np.float64),
            low=self.region.low,
            high=self.region.high,
        )

    def _climbed(
        self,
        codes: NDArray[Any],
        values: FloatArray,
        start: FloatArray,
        trail: list[tuple[NDArray[Any], NDArray[Any]]],
    ) -> tuple[NDArray[Any], FloatArray]:
        """Extend codes (n, d) and values (n,) by those that hill climbing evaluates.

        Two rounds take single steps of all parameters. Further rounds change one category at a
        time, until the best codes do not improve, or too many codes were evaluated. Numbers need no
        further rounds, because the ascent has moved them.
        """
        evaluated = {code.tobytes() for code in codes}
        climbed: set[bytes] = set()
        n_changed = 0
        for i in count():
            centers = codes[np.argsort(-values, kind="stable")[:_CLIMB_WIDTH]]
            if not len(codes):  # all are excluded; search around the best start
                centers = self.space.round(self.space.denormalize(start[:1]))
            if i == 0 and self._only_categories:  # the best codes known are excluded, and not moved
                known = self._valid(self.space.denormalize(start[:_CLIMB_WIDTH]))
                centers = unique_codes(np.concatenate([centers, known]))
            new = [center for center in centers if center.tobytes() not in climbed]
            climbed.update(center.tobytes() for center in new)
            steps = [self._valid(self.space.neighbors(center)) for center in new]
            if i >= _CLIMBS:
                steps = [
                    near[(near != center)[:, self._categorical].any(axis=1)]
                    for center, near in zip(new, steps, strict=True)
                ]
                n_changed += sum(map(len, steps))
            if not any(map(len, steps)) or n_changed > _MOST_CHANGED:
                break
            for center, near in zip(new, steps, strict=True):
                trail.append((np.broadcast_to(self._valid(center), near.shape), near))
            near = self._allowed(np.concatenate(steps))
            # each code is evaluated once, because rounding errors depend on the size of a batch
            near = near[np.array([code.tobytes() not in evaluated for code in near], dtype=bool)]
            evaluated.update(code.tobytes() for code in near)
            codes = np.concatenate([codes, near])
            values = np.concatenate([values, self._values(near)])
        return codes, values

    @property
    def _only_categories(self) -> bool:
        """True if every free parameter is a categorical."""
        return not (np.isnan(self.pinned) & ~self._categorical).any()

    @cached_property
    def _categorical(self) -> NDArray[np.bool_]:
        """Mask of the columns of categoricals, (d,)."""
        mask = np.zeros(len(self.pinned), dtype=bool)
        for dim in self.space.dimensions:
            if isinstance(dim, Categorical):
                mask[self.space.column_slice(dim.name)] = True
        return mask

    def _valid(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return the nearest valid codes with the pinned columns, in the same shape."""
        return self.space.round(np.where(np.isnan(self.pinned), codes, self.pinned))

    def _allowed(self, valid: NDArray[Any]) -> NDArray[Any]:
        """Return distinct valid codes, except those excluded or outside the region."""
        unique = unique_codes(valid)
        if not self.region.is_whole:
            counts = np.isnan(self.pinned)
            if self.space.conditions:  # absent parameters have no position
                counts = counts & self.space.exists(unique, by_column=True)
            unique = unique[self.region.contains(self.space.normalize(unique), counts)]
        return unique[~self.excluded(unique)]

    def _values(self, codes: NDArray[Any]) -> FloatArray:
        values = self.acquisition(self.space.normalize(codes))
        return np.asarray(np.nan_to_num(values, nan=-np.inf))

    def _starts(self, best: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return starts (s, d): the best known codes, perturbed copies, and good random codes."""
        top = self.region.clip(best[:N_BEST])
        changed = rng.random(top.shape) < _PERTURBED_SHARE
        size = _PERTURBATION * (self.region.high - self.region.low)
        perturbed = self.region.clip(top + changed * rng.normal(0.0, 1.0, top.shape) * size)
        given = ~np.isnan(self.pinned)
        random = self._valid(self._random(top[0], rng))
        if self.space.conditions:  # a branch with few codes is drawn often
            random = unique_codes(random)
        random = random[np.argsort(-self._values(random), kind="stable")[:_N_RANDOM]]
        unit = np.concatenate([top, perturbed, self.space.normalize(random)])
        if given.any():
            unit[:, given] = self.space.normalize(np.where(given, self.pinned, random[0]))[given]
        return unit

    def _random(self, center: FloatArray, rng: np.random.Generator) -> NDArray[Any]:
        """Return random valid codes; within a trust region, few columns differ from its center.

        In high dimensions, a code that differs from the center in all dimensions is far away, even
        in a small region (Regis & Shoemaker 2013; TuRBO, section 3, changes few columns, too).
        """
        drawn = self.space.sample(_N_SCREENED, rng)
        if self.region.is_whole:
            return drawn
        unit = self.space.normalize(drawn)
        unit = self.region.low + (self.region.high - self.region.low) * unit
        changed = rng.random(unit.shape) < _CHANGED / len(center)
        return self.space.round(self.space.denormalize(np.where(changed, unit, center)))


def _best(
    codes: NDArray[Any], values: FloatArray, trail: Sequence[tuple[NDArray[Any], NDArray[Any]]]
) -> Maximum | None:
    if not len(codes):
        return None
    at = values.argmax()
    return Maximum(codes[at], float(values[at]), trail)
