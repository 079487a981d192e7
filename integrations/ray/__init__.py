"""Ray Tune: ``NCPSearch``, its reasons in Ray's logs, and search spaces as domains."""

from ncp_sampler.integrations.ray.reporting import ReasonsCallback as ReasonsCallback
from ncp_sampler.integrations.ray.searcher import NCPSearch as NCPSearch
from ncp_sampler.integrations.ray.space import from_domains as from_domains
from ncp_sampler.integrations.ray.space import to_domains as to_domains

__all__ = ["NCPSearch", "ReasonsCallback", "from_domains", "to_domains"]
