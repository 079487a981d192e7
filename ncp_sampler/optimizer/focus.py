"""Of categoricals with very many choices, those that one proposal looks at.

A code has one column per choice, so the time of an ask would grow with their number, some of it
with its square. What is known of a choice, though, is known from the trials that had it: all
untried ones are alike. So a proposal looks at the choices of the best trials and at some untried
ones, drawn anew each time. A trial of another choice has none at all, to the predictor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler.predictors.featured import Features
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.ascent import Adam
from ncp_sampler.propagation.strategies import Step, Strategy
from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

_MOST = 128  # choices of one categorical that a proposal looks at
_TRIED = 96  # of them, as far as so many were tried


@dataclass(frozen=True)
class Focus:
    """A space, and the part of it that a proposal looks at.

    Attributes:
        whole: The space.
        part: The same with fewer choices; ``whole`` itself if no categorical has too many.
        columns: The part's columns among the whole's; None if they are the same.
    """

    whole: SearchSpace
    part: SearchSpace
    columns: NDArray[np.intp] | None

    @classmethod
    def on(
        cls,
        space: SearchSpace,
        codes: NDArray[Any],
        order: NDArray[np.intp],
        pinned: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Focus:
        """The part to look at after some trials.

        Args:
            space: The whole.
            codes: Of the trials, in the order they were told, (n, d).
            order: Their positions, best first, (n,).
            pinned: Numbers of columns that are given, NaN elsewhere, (d,).
            rng: Draws the untried choices; not used if no categorical has too many.
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
                picked = _choices(len(dim.choices), tried, order, pinned[where], rng)
                dim = Categorical(dim.name, tuple(dim.choices[i] for i in picked))  # noqa: PLW2901
            columns.append(where.start + picked)
            dimensions.append(dim)
        return cls(space, SearchSpace(dimensions), np.concatenate(columns))

    def reduce(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The part's columns of codes (..., d)."""
        return codes if self.columns is None else codes[..., self.columns]

    def expand(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The whole's codes of the part's."""
        if self.columns is None:
            return codes
        whole = np.zeros((*codes.shape[:-1], len(self.whole.columns)), dtype=codes.dtype)
        whole[..., self.columns] = codes
        return whole

    def features(self, features: Features) -> Features:
        """Features of the part's unit codes, of a map from the whole's, or another part's."""
        of_whole = features.features if isinstance(features, _OfPart) else features
        return of_whole if self.columns is None else _OfPart(self, of_whole)

    def whole_unit(self, part: Tensor) -> Tensor:
        """Unit codes of the whole (n, d), those of the choices that are left out 0."""
        if self.columns is None:
            return part
        columns = torch.as_tensor(self.columns, device=part.device)
        return part.new_zeros((len(part), len(self.whole.columns))).index_copy(1, columns, part)

    def of_part(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A function of the whole's unit codes as one of the part's."""
        return function if self.columns is None else lambda part: function(self.whole_unit(part))

    def moved(
        self,
        codes: NDArray[Any],
        move: Callable[[NDArray[Any], FloatArray], NDArray[Any]],
        pinned: FloatArray,
    ) -> NDArray[Any]:
        """Legal codes of the part (n, d), moved by a function of the whole's and what is pinned."""
        legal = self.part.round(np.where(np.isnan(self.reduce(pinned)), codes, self.reduce(pinned)))
        return self.reduce(move(self.expand(legal), pinned))

    def strategy(self, strategy: Strategy) -> Strategy:
        """The strategy on the part's unit codes; its settings are of the whole's.

        Adam has none, and does the same to every column.
        """
        if self.columns is None or isinstance(strategy, Adam):
            return strategy
        return _Focused(self, strategy)


@dataclass(frozen=True)
class _OfPart:
    focus: Focus
    features: Features

    def __call__(self, part: Tensor) -> Tensor:
        return self.features(self.focus.whole_unit(part))


@dataclass(frozen=True)
class _Focused:
    focus: Focus
    strategy: Strategy

    def begin(self, space: SearchSpace, x: Tensor) -> Step:
        """One step of the strategy on the whole space."""
        columns = torch.as_tensor(self.focus.columns, device=x.device)
        expand = self.focus.whole_unit
        step = self.strategy.begin(self.focus.whole, expand(x))
        return lambda x, gradient: step(expand(x), expand(gradient))[:, columns]


def has_too_many(dim: object) -> bool:
    """Whether a dimension has more choices than a proposal looks at."""
    return isinstance(dim, Categorical) and len(dim.choices) > _MOST


def _choices(
    count: int,
    tried: NDArray[np.intp],
    order: NDArray[np.intp],
    pinned: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Choices to look at: what is given, the best trials' ones, and untried ones.

    The tried ones come first, in the order they were first tried, so that most columns keep their
    place, and the predictor what it learnt of them, from proposal to proposal.
    """
    given = np.flatnonzero(np.nan_to_num(pinned) > 0)
    best_first = list(dict.fromkeys([*given.tolist(), *tried[order].tolist()]))
    untried = np.setdiff1d(np.arange(count), best_first)
    n_tried = min(len(best_first), max(_TRIED, _MOST - len(untried)))
    kept = set(best_first[:n_tried])
    first_tried = [i for i in dict.fromkeys([*tried.tolist(), *given.tolist()]) if i in kept]
    drawn = rng.choice(untried, size=_MOST - n_tried, replace=False)
    return np.array([*first_tried, *drawn.tolist()], dtype=np.intp)
