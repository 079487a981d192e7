"""What surrogates and judges see of an architecture: its code, and sums that trees cannot form.

Notation, as in `multi_resolution/blueprint`
    codes     (n, 27) in natural units
    features  (n, f); fit and prediction call the same function
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
    """Features of legal codes (n, 27), shape (n, f)."""
    numbers = torch.as_tensor(np.asarray(codes, dtype=np.float64))
    columns = torch.cat([numbers, derived(numbers)], dim=1)
    table: FloatArray = columns.numpy().round(6)  # rounded: alike on every platform
    return table


def legal_codes(codes: ArrayLike) -> NDArray[np.int64]:
    """Codes (n, 27) or (27,) as whole numbers, shape (n, 27).

    Raises:
        ValueError: A code of another length, with a NaN or an illegal number.
    """
    legal: NDArray[np.int64] = _SPACE.round(codes)
    numbers = np.asarray(codes, dtype=np.float64)
    if numbers.ndim > 2:
        raise ValueError(f"codes has shape {numbers.shape}; it must be (n, {numbers.shape[-1]})")
    wrong = np.argwhere(np.abs(numbers - legal) > 1e-6)
    if len(wrong):
        at = tuple(wrong[0])
        raise ValueError(
            f"{_SPACE.columns[at[-1]]}={numbers[at]:g} is illegal in MRSpace; the nearest legal "
            f"value is {legal[at]}: pass codes through MRSpace().round"
        )
    return np.atleast_2d(legal)
