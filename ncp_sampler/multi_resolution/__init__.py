"""Multi-resolution networks: blueprint, search space, exact costs, features, PyTorch modules."""

from ncp_sampler.multi_resolution import costs as costs
from ncp_sampler.multi_resolution.anchor_head import AnchorOutput as AnchorOutput
from ncp_sampler.multi_resolution.blueprint import TASKS as TASKS
from ncp_sampler.multi_resolution.features import smooth_features as smooth_features
from ncp_sampler.multi_resolution.heads import resize_logits as resize_logits
from ncp_sampler.multi_resolution.measurement import Measurement as Measurement
from ncp_sampler.multi_resolution.measurement import measure as measure
from ncp_sampler.multi_resolution.network import MultiResolutionNet as MultiResolutionNet
from ncp_sampler.multi_resolution.space import MRSpace as MRSpace

__all__ = [
    "TASKS",
    "AnchorOutput",
    "MRSpace",
    "Measurement",
    "MultiResolutionNet",
    "costs",
    "measure",
    "resize_logits",
    "smooth_features",
]
