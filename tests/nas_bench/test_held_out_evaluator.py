"""Held-out evaluators: fitted on rows that no search saw, with errors that can be recomputed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ncp_sampler import MRSpace
from ncp_sampler.nas_bench import HeldOutEvaluator, NASBenchMR, halves


@pytest.mark.parametrize("n", [2, 9, 40])
def test_halves_part_the_rows_and_change_places(n: int) -> None:
    searched, evaluated = halves(n, 4)
    assert sorted([*searched, *evaluated]) == list(range(n))
    assert abs(len(searched) - len(evaluated)) <= 1
    swapped = halves(n, 5)
    np.testing.assert_array_equal(swapped[0], evaluated)
    np.testing.assert_array_equal(swapped[1], searched)


def test_other_splits_are_other_halves() -> None:
    assert set(halves(40, 0)[0]) != set(halves(40, 2)[0])


@pytest.mark.parametrize(("n", "split"), [(1, 0), (10, -1)])
def test_halves_refuse(n: int, split: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        halves(n, split)


def test_scores_rows_that_it_never_saw(bench: NASBenchMR) -> None:
    table = bench.table("seg")
    mine = np.arange(0, 2007, 5)
    others = np.setdiff1d(np.arange(2007), mine)
    evaluator = HeldOutEvaluator(table, mine)
    truth = table.metrics["mIoU"]
    assert evaluator.metric == "mIoU"
    error = np.abs(evaluator.score(table.codes[others]) - truth[others]).mean()
    assert evaluator.errors["mean"] == pytest.approx(error)
    assert evaluator.errors["mean"] < 1.6 < np.abs(truth[others] - truth.mean()).mean()
    assert evaluator.errors["mean"] <= (evaluator.errors["trees"] + evaluator.errors["kernel"]) / 2
    assert evaluator.score(table.codes[3]).shape == (1,)
    # fitted on every row there is nothing to be measured by
    columns = {name: column[:60] for name, column in table.metrics.items()}
    first = replace(
        table,
        codes=table.codes[:60],
        metrics=columns,
        flops=table.flops[:60],
        params=table.params[:60],
    )
    small = HeldOutEvaluator(first, np.arange(60), metric="aAcc")
    assert small.metric == "aAcc"
    assert all(np.isnan(error) for error in small.errors.values())


def test_refuses_rows_metrics_and_tables_that_it_cannot_evaluate(bench: NASBenchMR) -> None:
    table = bench.table("seg")
    for rows in ([], [1], [0, len(table.codes)], [-1, 3]):
        with pytest.raises(ValueError, match="at least two of 0 to"):
            HeldOutEvaluator(table, rows)
    with pytest.raises(ValueError, match="metric='top1' must be one of"):
        HeldOutEvaluator(table, [0, 1, 2], metric="top1")
    with pytest.raises(ValueError, match="no MRSpace codes"):
        HeldOutEvaluator(bench.table("nas-bench-201"), [0, 1, 2])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ("x", "must"),
        ([1.0], "must"),
        (np.full(27, np.nan), "NaN"),
        (MRSpace().start + 1, "i1=65 is invalid"),
    ],
)
def test_scores_valid_codes_alone(bench: NASBenchMR, codes: Any, message: str) -> None:
    table = bench.table("cls-10-1000")
    with pytest.raises(ValueError, match=message):
        HeldOutEvaluator(table, np.arange(40)).score(codes)
