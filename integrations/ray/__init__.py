"""Ray Tune integration: ``NCPSearch``, its reasons in Ray's logs, and spaces as Tune domains."""

try:  # before any of these modules imports Ray
    from ray import tune as _tune  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"NCPSearch needs Ray Tune ({error}); install it with: pip install 'ray[tune]>=2.60'"
    ) from error

from ncp_sampler.integrations.ray.callbacks import ReasonsCallback as ReasonsCallback
from ncp_sampler.integrations.ray.searcher import NCPSearch as NCPSearch
from ncp_sampler.integrations.ray.space import from_domains as from_domains
from ncp_sampler.integrations.ray.space import to_domains as to_domains

__all__ = ["NCPSearch", "ReasonsCallback", "from_domains", "to_domains"]
