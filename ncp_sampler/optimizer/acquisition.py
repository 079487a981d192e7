"""What the next trial is worth: log expected improvement of one metric or of a whole front.

Known costs enter by their own values, limits by a penalty, constraints by the log probability that
they hold, and failures by twice the log probability of success.

Notation
    mean, std  posterior (n, m), all metrics to be maximized
    best       incumbent value, a number
    z          (mean - best) / std
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncp_sampler.optimizer.failures import SuccessModel
from ncp_sampler.optimizer.goals import Told, margin_name
from ncp_sampler.optimizer.hypervolume import pareto_front, thinned
from ncp_sampler.optimizer.improvement import (
    KNOWN_STD,
    Beyond,
    log_expected_improvement,
    log_hypervolume_improvement,
    log_scalarized_improvement,
    log_smooth_improvement,
    scalarize,
)
from ncp_sampler.predictors.predictor import FloatArray, Predictor

# with one objective under constraints: log improvement, of an objective's spread, that is worth no
# violation, as a predictor's own noise is larger; log chance of a bound below which it falls more
_LEAST_GAIN, _LEAST_CHANCE, _STEEP = -9.0, -1.0, 10.0
_SUCCESS_POWER = 2.0  # exponent of the probability of success: a failed trial teaches little
_FRONT = {2: 200, 3: 80, 4: 50}  # points of a front, beyond which it is thinned


@dataclass(frozen=True)
class Outlook:
    """What is known and believed of codes, in the terms of some trials.

    Attributes:
        told: The trials.
        predictor: Fitted on ``told.learnt``; None if nothing is learnt.
        costs: Known objective -> its cost, unit codes (n, d) -> (n,), in its own units.
    """

    told: Told
    predictor: Predictor
    costs: Mapping[str, Callable[[Tensor], Tensor]]

    def objectives(self, mean: Tensor, std: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, m) of the objectives, of the predictor's at x (n, d)."""
        if not any(self.told.known):  # they come first
            m = len(self.told.objectives)
            return mean[:, :m], std[:, :m]
        names, means, stds = self.predictor.names, [], []
        for name, known, (a, b) in zip(
            self.told.objectives, self.told.known, self.told.lines, strict=True
        ):
            if known:
                means.append(a + b * self.costs[name](x).to(torch.float64))
                stds.append(torch.zeros_like(means[-1]))
            else:
                means.append(mean[:, names.index(name)])
                stds.append(std[:, names.index(name)])
        return torch.stack(means, 1), torch.stack(stds, 1)

    def margins(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, c) of the margins, of the predictor's."""
        at = [self.predictor.names.index(margin_name(name)) for name in self.told.constraints]
        return mean[:, at], std[:, at]

    def log_feasible(self, mean: Tensor, std: Tensor, *, wary: bool = False) -> Tensor:
        """Log probability (n,) that every constraint holds; of little chances much less."""
        margin, spread = self.margins(mean, std)
        # each on its own: where several bounds meet, all of them hold by little chance
        logs: Tensor = torch.special.log_ndtr(margin / spread)
        return (_steeper(logs) if wary else logs).sum(1)

    def seen(self, unit: FloatArray, *, noisy: bool) -> Told:
        """The trials, of unit codes (n, d), with what is believed where nothing better is known.

        Args:
            unit: Their unit codes.
            noisy: Whether the predictor knows better than what was told.
        """
        values, margins = self.believed(unit)
        unsure = np.isnan(self.told.margins) | noisy
        return replace(
            self.told,
            values=values if noisy else self.told.values,
            margins=np.where(unsure, margins, self.told.margins),
        )

    def believed(self, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means of objectives (n, m) and of margins (n, c) at unit codes (n, d)."""
        x = torch.as_tensor(unit, dtype=torch.float64, device=self.predictor.device)
        with torch.no_grad():
            mean, std = self.predictor.posterior(x)
            values = self.objectives(mean, std, x)[0]
            margins = self.margins(mean, std)[0]
        return values.double().cpu().numpy(), margins.double().cpu().numpy()


class Acquisition:
    """Log expected improvement over what is known, and log probability of feasibility.

    With one objective, or ``weights`` of several, it is the expected improvement over the best
    feasible value; with two to four the expected hypervolume improvement; with more that of a
    random scalarization. As long as nothing is feasible, feasibility alone counts.

    Args:
        outlook: Of the trials that the predictor was fitted on.
        unit: Their unit codes, (n, d).
        noisy: Take the predictor's mean at the trials for what is known, not the values.
        weights: Objective -> its weight in the random scalarization.
        normal: Standard normal draws for its expectation, (s, objectives in ``weights``).
        waiting: Unit codes of pending trials, (q, d): they count as the predictor sees them.
        penalty: What unit codes (n, d) lose by being over limits, (n,); None without limits.
        success: Model of the probability of success; None where it is the same everywhere.
    """

    def __init__(
        self,
        outlook: Outlook,
        unit: FloatArray,
        *,
        noisy: bool,
        weights: Mapping[str, float],
        normal: FloatArray,
        waiting: FloatArray | None = None,
        penalty: Callable[[Tensor], Tensor] | None = None,
        success: SuccessModel | None = None,
    ) -> None:
        self.outlook = outlook
        self.success = success
        self._penalty = penalty
        self.device = outlook.predictor.device
        told = outlook.told
        values, feasible = told.values, told.feasible
        if noisy or np.isnan(told.margins).any():
            told = outlook.seen(unit, noisy=noisy)
            values, feasible = told.values, told.feasible
        self._improvement: Callable[[Tensor, Tensor], Tensor] | None = None
        if not feasible.any() or not told.objectives:
            return
        if told.weights is not None or len(told.objectives) == 1:
            self._improvement = self._of_sum(values[feasible], unit[feasible])
        elif told.is_front:
            if np.isnan(values[feasible]).any(axis=1).all():  # their means stand in
                means = outlook.believed(unit)[0]
                values = np.where(np.isnan(values), means, values)
            if waiting is not None and len(waiting):
                means, margins = outlook.believed(waiting)
                values = np.concatenate([values, means])
                feasible = np.concatenate([feasible, _hold(margins)])
            self._improvement = self._of_front(values, feasible)
        else:
            shares = np.array([weights[name] for name in told.objectives])
            at = [list(weights).index(name) for name in told.objectives]
            self._improvement = self._scalarized(
                values[feasible], unit[feasible], shares / shares.sum(), normal[:, at]
            )

    @property
    def is_wary(self) -> bool:
        """Whether a gain too small to pay does not count, nor much of one with little chance.

        So it is with one objective under constraints, or where trials have failed. Of what is known
        well, the log improvement falls without end: codes that are surely infeasible would seem the
        best that are left.
        """
        told = self.outlook.told
        at_risk = bool(told.constraints) or self.success is not None
        return self._improvement is not None and at_risk and not told.is_front

    @property
    def least(self) -> float:
        """What a code that is feasible, or pays, is worth at least."""
        return _LEAST_GAIN - 2 if self.is_wary else -math.inf

    def __call__(self, x: Tensor) -> Tensor:
        """The log (n,) at unit codes (n, d), less the penalty; differentiable."""
        return self._less_penalty(self.within_limits(x), x)

    def rising(self, x: Tensor) -> Tensor:
        """The same, not wary: its slope leads to where improvement and feasibility meet."""
        mean, std = self.outlook.predictor.posterior(x)
        found = self.worth(mean, std, self.outlook.objectives(mean, std, x), x, wary=False)
        return self._less_penalty(found, x)

    def within_limits(self, x: Tensor) -> Tensor:
        """The log (n,), wherever the limits are."""
        mean, std = self.outlook.predictor.posterior(x)
        return self.worth(mean, std, self.outlook.objectives(mean, std, x), x)

    def worth(
        self,
        mean: Tensor,
        std: Tensor,
        objectives: tuple[Tensor, Tensor],
        x: Tensor,
        *,
        wary: bool = True,
    ) -> Tensor:
        """The same (n,) by the predictor's mean and standard deviation, and the objectives'."""
        parts, wary = [], wary and self.is_wary
        if self._improvement is not None:
            gain = self._improvement(*objectives)
            parts.append(_floored(gain) if wary else gain)
        if self.outlook.told.constraints:
            parts.append(self.outlook.log_feasible(mean, std, wary=wary))
        if self.success is not None:
            logs = _SUCCESS_POWER * self.success.log_probability(x)
            parts.append(_steeper(logs) if wary else logs)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _less_penalty(self, worth: Tensor, x: Tensor) -> Tensor:
        return worth if self._penalty is None else worth - self._penalty(x)

    def _of_sum(self, values: FloatArray, unit: FloatArray) -> Callable[[Tensor, Tensor], Tensor]:
        """Expected improvement of one objective, or of a weighted sum, which is normal too."""
        share = self.outlook.told.weights
        if share is None:
            best = float(np.nanmax(values)) if not np.isnan(values).all() else math.nan
            if math.isnan(best):  # feasible, but with constraints alone
                best = float(self.outlook.believed(unit)[0].max())
            known = self.outlook.told.known[0]
            if known:
                return lambda mean, _: log_smooth_improvement(mean[:, 0], best)
            return lambda mean, std: log_expected_improvement(mean[:, 0], std[:, 0], best)
        if np.isnan(values).any():
            values = np.where(np.isnan(values), self.outlook.believed(unit)[0], values)
        best = float((values @ share).max())
        scale = self._tensor(share)
        floor = KNOWN_STD * float(share.sum())

        def improvement(mean: Tensor, std: Tensor) -> Tensor:
            spread = ((std * scale) ** 2).sum(1).clamp_min(floor**2).sqrt()
            return log_expected_improvement(mean @ scale, spread, best)

        return improvement

    def _of_front(
        self, values: FloatArray, feasible: NDArray[np.bool_]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Expected hypervolume improvement over the front of the feasible trials."""
        whole = values[feasible & ~np.isnan(values).any(axis=1)]
        if not len(whole):
            whole = np.nanmean(values, axis=0)[None]
        front = thinned(whole[pareto_front(whole)], _FRONT[values.shape[1]])
        told = self.outlook.told
        beyond = Beyond.of(front, told.reference, self.device)
        known = told.known
        return lambda mean, std: log_hypervolume_improvement(mean, std, beyond, known)

    def _scalarized(
        self, values: FloatArray, unit: FloatArray, weights: FloatArray, normal: FloatArray
    ) -> Callable[[Tensor, Tensor], Tensor]:
        scalars = scalarize(values, weights)
        if np.isnan(scalars).all():  # no trial has every metric: their means stand in
            means = self.outlook.believed(unit)[0]
            values = np.where(np.isnan(values), means, values)
            scalars = scalarize(values, weights)
        best = float(np.nanmax(scalars))
        ideal, share, draws = map(self._tensor, (np.nanmax(values, 0), weights, normal))
        return lambda mean, std: log_scalarized_improvement(mean - ideal, std, share, best, draws)

    def _tensor(self, array: FloatArray) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float64, device=self.device)


def _hold(margins: FloatArray) -> NDArray[np.bool_]:
    """Whether all margins (n, c) hold, (n,)."""
    return np.asarray((margins >= 0).all(axis=1), dtype=bool)


def _steeper(logs: Tensor) -> Tensor:
    """Return log probabilities (...) that fall ten times as fast below the least chance."""
    return logs + (_STEEP - 1) * (logs - _LEAST_CHANCE).clamp_max(0.0)


def _floored(gain: Tensor) -> Tensor:
    """Log improvements, those below the least gain in their order within 1 below it; smooth."""
    short = (_LEAST_GAIN - gain).clamp_min(0.0)
    return torch.where(gain > _LEAST_GAIN, gain, _LEAST_GAIN - 1 + 1 / (1 + short))
