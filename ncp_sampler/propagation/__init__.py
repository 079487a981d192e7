"""Propagation: edits of codes along a predictor's gradient, with the paper's strategies."""

from ncp_sampler.propagation.ascent import Adam as Adam
from ncp_sampler.propagation.ascent import GradientDescent as GradientDescent
from ncp_sampler.propagation.discrete_walk import Walk as Walk
from ncp_sampler.propagation.discrete_walk import discrete_walk as discrete_walk
from ncp_sampler.propagation.propagate import Trace as Trace
from ncp_sampler.propagation.propagate import propagate as propagate
from ncp_sampler.propagation.strategies import Strategy as Strategy
from ncp_sampler.propagation.targets import Cost as Cost
from ncp_sampler.propagation.targets import Target as Target
from ncp_sampler.propagation.winner_takes_all import WinnerTakesAll as WinnerTakesAll

__all__ = [
    "Adam",
    "Cost",
    "GradientDescent",
    "Strategy",
    "Target",
    "Trace",
    "Walk",
    "WinnerTakesAll",
    "discrete_walk",
    "propagate",
]
