"""User 1, who asks and tells: history, acquisition, proposal; earlier work."""

from ncp_sampler.optimizer.optimizer import NCPOptimizer as NCPOptimizer
from ncp_sampler.optimizer.sources import Source as Source

__all__ = ["NCPOptimizer", "Source"]
