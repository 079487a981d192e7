"""Records: what they hold, and which rows they give."""

from __future__ import annotations

import numpy as np
import pytest

from ncp_sampler import Float, Integer, SearchSpace
from ncp_sampler.records.records import Records, spread_of
from tests.search_examples import SPACE, records


def test_takes_rows_and_orders_them_by_a_metric() -> None:
    rows = records(6)
    taken = rows.take([4, 1])
    assert len(taken) == 2
    np.testing.assert_array_equal(taken.values("mIoU"), rows.values("mIoU")[[4, 1]])
    np.testing.assert_array_equal(taken.codes, rows.codes[[4, 1]])
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
        (SPACE.sample(2, 0), {"a": np.array([1.0, np.inf])}, r"metrics\['a'\] has inf in row 1"),
        (np.full((2, 27), np.nan), {"a": np.zeros(2)}, r"codes\[0\] has a number that is not"),
        (
            np.tile(np.asarray(SPACE.start), (2, 1)) - 0.4,
            {"a": np.zeros(2)},
            "is not a value of the space; declare",
        ),
    ],
)
def test_refuses_what_does_not_fit(
    codes: np.ndarray, metrics: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Records(SPACE, codes, metrics)


def test_refuses_codes_between_values_of_wide_ranges() -> None:
    wide = SearchSpace([Integer("params", 0, 10**9), Float("lr", 1e-9, 1.0, log=True)])
    with pytest.raises(ValueError, match=r"params=0\.5, which is not a value"):
        Records(wide, np.array([[0.5, 0.1]]), {"a": np.zeros(1)})
    codes = wide.sample(50, 0).astype(np.float32).astype(np.float64)
    assert len(Records(wide, codes, {"a": np.zeros(50)})) == 50


def test_ids_name_rows() -> None:
    codes = SPACE.sample(3, 0).astype(float)
    rows = Records(SPACE, codes, {"a": np.arange(3.0)}, ("x", "", "y"))
    assert rows.take([2, 0]).ids == ("y", "x")
    with pytest.raises(ValueError, match="ids has 2 names; there are 3 codes"):
        Records(SPACE, codes, {"a": np.arange(3.0)}, ("x", "y"))
    with pytest.raises(ValueError, match="ids has 'x' for rows 1 and 3, whose parameters differ"):
        Records(SPACE, codes, {"a": np.arange(3.0)}, ("x", "y", "x"))


def test_unknown_metric_names_those_known() -> None:
    with pytest.raises(ValueError, match=r"'top1' is not in the records.*mIoU"):
        records(2).values("top1")


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


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([1.0, 3.0], 1.0),
        ([1.0, np.nan, 3.0], 1.0),
        ([5.0, 5.0], 1e-12),
        ([1e308, 0.0, -1e308], 1e308 * np.sqrt(2 / 3)),
        ([1.797e308, -1.797e308], 1.797e308),
        ([1e-310, -1e-310], 1e-12),
    ],
)
def test_spread_of_values_of_any_size(values: list[float], spread: float) -> None:
    assert spread_of(np.array(values)) == pytest.approx(spread)
