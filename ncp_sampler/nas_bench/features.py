"""What a surrogate sees of an architecture: its code, and sums that trees cannot form themselves.

Notation, as in `multi_resolution/blueprint`
    codes     (n, 27) in natural units
    features  (n, f); fit and prediction call the same function
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ncp_sampler.multi_resolution.features import derived

FloatArray = NDArray[np.float64]


def features(codes: NDArray[np.int64]) -> FloatArray:
    """Features of legal codes (n, 27), shape (n, f)."""
    numbers = torch.as_tensor(np.asarray(codes, dtype=np.float64))
    columns = torch.cat([numbers, derived(numbers)], dim=1)
    table: FloatArray = columns.numpy().round(6)  # rounded: alike on every platform
    return table
