"""Several exact predictors, of which each metric has the one that its rows speak for.

No prior suits every function: networks of infinite width expect trends that go on, as metrics of
architectures have, and Matérn processes bumps of one size. Which of the two a study's trials speak
for shows in how well each predicts every row from the others, which costs nothing beside the fit
(Rasmussen & Williams 2006, section 5.4.2).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.around import Around
from ncp_sampler.predictors.predictor import FloatArray, Metrics, State, Weights
from ncp_sampler.predictors.process import ExactProcess

_EVERY = 3  # fits, after which the members are compared again: the others' fits cost as much


class Selected(Around):
    """For each metric the member of highest leave-one-out predictive density.

    They are compared at the first fit, and at every third one after it; in between, only those
    that a metric has are fitted.

    Args:
        members: At least one exact predictor, such as ``GaussianProcess()`` or ``InfiniteMLP()``;
            all are fitted on the same rows.

    Attributes:
        chosen: Position of each metric's member, of the last fit; a metric has no member before.

    Raises:
        ValueError: No member, or one that is not exact.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> from ncp_sampler.predictors import GaussianProcess, InfiniteMLP
        >>> predictor = Selected([InfiniteMLP(), GaussianProcess()])
        >>> predictor.fit(x, {"loss": np.sin(8 * x[:, 0])}).names
        ('loss',)
    """

    def __init__(self, members: Sequence[ExactProcess]) -> None:
        must = "be exact predictors, at least one, such as [GaussianProcess(), InfiniteMLP()]"
        self.members = tuple(checks.sequence("members", members, ExactProcess, must))
        if not self.members:
            raise ValueError("members is empty; give at least one exact predictor")
        self.chosen: tuple[int, ...] = ()
        self._n_fits = 0  # since they were compared
        self._parts: dict[int, ExactProcess] = {}  # member -> itself, of the metrics that have it
        super().__init__(self.members[0])

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, of the last fit."""
        names: tuple[str, ...] = self.members[self.chosen[0] if self.chosen else 0].names
        return names

    @property
    def noise(self) -> FloatArray:
        """Standard deviation of each metric's noise, (m,), by its own member."""
        found = np.empty(len(self.chosen))
        for i, part in self._fitted.items():
            found[self._metrics_of(i)] = part.noise
        return found

    @property
    def capacity(self) -> int | None:
        """The least of the members'."""
        return min((m.capacity for m in self.members if m.capacity is not None), default=None)

    def fit(
        self, x: ArrayLike, metrics: Metrics, *, weights: Weights = None, steps: int | None = None
    ) -> Selected:
        """Learns metrics (name -> (n,)) of unit codes x (n, d), and chooses.

        With ``steps=0`` what was learnt and chosen stays.
        """
        if steps != 0:
            self._n_fits += 1
        same = bool(self.chosen) and self.names == tuple(metrics)
        if not same or (steps != 0 and self._n_fits > _EVERY):
            self._n_fits = 1
            for member in self.members:
                member.fit(x, metrics, weights=weights, steps=steps)
            densities = np.array([member.left_out_density() for member in self.members])
            self.chosen = tuple(densities.argmax(0).tolist())
            self._parts = {i: self.members[i].only(self._metrics_of(i)) for i in {*self.chosen}}
            return self
        parts = {}
        for i in {*self.chosen}:
            at = self._metrics_of(i)
            parts[i] = self.members[i].only(at)
            some = {name: metrics[name] for name in parts[i].names}
            parts[i].fit(x, some, weights=weights, steps=steps)
            self.members[i].adopt(parts[i], at)
        self._parts = parts
        return self

    def mean(self, x: Tensor) -> Tensor:
        return self._joined({i: part.mean(x) for i, part in self._fitted.items()})

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = {i: part.posterior(x) for i, part in self._fitted.items()}
        means, stds = ({i: both[k] for i, both in found.items()} for k in (0, 1))
        return self._joined(means), self._joined(stds)

    def condition(self, x: ArrayLike) -> Selected:
        """Copy whose members take their own means at x (q, d) for observed."""
        other = copy.copy(self)
        other._parts = {i: part.condition(x) for i, part in self._fitted.items()}
        return other

    def state_dict(self) -> State:
        """The members' states, and which are chosen."""
        return {
            "members": [member.state_dict() for member in self.members],
            "chosen": list(self.chosen),
            "n_fits": self._n_fits,
        }

    def load_state_dict(self, state: State) -> None:
        """Continues from ``state_dict``; the members want their rows again (fit, steps=0)."""
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load_state_dict(saved)
        self.chosen, self._n_fits = tuple(state["chosen"]), state["n_fits"]

    @property
    def _fitted(self) -> dict[int, ExactProcess]:
        if not self._parts:
            raise RuntimeError("the predictor is not fitted; call fit first")
        return self._parts

    def _metrics_of(self, member: int) -> list[int]:
        """Positions of the metrics that have a member."""
        return [k for k, i in enumerate(self.chosen) if i == member]

    def _joined(self, columns: dict[int, Tensor]) -> Tensor:
        """Each metric's column from its own member, (n, m)."""
        if len(columns) == 1:
            return next(iter(columns.values()))
        order = np.argsort([k for i in columns for k in self._metrics_of(i)])
        return torch.cat([*columns.values()], 1)[:, torch.from_numpy(order)]
