"""Several predictors as one: their disagreement is part of what they do not know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.around import Around
from ncp_sampler.predictors.predictor import Metrics, Predictor, State, Weights

_SEED = 0  # of the rows that a member with a capacity is given


class Committee(Around):
    """Mean of the members' means; the variance is the law of total variance.

    A smooth process and a network err differently away from the data, so that the mean is
    steadier than either, and a code on which they differ is known to be uncertain.

    Args:
        members: At least one predictor; they see the same rows, or a random choice of them where
            there are more than a member's ``capacity``.

    Raises:
        ValueError: No member.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> from ncp_sampler.predictors import GaussianProcess, InfiniteMLP
        >>> predictor = Committee([GaussianProcess(), InfiniteMLP()])
        >>> predictor.fit(x, {"loss": (x[:, 0] - 0.3) ** 2}).names
        ('loss',)
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        must = "be predictors, at least one, such as [GaussianProcess(), MLPEnsemble()]"
        self.members = tuple(checks.sequence("members", members, Predictor, must))
        if not self.members:
            raise ValueError("members is empty; give at least one predictor")
        super().__init__(self.members[0])

    @property
    def capacity(self) -> None:
        """None: each member is given as many rows as it can take."""

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Committee:
        """Fits every member on metrics (name -> (n,)) of unit codes x (n, d)."""
        codes = np.asarray(x, dtype=np.float64)
        columns = {name: np.asarray(values) for name, values in metrics.items()}
        importance = None if weights is None else np.asarray(weights)
        order = np.random.default_rng(_SEED).permutation(len(codes))
        for member in self.members:
            rows = np.sort(order[: member.capacity])
            member.fit(
                codes[rows],
                {name: values[rows] for name, values in columns.items()},
                weights=None if importance is None else importance[rows],
                steps=steps,
            )
        return self

    def mean(self, x: Tensor) -> Tensor:
        means = [member.mean(x).to(torch.float64) for member in self.members]
        return torch.stack(means).mean(0)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        posteriors = [member.posterior(x) for member in self.members]
        means = torch.stack([mean.to(torch.float64) for mean, _ in posteriors])
        variances = torch.stack([std.to(torch.float64) ** 2 for _, std in posteriors])
        total = variances.mean(0) + means.var(0, correction=0)
        return means.mean(0), total.sqrt()

    def condition(self, x: ArrayLike) -> Committee:
        """Copy whose members take their own means at x (q, d) for observed."""
        return Committee([member.condition(x) for member in self.members])

    def state_dict(self) -> State:
        """The members' states."""
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; a Gaussian process wants its rows again (fit, steps=0)."""
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load_state_dict(saved)
