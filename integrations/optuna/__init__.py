"""Optuna: ``NCPSampler``, and search spaces as distributions."""

from ncp_sampler.integrations.optuna.sampler import NCPSampler as NCPSampler
from ncp_sampler.integrations.optuna.trials import to_distributions as to_distributions
from ncp_sampler.integrations.optuna.trials import to_space as to_space

__all__ = ["NCPSampler", "to_distributions", "to_space"]
