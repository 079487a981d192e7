"""Adam (Kingma & Ba 2015, algorithm 1), for tensors that are no parameters of a module.

A fit's hyper-parameters and the codes that a search edits follow it. It is written out, since a
step of ``torch.optim.Adam`` takes two to three times as long, 5 % of a proposal
(docs/decisions/0012-adam.md).

Notation
    g_t         gradient at step t
    m_t, v_t    running means of g_t and of its square
"""

from __future__ import annotations

from torch import Tensor

_EPSILON = 1e-8


class Adam:
    """One run of Adam from zero moments; every step is told its gradient.

    Args:
        rate: Learning rate.
        share1: Of a new gradient in the running mean, the paper's 1 - beta1.
        share2: Of its square, the paper's 1 - beta2.
    """

    def __init__(self, *, rate: float, share1: float = 0.1, share2: float = 0.001) -> None:
        self._rate, self._share1, self._share2 = rate, share1, share2
        self._first: Tensor | float = 0.0
        self._second: Tensor | float = 0.0
        self._steps = 0

    def step(self, x: Tensor, gradient: Tensor) -> Tensor:
        """What x becomes after one more step against its gradient."""
        share1, share2 = self._share1, self._share2
        beta1, beta2 = 1 - share1, 1 - share2
        self._steps += 1
        self._first = first = beta1 * self._first + share1 * gradient
        self._second = second = beta2 * self._second + share2 * gradient * gradient
        size = (second / (1 - beta2**self._steps)).sqrt() + _EPSILON
        return x - self._rate * first / (1 - beta1**self._steps) / size
