"""From an acquisition to the next code: starts, propagation, rounding, a last local search.

Notation
    unit (n, d)   unit codes
    pinned (d,)   numbers of columns that are given, NaN elsewhere
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler.optimizer.acquisition import Acquisition
from ncp_sampler.optimizer.design import Known
from ncp_sampler.optimizer.trust_region import Box
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.propagation.ascent import ascend
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.space.columns import unique_codes
from ncp_sampler.space.search_space import SearchSpace

_N_BEST, _N_RANDOM, _N_SCREENED = 8, 16, 512  # starts: best, perturbed best, best of random
_ITERATIONS = 12  # twice as many, from 48 starts, find nothing better in twice the time
_PERTURBED_SHARE, _PERTURBATION = 0.3, 0.1  # of the columns, of the box
_MOVED = 20  # columns of a random code in the box that differ from its centre, on average
_LOCAL_ROUNDS, _LOCAL_WIDTH = 2, 3  # rounds of one-step moves of the best codes
_EXHAUSTIVE = 2048  # codes of a space that is simply scored whole


@dataclass(frozen=True)
class Proposer:
    """Finds the legal code of highest acquisition.

    Attributes:
        acquisition: What to raise.
        space: The search space.
        strategy: How codes are edited.
        pinned: Numbers of the given columns, NaN elsewhere, (d,).
        known: Codes (n, d) -> whether each is ruled out.
        box: Where to look.
        trail: Codes and what became of them, (k, d) each, in order: for whoever asks for reasons.
        within: Codes (n, d) -> the same moved into the limits; None without limits.
    """

    acquisition: Acquisition
    space: SearchSpace
    strategy: Strategy
    pinned: FloatArray
    known: Known
    box: Box
    within: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    trail: list[tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=list)

    def propose(self, best: FloatArray, rng: np.random.Generator) -> NDArray[Any] | None:
        """The best code found (d,), or None if every code looked at is ruled out.

        Args:
            best: Unit codes to start from, best first, (n, d).
            rng: Draws the random starts.
        """
        code, worth = self._search(best, rng)
        if self.box.is_whole or not (code is None or worth < self.acquisition.least):
            return code
        # in the box all is known, or infeasible
        elsewhere = replace(self, box=Box.whole(best.shape[1]), trail=[])
        other, more = elsewhere._search(best, rng)
        if other is None or more <= worth:
            return code
        self.trail[:] = elsewhere.trail
        return other

    def _search(
        self, best: FloatArray, rng: np.random.Generator
    ) -> tuple[NDArray[Any] | None, float]:
        """The best code found in the box, and what it is worth."""
        if self.space.size <= _EXHAUSTIVE:
            every = self._allowed(self._legal(self.space.enumerate()))
            return _best(every, self._score(every))
        start = self._starts(best, rng)
        edited = ascend(
            self.acquisition.rising,
            start,
            space=self.space,
            strategy=self.strategy,
            iterations=_ITERATIONS,
            free=self._tensor(np.isnan(self.pinned)),
            low=self._tensor(self.box.low),
            high=self._tensor(self.box.high),
        )
        passed = self.space.denormalize(edited.cpu().numpy())
        if self.within is not None:
            passed = self.within(passed)
        began = self.space.denormalize(start.cpu().numpy())
        if self.acquisition.is_wary:  # where nothing pays, the slope leads out of what is feasible
            passed, began = np.concatenate([passed, began]), np.concatenate([began, began])
        legal = self._legal(passed)
        self.trail.append((self._legal(began), legal))
        codes = self._allowed(legal)
        worth = self._score(codes)
        for _ in range(_LOCAL_ROUNDS):
            centres = codes[np.argsort(-worth)[:_LOCAL_WIDTH]]
            if not len(codes):  # all are ruled out: look around the best start
                centres = self.space.round(self.space.denormalize(start[:1].cpu().numpy()))
            moved = [self._legal(self.space.neighbors(code)) for code in centres]
            for centre, some in zip(centres, moved, strict=True):
                self.trail.append((np.broadcast_to(self._legal(centre), some.shape), some))
            near = self._allowed(np.concatenate(moved))
            # scored once: in a batch of another size, sums would be rounded otherwise
            codes = np.concatenate([codes, near])
            worth = np.concatenate([worth, self._score(near)])
        return _best(codes, worth)

    def _legal(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return the nearest legal codes with the pinned columns, shape kept."""
        return self.space.round(np.where(np.isnan(self.pinned), codes, self.pinned))

    def _allowed(self, legal: NDArray[Any]) -> NDArray[Any]:
        """Return each of some legal codes once, without those ruled out or outside the box."""
        unique = unique_codes(legal)
        if not self.box.is_whole:
            free = np.isnan(self.pinned)
            unique = unique[self.box.holds(self.space.normalize(unique), free)]
        return unique[~self.known(unique)]

    def _score(self, codes: NDArray[Any]) -> FloatArray:
        if not len(codes):
            return np.empty(0)
        with torch.no_grad():
            values = self.acquisition(self._tensor(self.space.normalize(codes)))
        worth: FloatArray = np.nan_to_num(values.cpu().numpy(), nan=-np.inf)
        return worth

    def _starts(self, best: FloatArray, rng: np.random.Generator) -> Tensor:
        """Best known codes, the same perturbed, and the best of many random ones, (s, d)."""
        top = self.box.clip(best[:_N_BEST])
        moved = rng.random(top.shape) < _PERTURBED_SHARE
        size = _PERTURBATION * (self.box.high - self.box.low)
        perturbed = self.box.clip(top + moved * rng.normal(0.0, 1.0, top.shape) * size)
        given = ~np.isnan(self.pinned)
        random = np.where(given, self.pinned, self._random(top[0], rng))
        random = random[np.argsort(-self._score(random), kind="stable")[:_N_RANDOM]]
        unit = np.concatenate([top, perturbed, self.space.normalize(random)])
        if given.any():
            unit[:, given] = self.space.normalize(np.where(given, self.pinned, random[0]))[given]
        return self._tensor(unit)

    def _random(self, centre: FloatArray, rng: np.random.Generator) -> NDArray[Any]:
        """Random legal codes: of the space, or in the box and unlike its centre in some columns.

        In many dimensions a code that differs in all of them is far away, however small the box
        (Regis & Shoemaker 2013; so does TuRBO, section 3).
        """
        drawn = self.space.sample(_N_SCREENED, rng)
        if self.box.is_whole:
            return drawn
        unit = self.space.normalize(drawn)
        unit = self.box.low + (self.box.high - self.box.low) * unit
        moved = rng.random(unit.shape) < _MOVED / len(centre)
        return self.space.round(self.space.denormalize(np.where(moved, unit, centre)))

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=self.acquisition.device)


def _best(codes: NDArray[Any], worth: FloatArray) -> tuple[NDArray[Any] | None, float]:
    if not len(codes):
        return None, -np.inf
    at = worth.argmax()
    return codes[at], float(worth[at])
