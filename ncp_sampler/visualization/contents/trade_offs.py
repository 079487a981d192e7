"""Contents of figures of trade-offs: points with a cost, a metric and a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks

FloatArray = NDArray[np.float64]

AREA = 14.0  # Area of a circle per unit of size, in points²


@dataclass(frozen=True, kw_only=True)
class TradeOff:
    """Panel of ``plot_trade_offs``. A point is a triple of cost (above 0), metric and size.

    Attributes:
        front: Points (k, 3) that a search proposes, drawn as circles on a line.
        cloud: Known points (n, 3), such as the rows of a table, drawn as dots of equal size.
        others: Label -> further points, (k, 3) or (3,), drawn as circles.
        cost: Label of the horizontal axis.
        metric: Label of the vertical axis.

    Examples:
        >>> panel = TradeOff(front=[[1.0, 84.0, 4.0], [2.0, 85.0, 6.0]])
        >>> panel.cost
        'FLOPs (G)'
    """

    front: ArrayLike
    cloud: ArrayLike = ()
    others: Mapping[str, ArrayLike] = field(default_factory=dict)
    cost: str = "FLOPs (G)"
    metric: str = "metric (%)"


class Points(NamedTuple):
    """Content of one panel, after checks.

    Attributes:
        title: Title of the panel.
        cost: Label of the horizontal axis.
        metric: Label of the vertical axis.
        cloud: Known points (n, 3).
        shown: Label -> points (k, 3), for the front and all other labeled points.
    """

    title: str
    cost: str
    metric: str
    cloud: FloatArray
    shown: dict[str, FloatArray]

    @property
    def cloud_label(self) -> str:
        """Label of the known points in the legend, with their number."""
        return f"{len(self.cloud):,} known"


FRONT = "NCP"  # Label of the proposed points in the legend


def points_of(panels: Mapping[str, TradeOff]) -> list[Points]:
    """Return the content of ``plot_trade_offs``.

    Raises:
        ValueError: If there are no panels, or if points have another shape.
    """
    checks.instance("panels", panels, Mapping, "map titles to their TradeOff")
    if not panels:
        raise ValueError("panels is empty; give at least one, such as {'Seg': TradeOff(front=...)}")
    points = []
    for title, panel in panels.items():
        checks.instance(f"panels[{title!r}]", panel, TradeOff, "be a TradeOff")
        cloud, front = _points("cloud", panel.cloud), _points("front", panel.front)
        checks.instance("others", panel.others, Mapping, "map labels to their points")
        others = {name: _points(f"others[{name!r}]", at) for name, at in panel.others.items()}
        cost, metric = checks.text("cost", panel.cost), checks.text("metric", panel.metric)
        points.append(Points(title, cost, metric, cloud, {FRONT: front, **others}))
    return points


def _points(name: str, points: ArrayLike) -> FloatArray:
    numbers = checks.array(name, points)
    if not numbers.size:
        return np.empty((0, 3))
    if numbers.ndim not in (1, 2) or numbers.shape[-1] != 3:
        raise ValueError(f"{name} has shape {numbers.shape}; it must be (n, 3): cost, metric, size")
    rows = np.atleast_2d(numbers)
    if not (np.isfinite(rows).all() and (rows[:, 0] > 0).all() and (rows[:, 2] >= 0).all()):
        raise ValueError(f"{name} must be finite, with costs above 0 and sizes of at least 0")
    return rows
