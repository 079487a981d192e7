"""Subset of the categories of high-cardinality categoricals that one proposal considers.

A code has one column per category, so the time of an ask would grow with the number of categories,
partly with its square. However, a model learns about a category only from trials with it; all
untried categories look alike to the model. A proposal therefore considers the categories of the
best trials and some untried ones, which are drawn anew each time. The predictor treats trials with
any other category as having no category at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.transforms import Features, features_vjp
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Step, Strategy
from ncp_sampler.search.acquisition import Function
from ncp_sampler.space.conditions import narrowed
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

_MAX_CATEGORIES = 128  # maximum number of categories of one categorical that a proposal considers
_TRIED = 96  # maximum number of tried categories among them


@dataclass(frozen=True)
class CategorySubset:
    """A search space, and the part of it that is searched for one proposal.

    Attributes:
        space: The whole space.
        part: The same space with fewer categories; ``space`` itself if no categorical has too many.
        columns: Positions of the part's columns in the whole space; None if they are the same.
    """

    space: SearchSpace
    part: SearchSpace
    columns: NDArray[np.intp] | None

    @classmethod
    def draw(
        cls,
        space: SearchSpace,
        codes: NDArray[Any],
        order: NDArray[np.intp],
        pinned: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> CategorySubset:
        """Draw the part of the space for some observations.

        Args:
            space: The whole space.
            codes: Codes of the observations in order, (n, d).
            order: Positions of the observations, best first, (n,).
            pinned: Values of fixed columns, NaN elsewhere, (d,).
            rng: Random generator that draws the untried categories; unused if no categorical has
                too many categories.
        """
        if not any(map(has_too_many, space.dimensions)):
            return cls(space, space, None)
        columns: list[NDArray[np.intp]] = []
        dimensions = []
        for dim in space.dimensions:
            where = space.column_slice(dim.name)
            picked = np.arange(where.stop - where.start)
            if isinstance(dim, Categorical) and has_too_many(dim):
                tried = codes[:, where].argmax(axis=1)
                picked = _categories(len(dim.choices), tried, order, pinned[where], rng)
                dim = Categorical(dim.name, tuple(dim.choices[i] for i in picked))  # noqa: PLW2901
            columns.append(where.start + picked)
            dimensions.append(dim)
        part = SearchSpace(dimensions, conditions=narrowed(space.conditions, dimensions))
        return cls(space, part, np.concatenate(columns))

    def reduce(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return the part's columns of codes (..., d)."""
        return codes if self.columns is None else codes[..., self.columns]

    def expand(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return codes or unit codes of the whole space for those of the part, with 0 elsewhere."""
        if self.columns is None:
            return codes
        full = np.zeros((*codes.shape[:-1], len(self.space.columns)), dtype=codes.dtype)
        full[..., self.columns] = codes
        return full

    def valid(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return valid codes of the whole space for those of the part.

        If a categorical does not exist, its columns contain its middle category, which may differ
        between the part and the whole space.
        """
        return codes if self.columns is None else self.space.round(self.expand(codes))

    def of_part(self, function: Function) -> Function:
        """Return a function of the whole space's unit codes, restricted to those of the part."""
        return function if self.columns is None else _OfPart(self, function).vjp

    def features(self, features: Features | None) -> Features | None:
        """Return a feature map of the whole space's unit codes, restricted to those of the part."""
        if self.columns is None or features is None:
            return features
        return _OfPart(self, partial(features_vjp, features))

    def project(
        self,
        codes: NDArray[Any],
        project: Callable[[NDArray[Any], FloatArray], NDArray[Any]],
        pinned: FloatArray,
    ) -> NDArray[Any]:
        """Return valid codes of the part (n, d), pinned, after projection in the whole space."""
        fixed = self.reduce(pinned)
        valid = self.part.round(np.where(np.isnan(fixed), codes, fixed))
        return self.reduce(project(self.expand(valid), pinned))

    def strategy(self, strategy: Strategy) -> Strategy:
        """Return a strategy for the part's unit codes, given one for those of the whole space.

        Adam treats all columns alike, so it is returned unchanged.
        """
        if self.columns is None or isinstance(strategy, Adam):
            return strategy
        return _StrategyOfPart(self, strategy)


@dataclass(frozen=True)
class _OfPart:
    subset: CategorySubset
    function: Function

    def vjp(self, x: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        values, pullback = self.function(self.subset.expand(x))
        return values, lambda g: self.subset.reduce(pullback(g))


@dataclass(frozen=True)
class _StrategyOfPart:
    subset: CategorySubset
    strategy: Strategy

    def begin(self, space: SearchSpace, x: FloatArray) -> Step:
        """Return the step function, which applies the strategy in the whole space."""
        expand, reduce = self.subset.expand, self.subset.reduce
        step = self.strategy.begin(self.subset.space, expand(x))
        return lambda x, gradient: reduce(step(expand(x), expand(gradient)))


def has_too_many(dim: object) -> bool:
    """Return True if a dimension has more categories than a proposal considers."""
    return isinstance(dim, Categorical) and len(dim.choices) > _MAX_CATEGORIES


def _categories(
    count: int,
    tried: NDArray[np.intp],
    order: NDArray[np.intp],
    pinned: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return the categories to consider: a fixed one, those of the best trials, and untried ones.

    Tried categories come first, in the order of their first trials, so that most columns keep
    their position, and their parameters in the predictor, from proposal to proposal.
    """
    given = np.flatnonzero(np.nan_to_num(pinned) > 0)
    best_first = list(dict.fromkeys([*given.tolist(), *tried[order].tolist()]))
    untried = np.setdiff1d(np.arange(count), best_first)
    n_tried = min(len(best_first), max(_TRIED, _MAX_CATEGORIES - len(untried)))
    kept = set(best_first[:n_tried])
    first_tried = [i for i in dict.fromkeys([*tried.tolist(), *given.tolist()]) if i in kept]
    drawn = rng.choice(untried, size=_MAX_CATEGORIES - n_tried, replace=False)
    return np.array([*first_tried, *drawn.tolist()], dtype=np.intp)
