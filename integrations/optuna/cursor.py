"""A position in a study's trials, so that each is read once.

Trials are numbered 0, 1, 2, ... and never removed; a finished one never changes. So each trial is
read once when it has finished, and an unfinished one at every look.
"""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from ncp_sampler.integrations.optuna.sources import identity


class Cursor:
    """A position in a study's trials."""

    def __init__(self) -> None:
        self._n_read = 0
        self._unfinished: list[int] = []
        self._mark: tuple[int, object] | None = None  # number and identity of a finished trial

    def is_in(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether these are the trials read so far, rather than those of another study."""
        if self._n_read > len(trials):
            return False
        return self._mark is None or identity(trials[self._mark[0]]) == self._mark[1]

    def finished(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that finished since the last look, by number."""
        looked_at = [trials[i] for i in self._unfinished] + list(trials[self._n_read :])
        new = [trial for trial in looked_at if trial.state.is_finished()]
        self._unfinished = [t.number for t in looked_at if not t.state.is_finished()]
        self._n_read = len(trials)
        if new:
            self._mark = (new[-1].number, identity(new[-1]))
        return new

    def unfinished(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that were running or waiting at the last look."""
        return [trials[i] for i in self._unfinished]
