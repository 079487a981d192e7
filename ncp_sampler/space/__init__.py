"""Search spaces: dimensions, and conversion between params, codes and unit codes."""

from ncp_sampler.space.conditions import Condition as Condition
from ncp_sampler.space.dimensions import Categorical as Categorical
from ncp_sampler.space.dimensions import Dimension as Dimension
from ncp_sampler.space.dimensions import Float as Float
from ncp_sampler.space.dimensions import Integer as Integer
from ncp_sampler.space.hooks import Group as Group
from ncp_sampler.space.nas_bench_201 import NB201Space as NB201Space
from ncp_sampler.space.search_space import Params as Params
from ncp_sampler.space.search_space import SearchSpace as SearchSpace

__all__ = [
    "Categorical",
    "Condition",
    "Dimension",
    "Float",
    "Group",
    "Integer",
    "NB201Space",
    "Params",
    "SearchSpace",
]
