"""NAS-Bench-MR as a benchmark: tables, fitted surrogates, and objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp_sampler.nas_bench.held_out_evaluator import HeldOutEvaluator as HeldOutEvaluator
    from ncp_sampler.nas_bench.held_out_evaluator import halves as halves
    from ncp_sampler.nas_bench.objectives import Objective as Objective
    from ncp_sampler.nas_bench.objectives import TableObjective as TableObjective
    from ncp_sampler.nas_bench.objectives import objective as objective
    from ncp_sampler.nas_bench.objectives import table_objective as table_objective
    from ncp_sampler.nas_bench.settings import SETTINGS as SETTINGS
    from ncp_sampler.nas_bench.settings import Setting as Setting
    from ncp_sampler.nas_bench.surrogates import Surrogate as Surrogate
    from ncp_sampler.nas_bench.surrogates import surrogate as surrogate
    from ncp_sampler.nas_bench.table_walk import TableWalk as TableWalk
    from ncp_sampler.nas_bench.table_walk import hard_starts as hard_starts
    from ncp_sampler.nas_bench.table_walk import table_predictor as table_predictor
    from ncp_sampler.nas_bench.table_walk import walk_table as walk_table
    from ncp_sampler.nas_bench.tables import NASBenchMR as NASBenchMR
    from ncp_sampler.nas_bench.tables import Table as Table

__all__ = [
    "SETTINGS",
    "HeldOutEvaluator",
    "NASBenchMR",
    "Objective",
    "Setting",
    "Surrogate",
    "Table",
    "TableObjective",
    "TableWalk",
    "halves",
    "hard_starts",
    "objective",
    "surrogate",
    "table_objective",
    "table_predictor",
    "walk_table",
]

_HOMES = {
    "SETTINGS": "ncp_sampler.nas_bench.settings",
    "HeldOutEvaluator": "ncp_sampler.nas_bench.held_out_evaluator",
    "NASBenchMR": "ncp_sampler.nas_bench.tables",
    "Objective": "ncp_sampler.nas_bench.objectives",
    "Setting": "ncp_sampler.nas_bench.settings",
    "Surrogate": "ncp_sampler.nas_bench.surrogates",
    "Table": "ncp_sampler.nas_bench.tables",
    "TableObjective": "ncp_sampler.nas_bench.objectives",
    "TableWalk": "ncp_sampler.nas_bench.table_walk",
    "halves": "ncp_sampler.nas_bench.held_out_evaluator",
    "hard_starts": "ncp_sampler.nas_bench.table_walk",
    "objective": "ncp_sampler.nas_bench.objectives",
    "surrogate": "ncp_sampler.nas_bench.surrogates",
    "table_objective": "ncp_sampler.nas_bench.objectives",
    "table_predictor": "ncp_sampler.nas_bench.table_walk",
    "walk_table": "ncp_sampler.nas_bench.table_walk",
}

if not TYPE_CHECKING:  # imported lazily, because --help only needs the names of the settings
    from ncp_sampler.deprecated import old_name
    from ncp_sampler.lazy import lazy_names

    _get, __dir__ = lazy_names(__name__, _HOMES)

    def __getattr__(name: str) -> Any:
        """Return a public object, or the object that replaces a deprecated name."""
        return _get(name) if name in _HOMES else old_name(__name__, name)
