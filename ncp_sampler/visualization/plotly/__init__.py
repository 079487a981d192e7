"""Figures of ``ncp_sampler.visualization`` for Plotly, with the same names, contents and colors.

Each function takes the arguments of the Matplotlib function and returns a
``plotly.graph_objects.Figure``, which the reader can zoom and which shows values on hover. Display
the figure with ``.show()``, or save it with ``.write_html(path)``. ``pip install ".[viz]"`` in a
clone installs Plotly.
"""

from typing import Any

try:  # before any of these modules imports Plotly
    import plotly as _plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"ncp_sampler.visualization.plotly needs Plotly ({error}); install it with: "
        "pip install plotly, or pip install '.[viz]' in a clone"
    ) from error

from ncp_sampler.deprecated import old_name
from ncp_sampler.visualization.plotly.architectures import plot_architectures as plot_architectures
from ncp_sampler.visualization.plotly.architectures import plot_params as plot_params
from ncp_sampler.visualization.plotly.correlations import plot_correlations as plot_correlations
from ncp_sampler.visualization.plotly.correlations import plot_ranks as plot_ranks
from ncp_sampler.visualization.plotly.proposals import plot_calibration as plot_calibration
from ncp_sampler.visualization.plotly.proposals import plot_proposal as plot_proposal
from ncp_sampler.visualization.plotly.tasks import plot_tasks as plot_tasks
from ncp_sampler.visualization.plotly.traces import plot_descent as plot_descent
from ncp_sampler.visualization.plotly.traces import plot_gradient as plot_gradient
from ncp_sampler.visualization.plotly.traces import plot_trace as plot_trace
from ncp_sampler.visualization.plotly.trade_offs import plot_trade_offs as plot_trade_offs
from ncp_sampler.visualization.plotly.walks import plot_walk as plot_walk

__all__ = [
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
