"""A Matérn process: the exact predictor for a few hundred trials, on unit codes."""

from __future__ import annotations

import torch

from ncp_sampler.predictors.kernels import Matern
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.process import CAPACITY, ExactProcess


class GaussianProcess(ExactProcess):
    """Matern-5/2 Gaussian process with one length scale per column, one process per metric.

    Args:
        steps: Adam steps on the hyper-parameters per fit, warm-started; the first fit takes 40,
            fits on more than 150 rows fewer. Of more than 600 rows, a random 600 decide on them.
        capacity: How many rows it should be given at most; time grows with the cube.
        device: Where to compute, in float64.

    Raises:
        ValueError: An argument out of its range.
    """

    def __init__(
        self, *, steps: int = 15, capacity: int = CAPACITY, device: str | torch.device = "cpu"
    ) -> None:
        super().__init__(Matern(), steps=steps, capacity=capacity, device=device)

    @property
    def length_scales(self) -> FloatArray:
        """Length scale of each metric and column, (m, d), unit codes; short ones matter.

        Raises:
            RuntimeError: Not fitted yet.
        """
        if self._theta is None:
            raise RuntimeError("the Gaussian process is not fitted; call fit first")
        scales: FloatArray = self._theta[:, :-2].exp().cpu().numpy()
        return scales
