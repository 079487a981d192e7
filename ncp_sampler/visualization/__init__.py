"""Figures of searches: how codes were edited, what was found, how settings rank alike.

Each function returns a ``matplotlib.figure.Figure``: ``.savefig(path)`` writes it, a notebook shows
it. pyplot and its global state are not used. ``pip install "ncp_sampler[viz]"`` brings Matplotlib.
``visualization.plotly`` has the same by Plotly.
"""

from ncp_sampler.visualization.architectures import architecture_figure as architecture_figure
from ncp_sampler.visualization.architectures import params_figure as params_figure
from ncp_sampler.visualization.correlations import correlation_figure as correlation_figure
from ncp_sampler.visualization.correlations import ranking_figure as ranking_figure
from ncp_sampler.visualization.proposals import plot_calibration as plot_calibration
from ncp_sampler.visualization.proposals import plot_proposal as plot_proposal
from ncp_sampler.visualization.tasks import plot_tasks as plot_tasks
from ncp_sampler.visualization.traces import descent_figure as descent_figure
from ncp_sampler.visualization.traces import explain_figure as explain_figure
from ncp_sampler.visualization.traces import trace_figure as trace_figure
from ncp_sampler.visualization.trade_offs import TradeOff as TradeOff
from ncp_sampler.visualization.trade_offs import trade_off_figure as trade_off_figure
from ncp_sampler.visualization.walks import walk_figure as walk_figure

__all__ = [
    "TradeOff",
    "architecture_figure",
    "correlation_figure",
    "descent_figure",
    "explain_figure",
    "params_figure",
    "plot_calibration",
    "plot_proposal",
    "plot_tasks",
    "ranking_figure",
    "trace_figure",
    "trade_off_figure",
    "walk_figure",
]
