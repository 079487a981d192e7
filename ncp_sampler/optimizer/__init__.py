"""User 1, who asks and tells: history, acquisition, proposal."""

from ncp_sampler.optimizer.optimizer import NCPOptimizer as NCPOptimizer

__all__ = ["NCPOptimizer"]
