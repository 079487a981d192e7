"""NAS-Bench-MR as a benchmark: its tables, fitted surrogates of them, and objectives."""

from ncp_sampler.nas_bench.judge import Judge as Judge
from ncp_sampler.nas_bench.judge import halves as halves
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
    "Judge",
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
