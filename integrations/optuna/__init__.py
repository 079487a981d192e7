"""Optuna: ``NCPSampler``, and search spaces as distributions."""

from ncp_sampler.integrations.optuna.conversion import to_distributions as to_distributions
from ncp_sampler.integrations.optuna.conversion import to_space as to_space
from ncp_sampler.integrations.optuna.sampler import NCPSampler as NCPSampler

__all__ = ["NCPSampler", "to_distributions", "to_space"]
