"""Figures of ``ncp_sampler.visualization`` for Plotly, with the same names, contents and colors.

Each function takes the arguments of its namesake and returns a ``plotly.graph_objects.Figure``,
which can be zoomed and shows values on hover: ``.show()``, ``.write_html(path)``. ``pip install
".[viz]"`` in a clone installs Plotly.
"""

from ncp_sampler.visualization.plotly.architectures import (
    architecture_figure as architecture_figure,
)
from ncp_sampler.visualization.plotly.architectures import params_figure as params_figure
from ncp_sampler.visualization.plotly.proposals import plot_calibration as plot_calibration
from ncp_sampler.visualization.plotly.proposals import plot_proposal as plot_proposal
from ncp_sampler.visualization.plotly.tasks import plot_tasks as plot_tasks
from ncp_sampler.visualization.plotly.traces import descent_figure as descent_figure
from ncp_sampler.visualization.plotly.traces import explain_figure as explain_figure
from ncp_sampler.visualization.plotly.traces import trace_figure as trace_figure

__all__ = [
    "architecture_figure",
    "descent_figure",
    "explain_figure",
    "params_figure",
    "plot_calibration",
    "plot_proposal",
    "plot_tasks",
    "trace_figure",
]
