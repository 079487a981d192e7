"""Figures of searches: edits of codes, proposals, architectures and rank correlations.

Each function returns a ``matplotlib.figure.Figure``. Save it with ``.savefig(path)``; a notebook
displays it. pyplot and its global state are not used. ``pip install ".[viz]"`` in a clone installs
Matplotlib. ``visualization.plotly`` has the figures of studies for Plotly.
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
