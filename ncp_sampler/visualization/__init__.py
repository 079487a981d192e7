"""Figures of searches: edits of codes, proposals, architectures and rank correlations.

Each function returns a ``matplotlib.figure.Figure``. Save the figure with ``.savefig(path)``, or
display it in a notebook after ``%matplotlib inline``. The functions do not use pyplot or its global
state. ``pip install ".[viz]"`` in a clone installs Matplotlib. ``visualization.plotly`` provides
the same functions for Plotly.
"""

from typing import Any

try:  # before any of these modules imports Matplotlib
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"ncp_sampler.visualization needs Matplotlib ({error}); install it with: "
        "pip install matplotlib, or pip install '.[viz]' in a clone"
    ) from error

from ncp_sampler.deprecated import old_name
from ncp_sampler.visualization.architectures import plot_architectures as plot_architectures
from ncp_sampler.visualization.architectures import plot_params as plot_params
from ncp_sampler.visualization.contents.trade_offs import TradeOff as TradeOff
from ncp_sampler.visualization.correlations import plot_correlations as plot_correlations
from ncp_sampler.visualization.correlations import plot_ranks as plot_ranks
from ncp_sampler.visualization.proposals import plot_calibration as plot_calibration
from ncp_sampler.visualization.proposals import plot_proposal as plot_proposal
from ncp_sampler.visualization.tasks import plot_tasks as plot_tasks
from ncp_sampler.visualization.traces import plot_descent as plot_descent
from ncp_sampler.visualization.traces import plot_gradient as plot_gradient
from ncp_sampler.visualization.traces import plot_trace as plot_trace
from ncp_sampler.visualization.trade_offs import plot_trade_offs as plot_trade_offs
from ncp_sampler.visualization.walks import plot_walk as plot_walk

__all__ = [
    "TradeOff",
    "plot_architectures",
    "plot_calibration",
    "plot_correlations",
    "plot_descent",
    "plot_gradient",
    "plot_params",
    "plot_proposal",
    "plot_ranks",
    "plot_tasks",
    "plot_trace",
    "plot_trade_offs",
    "plot_walk",
]


def __getattr__(name: str) -> Any:
    """Return the object that replaces a deprecated name."""
    return old_name(__name__, name)
