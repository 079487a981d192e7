"""What is learnt: unit codes -> mean and standard deviation of every metric; arrays alone."""

from ncp_sampler.predictors.bayesian_mlp import BayesianMLP as BayesianMLP
from ncp_sampler.predictors.committee import Committee as Committee
from ncp_sampler.predictors.distilled import Distilled as Distilled
from ncp_sampler.predictors.featured import Featured as Featured
from ncp_sampler.predictors.gaussian_process import GaussianProcess as GaussianProcess
from ncp_sampler.predictors.infinite_mlp import InfiniteMLP as InfiniteMLP
from ncp_sampler.predictors.mlp_ensemble import MLPEnsemble as MLPEnsemble
from ncp_sampler.predictors.predictor import Predictor as Predictor
from ncp_sampler.predictors.selected import Selected as Selected
from ncp_sampler.predictors.transferred import Transferred as Transferred

__all__ = [
    "BayesianMLP",
    "Committee",
    "Distilled",
    "Featured",
    "GaussianProcess",
    "InfiniteMLP",
    "MLPEnsemble",
    "Predictor",
    "Selected",
    "Transferred",
]
