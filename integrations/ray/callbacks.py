"""Ray callback that adds the predictions for a trial to its results before they are logged."""

from __future__ import annotations

from typing import Any

from ray import tune

from ncp_sampler import checks
from ncp_sampler.integrations.ray.searcher import NCPSearch
from ncp_sampler.optimizer.explanation_table import explain_markdown


class ReasonsCallback(tune.Callback):
    """Callback that adds the predictions and the reasons for a trial to each of its results.

    List this callback before your own loggers; Ray always calls its default loggers later. The
    results in TensorBoard, ``result.json``, ``progress.csv`` and other loggers then contain

        ncp/how                "search", or without predictions "startup", "source" or "untried"
        ncp/predicted/METRIC   the posterior mean, or the exact value of a known cost
        ncp/std/METRIC         the posterior standard deviation
        ncp/feasible           the probability that all constraints hold, if there are constraints
        ncp/why                the reasons as text

    Args:
        search: The Tuner's ``NCPSearch`` itself, even if it is inside a ``ConcurrencyLimiter``.

    Raises:
        ValueError: ``search`` is not an ``NCPSearch``.

    Examples:
        >>> search = NCPSearch(metric="loss", mode="min")
        >>> run_config = tune.RunConfig(callbacks=[ReasonsCallback(search)])
    """

    def __init__(self, search: NCPSearch) -> None:
        must = "be the Tuner's NCPSearch itself, not a wrapper around it"
        self._search = checks.instance("search", search, NCPSearch, must)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Add the trial's reasons to the result that the loggers receive."""
        reasons = self._search.reasons.get(trial.trial_id)
        if reasons is None:
            return
        metrics = reasons.get("metrics", {})
        result["ncp"] = {
            "how": reasons["how"],
            "predicted": {n: row.get("mean", row.get("value")) for n, row in metrics.items()},
            "std": {n: row["std"] for n, row in metrics.items() if "std" in row},
            **({"feasible": reasons["feasible"]} if "feasible" in reasons else {}),
            "why": explain_markdown(reasons),
        }
