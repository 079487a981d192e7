"""NAS-Bench-MR as a benchmark: its tables, and fitted surrogates of them."""

from ncp_sampler.benchmark.settings import SETTINGS as SETTINGS
from ncp_sampler.benchmark.settings import Setting as Setting
from ncp_sampler.benchmark.surrogates import Surrogate as Surrogate
from ncp_sampler.benchmark.surrogates import surrogate as surrogate

__all__ = ["SETTINGS", "Setting", "Surrogate", "surrogate"]
