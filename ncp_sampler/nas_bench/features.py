"""Features for surrogates and held-out evaluators: the code, and sums that trees cannot compute.

Notation, as in `multi_resolution/blueprint`
    codes     (n, 27) in natural units
    features  (n, f), for fitting as well as for prediction
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.multi_resolution.features import derived
from ncp_sampler.multi_resolution.space import MRSpace

FloatArray = NDArray[np.float64]

_SPACE = MRSpace()


def features(codes: NDArray[np.int64]) -> FloatArray:
    """Return the features (n, f) of valid codes (n, 27)."""
    numbers = torch.as_tensor(np.asarray(codes, dtype=np.float64))
    columns = torch.cat([numbers, derived(numbers)], dim=1)
    table: FloatArray = columns.numpy().round(6)  # rounded, so that all platforms agree
    return table


def valid_codes(codes: ArrayLike) -> NDArray[np.int64]:
    """Return codes (n, 27) or (27,) as integers (n, 27).

    Raises:
        ValueError: If a code has the wrong length, a NaN or an invalid number.
    """
    valid: NDArray[np.int64] = _SPACE.round(codes)
    numbers = np.asarray(codes, dtype=np.float64)
    if numbers.ndim > 2:
        raise ValueError(f"codes has shape {numbers.shape}; it must be (n, {numbers.shape[-1]})")
    wrong = np.argwhere(np.abs(numbers - valid) > 1e-6)
    if len(wrong):
        at = tuple(wrong[0])
        raise ValueError(
            f"{_SPACE.columns[at[-1]]}={numbers[at]:g} is invalid in MRSpace; the nearest valid "
            f"value is {valid[at]}: pass codes through MRSpace().round"
        )
    return np.atleast_2d(valid)
