"""CSV files: what records are read from them, and how each kind of broken file is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ncp_sampler import Categorical, Float, Integer, SearchSpace
from ncp_sampler.records.csv_records import csv_names, read_csv
from tests.search_examples import SPACE

CSV = "depth,width,rate,act,accuracy,ms\n2,8,0.5,relu,70,1.5\n4,24,0.25,silu,,2\n8,16,1,relu,72,3\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_reads_a_table_of_its_own_space(tmp_path: Path) -> None:
    rows = read_csv(write(tmp_path, CSV), metrics=["accuracy", "ms"])
    assert rows.space.dimensions == (
        Integer("depth", 2, 8, step=2),
        Integer("width", 8, 24, step=8),
        Float("rate", 0.25, 1),
        Categorical("act", ("relu", "silu")),
    )
    assert rows.space.to_params(rows.codes[1]) == {
        "depth": 4,
        "width": 24,
        "rate": 0.25,
        "act": "silu",
    }
    np.testing.assert_array_equal(rows.values("accuracy"), [70, np.nan, 72])


def test_reads_the_columns_of_a_given_space_and_leaves_others_out(tmp_path: Path) -> None:
    codes = SPACE.sample(3, 0)
    lines = [[*map(str, row), "seg", "75"] for row in codes.tolist()]
    text = "\n".join(",".join(line) for line in [[*SPACE.names, "run", "mIoU"], *lines])
    rows = read_csv(write(tmp_path, text), metrics=["mIoU"], space=SPACE)
    assert rows.space is SPACE
    np.testing.assert_array_equal(rows.codes, codes)
    assert csv_names(tmp_path / "table.csv") == [*SPACE.names, "run", "mIoU"]
    wider = SearchSpace([*SPACE.dimensions, Integer("depth", 1, 2)])
    with pytest.raises(ValueError, match=r"lacks columns \['depth'\]"):
        read_csv(tmp_path / "table.csv", metrics=["mIoU"], space=wider)


def test_row_labels_as_pandas_writes_them_are_left_out(tmp_path: Path) -> None:
    """``DataFrame.to_csv`` writes the index under an empty name unless told not to."""
    head, *rows = CSV.split()
    table = "\n".join(["," + head, *(f"{i},{row}" for i, row in enumerate(rows))])
    plain = read_csv(write(tmp_path, CSV), metrics=["accuracy", "ms"])
    labelled = read_csv(write(tmp_path, table), metrics=["accuracy", "ms"])
    assert labelled.space == plain.space
    np.testing.assert_array_equal(labelled.codes, plain.codes)
    assert csv_names(tmp_path / "table.csv") == head.split(",")


@pytest.mark.parametrize(
    ("text", "metrics", "message"),
    [
        ("", ["accuracy"], r"table.csv' is empty; give a header row"),
        ("\n\n", ["accuracy"], r"table.csv' is empty; give a header row"),
        ("a,m\n", ["m"], r"table.csv' has a header row but no other rows; give at least 2"),
        ("a,m\n1,3\n", ["m"], r"table.csv' has 1 row; give at least 2"),
        ("a,a,m\n1,2,3\n1,2,3\n", ["m"], r"table.csv' has two columns 'a'"),
        ("a,m, m\n1,2,3\n1,2,3\n", ["m"], r"table.csv' has two columns 'm'"),
        ("a,,m\n1,2,3\n1,2,3\n", ["m"], r"table.csv' has no name above column 2"),
        (CSV, [], "must be columns"),
        (CSV, ["top1"], r"\['top1'\] must be columns of .*: \['depth', "),
        (CSV, ["ms", "ms"], "must be distinct names"),
        (CSV, ["act"], r"table.csv': column 'act': row 1 has 'relu', not a number"),
        (CSV + "1,2,3,relu,4,oops\n", ["ms"], "column 'ms': row 4 has 'oops', not a number"),
        (CSV + "1,2,3,relu,4,inf\n", ["ms"], "column 'ms': row 4 has inf, which is not finite"),
        (CSV + "1,,3,relu,4,5\n", ["ms"], "column 'width': row 4 has no value; only a metric"),
        (CSV + "1,nan,3,relu,4,5\n", ["ms"], "column 'width': row 4 has 'nan', which is no value"),
        (CSV + "1,2\n", ["ms"], "row 4 has 2 values, but the header row has 6"),
        (CSV + "1,2,3,4,5,6,7\n", ["ms"], "row 4 has 7 values, but the header row has 6"),
        ("m\n1\n2\n", ["m"], r"has no columns but \['m'\]; add a column for each"),
        (CSV.replace(",", ";"), ["ms"], "columns must be separated by commas"),
        ('m,a\n1,"x\n2,y\n3,z\n', ["m"], "unexpected end of data; .* quotation marks are closed"),
        ("a,m\n1\0,3\n1,3\n", ["m"], "cannot be read: it contains null characters"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", ["m"], "cannot be read: it is not text in UTF-8"),
        (CSV.encode("utf-16"), ["ms"], "not text in UTF-8 .*; save the table as CSV in UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_the_place(
    tmp_path: Path, text: str | bytes, metrics: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_csv(write(tmp_path, text), metrics=metrics)


def test_names_may_have_space_around_them_and_a_mark_of_the_encoding(tmp_path: Path) -> None:
    """As spreadsheets write them."""
    path = write(tmp_path, "\ufeffa , m\r\n1, 2\r\n3, 4\r\n")
    rows = read_csv(path, metrics=["m"])
    assert rows.space.names == ("a",)
    np.testing.assert_array_equal(rows.values("m"), [2, 4])


def test_an_empty_cell_among_words_is_a_category_only_if_it_is_named_one(tmp_path: Path) -> None:
    path = write(tmp_path, "act,m\nrelu,1\n,2\n")
    with pytest.raises(ValueError, match=r"'act': row 2 has no value; .* name the column in categ"):
        read_csv(path, metrics=["m"])
    rows = read_csv(path, metrics=["m"], categories="act")
    assert rows.space.dimensions == (Categorical("act", ("", "relu")),)


@pytest.mark.parametrize("largest", ["10000000000000000000", "1e300"])
def test_whole_numbers_beyond_what_a_float_holds_are_no_integers(
    tmp_path: Path, largest: str
) -> None:
    rows = read_csv(write(tmp_path, f"a,m\n-1,1\n{largest},2\n"), metrics=["m"])
    assert rows.space.dimensions == (Float("a", -1, float(largest)),)


def test_a_parameter_cannot_be_a_metric_too(tmp_path: Path) -> None:
    space = SearchSpace([Integer("depth", 2, 8), Float("ms", 0, 10)])
    with pytest.raises(ValueError, match=r"lacks columns \['ms'\]"):
        read_csv(write(tmp_path, CSV), metrics=["ms"], space=space)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_csv(tmp_path / "none.csv", metrics=["a"])
