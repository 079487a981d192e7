"""Predictors, which map unit codes to the mean and standard deviation of every metric."""

from typing import Any

from ncp_sampler.deprecated import old_name
from ncp_sampler.predictors.distillation import Distilled as Distilled
from ncp_sampler.predictors.gaussian_process import GaussianProcess as GaussianProcess
from ncp_sampler.predictors.kernels import NNGP as NNGP
from ncp_sampler.predictors.kernels import Columns as Columns
from ncp_sampler.predictors.kernels import Linear as Linear
from ncp_sampler.predictors.kernels import Matern52 as Matern52
from ncp_sampler.predictors.kernels import Sum as Sum
from ncp_sampler.predictors.mixture import Mixture as Mixture
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble as MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor as Predictor
from ncp_sampler.predictors.random_relu import RandomReLU as RandomReLU
from ncp_sampler.predictors.transforms import FeaturePredictor as FeaturePredictor

__all__ = [
    "NNGP",
    "Columns",
    "Distilled",
    "FeaturePredictor",
    "GaussianProcess",
    "Linear",
    "MLPEnsemble",
    "Matern52",
    "Mixture",
    "Predictor",
    "RandomReLU",
    "Sum",
]


def __getattr__(name: str) -> Any:
    """Return the object that replaces a deprecated name."""
    return old_name(__name__, name)
