"""Adam (Kingma & Ba 2015, algorithm 1) for arrays.

This implementation updates the parameters in a fit and the codes in a search. A step of
``torch.optim.Adam`` would take two to three times as long (docs/decisions/0012-adam.md).

Notation
    g_t         gradient at step t
    m_t, v_t    running means of g_t and of its square
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

_EPSILON = 1e-8


class Adam:
    """One run of Adam, starting with zero moments.

    Args:
        rate: Learning rate.
        betas: Decay rates of the running means of the gradient and of its square.
    """

    def __init__(self, *, rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self._rate, self._betas = rate, betas
        self._first = self._second = np.zeros(())
        self._steps = 0

    def step(self, x: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return x after one descent step along its gradient."""
        beta1, beta2 = self._betas
        self._steps += 1
        self._first = beta1 * self._first + (1 - beta1) * gradient
        self._second = beta2 * self._second + (1 - beta2) * gradient * gradient
        size = (self._second / (1 - beta2**self._steps)) ** 0.5 + _EPSILON
        return np.asarray(x - self._rate / (1 - beta1**self._steps) * self._first / size)
