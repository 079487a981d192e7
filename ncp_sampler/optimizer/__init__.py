"""Ask/tell loop: observations, proposals with their reasons, and transfer from sources."""

from ncp_sampler.optimizer.optimizer import NCPOptimizer as NCPOptimizer
from ncp_sampler.optimizer.sources import Source as Source

__all__ = ["NCPOptimizer", "Source"]
