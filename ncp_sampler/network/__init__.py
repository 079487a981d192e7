"""The network behind a code, its heads, and what the four tasks need beside it."""

from __future__ import annotations

from ncp_sampler.network.heads import resize_logits
from ncp_sampler.network.multi_resolution import MultiResolutionNet

__all__ = ["MultiResolutionNet", "resize_logits"]
