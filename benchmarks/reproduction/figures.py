"""The report's sections with pictures: Figures 3 to 8."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from benchmarks.reproduction import published
from benchmarks.reproduction.labels import METHODS, TASK_LABELS, joint_label
from benchmarks.reproduction.results import Results
from benchmarks.reproduction.rows import Method, Row, Study
from benchmarks.reproduction.studies import BASIC
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.settings import NB201, find_setting
from ncp_sampler.nas_bench.surrogates import SHIPPED
from ncp_sampler.nas_bench.tables import NASBenchMR
from ncp_sampler.visualization.architectures import architecture_figure
from ncp_sampler.visualization.correlations import correlation_figure, ranking_figure
from ncp_sampler.visualization.saving import save_figure
from ncp_sampler.visualization.traces import trace_figure
from ncp_sampler.visualization.trade_offs import TradeOff, trade_off_figure
from ncp_sampler.visualization.walks import walk_figure

_DPI = 110
_PICTURED = (Method.RANDOM_SEARCH, Method.NEURAL_PREDICTOR, Method.NET_ADAPT, Method.EVOLUTION)


def correlations_section(results: Results, folder: Path) -> str:
    """Figure 4: how settings rank architectures alike."""
    names = list(SHIPPED)
    known = np.full((len(names), len(names)), np.nan)
    for pair, value in published.SPEARMAN.items():
        if set(pair) <= set(names):
            i, j = (names.index(name) for name in pair)
            known[i, j] = known[j, i] = value
    figure = correlation_figure(names, results.correlations, published=known)
    save_figure(figure, folder / "figure4.png", dpi=_DPI)
    return (
        "## Figure 4: rank correlation between settings\n\n![Spearman](figure4.png)\n\n"
        "Over the public rows; the small figures are those that the paper's text prints. 3dDet is "
        "missing: its table is not public. Figure 5a needs the checkpoints of 10, 50 and 90 "
        "epochs, which the tables do not hold; its proxy of 10 epochs is cls-10c against "
        f"cls-50-1000: {results.correlations[names.index('cls-10c'), 0]:.3f}.\n"
    )


def rankings_section(results: Results, folder: Path) -> str:
    """Figure 5b: how metrics of segmentation rank alike."""
    save_figure(ranking_figure(results.segmentation), folder / "figure5b.png", dpi=_DPI)
    return (
        "## Figure 5b: metrics of segmentation\n\n![ranks](figure5b.png)\n\n"
        "Ranks of the public rows. As in the paper the three go up together, so that a search for "
        "one of them serves all. Figure 5c is of 3dDet, whose table is not public.\n"
    )


def efficiency_section(results: Results, folder: Path) -> str:
    """Figure 7: fronts of NCP among the rows and the baselines' answers."""
    panels = {}
    for search, rows in results.searches(Study.FRONTS).items():
        (setting,) = search.settings
        others = {
            METHODS[one.method]: _point(found[0], setting)
            for one, found in results.searches(Study.BASELINES).items()
            if one.method in _PICTURED and one.settings == search.settings
        }
        panels[TASK_LABELS[setting]] = TradeOff(
            front=[_point(row, setting) for row in rows],
            cloud=results.clouds[setting],
            others=others,
            metric=f"judged {find_setting(setting).main} (%)",
        )
    save_figure(trade_off_figure(panels), folder / "figure7.png", dpi=_DPI)
    return (
        "## Figure 7: metric and FLOPs\n\n![trade-offs](figure7.png)\n\n"
        "The first split; λ = 0.5, by the table's FLOPs; the area of a circle is its params. "
        "`propagate_front` proposes the blue ones at ten levels of FLOPs, all judged by models "
        "that it never saw; dots are the rows that it learnt, judged by the same. The paper's "
        "figure has trained networks, of which HRNet and ResNet have no code here.\n"
    )


def _point(row: Row, setting: str) -> list[float]:
    return [row.flops, row.judged[setting], row.params]


def codes_section(results: Results, folder: Path) -> str:
    """Figures 3 and 8: two propagations, and the architectures of Table 3."""
    space = MRSpace()
    for strategy, trace in results.traces.items():
        figure = trace_figure(trace, space, title=f"Segmentation, {strategy.replace('_', ' ')}")
        save_figure(figure, folder / f"figure3-{strategy}.png", dpi=_DPI)
    codes = {
        joint_label(search): rows[0].code
        for search, rows in results.searches(Study.JOINT).items()
        if len(search.settings) in {1, len(BASIC)}
    }
    save_figure(architecture_figure(codes, space), folder / "figure8.png", dpi=_DPI)
    return (
        "## Figures 3 and 8: how codes are edited, and what comes out\n\n"
        "![continuous](figure3-continuous.png)\n\n"
        "![winner takes all](figure3-winner_takes_all.png)\n\n"
        "From the start code, λ = 0.5, the first split; mIoU less the caution. Continuous: "
        "learning rate 0.3, whose steps can be followed. Steps as targets have a constant loss, so "
        "that its gradient's length is drawn. Winner takes all lets a column fall whenever that "
        "lowers both loss and cost (equation 5), and only then raises one: so the network shrinks, "
        "mIoU rises while what goes was of no use, and falls where λ weighs the FLOPs saved above "
        "it. The answer is not its end but the best code passed by, from which single steps climb "
        "on.\n\n"
        "![architectures](figure8.png)\n"
    )


def walks_section(results: Results, folder: Path, root: str | os.PathLike[str]) -> str:
    """Figure 6: NAS-Bench-201, whose table is read again for the picture."""
    table = NASBenchMR(root).table(NB201)
    best = np.stack([walk.best for walk in results.walks])  # (seeds, starts)
    figure = walk_figure(table, results.walks[0], start=0)
    save_figure(figure, folder / "figure6.png", dpi=_DPI)
    printed, printed_flops, highest = published.NAS_BENCH_201
    return (
        "## Figure 6: NAS-Bench-201\n\n![walk](figure6.png)\n\n"
        f"{best.size} walks of six steps ({best.shape[0]} draws of 500 rows, {best.shape[1]} "
        "starts of low accuracy and high FLOPs), looked up in the table: best of a walk, median "
        f"{np.median(best):.2f} %; at least {printed} % in {(best >= printed).mean():.0%} of "
        f"them. The paper shows one walk, to {printed} % and {printed_flops} M; the table's best "
        f"is {highest} %.\n"
    )
