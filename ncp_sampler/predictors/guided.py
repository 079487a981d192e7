"""Exact processes around guides: columns that hold what other tasks' models predict.

A guide enters as one linear term, so that the process learns what the guide leaves unexplained, and
how much of it to believe is a hyper-parameter like any other: the doubt about the slope is part of
the posterior, and a guide that misleads ends with a slope of 0, one of the wrong sign with a
negative one.

Notation
    x (n, d + g)   d columns that the process's own kernel K sees, then g guides
    s (n, g)       guides less 1/2
    t (m, g)       variance of each guide's slope, for each of m metrics
    K' = K + s diag(t) s'
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ncp_sampler import checks
from ncp_sampler.predictors.kernels import CodePull, Cross, Kernel, Pull
from ncp_sampler.predictors.process import ExactProcess

_LOG_SLOPE_MEAN, _LOG_SLOPE_SD = 0.0, 1.5  # of its variance, over the metric's


class Guided(ExactProcess):
    """An exact predictor, whose codes have guides for their last columns.

    Args:
        inner: What learns the rest, such as ``InfiniteMLP()``; it lends its kernel and settings.
        guides: How many of the last columns are guides, at least 1.

    Raises:
        ValueError: No exact predictor, or no guide.
    """

    def __init__(self, inner: ExactProcess, guides: int) -> None:
        must = "be an exact predictor, such as InfiniteMLP()"
        kernel = checks.instance("inner", inner, ExactProcess, must)._kernel
        super().__init__(steps=inner.steps, capacity=inner.capacity or 1, device=inner.device)
        self._kernel = _GuidedKernel(kernel, checks.integer("guides", guides, low=1))


@dataclass(frozen=True)
class _GuidedKernel:
    inner: Kernel
    guides: int

    def prior(self, d: int) -> tuple[list[float], list[float]]:
        """The inner kernel's, then log t."""
        mean, sd = self.inner.prior(d - self.guides)
        return [*mean, *[_LOG_SLOPE_MEAN] * self.guides], [*sd, *[_LOG_SLOPE_SD] * self.guides]

    def covariance(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Pull]:
        """K', and its gradient: that of log t is t s' W s / 2."""
        own, s = self._split(x)
        k, pull_inner = self.inner.covariance(own, theta[:, : -self.guides])
        slopes = theta[:, -self.guides :].exp()

        def pull(w: Tensor) -> Tensor:
            of_slopes = 0.5 * slopes * ((w @ s) * s).sum(1)
            return torch.cat([pull_inner(w), of_slopes], 1)

        return k + (s * slopes[:, None]) @ s.mT, pull

    def cross(self, x: Tensor, theta: Tensor) -> Cross:
        """Covariance with codes x."""
        own, s = self._split(x)
        inner = self.inner.cross(own, theta[:, : -self.guides])
        return _GuidedCross(self, inner, s, theta[:, -self.guides :].exp())

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, : -self.guides], x[:, -self.guides :] - 0.5


@dataclass(frozen=True)
class _GuidedCross:
    kernel: _GuidedKernel
    inner: Cross
    s: Tensor  # (n, g)
    slopes: Tensor  # (m, g)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, CodePull]:
        own, s = self.kernel._split(z)
        slopes = self.slopes[:, None]  # (m, 1, g)
        k, variance, pull_inner = self.inner(own)

        def pull(g: Tensor, of_variance: Tensor) -> Tensor:
            by_s = (slopes * (g @ self.s + 2 * of_variance[..., None] * s)).sum(0)
            return torch.cat([pull_inner(g, of_variance), by_s], 1)

        return k + (s * slopes) @ self.s.mT, variance + self.slopes @ (s * s).mT, pull
