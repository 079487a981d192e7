"""Mixture of several predictors, whose disagreement contributes to the uncertainty."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.predictors.predictor import (
    FloatArray,
    Metrics,
    Model,
    Moments,
    Predictor,
    State,
    Weights,
    as_model,
)
from ncp_sampler.predictors.transforms import training_arrays

_SEED = 0  # seed for the subset of rows of a member with ``max_rows``


class Mixture(Model):
    """Equally weighted mixture of predictors, with variance by the law of total variance.

    Models from different families have different errors away from the data. The mean of their
    predictions is therefore more robust than any single model, and codes on which the models
    disagree are uncertain.

    Args:
        members: At least one predictor. All are fitted to the same rows, or to a random subset if
            there are more rows than a member's ``max_rows``.

    Raises:
        ValueError: There are no members.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> from ncp_sampler.predictors import GaussianProcess, MLPEnsemble
        >>> members = [GaussianProcess(), MLPEnsemble(members=2, steps=20)]
        >>> predictor = Mixture(members)
        >>> predictor.fit(x, {"loss": (x[:, 0] - 0.3) ** 2}).names
        ('loss',)
    """

    _n_rows = 0  # until it is fitted, and in old pickles

    def __init__(self, members: Sequence[Predictor]) -> None:
        must = "be predictors, at least one, such as [GaussianProcess(), MLPEnsemble()]"
        given = checks.sequence("members", members, Predictor, must)
        self.members = tuple(as_model("members", member) for member in given)
        if not self.members:
            raise ValueError("members is empty; give at least one predictor")

    @property
    def names(self) -> tuple[str, ...]:
        return self.members[0].names

    @property
    def device(self) -> torch.device:
        return self.members[0].device

    @property
    def noise(self) -> FloatArray:
        """Standard deviation (m,) of each metric's noise, averaged over the members."""
        zero = np.zeros(len(self.names))
        return np.asarray(np.mean([getattr(m, "noise", zero) for m in self.members], axis=0))

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Mixture:
        names, codes, y, importance = training_arrays(x, metrics, weights)
        self._n_rows = len(codes)
        for member in self.members:
            rows = self._rows_of(member)
            columns = dict(zip(names, y[rows].T, strict=True))
            member.fit(codes[rows], columns, weights=importance[rows], steps=steps)
        return self

    def moments(self, x: FloatArray) -> Moments:
        parts = [member.moments(x) for member in self.members]
        means = np.stack([part.mean for part in parts])
        stds = np.stack([part.std for part in parts])
        mean = means.mean(0)
        std = np.sqrt((stds**2).mean(0) + means.var(0))

        def vjp(by_mean: FloatArray, by_std: FloatArray) -> FloatArray:
            share = by_std / std / len(parts)
            total = np.zeros_like(x)
            for part in parts:
                of_mean = by_mean / len(parts) + share * (part.mean - mean)
                total = total + part.vjp(of_mean, share * part.std)
            return total

        return Moments(mean, std, vjp)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray] | None:
        """Return the leave-one-out moments (n, m) of the mixture of exact members.

        None if no member is exact. A row's moments are those of the exact members that were fitted
        to it, NaN without any.
        """
        parts = []
        for member in self.members:
            moments = member.leave_one_out() if self._n_rows else None
            if moments is not None:
                own = np.full((2, self._n_rows, len(self.names)), np.nan)
                own[:, self._rows_of(member)] = moments
                parts.append(own)
        if not parts:
            return None
        means, stds = np.stack(parts, 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # rows of no member stay NaN
            variance = np.nanmean(stds**2, axis=0) + np.nanvar(means, axis=0)
            return np.nanmean(means, axis=0), np.sqrt(variance)

    def _rows_of(self, member: Model) -> NDArray[np.intp]:
        """Return the positions of the rows that a member is fitted to."""
        order = np.random.default_rng(_SEED).permutation(self._n_rows)
        return np.sort(order[: member.max_rows])

    def condition(self, x: ArrayLike) -> Mixture:
        return Mixture([member.condition(x) for member in self.members])

    def state_dict(self) -> State:
        members = [member.state_dict() for member in self.members]
        return {"members": members, "n_rows": self._n_rows}

    def load_state_dict(self, state: State) -> None:
        self._n_rows = state.get("n_rows", 0)  # missing in the states of 0.2
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load_state_dict(saved)
