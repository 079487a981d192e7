"""Ray's loggers: what was predicted of a trial, beside what it reports.

In come a searcher's reasons; out go the trials' results with ``ncp`` in them, before Ray's loggers
write them: TensorBoard, ``result.json``, ``progress.csv`` and those of other services have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import tune

from ncp_sampler import checks
from ncp_sampler.integrations.ray.searcher import NCPSearch
from ncp_sampler.optimizer.explanation_table import explain_markdown

_KEY = "ncp"  # of a result; TensorBoard shows ray/tune/ncp/predicted/METRIC


class ReasonsCallback(tune.Callback):
    """Adds to each result of a trial what was predicted of it, and why it was suggested.

    Give it before any logger of your own; those that Ray adds come after it. A result then has

        ncp/how                "search"; or "startup", "source", "untried": nothing is predicted
        ncp/predicted/METRIC   the mean, of a known cost its value
        ncp/std/METRIC         its standard deviation
        ncp/feasible           the chance that every constraint holds, where there are some
        ncp/why                the reasons as text

    Args:
        search: The searcher that the Tuner has, as itself, also within a ``ConcurrencyLimiter``.

    Raises:
        ValueError: Anything else than an ``NCPSearch``.

    Examples:
        >>> search = NCPSearch(metric="loss", mode="min")
        >>> run_config = tune.RunConfig(callbacks=[ReasonsCallback(search)])
    """

    def __init__(self, search: NCPSearch) -> None:
        must = "be the NCPSearch that the Tuner has, not what is around it"
        self._search = checks.instance("search", search, NCPSearch, must)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Puts the reasons of the trial into the result that the loggers get."""
        reasons = self._search.reasons.get(trial.trial_id)
        if reasons is not None:
            result[_KEY] = _told(reasons)


def _told(reasons: Mapping[str, Any]) -> dict[str, Any]:
    metrics = reasons.get("metrics", {})
    told: dict[str, Any] = {"how": reasons["how"]}
    told["predicted"] = {n: one.get("mean", one.get("value")) for n, one in metrics.items()}
    told["std"] = {n: one["std"] for n, one in metrics.items() if "std" in one}
    if "feasible" in reasons:
        told["feasible"] = reasons["feasible"]
    told["why"] = explain_markdown(reasons)
    return told
