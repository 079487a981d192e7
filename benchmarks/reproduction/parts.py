"""The parts of a run, each for a process of its own: a split, a predictor, the walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.reproduction.effort import Effort
from benchmarks.reproduction.laboratory import Half, prepare
from benchmarks.reproduction.prediction import Prediction, predict_held_out
from benchmarks.reproduction.rows import Row
from benchmarks.reproduction.studies import BASIC, all_rows, fronts
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.settings import NB201
from ncp_sampler.nas_bench.table_walk import TableWalk, table_predictor, walk_table
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.offline.search import propagate_search
from ncp_sampler.propagation.ascent import GradientDescent
from ncp_sampler.propagation.propagate import Trace
from ncp_sampler.propagation.strategies import Strategy
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll
from ncp_sampler.records.records import FloatArray

# draws of rows; the walk's settings were chosen on others
_FIRST_WALK_SEED, _WALK_STARTS = 400, 10
_TRACED: dict[str, Strategy] = {
    "continuous": GradientDescent(rate=0.3),
    "winner_takes_all": WinnerTakesAll(),
}


@dataclass(frozen=True)
class SplitPart:
    """What one split adds to the results.

    Attributes:
        rows: Searches, judged.
        errors: Setting -> L1 of its judge, percent.
        extremes: Setting -> as ``Half.extremes``.
        traces: Strategy -> a propagation; empty unless asked for.
        clouds: Setting -> as ``Half.cloud``; empty unless asked for.
    """

    rows: list[Row]
    errors: dict[str, float]
    extremes: dict[str, tuple[float, float]]
    traces: dict[str, Trace]
    clouds: dict[str, FloatArray]


def one_thread() -> None:
    """For a process among several."""
    torch.set_num_threads(1)


def search_split(
    root: Path, split: int, settings: Sequence[str], effort: Effort, drawn: bool
) -> SplitPart:
    """All searches of one split; also what is only drawn, if asked for."""
    bench = NASBenchMR(root)
    halves = {setting: prepare(bench, setting, split, effort) for setting in settings}
    pictured = fronts(halves, split) if drawn else ()
    return SplitPart(
        rows=[*all_rows(halves, split), *pictured],
        errors={setting: half.judge.errors["mean"] for setting, half in halves.items()},
        extremes={setting: half.extremes() for setting, half in halves.items()},
        traces=_traces(halves["seg"]) if drawn else {},
        clouds={setting: halves[setting].cloud() for setting in BASIC} if drawn else {},
    )


def predict(root: Path, setting: str, effort: Effort) -> Prediction:
    """Table 6 for one setting."""
    return predict_held_out(NASBenchMR(root), setting, epochs=effort.epochs)


def walks(root: Path, effort: Effort) -> list[TableWalk]:
    """Figure 6: walks over NAS-Bench-201, for each draw of the rows learnt from."""
    table = NASBenchMR(root).table(NB201)
    return [
        walk_table(table, table_predictor(table, seed=seed), n_starts=_WALK_STARTS)
        for seed in range(_FIRST_WALK_SEED, _FIRST_WALK_SEED + effort.walk_seeds)
    ]


def _traces(half: Half) -> dict[str, Trace]:
    """Figure 3: how the start code is edited."""
    traces = {}
    for name, strategy in _TRACED.items():
        found = propagate_search(half.problem(0.5), strategy=strategy, starts=MRSpace().start)
        assert found.trace is not None  # only a baseline has none
        traces[name] = found.trace
    return traces
