"""Codes that a user gives to begin with, checked under the name that the user knows them by."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncp_sampler import checks
from ncp_sampler.records.records import FloatArray
from ncp_sampler.space.search_space import SearchSpace


def given_codes(name: str, value: Any, space: SearchSpace) -> FloatArray:
    """Codes (n, d), from (n, d) or (d,); n may be 0.

    Raises:
        ValueError: Another shape, or what are no finite numbers.
    """
    codes, d = np.atleast_2d(checks.array(name, value)), len(space.columns)
    if codes.size == 0 and codes.ndim == 2:
        return np.zeros((0, d))
    if codes.ndim != 2 or codes.shape[1] != d or not np.isfinite(codes).all():
        must = f"be finite codes of shape (n, {d}) or ({d},), such as space.start"
        raise checks.refusal(name, value, must)
    return codes
