"""Figures of metrics against one another, and of metrics against costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from ncp_sampler.visualization import TradeOff, plot_ranks, plot_trade_offs


def test_ranks_by_other_metrics_stand_over_those_by_the_first() -> None:
    (axes,) = plot_ranks({"mIoU": [70, 75, 72], "mAcc": [80, 85, 79]}).axes
    (dots,) = axes.collections
    np.testing.assert_array_equal(dots.get_offsets(), [[3, 2], [1, 1], [2, 3]])  # 1 is the best
    assert dots.get_label() == "mAcc, Spearman 0.500"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rank by mIoU", "rank by the others")


def test_a_trade_off_shows_the_front_among_what_is_known() -> None:
    front = [[1.0, 84.0, 4.0], [2.0, 85.0, 8.0]]
    seg = TradeOff(front=front, cloud=np.ones((5, 3)), others={"NetAdapt": [2.0, 84.5, 6.0]})
    both = plot_trade_offs({"Seg": seg, "Cls": TradeOff(front=front, metric="top1 (%)")})
    first, second = both.axes
    known, ours, baseline = first.collections
    assert len(np.asarray(known.get_offsets())) == 5
    assert isinstance(ours, PathCollection)
    np.testing.assert_array_equal(ours.get_offsets(), [[1, 84], [2, 85]])
    small, large = ours.get_sizes()
    assert large == 2 * small  # areas are as the params
    np.testing.assert_array_equal(baseline.get_offsets(), [[2, 84.5]])
    legend = first.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["5 known", "NCP", "NetAdapt"]
    assert [axes.get_title() for axes in both.axes] == ["Seg", "Cls"]
    assert second.get_ylabel() == "top1 (%)"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_ranks({"a": [1, 2]}), "metrics has shapes"),
        (lambda: plot_ranks({"a": [1, 2], "b": [1]}), r"shapes \[\(1,\), \(2,\)\]"),
        (lambda: plot_ranks([1]), "must map names to numbers"),  # type: ignore[arg-type]
        (lambda: plot_trade_offs({}), "panels is empty"),
        (lambda: plot_trade_offs({"a": 1}), r"panels\['a'\]=1 must be a TradeOff"),  # type: ignore[dict-item]
        (lambda: plot_trade_offs({"a": TradeOff(front=[1, 2])}), r"front has shape \(2,\)"),
        (lambda: plot_ranks({"a": [1, 2], "b": [1, np.nan]}), "metrics has a value that is NaN"),
        (lambda: plot_trade_offs({"a": TradeOff(front=[0, 2, 1])}), "front must be finite"),
        (lambda: plot_trade_offs({"a": TradeOff(front=[1, 2, 1], others=3)}), "others=3 must"),  # type: ignore[arg-type]
        (lambda: plot_trade_offs({"a": TradeOff(front=[1, 2, 1], cost="")}), "cost"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
