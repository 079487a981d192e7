"""Network Coding Propagation (NCP) as a sampler for Optuna and a searcher for Ray Tune.

``import ncp_sampler`` imports neither: the samplers and the optimizer are imported on first use.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from ncp_sampler.multi_resolution import MRSpace, MultiResolutionNet, costs
from ncp_sampler.space import Categorical, Float, Integer, NB201Space, SearchSpace

if TYPE_CHECKING:
    from ncp_sampler.integrations.optuna import NCPSampler
    from ncp_sampler.integrations.ray import NCPSearch
    from ncp_sampler.optimizer import NCPOptimizer, Source
    from ncp_sampler.optimizer.explanation_table import explain

__all__ = [
    "Categorical",
    "Float",
    "Integer",
    "MRSpace",
    "MultiResolutionNet",
    "NB201Space",
    "NCPOptimizer",
    "NCPSampler",
    "NCPSearch",
    "SearchSpace",
    "Source",
    "__version__",
    "costs",
    "explain",
]

_LAZY = {
    "NCPOptimizer": "ncp_sampler.optimizer",
    "NCPSampler": "ncp_sampler.integrations.optuna",
    "NCPSearch": "ncp_sampler.integrations.ray",
    "Source": "ncp_sampler.optimizer",
    "explain": "ncp_sampler.optimizer.explanation_table",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    elif name == "__version__":
        value = metadata.version("ncp_sampler")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
