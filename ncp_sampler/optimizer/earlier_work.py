"""Earlier work in a search: as trials of its own, or as guides of its predictor and first trials.

An earlier search of the same task is this search, interrupted: its trials *join* the history, and
all goes on as if never stopped. Any other is a *guide*: what its model predicts is one linear term
of the predictor, which learns how much to believe, and some of its best codes are among the first
trials. Whether it was the same task is either said, or the first of those trials tells: a code that
has the very value that it had before is of the same task.
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
from ncp_sampler.optimizer.sources import Source, earlier_trials
from ncp_sampler.predictors.featured import Featured, Features
from ncp_sampler.predictors.guided import Guided
from ncp_sampler.predictors.predictor import FloatArray, Predictor
from ncp_sampler.predictors.process import ExactProcess
from ncp_sampler.predictors.selected import Selected
from ncp_sampler.space.search_space import SearchSpace, code_key

_STARTUP = 3  # trials of a search with guides, before its predictor is used
_GUIDED = 50  # trials told; by then they know the task better than any other's do
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
            the first of its history.

    Raises:
        ValueError: As ``earlier_trials``.
    """

    def __init__(
        self, sources: Sequence[Source], space: SearchSpace, goals: Goals, device: torch.device
    ) -> None:
        self._space = space
        learnt = [name for name in goals.directions if name not in goals.costs]
        told = goals.new_history().names
        read = [
            earlier_trials(f"sources[{i}]", source, space, learnt, told)
            for i, source in enumerate(sources)
        ]
        self._asked = [
            source.same_task is None and trials.alike
            for source, trials in zip(sources, read, strict=True)
        ]
        self._histories = [goals.new_history() for _ in read]
        for trials, history in zip(read, self._histories, strict=True):
            history.add(space.to_code(list(trials.params)), trials.metrics, trials.complete)
        self._guides = [
            Guide(space, goals, *history.observations(), device) for history in self._histories
        ]
        self.joined = [
            len(history) if source.same_task else 0
            for source, history in zip(sources, self._histories, strict=True)
        ]

    @property
    def n_joined(self) -> int:
        """How many trials of the history are not the search's own."""
        return sum(self.joined)

    @property
    def guides(self) -> list[Guide]:
        """The sources that have not joined."""
        pairs = zip(self._guides, self.joined, strict=True)
        return [guide for guide, rows in pairs if not rows]

    def begin(self, history: History) -> History:
        """A history that begins with the trials of the sources that have joined."""
        for earlier, rows in reversed([*zip(self._histories, self.joined, strict=True)]):
            if rows:
                history = history.after(earlier)
        return history

    def watch(self, names: Sequence[str]) -> None:
        """Takes up further metrics, as ``History.watch``."""
        for history in self._histories:
            history.watch(names)

    def with_joined(self, joined: Sequence[int]) -> EarlierWork:
        """The same sources, with others of them joined.

        Raises:
            ValueError: It is nothing that ``joined`` has been for these sources.
        """
        numbers = [checks.integer("joined", rows, low=0) for rows in joined]
        every = [*map(len, self._histories)]
        if len(numbers) != len(every) or any(
            rows not in {0, own} for rows, own in zip(numbers, every, strict=True)
        ):
            raise ValueError(f"joined={numbers} does not fit sources of {every} trials")
        other = copy.copy(self)
        other.joined = numbers
        return other

    def key(self, n_told: int) -> tuple[bool, ...]:
        """What ``guided`` depends on, beside the predictor."""
        return (bool(self.guides) and n_told < _GUIDED, *map(bool, self.joined))

    def judge(self, history: History) -> History:
        """The history; from its beginning on with the sources whose task its own trials show.

        Args:
            history: Of the search, with what has joined.
        """
        if not any(flag and not rows for flag, rows in zip(self._asked, self.joined, strict=True)):
            return history
        codes, metrics = history.observations()
        own = history.learnable_at() >= self.n_joined
        told = {name: column[own] for name, column in metrics.items()}
        for i, guide in enumerate(self._guides):
            if self._asked[i] and not self.joined[i] and guide.agrees(codes[own], told):
                self.joined[i] = len(self._histories[i])
                history = history.after(self._histories[i])
        return history

    def startup(self, trials: int) -> int:
        """How many trials come before the predictor is used, of as many without a source."""
        return min(trials, _STARTUP) if self.guides else trials

    def start(self, turn: int, pinned: FloatArray, known: Known) -> NDArray[Any] | None:
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

    def guided(self, predictor: Predictor, n_told: int) -> Predictor:
        """The predictor around the guides; itself if there are none, or it has no such place.

        That is so where a categorical has more choices than a proposal looks at, and from some
        number of the search's own trials on.
        """
        columns = sum(guide.columns for guide in self.guides)
        wide = any(map(has_too_many, self._space.dimensions))
        inner = _exact(predictor)
        if not columns or wide or n_told >= _GUIDED or inner is None:
            return predictor
        if isinstance(inner, Selected):
            around: Predictor = Selected([Guided(one, columns) for one in inner.members])
        else:
            around = Guided(inner, columns)
        own = predictor.features if isinstance(predictor, Featured) else None
        return Featured(around, _WithGuides(own, self._space.features, self.guides))

    def _best(self) -> Iterator[NDArray[Any]]:
        """The guides' best codes in turn, each once."""
        seen = set()
        for codes in zip_longest(*(guide.best() for guide in self.guides)):
            for code in codes:
                if code is not None and code_key(code) not in seen:
                    seen.add(code_key(code))
                    yield code


def check_guided(sources: Sequence[Source], predictor: Predictor) -> None:
    """Refuse sources of another task beside a predictor that has no place for their models.

    Raises:
        ValueError: The predictor is not exact, and a source may be of another task.
    """
    if _exact(predictor) is None and not all(source.same_task for source in sources):
        raise ValueError(
            f"sources cannot guide predictor={checks.shown(predictor)}; give an exact one, such as "
            'predictor="auto", or Source(..., same_task=True) if they are of the same task'
        )


def _exact(predictor: Predictor) -> Selected | ExactProcess | None:
    """Return the exact predictor behind features; None if there is none."""
    inner = predictor.inner if isinstance(predictor, Featured) else predictor
    return inner if isinstance(inner, Selected | ExactProcess) else None


class _WithGuides:
    """Features of unit codes, and what guides predict of them.

    Args:
        own: The features; None for the unit codes.
        of_space: What the guides see, None for the unit codes.
        guides: At least one.
    """

    def __init__(
        self, own: Features | None, of_space: Features | None, guides: Sequence[Guide]
    ) -> None:
        self._own, self._of_space = own, of_space
        self._guides = list(guides)

    def __call__(self, x: Tensor) -> Tensor:
        own = x if self._own is None else self._own(x)
        seen = own
        if self._of_space is not self._own:
            seen = x if self._of_space is None else self._of_space(x)
        return torch.cat(
            [own.to(torch.float64), *(guide.cautious(seen) for guide in self._guides)], 1
        )
