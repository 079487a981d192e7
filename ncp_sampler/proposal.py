"""From a fitted predictor to the next code: starts, propagation, rounding, a last local search.

Notation
    unit (n, d), values (n, m)   what is known, metrics warped and to be maximized
    weights (m,)                 this proposal's trade-off between the metrics
    pinned (d,)                  numbers of columns that are given, NaN elsewhere
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler.acquisition import (
    chebyshev,
    log_expected_improvement,
    log_scalarized_improvement,
)
from ncp_sampler.predictor import Predictor
from ncp_sampler.propagation import ascend
from ncp_sampler.space import SearchSpace

_N_BEST, _N_RANDOM, _N_SCREENED = 12, 24, 512  # starts: best, perturbed best, best of random
_PERTURBED_SHARE, _PERTURBATION = 0.3, 0.1  # of the columns, in unit codes
_LOCAL_ROUNDS, _LOCAL_WIDTH = 2, 3  # rounds of one-step moves of the best codes
_EXHAUSTIVE = 2048  # codes of a space that is simply scored whole

Known = Callable[[NDArray[Any]], NDArray[np.bool_]]


class Acquisition:
    """Log expected improvement over the best known value, for one metric or a scalarization.

    Args:
        predictor: Fitted on the metrics in the order of ``values``.
        unit: Known unit codes, (n, d).
        values: Their metrics, to be maximized, NaN where missing, (n, m).
        weights: Of the scalarization, (m,), of sum 1.
        noisy: Take the predictor's mean at the known codes for the incumbent, not the values.
        normal: Standard normal draws for the scalarization's expectation, (s, m).
    """

    def __init__(
        self,
        predictor: Predictor,
        unit: NDArray[np.float64],
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
        *,
        noisy: bool,
        normal: NDArray[np.float64],
    ) -> None:
        self._predictor = predictor
        self.device = predictor.device
        self._weights = torch.as_tensor(weights, dtype=torch.float64, device=self.device)
        self._normal = torch.as_tensor(normal, dtype=torch.float64, device=self.device)
        known = predictor.predict(unit)[0] if noisy else values
        self._ideal = torch.as_tensor(np.nanmax(known, 0), dtype=torch.float64, device=self.device)
        if values.shape[1] == 1:
            self._best = float(np.nanmax(known))
        else:
            self._best = float(np.nanmax(scalarize(known, weights)))

    def __call__(self, x: Tensor) -> Tensor:
        """Log expected improvement (n,) at unit codes (n, d), differentiable."""
        mean, std = self._predictor.posterior(x)
        if mean.shape[1] == 1:
            return log_expected_improvement(mean[:, 0], std[:, 0], self._best)
        return log_scalarized_improvement(
            mean - self._ideal, std, self._weights, self._best, self._normal
        )


def scalarize(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Augmented Chebyshev value (n,) of metrics (n, m) relative to their best; NaN if one is."""
    relative = torch.from_numpy(values - np.nanmax(values, 0))
    scalar: NDArray[np.float64] = chebyshev(relative, torch.from_numpy(weights)).numpy()
    return scalar


def propose(
    acquisition: Acquisition,
    best: NDArray[np.float64],
    *,
    space: SearchSpace,
    strategy: str,
    rng: np.random.Generator,
    pinned: NDArray[np.float64],
    known: Known,
) -> NDArray[Any] | None:
    """The legal code of highest acquisition that propagation finds.

    Args:
        acquisition: What to raise.
        best: Unit codes to start from, best first, (n, d).
        space: The search space.
        strategy: As ``propagation.ascend``.
        rng: Draws the random starts.
        pinned: Numbers of the given columns, NaN elsewhere, (d,).
        known: Codes (n, d) -> whether each is ruled out.

    Returns:
        A code (d,), or None if every code looked at is ruled out.
    """

    def legal(codes: NDArray[Any]) -> NDArray[Any]:
        rounded = space.round(np.where(np.isnan(pinned), codes, pinned))
        unique = np.unique(rounded, axis=0)
        return unique[~known(unique)]

    def score(codes: NDArray[Any]) -> NDArray[np.float64]:
        x = torch.as_tensor(space.normalize(codes), dtype=torch.float64, device=acquisition.device)
        with torch.no_grad():
            values: NDArray[np.float64] = acquisition(x).cpu().numpy()
        return np.nan_to_num(values, nan=-np.inf)

    if space.size <= _EXHAUSTIVE:
        every = legal(space.enumerate())
        return every[score(every).argmax()] if len(every) else None

    start = _starts(acquisition, best, score, space, rng, pinned)
    free = torch.as_tensor(np.isnan(pinned), dtype=torch.float64, device=acquisition.device)
    edited = ascend(acquisition, start, space=space, strategy=strategy, free=free)
    codes = legal(space.denormalize(edited.cpu().numpy()))
    worth = score(codes) if len(codes) else np.empty(0)
    seeds = codes if len(codes) else space.round(space.denormalize(start[:1].cpu().numpy()))
    for _ in range(_LOCAL_ROUNDS):
        centres = seeds[np.argsort(-worth)[:_LOCAL_WIDTH]] if len(codes) else seeds
        near = legal(np.concatenate([space.neighbours(code) for code in centres]))
        if not len(near):
            break
        codes = np.concatenate([codes, near])
        worth = np.concatenate([worth, score(near)])
        seeds = codes
    return codes[worth.argmax()] if len(codes) else None


def _starts(
    acquisition: Acquisition,
    best: NDArray[np.float64],
    score: Callable[[NDArray[Any]], NDArray[np.float64]],
    space: SearchSpace,
    rng: np.random.Generator,
    pinned: NDArray[np.float64],
) -> Tensor:
    """Best known codes, the same perturbed, and the best of many random ones, (s, d)."""
    top = best[:_N_BEST]
    moved = rng.random(top.shape) < _PERTURBED_SHARE
    perturbed = np.clip(top + moved * rng.normal(0.0, _PERTURBATION, top.shape), 0.0, 1.0)
    random = space.sample(_N_SCREENED, rng)
    random = np.where(np.isnan(pinned), random, pinned)
    random = random[np.argsort(-score(random), kind="stable")[:_N_RANDOM]]
    unit = np.concatenate([top, perturbed, space.normalize(random)])
    given = ~np.isnan(pinned)
    if given.any():
        unit[:, given] = space.normalize(np.where(given, pinned, random[0]))[given]
    return torch.as_tensor(unit, dtype=torch.float64, device=acquisition.device)
