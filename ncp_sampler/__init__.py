"""Network Coding Propagation (NCP) as a sampler for Optuna and a searcher for Ray Tune.

``import ncp_sampler`` does not import Optuna, Ray or PyTorch. Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp_sampler.integrations.optuna import NCPSampler
    from ncp_sampler.integrations.ray import NCPSearch
    from ncp_sampler.multi_resolution import MRSpace, MultiResolutionNet, costs
    from ncp_sampler.optimizer import NCPOptimizer, Source
    from ncp_sampler.optimizer.explanation_table import explain
    from ncp_sampler.space import Categorical, Float, Integer, NB201Space, SearchSpace

    __version__: str

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

_HOMES = {
    "Categorical": "ncp_sampler.space",
    "Float": "ncp_sampler.space",
    "Integer": "ncp_sampler.space",
    "MRSpace": "ncp_sampler.multi_resolution",
    "MultiResolutionNet": "ncp_sampler.multi_resolution",
    "NB201Space": "ncp_sampler.space",
    "NCPOptimizer": "ncp_sampler.optimizer",
    "NCPSampler": "ncp_sampler.integrations.optuna",
    "NCPSearch": "ncp_sampler.integrations.ray",
    "SearchSpace": "ncp_sampler.space",
    "Source": "ncp_sampler.optimizer",
    "costs": "ncp_sampler.multi_resolution",
    "explain": "ncp_sampler.optimizer.explanation_table",
}
_FOLDERS = (
    "detection3d",
    "integrations",
    "multi_resolution",
    "nas_bench",
    "offline",
    "optimizer",
    "predictors",
    "propagation",
    "records",
    "space",
    "training",
    "visualization",
)

if not TYPE_CHECKING:  # With ``__getattr__``, type checkers would accept every misspelled name
    from ncp_sampler.lazy import has_module, lazy_names

    # ``from ncp_sampler import *`` must work without Ray, or without the packages that Tune needs
    if not all(map(has_module, ("ray", "pandas", "pyarrow"))):
        __all__.remove("NCPSearch")

    _get, __dir__ = lazy_names(__name__, _HOMES, (*_FOLDERS, "__version__"))

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib import metadata  # Imported late: takes a tenth of the import time

            globals()[name] = metadata.version("ncp_sampler")
            return globals()[name]
        return _get(name)
