"""Inferred types of CSV columns, and refusal of columns that are no parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, Integer, SearchSpace
from ncp_sampler.records.csv_records import open_csv, read_csv, read_tables
from ncp_sampler.records.records import Records
from ncp_sampler.space.dimensions import Dimension


def table(folder: Path, name: str, cells: Sequence[str], **read: Any) -> Records:
    """Records of a file with one column and its metric."""
    path = folder / "runs.csv"
    rows = [f'"{cell}",{70 + i % 7}' for i, cell in enumerate(cells)]
    path.write_text("\n".join([f"{name},top1", *rows]))
    return read_csv(path, metrics="top1", **read)


@pytest.mark.parametrize(
    ("cells", "dimension"),
    [
        (["16", "64", "32"], Integer("x", 16, 64, step=16)),
        (["16", "16.0", "16"], Integer("x", 16, 16)),  # constant
        (["0.5", "1e-3", "1"], Float("x", 0.001, 1)),
        (["True", "False", "True"], Categorical("x", ("False", "True"))),
        (["conv", "sep", "conv"], Categorical("x", ("conv", "sep"))),
        (["007", "012", "007"], Categorical("x", ("007", "012"))),
        (["00", "10", "00"], Categorical("x", ("00", "10"))),  # one zero tells that it is a name
        (["1_2", "2_1", "1_2"], Categorical("x", ("1_2", "2_1"))),  # Python's 12 is no CSV's
        (["3x3", "5x5", "3x3"], Categorical("x", ("3x3", "5x5"))),
    ],
)
def test_kinds(tmp_path: Path, cells: Sequence[str], dimension: Dimension) -> None:
    assert table(tmp_path, "x", cells).space.dimensions == (dimension,)


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("run", ["arch_0", "arch_1", "arch_2"], "'run' has a different text in every row"),
        ("run", [f"a{i}" for i in range(30)] + ["a0"] * 9, "has a different text in most rows"),
        ("run", ["001", "002", "003"], r"different text in every row\. Give --id 'run'"),
        ("day", ["2024-01-02", "2024-01-03", "2024-01-02"], "'day' has dates.* --ignore 'day'"),
        ("day", ["02.01.2024", "03.01.2024", "02.01.2024"], "'day' has dates"),
        ("day", ["2024-01-02 10:30", "2024-01-03T11:00", "2024-01-02 10:30"], "'day' has dates"),
        ("day", ["20240102", "20240103", "20240102"], "'day' has dates"),
        ("x", [str(i) for i in range(10)], "'x' numbers the rows"),
        ("arch_id", ["17", "4", "233"], "'arch_id' has a name like an ID"),
        ("gflops", ["0.1", "0.7", "0.33"], r"'gflops' has a name like a measurement.*gflops:min"),
        ("val_acc", ["71", "70", "72"], "'val_acc' has a name like a measurement"),
        ("Accuracy (%)", ["71", "70", "72"], "'Accuracy .*' has a name like a measurement"),
        ("latency_ms", ["1.5", "1.7", "2"], "'latency_ms' has a name like a measurement"),
    ],
)  # fmt: skip
def test_columns_that_name_or_measure_rows_are_no_parameters(
    tmp_path: Path, name: str, cells: Sequence[str], message: str
) -> None:
    """All of them are named at once, with the options to give; ``params`` overrules."""
    with pytest.raises(ValueError, match=message):
        table(tmp_path, name, cells)
    assert table(tmp_path, name, cells, params=name).space.names == (name,)


@pytest.mark.parametrize("name", ["grid", "loss_weight", "time_steps", "runtimes", "flopsy"])
def test_numbers_of_other_names_are_parameters(tmp_path: Path, name: str) -> None:
    assert table(tmp_path, name, ["0.1", "0.7", "0.3"]).space.names == (name,)


def test_hexadecimal_names_some_of_which_are_numbers_name_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'commit' has a different text in every row"):
        table(tmp_path, "commit", ["0a3f", "1e5", "77", "b2c4"])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["3", "same", "5"], r"row 2 has 'same' among numbers; .* \(--categories\)"),
        (["3", "NA", "5"], "row 2 has 'NA', which is no value; only a metric may be empty"),
        (["3", "", "5"], r"row 2 has no value; .* or leave the column out by ignore"),
        (["3", "nan", "5"], "row 2 has 'nan', which is no value; only a metric may be empty"),
        (["3", "inf", "5"], "row 2 has inf, which is not finite"),
        (["conv", "", "conv"], r"row 2 has no value; only a metric .* categories \(--categories\)"),
        (["conv", "NaN", "conv"], "row 2 has 'NaN', which is no value; only a metric"),
        (["conv", "n/a", "conv"], "row 2 has 'n/a', which is no value; only a metric"),
        (["", "", ""], "row 1 has no value; only a metric may be empty"),
        (["10%", "20%", "10%"], "row 1 has '10%', not a plain number; write plain numbers such as"),
        (["1,024", "2,048", "1,024"], "row 1 has '1,024', not a plain number"),
        (["0,5", "0,25", "0,5"], "row 1 has '0,5', not a plain number"),
        (
            ["3", "9007199254740993", "3"],
            r"'x': row 2 has 9007199254740993, an integer beyond 2\*\*53, .* \(--ignore\)",
        ),
    ],
)
def test_a_cell_that_breaks_a_parameter_is_named(
    tmp_path: Path, cells: Sequence[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        table(tmp_path, "x", cells)


@pytest.mark.parametrize("cells", [["3", "same", "5"], ["3,3", "5,5", "3,3"], ["1", "2", "0"]])
def test_categories_are_names_whatever_they_look_like(tmp_path: Path, cells: Sequence[str]) -> None:
    rows = table(tmp_path, "op", cells, categories="op")
    assert rows.space.dimensions == (Categorical("op", tuple(sorted({*cells}))),)


@pytest.mark.parametrize("cell", ["", "NA", "null"])
def test_a_cell_without_a_value_is_a_category_where_categories_name_it(
    tmp_path: Path, cell: str
) -> None:
    rows = table(tmp_path, "op", ["conv", cell, "conv"], categories="op")
    assert rows.space.dimensions == (Categorical("op", tuple(sorted({"conv", cell}))),)


def test_integers_that_floats_represent_are_numbers_and_all_are_categories(tmp_path: Path) -> None:
    rows = table(tmp_path, "x", ["9007199254740994", "1", "9007199254740994"])
    assert rows.space.dimensions == (Float("x", 1, 2.0**53 + 2),)
    large = ["9007199254740993", "9007199254740992", "9007199254740993"]
    (dimension,) = table(tmp_path, "seed", large, categories="seed").space.dimensions
    assert dimension == Categorical("seed", ("9007199254740992", "9007199254740993"))
    with pytest.raises(ValueError, match="'x': row 1 has 9007199254740993, an integer beyond"):
        table(tmp_path, "x", large, space=SearchSpace([Float("x", 0, 1e17)]))


def test_none_is_a_category_as_in_many_spaces(tmp_path: Path) -> None:
    rows = table(tmp_path, "op", ["none", "skip", "none"])
    assert rows.space.dimensions == (Categorical("op", ("none", "skip")),)


@pytest.mark.parametrize("cell", ["", "NA"])
def test_a_category_that_does_not_exist_is_empty(tmp_path: Path, cell: str) -> None:
    """As numbers that exist only under a condition are."""
    path = tmp_path / "runs.csv"
    path.write_text(f"norm,affine,top1\nbatch,yes,70\nnone,{cell},71\n")
    dimensions = [Categorical("norm", ("batch", "none")), Categorical("affine", ("no", "yes"))]
    space = SearchSpace(dimensions, conditions={"affine": ("norm", ["batch"])})
    rows = read_csv(path, metrics="top1", space=space)
    assert space.to_params(rows.codes[1].tolist()) == {"norm": "none"}


@pytest.mark.parametrize("missing", ["", "NaN", "NA", "n/a", "null", "None", "-"])
def test_a_metric_may_be_missing(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(f"x,top1\n1,70\n2,{missing}\n3,72\n")
    np.testing.assert_array_equal(read_csv(path, metrics="top1").values("top1"), [70, np.nan, 72])


@pytest.mark.parametrize("cell", ["76.5%", '"1,234"', "12 ms", "1_000"])
def test_a_metric_that_is_no_plain_number_is_named(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(f"x,top1\n1,70\n2,{cell}\n")
    message = "column 'top1': row 2 has .*, not a number; write plain numbers such as 1234.5"
    with pytest.raises(ValueError, match=message):
        read_csv(path, metrics="top1")


NEWCOMER = "arch_id,w,op,top1,gflops,date\na,8,mb,70,0.1,2024-01-02\nb,16,mb,71,0.2,2024-01-02\n"


@pytest.mark.parametrize(
    ("read", "names"),
    [
        ({"metrics": ["top1", "gflops"], "id": "arch_id", "ignore": "date"}, ("w", "op")),
        ({"metrics": "top1", "ignore": ["arch_id", "gflops", "date"]}, ("w", "op")),
        ({"metrics": "top1", "params": ["op", "w"], "id": "arch_id"}, ("op", "w")),
        ({"metrics": "top1", "params": "w"}, ("w",)),
    ],
)
def test_roles_of_columns(tmp_path: Path, read: dict[str, Any], names: tuple[str, ...]) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(NEWCOMER)
    rows = read_csv(path, **read)
    assert rows.space.names == names
    assert rows.ids == (("a", "b") if "id" in read else None)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({"params": "width"}, r"params=\['width'\] must be columns of .*'arch_id', 'w'"),
        ({"ignore": "width"}, r"ignore=\['width'\] must be columns of"),
        ({"id": "name"}, r"id=\['name'\] must be columns of"),
        ({"params": ["w", "top1"]}, "'top1' is in metrics and in params; name it in one"),
        ({"id": "top1"}, "'top1' is in metrics and in id"),
        ({"params": "w", "ignore": "w"}, r"ignore=\['w'\] must not be metrics, parameters"),
        ({"params": "w", "categories": "op"}, r"categories=\['op'\] must be parameters"),
        ({"params": 5}, "params=5 must be a sequence of names"),
        ({}, "Give --metrics ..,gflops:min --id 'arch_id' --ignore 'date'"),
    ],
)
def test_roles_that_do_not_go_together(tmp_path: Path, read: dict[str, Any], message: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(NEWCOMER)
    with pytest.raises(ValueError, match=message):
        read_csv(path, metrics="top1", **read)


def test_tables_of_several_tasks_have_one_space(tmp_path: Path) -> None:
    paths = tmp_path / "a.csv", tmp_path / "b.csv"
    paths[0].write_text("w,op,top1\n8,mb,70\n16,mb,71\n")
    paths[1].write_text("op,miou,w,note\nsep,50,24,x\nmb,51,8,x\n")
    tables = [open_csv(path) for path in paths]
    a, b = read_tables(tables, metrics=["top1", "miou"], ignore="note")
    assert a.space.dimensions == (Integer("w", 8, 24, step=8), Categorical("op", ("mb", "sep")))
    assert a.space == b.space
    assert b.space.to_params(b.codes[0]) == {"w": 24, "op": "sep"}
    # a further column may be a parameter of one task, so that it is not dropped in either order
    message = r"a.csv' lacks the columns \['note'\] of '.*b.csv'; name them in ignore"
    with pytest.raises(ValueError, match=message):
        read_tables(tables, metrics=["top1", "miou"])
    with pytest.raises(ValueError, match=message):
        read_tables(tables[::-1], metrics=["miou", "top1"])
    assert read_tables(tables[::-1], metrics=["miou", "top1"], ignore="note")[0].space.size == 6


def test_repeated_rows_are_kept_as_measurements_of_one_architecture(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("run,w,top1\na,8,70\na,8,70.4\nb,16,71\n,16,71.2\n,8,70.1\n")
    rows = read_csv(path, metrics="top1", id="run")
    assert rows.values("top1").tolist() == [70, 70.4, 71, 71.2, 70.1]
    path.write_text("run,w,top1\na,8,70\na,16,70.4\n")
    message = r"ids has 'a' for rows 1 and 2, whose parameters differ; correct one of them"
    with pytest.raises(ValueError, match=message):
        read_csv(path, metrics="top1", id="run")
