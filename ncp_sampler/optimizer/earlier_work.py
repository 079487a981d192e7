"""Earlier work in a search: as trials of its own, or as guides of its predictor and first trials.

An earlier search of the same task is this search, interrupted: its trials *join* the history, and
all goes on as if never stopped. Whether it was the same task is either said, or it is taken for it
if all that can be compared is alike, until the search's own trials speak against it. From then on,
or from the beginning, it is a *guide*: what its model predicts is one linear term of the predictor,
which learns how much to believe, and some of its best codes are among the first trials.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.optimizer.design import Known
from ncp_sampler.optimizer.focus import has_too_many
from ncp_sampler.optimizer.goals import Goals
from ncp_sampler.optimizer.guides import Guide
from ncp_sampler.optimizer.history import History
from ncp_sampler.optimizer.sources import EarlierTrials, Source, earlier_trials
from ncp_sampler.predictors.featured import Featured, Features
from ncp_sampler.predictors.guided import Guided
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.predictors.process import ExactProcess
from ncp_sampler.predictors.selected import Selected
from ncp_sampler.space.search_space import SearchSpace, code_key

_STARTUP = 5  # trials of a search with guides, before its predictor is used
_TURNS = 2  # every so many of them, one is an earlier search's


class EarlierWork:
    """The sources of a search.

    Args:
        sources: From ``checked_sources``.
        space: The search's.
        goals: The search's.
        device: Where models of the sources compute.

    Attributes:
        joined: Of each source, how many trials count as the search's own; 0 of a guide. They are
            the first of its history, in the order of the sources.

    Raises:
        ValueError: As ``earlier_trials``.
    """

    def __init__(
        self, sources: Sequence[Source], space: SearchSpace, goals: Goals, device: torch.device
    ) -> None:
        self._space = space
        learnt = [name for name in goals.directions if name not in goals.costs]
        told = goals.new_history().names
        self._trials = [
            earlier_trials(f"sources[{i}]", source, space, learnt, told)
            for i, source in enumerate(sources)
        ]
        self._presumed = [source.same_task is None for source in sources]
        self._guides = [self._guide(trials, goals, device) for trials in self._trials]
        self.joined = [
            len(trials.params) if source.same_task or (source.same_task is None and trials.alike)
            else 0
            for source, trials in zip(sources, self._trials, strict=True)
        ]  # fmt: skip

    @property
    def n_joined(self) -> int:
        """How many trials of the history are not the search's own."""
        return sum(self.joined)

    @property
    def guides(self) -> list[Guide]:
        """The sources that have not joined."""
        pairs = zip(self._guides, self.joined, strict=True)
        return [guide for guide, rows in pairs if not rows]

    def join(self, history: History) -> History:
        """The history, with the trials of sources of the same task told first."""
        for trials, rows in zip(self._trials, self.joined, strict=True):
            if rows:
                codes = self._space.to_code(list(trials.params))
                history.add(codes, trials.metrics, trials.complete)
        return history

    def with_joined(self, joined: Sequence[int]) -> EarlierWork:
        """The same sources, with others of them joined.

        Raises:
            ValueError: It is nothing that ``joined`` has been for these sources.
        """
        numbers = [checks.whole("joined", rows, low=0) for rows in joined]
        every = [len(trials.params) for trials in self._trials]
        if len(numbers) != len(every) or any(
            rows not in {0, own} for rows, own in zip(numbers, every, strict=True)
        ):
            raise ValueError(f"joined={numbers} does not fit sources of {every} trials")
        other = copy.copy(self)
        other.joined = numbers
        return other

    def part(self, history: History) -> bool:
        """Takes out of a history what its own trials speak against; whether there was something."""
        at = history.learnable_at()
        own = at >= self.n_joined
        asked = [
            bool(rows) and flag for rows, flag in zip(self.joined, self._presumed, strict=True)
        ]
        if not own.any() or not any(asked):
            return False
        codes, metrics = history.told()
        told = {name: column[own] for name, column in metrics.items()}
        before, start = self.n_joined, 0
        for i, rows in enumerate(self.joined):
            if asked[i] and self._guides[i].speaks_against(codes[own], told):
                history.drop(start, start + rows)
                self.joined[i] = 0
            start += self.joined[i]
        return self.n_joined < before

    def startup(self, trials: int) -> int:
        """How many trials come before the predictor is used, of as many without a source."""
        return min(trials, _STARTUP) if self.guides else trials

    def start(
        self,
        turn: int,
        pinned: FloatArray,
        known: Known,
    ) -> NDArray[Any] | None:
        """A guide's code (d,) to try first; None if it is not its turn, or none is left.

        Args:
            turn: Which of the search's own trials it is, from 0.
            pinned: Numbers of columns that are given, NaN elsewhere, (d,).
            known: Codes (n, d) -> whether each is ruled out.
        """
        if turn % _TURNS:
            return None
        for code in self._best():
            given = self._space.round(np.where(np.isnan(pinned), code, pinned))
            if not known(given[None])[0]:
                return given
        return None

    def guided(self, predictor: Predictor) -> Predictor:
        """The predictor around the guides; itself if there are none, or it has no such place.

        That is so of predictors that are not exact, and where a categorical has more choices than
        a proposal looks at.
        """
        columns = sum(guide.columns for guide in self.guides)
        if not columns or any(map(has_too_many, self._space.dimensions)):
            return predictor
        inner = predictor.inner if isinstance(predictor, Featured) else predictor
        if isinstance(inner, Selected):
            around: Predictor = Selected([Guided(one, columns) for one in inner.members])
        elif isinstance(inner, ExactProcess):
            around = Guided(inner, columns)
        else:
            return predictor
        own = predictor.features if isinstance(predictor, Featured) else None
        return Featured(around, _WithGuides(own, self.guides))

    def _guide(self, trials: EarlierTrials, goals: Goals, device: torch.device) -> Guide:
        history = goals.new_history()
        history.add(self._space.to_code(list(trials.params)), trials.metrics, trials.complete)
        return Guide(self._space, goals, *history.told(), device)

    def _best(self) -> Iterator[NDArray[Any]]:
        """The guides' best codes in turn, each once."""
        seen = set()
        for codes in zip_longest(*(guide.best() for guide in self.guides)):
            for code in codes:
                if code is not None and code_key(code) not in seen:
                    seen.add(code_key(code))
                    yield code


class _WithGuides:
    """Features of unit codes, and what guides predict of them."""

    def __init__(self, own: Features | None, guides: Sequence[Guide]) -> None:
        self._own = own
        self._guides = list(guides)

    def __call__(self, x: Tensor) -> Tensor:
        own = x if self._own is None else self._own(x)
        return torch.cat([own.to(torch.float64), *(guide.mean(x) for guide in self._guides)], 1)
