"""Sections of the report with pictures: Figures 3 to 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.reproduction import published
from benchmarks.reproduction.budgets import FULL, QUICK
from benchmarks.reproduction.cells import METHODS, TASK_LABELS, joint_label, without_detection
from benchmarks.reproduction.results import Method, Results, SearchResult, Study
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.settings import NB201, find_setting
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.visualization.architectures import plot_architectures
from ncp_sampler.visualization.contents.trade_offs import TradeOff
from ncp_sampler.visualization.correlations import plot_correlations, plot_ranks
from ncp_sampler.visualization.saving import save_figure
from ncp_sampler.visualization.traces import plot_trace
from ncp_sampler.visualization.trade_offs import plot_trade_offs
from ncp_sampler.visualization.walks import plot_walk

_DPI = 110
_PICTURED = (Method.RANDOM_SEARCH, Method.NEURAL_PREDICTOR, Method.NET_ADAPT, Method.EVOLUTION)


def correlations_section(results: Results, folder: Path) -> str:
    """Return Figure 4: rank correlations between settings."""
    names = list(results.settings)
    paper = np.full((len(names), len(names)), np.nan)
    for pair, value in published.SPEARMAN.items():
        if set(pair) <= set(names):
            i, j = (names.index(name) for name in pair)
            paper[i, j] = paper[j, i] = value
    figure = plot_correlations(names, results.correlations, published=paper)
    save_figure(figure, folder / "figure4.png", dpi=_DPI)
    proxy = ""
    if {"cls-10c", "cls-50-1000"} <= set(names):
        value = results.correlation("cls-10c", "cls-50-1000")
        proxy = f"; its proxy of 10 epochs is cls-10c against cls-50-1000: {value:.3f}"
    return (
        "## Figure 4: rank correlation between settings\n\n![Spearman](figure4.png)\n\n"
        "Over the public rows; the small figures are those that the paper's text prints. "
        f"{without_detection(results)}Figure 5a needs the checkpoints of 10, 50 and 90 epochs, "
        f"which the tables do not hold{proxy}.\n"
    )


def rankings_section(results: Results, folder: Path) -> str:
    """Return Figure 5b: ranks by the metrics of segmentation."""
    save_figure(plot_ranks(results.segmentation), folder / "figure5b.png", dpi=_DPI)
    return (
        "## Figure 5b: metrics of segmentation\n\n![ranks](figure5b.png)\n\n"
        "Ranks of the public rows. As in the paper the three go up together, so that a search for "
        "one of them serves all. Figure 5c needs APs of cars and of pedestrians, in 3D and from "
        "above; the authors' configuration of 3dDet names one metric, `moderate`.\n"
    )


def trade_offs_section(results: Results, folder: Path) -> str:
    """Return Figure 7: fronts of NCP, the training rows and the baselines."""
    panels = {}
    for search, group in results.of(Study.FRONTS).items():
        (setting,) = search.settings
        baselines = {
            METHODS[s.method]: _point(first, setting)
            for s, (first, *_) in results.of(Study.BASELINES, setting).items()
            if s.method in _PICTURED
        }
        panels[TASK_LABELS[setting]] = TradeOff(
            front=[_point(result, setting) for result in group],
            cloud=results.clouds[setting],
            others=baselines,
            metric=f"score, {find_setting(setting).main} (%)",
        )
    levels = (QUICK if results.quick else FULL).levels
    save_figure(plot_trade_offs(panels), folder / "figure7.png", dpi=_DPI)
    return (
        "## Figure 7: metric and FLOPs\n\n![trade-offs](figure7.png)\n\n"
        "The first split; λ = 0.5, by the tables' FLOPs; the area of a circle is its params. "
        f"`propagate_front` proposes the blue ones at {levels} levels of FLOPs; dots are the "
        "training rows. Held-out evaluators score both. The paper's figure has trained networks, "
        "of which HRNet and ResNet have no code here.\n"
    )


def _point(result: SearchResult, setting: str) -> list[float]:
    return [result.flops, result.scores[setting], result.params]


def codes_section(results: Results, folder: Path) -> str:
    """Return Figures 3 and 8: two propagations, and the architectures of Table 3."""
    space = MRSpace()
    for strategy, trace in results.traces.items():
        figure = plot_trace(trace, space, title=f"Segmentation, {strategy.replace('_', ' ')}")
        save_figure(figure, folder / f"figure3-{strategy}.png", dpi=_DPI)
    codes = {
        joint_label(search): group[0].code
        for search, group in results.of(Study.JOINT).items()
        if len(search.settings) in {1, len(results.basic)}
    }
    save_figure(plot_architectures(codes, space), folder / "figure8.png", dpi=_DPI)
    return (
        "## Figures 3 and 8: propagations and the architectures found\n\n"
        "![continuous](figure3-continuous.png)\n\n"
        "![winner takes all](figure3-winner_takes_all.png)\n\n"
        "From the start code, λ = 0.5, the first split; lower confidence bound of mIoU. "
        "Continuous: learning rate 0.3, whose steps can be followed. With steps as targets the "
        "loss is constant, so the length of its gradient is drawn. Winner takes all decreases a "
        "column whenever that lowers both loss and cost (equation 5), and increases one only "
        "otherwise. So the network shrinks: mIoU rises while the removed parts were of no use, and "
        "falls where λ values the saved FLOPs more. The search's answer is not the last code but "
        "the best code on the way, improved by hill climbing.\n\n"
        "![architectures](figure8.png)\n"
    )


def walks_section(results: Results, folder: Path, bench: NASBenchMR) -> str:
    """Return Figure 6: walks over NAS-Bench-201."""
    best = np.stack([walk.best for walk in results.walks])  # (seeds, starts)
    figure = plot_walk(bench.table(NB201), results.walks[0], start=0)
    save_figure(figure, folder / "figure6.png", dpi=_DPI)
    accuracy, flops, highest = published.NAS_BENCH_201
    return (
        "## Figure 6: NAS-Bench-201\n\n![walk](figure6.png)\n\n"
        f"{best.size} walks of six steps ({best.shape[0]} draws of 500 rows, {best.shape[1]} "
        "starts of low accuracy and high FLOPs), looked up in the table: best of a walk, median "
        f"{np.median(best):.2f} %; at least {accuracy} % in {(best >= accuracy).mean():.0%} of "
        f"them. The paper shows one walk, to {accuracy} % and {flops} M; the table's best "
        f"is {highest} %.\n"
    )
