from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ncp_sampler import NB201Space
from ncp_sampler.nas_bench import NASBenchMR, Table
from ncp_sampler.space.nas_bench_201 import OPERATORS

SPACE = NB201Space()
# The cell behind the highest accuracy of the table
TEXT = (
    "|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
PARAMS = {
    "e1_0": "nor_conv_1x1",
    "e2_0": "nor_conv_3x3",
    "e2_1": "nor_conv_3x3",
    "e3_0": "skip_connect",
    "e3_1": "nor_conv_3x3",
    "e3_2": "nor_conv_3x3",
}
PATHS = [("e3_0",), ("e1_0", "e3_1"), ("e2_0", "e3_2"), ("e1_0", "e2_1", "e3_2")]


@pytest.fixture(scope="module")
def table(bench: NASBenchMR) -> Table:
    return bench.table("nas-bench-201")


def test_dimensions() -> None:
    assert SPACE.names == tuple(PARAMS)
    assert len(SPACE.columns) == 30
    assert SPACE.columns[:2] == ("e1_0=avg_pool_3x3", "e1_0=none")
    assert SPACE.size == 5**6
    assert NB201Space() == SPACE


def test_strings_name_the_edges_in_the_order_of_the_code() -> None:
    code = SPACE.from_string(TEXT)
    assert SPACE.to_params(code) == PARAMS
    assert SPACE.to_string(code) == TEXT
    np.testing.assert_array_equal(code, SPACE.to_code(PARAMS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        TEXT[1:],
        TEXT + "|",
        TEXT.replace("+", ""),
        TEXT.replace("~2", "~1"),
        TEXT.replace("|nor_conv_3x3~2", ""),
    ],
)
def test_strings_of_another_form(text: Any) -> None:
    with pytest.raises(ValueError, match=r"must look like \|avg_pool_3x3~0\|\+\|"):
        SPACE.from_string(text)


def test_unknown_operators_and_invalid_codes_are_named() -> None:
    with pytest.raises(ValueError, match=r"e3_0='zero' is not one of \('avg_pool_3x3'"):
        SPACE.from_string(TEXT.replace("skip_connect", "zero"))
    with pytest.raises(ValueError, match=r"e1_0=none=1 is not a value"):
        SPACE.to_string(np.ones(30))


def test_the_table_holds_every_code_once(table: Table) -> None:
    assert table.space == SPACE
    every = SPACE.enumerate()
    rows = table.rows(every)
    assert len(np.unique(rows)) == len(table.codes) == len(every) == 15_625
    for code in table.codes[:500]:
        np.testing.assert_array_equal(SPACE.from_string(SPACE.to_string(code)), code)


def test_operators_are_those_that_the_costs_tell(table: Table) -> None:
    """FLOPs tell the convolutions; the few other rows are the published table's own slips."""
    counts = {
        name: sum(table.codes[:, SPACE.columns.index(f"{e}={name}")] for e in SPACE.names)
        for name in OPERATORS
    }
    flops = 7.79 + 3.932 * counts["nor_conv_1x1"] + 35.389 * counts["nor_conv_3x3"]
    assert (np.abs(table.flops - flops) < 0.05).mean() > 0.99


def test_edges_are_those_that_a_cut_cell_tells(table: Table) -> None:
    """Without a path of operators other than none, the accuracy is chance: 1 of 120 classes."""
    closed = {e: table.codes[:, SPACE.columns.index(f"{e}=none")] == 1 for e in SPACE.names}
    cut = np.all([np.any([closed[e] for e in path], axis=0) for path in PATHS], axis=0)
    chance = np.isclose(table.metrics["Acc"], 100 / 120, atol=1e-3)
    assert cut.sum() == 341
    assert (chance == cut).mean() > 0.999


def test_a_skip_passes_a_convolution_on_and_a_pool_does_not(table: Table) -> None:
    def accuracy(**edges: str) -> float:
        code = SPACE.to_code(dict.fromkeys(SPACE.names, "none") | edges)
        return float(table.metrics["Acc"][table.rows(code[None])[0]])

    alone = accuracy(e3_0="nor_conv_3x3")
    assert abs(accuracy(e1_0="skip_connect", e3_1="nor_conv_3x3") - alone) < 1
    assert accuracy(e1_0="avg_pool_3x3", e3_1="nor_conv_3x3") < alone - 10


def test_the_best_cell(table: Table, bench: NASBenchMR) -> None:
    row = bench.query(TEXT, setting="nas-bench-201")
    assert row["Acc"] == table.metrics["Acc"].max() == pytest.approx(47.333, abs=1e-3)
    assert bench.query(PARAMS, setting="nas-bench-201") == row
