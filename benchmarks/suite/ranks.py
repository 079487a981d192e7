"""Average ranks of samplers, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, rankdata

from benchmarks.suite.studies import Study


@dataclass(frozen=True)
class Ranks:
    """Ranks of samplers on the pairs that all of them have.

    Attributes:
        samplers: Names of the samplers.
        pairs: (problem, seed), n of them.
        table: Ranks (n, len(samplers)); 1 is the best, and ties have their average rank.
        losses: Losses that were ranked.
    """

    samplers: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...]
    table: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Average rank of each sampler."""
        mean: NDArray[np.float64] = self.table.mean(0)
        return mean

    def intervals(self) -> list[tuple[float, float]]:
        """Return 95 % bootstrap intervals of the average ranks, drawing problems with all seeds."""
        names = sorted({problem for problem, _ in self.pairs})
        if len(names) < 2:
            groups = self.table
        else:
            groups = np.array(
                [
                    self.table[[problem == name for problem, _ in self.pairs]].mean(0)
                    for name in names
                ]
            )
        if len(groups) < 2:
            return [(float(r), float(r)) for r in self.mean]
        interval = bootstrap(
            (groups,), np.mean, axis=0, n_resamples=2000, method="percentile", rng=0
        ).confidence_interval
        return list(zip(interval.low.tolist(), interval.high.tolist(), strict=True))

    def against(self, sampler: str) -> Mapping[str, tuple[int, int, int]]:
        """Return wins, ties and losses of one sampler against every other one."""
        mine = self.losses[:, self.samplers.index(sampler)]
        return {
            name: (
                int((mine < losses).sum()),
                int((mine == losses).sum()),
                int((mine > losses).sum()),
            )
            for name, losses in zip(self.samplers, self.losses.T, strict=True)
            if name != sampler
        }


def rank(studies: Sequence[Study], samplers: Sequence[str], at: int) -> Ranks | None:
    """Return ranks after some trials, or at the end of shorter studies; None without a pair."""
    by_seed: dict[tuple[str, int], dict[str, Study]] = {}
    for study in studies:
        by_seed.setdefault((study.problem, study.seed), {})[study.sampler] = study
    pairs = sorted(pair for pair, of in by_seed.items() if {*samplers} <= of.keys())
    if not pairs:
        return None
    losses = np.array(
        [[_at(by_seed[pair][name], at) for name in samplers] for pair in pairs], dtype=float
    )
    return Ranks(tuple(samplers), tuple(pairs), rankdata(losses, axis=1), losses)


def _at(study: Study, at: int) -> float:
    return float(study.losses[min(at, study.trials) - 1])
