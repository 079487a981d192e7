"""The checks that every argument goes through: what they take, and how they refuse the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ncp_sampler import checks


def test_long_values_are_cut_in_a_message() -> None:
    with pytest.raises(ValueError, match=r"^n='xx.*\.\.\. must be an integer$") as refused:
        checks.integer("n", "x" * 10_000)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({"low": 1}, 0, "n=0 must be at least 1"),
        ({"low": 1}, 0.5, "n=0.5 must be an integer of at least 1"),
        ({"low": 1, "high": 4}, 5, "n=5 must be between 1 and 4"),
        ({"low": 1, "high": 4}, True, "n=True must be an integer between 1 and 4"),
        ({}, None, "n=None must be an integer"),
    ],
)
def test_whole_numbers(limits: dict[str, int], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.integer("n", value, **limits)
    assert checks.integer("n", np.int8(3), **limits) == 3


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({"low": 0}, -1, "x=-1 must be at least 0"),
        ({"above": 0}, 0.0, "x=0.0 must be above 0"),
        ({"low": 0, "below": 1}, 1, r"x=1 must be in \[0, 1\)"),
        ({"low": 0, "high": 1}, 2, "x=2 must be between 0 and 1"),
        ({"low": 0}, float("nan"), "x=nan must be a finite number of at least 0"),
        ({}, float("inf"), "x=inf must be a finite number"),
        ({}, 10**400, "must be a finite number"),
        ({}, "1", "x='1' must be a finite number"),
        ({}, True, "x=True must be a finite number"),
    ],
)
def test_real_numbers(limits: dict[str, Any], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.number("x", value, **limits)
    assert checks.number("x", np.float32(0.5), **limits) == 0.5
