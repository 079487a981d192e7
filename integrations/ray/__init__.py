"""Ray Tune: ``NCPSearch``, and search spaces as domains."""

from ncp_sampler.integrations.ray.searcher import NCPSearch as NCPSearch
from ncp_sampler.integrations.ray.space import from_domains as from_domains
from ncp_sampler.integrations.ray.space import to_domains as to_domains

__all__ = ["NCPSearch", "from_domains", "to_domains"]
