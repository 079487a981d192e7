from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import optuna
import pytest

from ncp_sampler import NB201Space, NCPSampler
from ncp_sampler.nas_bench import NASBenchMR, Table, table_objective


@pytest.fixture(scope="module")
def table(bench: NASBenchMR) -> Table:
    return bench.table("nas-bench-201")


def test_codes_are_found_in_any_order(table: Table) -> None:
    rows = np.random.default_rng(0).permutation(len(table.codes))[:200]
    np.testing.assert_array_equal(table.rows(table.codes[rows]), rows)
    assert table.rows(table.codes[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros(30), r"codes has shape \(30,\); it must be \(k, 30\)"),
        (np.zeros((1, 27)), r"codes has shape \(1, 27\)"),
        (np.zeros((1, 30)), r"is not among the 15625 architectures of 'nas-bench-201'$"),
        (np.full((1, 30), np.nan), "is not among the 15625"),
    ],
)
def test_codes_outside_the_table_are_named(table: Table, codes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table.rows(codes)


def test_columns_have_names(table: Table) -> None:
    assert table.column("Acc") is table.metrics["Acc"]
    assert table.column("flops") is table.flops
    with pytest.raises(ValueError, match=r"has no column 'acc'; it has \['Acc', 'flops', 'params"):
        table.column("acc")
    with pytest.raises(ValueError, match=r"has no column \[\]"):
        table.column([])  # type: ignore[arg-type]


def test_an_objective_returns_what_the_table_holds(table: Table) -> None:
    objective = pickle.loads(pickle.dumps(table_objective(table, metrics=("Acc", "flops"))))
    assert objective.space == NB201Space()
    assert objective.directions == ["maximize", "minimize"]
    expected = np.stack([table.metrics["Acc"], table.flops], axis=1)
    np.testing.assert_array_equal(objective.evaluate(table.codes[:9]), expected[:9])
    np.testing.assert_array_equal(objective.evaluate(table.codes[3]), expected[3:4])


def test_a_study_of_six_categoricals(table: Table) -> None:
    objective = table_objective(table)
    study = optuna.create_study(
        direction="maximize", sampler=NCPSampler(space=objective.space, seed=0)
    )
    study.optimize(objective, n_trials=14)
    codes = objective.space.to_code([trial.params for trial in study.trials])
    assert len(np.unique(codes, axis=0)) == 14
    values = [trial.value for trial in study.trials]
    assert values == table.metrics["Acc"][table.rows(codes)].tolist()


def test_tables_that_lack_codes_and_unknown_metrics_are_refused(
    table: Table, bench: NASBenchMR
) -> None:
    with pytest.raises(ValueError, match=r"'seg' has 2007 of 1.21e\+24 codes; use nas_bench.obj"):
        table_objective(bench.table("seg"))
    with pytest.raises(ValueError, match=r"has no metric \['top1'\]; it has \('Acc', 'flops'"):
        table_objective(table, metrics=["top1"])
    with pytest.raises(ValueError, match="must be some of"):
        table_objective(table, metrics=["Acc", "Acc"])
