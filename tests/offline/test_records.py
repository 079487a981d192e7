"""Records: what they hold, and the CSV files they are read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    SearchSpace,
)
from ncp_sampler.offline.records import Records, csv_names, read_csv
from tests.search_examples import SPACE, records

CSV = "depth,width,rate,act,accuracy,ms\n2,8,0.5,relu,70,1.5\n4,24,0.25,silu,,2\n8,16,1,relu,72,3\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_takes_rows_and_orders_them_by_a_metric() -> None:
    rows = records(6)
    some = rows.take([4, 1])
    assert len(some) == 2
    np.testing.assert_array_equal(some.values("mIoU"), rows.values("mIoU")[[4, 1]])
    np.testing.assert_array_equal(some.codes, rows.codes[[4, 1]])
    ordered = rows.values("flops")[rows.best("flops", "minimize")]
    assert (np.diff(ordered) >= 0).all()
    np.testing.assert_array_equal(rows.best("flops"), rows.best("flops", "minimize")[::-1])


def test_missing_values_are_never_best() -> None:
    rows = Records(SPACE, SPACE.sample(3, 0), {"a": np.array([1.0, np.nan, 2.0])})
    assert rows.best("a").tolist() == [2, 0]


@pytest.mark.parametrize(
    ("codes", "metrics", "message"),
    [
        (SPACE.sample(0, 0), {"a": np.zeros(0)}, "n > 0"),
        (np.zeros((2, 3)), {"a": np.zeros(2)}, "27 columns"),
        (SPACE.sample(2, 0), {"a": np.zeros(3)}, "there are 2 codes"),
        (SPACE.sample(2, 0), {}, "metrics is empty"),
    ],
)
def test_refuses_what_does_not_fit(
    codes: np.ndarray, metrics: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Records(SPACE, codes, metrics)


def test_unknown_metric_names_those_known() -> None:
    with pytest.raises(ValueError, match=r"'top1' is not in the records.*mIoU"):
        records(2).values("top1")


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


@pytest.mark.parametrize(
    ("text", "metrics", "message"),
    [
        ("", ["accuracy"], "cannot be read"),
        (CSV, [], "must be columns"),
        (CSV, ["top1"], "must be columns"),
        (CSV, ["act"], "'relu', no number"),
        (CSV + "1,2\n", ["ms"], "row 4 has 2 values, the head 6"),
        ("a,a,m\n1,2,3\n1,2,3\n", ["m"], "distinct column names"),
        ("a,m\n1,3\n", ["m"], "at least two rows"),
        ("a,m\n1,3\ninf,3\n", ["m"], "not finite"),
    ],
)
def test_refuses_a_broken_file(tmp_path: Path, text: str, metrics: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_csv(write(tmp_path, text), metrics=metrics)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_csv(tmp_path / "none.csv", metrics=["a"])


def test_refuses_codes_outside_the_space_and_rows_that_do_not_exist() -> None:
    codes = SPACE.sample(3, 0).astype(float)
    rows = Records(SPACE, codes, {"mIoU": np.arange(3.0)})
    with pytest.raises(ValueError, match=r"codes\[1\] has i1=136, outside"):
        Records(SPACE, np.where(np.arange(81).reshape(3, 27) == 27, 136, codes), rows.metrics)
    for positions in ([3], [-4], []):
        with pytest.raises(ValueError, match="some of 0 to 2"):
            rows.take(positions)
    with pytest.raises(ValueError, match="direction='up'"):
        rows.best("mIoU", "up")
