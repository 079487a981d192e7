"""Results are written alike everywhere: mean ± standard error, Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ncp_sampler.formatting import markdown_table, mean_and_error, with_error


@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_standard_error_is_that_of_the_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(70, 2, n)
    mean, error = mean_and_error(values)
    assert mean == pytest.approx(sum(values) / n)
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    assert error == pytest.approx(math.sqrt(variance / n))


@pytest.mark.parametrize(
    ("values", "form", "text"),
    [
        ([70.0, 71.0], ".2f", "70.50 ± 0.50"),
        ([70.0, 70.0], ".1f", "70.0 ± 0.0"),
        ([70.126], ".2f", "70.13"),  # one value has no standard error
        ([0.5, 1.5], "+.2f", "+1.00 ± 0.50"),  # the sign is the mean's
        ([-0.5], "+.2f", "-0.50"),
    ],
)
def test_mean_and_error_in_words(values: list[float], form: str, text: str) -> None:
    assert with_error(values, form) == text


@pytest.mark.parametrize(
    ("numbers", "rule"),
    [
        (False, "| --- | --- | --- |"),
        (True, "| --- | ---: | ---: |"),
        ((True, False, True), "| ---: | --- | ---: |"),
    ],
)
def test_a_table_sets_numbers_to_the_right(numbers: bool | Sequence[bool], rule: str) -> None:
    text = markdown_table(["a", "b", "c"], [["x", "1", "2"], ["y", "", "4"]], numbers=numbers)
    assert text == f"| a | b | c |\n{rule}\n| x | 1 | 2 |\n| y |  | 4 |\n"


def test_a_table_may_have_no_rows() -> None:
    assert markdown_table(["a"], [], numbers=True) == "| a |\n| --- |\n"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: mean_and_error([]), r"values=\[\] must be one or more numbers"),
        (lambda: mean_and_error({}), r"values=\{\} must be one or more numbers"),  # type: ignore[arg-type]
        (lambda: mean_and_error([[1.0, 2.0]]), r"values=.* shape \(n,\)"),
        (lambda: markdown_table(["a", "b"], [["x", "y"], ["x"]]), r"rows\[1\]=\['x'\] must have 2"),
        (
            lambda: markdown_table(["a", "b"], [], numbers=[True]),
            r"numbers=\[True\] must be one bool, or 2",
        ),
    ],
)
def test_what_cannot_be_written_is_named(write: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write()
