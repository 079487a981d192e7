"""Objectives for studies, computed by surrogates or looked up in complete tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench.surrogates import Surrogate, surrogate
from ncp_sampler.nas_bench.tables import Table
from ncp_sampler.space.search_space import SearchSpace

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_COSTS = {"flops": costs.flops, "params": costs.params}


class Objective:
    """Objective for ``study.optimize`` that is computed by a surrogate; ``objective`` returns it.

    The metrics are predictions of a surrogate, not results of training. ``flops`` (in G, for the
    50-class network at 128x128) and ``params`` (in M) are exact. An objective can be pickled.

    Attributes:
        setting: Folder name of the setting.
        metrics: Names of the returned metrics, in order.
        directions: "maximize" or "minimize" for each metric, for ``optuna.create_study``.
        space: Search space of the codes.

    Examples:
        >>> from ncp_sampler import nas_bench
        >>> objective = nas_bench.objective("seg", metrics=("mIoU", "flops"))
        >>> objective.directions
        ['maximize', 'minimize']
        >>> objective.evaluate(objective.space.start).round(1).tolist()  # predicted; exact
        [[75.5, 2.0]]
    """

    def __init__(self, model: Surrogate, metrics: Sequence[str]) -> None:
        must = "be a Surrogate, as nas_bench.surrogate(setting) gives it"
        self._describe(checks.instance("model", model, Surrogate, must), metrics)
        self._model = model

    def _describe(self, source: Surrogate | Table, metrics: Sequence[str]) -> None:
        self.setting = source.setting
        self.metrics = checks.texts("metrics", metrics)
        self.space: SearchSpace = source.space
        self.directions: list[Literal["minimize", "maximize"]] = [
            "minimize" if name in _COSTS else "maximize" for name in self.metrics
        ]

    def __call__(self, trial: BaseTrial) -> float | tuple[float, ...]:
        """Suggest all params and return the metrics, as a float if there is only one metric."""
        values = self.evaluate(self.space.to_code(self.space.suggest(trial)))[0]
        return float(values[0]) if len(values) == 1 else tuple(values.tolist())

    def evaluate(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Return the metrics (n, m) of valid codes (n, d) or (d,).

        Raises:
            ValueError: If a code is invalid.
        """
        modeled = [name for name in self.metrics if name not in _COSTS]
        predicted = self._model.predict(codes, metrics=modeled)
        columns = [
            _COSTS[name](codes).numpy() if name in _COSTS else predicted[name]
            for name in self.metrics
        ]
        return np.stack(columns, axis=1)


class TableObjective(Objective):
    """Objective that is looked up in a complete table; ``table_objective`` returns it.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import NB201Space
        >>> from ncp_sampler.nas_bench import Table
        >>> codes = NB201Space().sample(2, 0).astype(np.int64)  # table_objective requires all codes
        >>> table = Table("nas-bench-201", codes, {"Acc": np.array([40.0, 44.0])}, *np.ones((2, 2)))
        >>> TableObjective(table, ["Acc"]).evaluate(codes[1]).tolist()
        [[44.0]]
    """

    def __init__(self, table: Table, metrics: Sequence[str]) -> None:
        must = "be a Table of NASBenchMR"
        self._describe(checks.instance("table", table, Table, must), metrics)
        self._table = table

    def evaluate(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Return the metrics (n, m) of codes (n, d) or (d,).

        Raises:
            ValueError: If a code is not in the table.
        """
        rows = self._table.rows(np.atleast_2d(np.asarray(codes)))
        return np.stack([self._table.column(name)[rows] for name in self.metrics], axis=1)


def objective(setting: str, *, metrics: Sequence[str] | None = None) -> Objective:
    """Return an objective that is computed by the surrogate of a setting.

    Args:
        setting: Folder name or short name (``"cls-a"``) of a setting with a shipped surrogate.
        metrics: Metrics of the setting, "flops" or "params"; None for the main metric.

    Raises:
        ValueError: If the setting or a metric is unknown, a metric is repeated, or there is no
            metric.
        ImportError: If LightGBM is not installed.
    """
    model = surrogate(setting)
    return Objective(model, _chosen(metrics, model.metrics, model.setting))


def table_objective(table: Table, *, metrics: Sequence[str] | None = None) -> TableObjective:
    """Return an objective that is looked up in a table of a whole space, such as NAS-Bench-201.

    Args:
        table: Table, such as ``NASBenchMR(root).table("nas-bench-201")``.
        metrics: As for ``objective``; "flops" is in the unit of the table (M for NAS-Bench-201).

    Raises:
        ValueError: If a metric is unknown or repeated, there is no metric, or the table lacks codes
            of its space.
    """
    checks.instance("table", table, Table, "be a Table of NASBenchMR")
    if len(table.codes) < table.space.size:
        raise ValueError(
            f"table={table.setting!r} has {len(table.codes)} of {table.space.size:.3g} codes; "
            "use nas_bench.objective, whose surrogate predicts any code"
        )
    return TableObjective(table, _chosen(metrics, tuple(table.metrics), table.setting))


def _chosen(metrics: Sequence[str] | None, measured: Sequence[str], setting: str) -> Sequence[str]:
    """Return the requested metrics after checking them; by default, the main metric."""
    chosen = measured[:1] if metrics is None else checks.texts("metrics", metrics)
    known = (*measured, *_COSTS)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"metrics={chosen!r} must be some of {known}, each once")
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"{setting!r} has no metric {unknown}; it has {known}")
    return chosen
