"""A Matérn process: the exact predictor for a few hundred trials, on unit codes."""

from __future__ import annotations

from ncp_sampler.predictors.kernels import Matern
from ncp_sampler.predictors.predictor import FloatArray
from ncp_sampler.predictors.process import ExactProcess


class GaussianProcess(ExactProcess):
    """Matern-5/2 Gaussian process with one length scale per column, one process per metric.

    The arguments are those of ``ExactProcess``.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> predictor = GaussianProcess().fit(x, {"loss": (x[:, 0] - 0.3) ** 2})
        >>> mean, std = predictor.predict([[0.3], [0.9]])
        >>> mean.shape, bool(mean[0, 0] < mean[1, 0])
        ((2, 1), True)
    """

    _kernel = Matern()

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
