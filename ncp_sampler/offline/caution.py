"""How much caution a search needs, by cross-validation of the search itself.

A predictor's error on rows does not tell how far a search may trust it: the search goes where the
predictor is most hopeful, which is where it errs. So the rows are halved; one half is learnt from
and searched with each caution, a predictor of the other half judges what was found, and then the
halves change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ncp_sampler import checks
from ncp_sampler.offline.learning import learn
from ncp_sampler.offline.problem import (
    SearchProblem,
    checked_sources,
    cost_scale,
    wanted_metrics,
)
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.predictors.predictor import Predictor
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import FloatArray, Records, spread_of

CAUTIONS = (0.0, 1.0, 2.0, 4.0, 8.0)
LEAST_ROWS = 40  # a half of fewer teaches neither a search nor a judge


@dataclass(frozen=True)
class CautionChoice:
    """What cross-validation says of each caution.

    Attributes:
        caution: The one whose answers are judged best.
        cautions: All that were tried, (k,).
        judged: Utility of their answers by the other half's predictor, without caution: one row for
            each half searched, (2 * repeats, k).

    Examples:
        >>> import numpy as np
        >>> CautionChoice(2.0, (0.0, 2.0), np.array([[70.1], [70.4]])).caution
        2.0
    """

    caution: float
    cautions: tuple[float, ...]
    judged: FloatArray

    @property
    def note(self) -> str:
        """The choice in words, for notes."""
        means = ", ".join(
            f"{c:g}: {m:+.2f}"
            for c, m in zip(self.cautions, self.judged.mean(0) - self.judged.mean(), strict=True)
        )
        return f"caution {self.caution:g} by cross-validation of the search ({means})"

    def apply(self, targets: Sequence[Target]) -> list[Target]:
        """The targets with the caution chosen; known costs need none."""
        return with_caution(targets, self.caution)


def choose_caution(
    sources: Records | Sequence[Records],
    targets: Sequence[Target],
    *,
    cautions: Sequence[float] = CAUTIONS,
    repeats: int = 1,
    strategy: Strategy | str = "continuous",
    seed: int = 0,
) -> CautionChoice:
    """The caution whose answers the other half of the rows judges best.

    It takes as long as learning twice and searching twice per caution, for each repeat.

    Args:
        sources: Records, of at least 40 rows each; one for each task.
        targets: As of ``propagate_search``; their own caution is not looked at.
        cautions: Those to try, at least one.
        repeats: Halvings of the rows.
        strategy: As of ``propagate_search``.
        seed: Of halves, learning and starts.

    Raises:
        ValueError: Too few rows, no caution or a negative one, or as ``propagate_search``.
    """
    must = "be Records, or a sequence of them"
    given = [sources] if isinstance(sources, Records) else sources
    tables: list[Records] = checks.sequence("sources", given, Records, must)
    for i, table in enumerate(tables):
        if len(table) < LEAST_ROWS:
            raise ValueError(
                f"sources[{i}] has {len(table)} rows, too few to halve; give at least "
                f"{LEAST_ROWS}, or a caution of your own"
            )
    must = "be numbers of at least 0, such as (0, 2, 4)"
    if isinstance(cautions, str) or not isinstance(cautions, Sequence) or not len(cautions):
        raise checks.refusal("cautions", cautions, must)
    tried = tuple(checks.number("cautions", caution, low=0) for caution in cautions)
    checks.integer("repeats", repeats, low=1)
    seed = checks.integer("seed", seed, low=0)
    checked_sources([*tables], targets)
    scaled = [_scaled(target, tables) for target in targets]
    rng = np.random.default_rng(seed)
    judged = []
    for _ in range(repeats):
        halves = [_halves(table, rng) for table in tables]
        models = [
            [learn(half, metrics=wanted_metrics(targets, i), seed=seed) for half in pair]
            for i, pair in enumerate(halves)
        ]
        for mine, other in ((0, 1), (1, 0)):
            rows = [pair[mine] for pair in halves]
            judge = _problem([pair[other] for pair in models], scaled, 0.0, rows)
            learnt = [pair[mine] for pair in models]
            problems = [_problem(learnt, scaled, caution, rows) for caution in tried]
            found = [propagate_search(one, strategy=strategy, seed=seed).code for one in problems]
            judged.append(judge.utility(np.array(found)))
    scores = np.array(judged)
    return CautionChoice(tried[int(scores.mean(0).argmax())], tried, scores)


def with_caution(targets: Sequence[Target], caution: float) -> list[Target]:
    """The targets with another caution; known costs have none.

    Raises:
        ValueError: As ``Target``.
    """
    return [one if one.cost is not None else replace(one, caution=caution) for one in targets]


def _scaled(target: Target, tables: Sequence[Records]) -> Target:
    """The same unit for both halves: that of all rows."""
    if target.scale is not None:
        return target
    if target.cost is not None:
        return replace(target, scale=cost_scale(target.cost, tables[0].codes))
    return replace(target, scale=spread_of(tables[target.predictor].values(target.metric)))


def _halves(table: Records, rng: np.random.Generator) -> tuple[Records, Records]:
    order = rng.permutation(len(table))
    middle = len(table) // 2
    return table.take(np.sort(order[:middle])), table.take(np.sort(order[middle:]))


def _problem(
    models: Sequence[Predictor], targets: Sequence[Target], caution: float, rows: Sequence[Records]
) -> SearchProblem:
    return SearchProblem(models, with_caution(targets, caution), records=rows)
