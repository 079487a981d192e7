"""Choice of the confidence coefficient beta by cross-validation of the search itself.

A predictor's error on random rows does not show how far a search can trust the predictor, because
the search moves to regions where the predictor is too optimistic. The rows are therefore split in
half. A search with each beta uses a predictor fitted to one half, and a predictor fitted to the
other half evaluates the solutions. Then the halves are swapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ncp_sampler import checks
from ncp_sampler.defaults import BETA
from ncp_sampler.deprecated import with_old_names
from ncp_sampler.offline.known_costs import with_known_costs
from ncp_sampler.offline.problem import (
    SearchProblem,
    check_sources,
    with_scale,
)
from ncp_sampler.offline.recipes import fit_source
from ncp_sampler.offline.run import SearchRun
from ncp_sampler.offline.search import find
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import FloatArray, Records

BETAS = (0.0, 1.0, 2.0, 4.0, 8.0)  # coefficients that are compared by default
_ROUNDING = 1e-9  # difference of mean scores, absolute or relative, that may be due to rounding
MIN_ROWS = 40  # minimum number of rows, so that each half suffices for a search or an evaluator


@with_old_names
@dataclass(frozen=True)
class BetaChoice:
    """Result of ``choose_beta``.

    Attributes:
        beta: The coefficient with the best held-out evaluation; among equally good ones, the
            nearest to ``BETA`` (3), and the smaller of two that are equally near.
        betas: All coefficients that were compared, (k,).
        scores: Held-out utilities of the solutions, computed with a beta of 0; one row for each
            half that was searched, (2 * repeats, k).

    Examples:
        >>> import numpy as np
        >>> BetaChoice(2.0, (0.0, 2.0), np.array([[70.1], [70.4]])).beta
        2.0
    """

    beta: float
    betas: tuple[float, ...]
    scores: FloatArray

    @property
    def note(self) -> str:
        """Chosen beta, and the mean scores of all betas relative to their average, as text."""
        means = self.scores.mean(0) - self.scores.mean()
        listed = ", ".join(f"{b:g}: {m:+.2f}" for b, m in zip(self.betas, means, strict=True))
        return f"beta {self.beta:g} by cross-validation of the search ({listed})"

    def apply(self, targets: Sequence[Target]) -> list[Target]:
        """Return the targets with the chosen coefficient."""
        return with_beta(targets, self.beta)


def choose_beta(
    sources: Records | Sequence[Records],
    targets: Sequence[Target],
    *,
    betas: Sequence[float] = BETAS,
    repeats: int = 1,
    strategy: Strategy | str = "continuous",
    seed: int = 0,
) -> BetaChoice:
    """Choose the beta whose solutions score best by predictors fitted to the other half of rows.

    If several betas score best, because their searches find the same codes, the one nearest to
    ``BETA`` (3) is chosen. Each repetition takes two fits per source, and two searches per beta.

    Args:
        sources: Records with at least 40 rows each; one per task.
        targets: As in ``propagate_search``; their beta is ignored.
        betas: Coefficients to compare, at least one.
        repeats: Number of random splits into halves.
        strategy: As in ``propagate_search``.
        seed: Seed of the splits, fits and starts.

    Raises:
        ValueError: There are too few rows, ``betas`` is empty or has a negative number; or as for
            ``propagate_search``.
    """
    must = "be Records, or a sequence of them"
    given = [sources] if isinstance(sources, Records) else sources
    tables: list[Records] = checks.sequence("sources", given, Records, must)
    for i, table in enumerate(tables):
        if len(table) < MIN_ROWS:
            raise ValueError(
                f"sources[{i}] has {len(table)} rows, too few to halve; give at least "
                f"{MIN_ROWS}, or a beta of your own"
            )
    if isinstance(betas, str) or not isinstance(betas, Sequence) or not len(betas):
        raise checks.refusal("betas", betas, "be numbers of at least 0, such as (0, 2, 4)")
    compared = tuple(checks.number("betas", beta, low=0) for beta in betas)
    checks.integer("repeats", repeats, low=1)
    seed = checks.integer("seed", seed, low=0)
    check_sources(tables, targets)
    targets = with_known_costs(targets, tables[0].space)
    rows = tables[0].codes
    scaled = [with_scale(target, tables, rows, rows) for target in targets]
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(repeats):
        halves = list(zip(*(_halves(table, rng) for table in tables), strict=True))
        models = [
            [fit_source(table, targets, i, seed=seed) for i, table in enumerate(half)]
            for half in halves
        ]
        for half, own, evaluator in zip(halves, models, reversed(models), strict=True):
            codes = []
            for beta in compared:
                problem = SearchProblem(own, with_beta(scaled, beta), records=half)
                # with measured rows, most searches would return the same row
                run = SearchRun(problem, compares=False)
                codes.append(find(run, strategy=strategy, seed=seed).code)
            held_out = SearchProblem(evaluator, with_beta(scaled, 0.0), records=half)
            scores.append(held_out.utility(np.array(codes)))
    return BetaChoice(_best_beta(compared, np.mean(scores, axis=0)), compared, np.array(scores))


def with_beta(targets: Sequence[Target], beta: float) -> list[Target]:
    """Return the targets with the given beta; targets for known costs are returned unchanged.

    Raises:
        ValueError: As for ``Target``.
    """
    return [target if target.cost is not None else replace(target, beta=beta) for target in targets]


def _best_beta(betas: Sequence[float], means: FloatArray) -> float:
    """Return the beta with the best mean score (k,); see ``BetaChoice`` for ties.

    The scores of equal codes can differ by rounding, because codes are predicted in batches.
    """
    tied = np.isclose(means, means.max(), rtol=_ROUNDING, atol=_ROUNDING)
    best = (beta for beta, is_best in zip(betas, tied, strict=True) if is_best)
    return min(best, key=lambda beta: (abs(beta - BETA), beta))


def _halves(table: Records, rng: np.random.Generator) -> tuple[Records, Records]:
    order, middle = rng.permutation(len(table)), len(table) // 2
    return table.take(np.sort(order[:middle])), table.take(np.sort(order[middle:]))
