"""The report's text: one section for each table or figure of the paper."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import NASBenchMR
from ncp_sampler.nas_bench.settings import NB201, find_setting
from ncp_sampler.nas_bench.surrogates import SHIPPED
from ncp_sampler.offline.search import CAUTION
from ncp_sampler.reproduction import published
from ncp_sampler.reproduction.laboratory import Row
from ncp_sampler.reproduction.report import Results
from ncp_sampler.reproduction.studies import (
    BASIC,
    NAMES,
    PRETRAINING,
    RESOLUTIONS,
    SUBSETS,
)
from ncp_sampler.visualization import (
    architecture_figure,
    correlation_figure,
    trace_figure,
    walk_figure,
)

_NOT_QUICK = "not run with --quick"
_INTRO = """# The paper's studies, from the public tables

Nothing here was trained. The paper trained what it found; here every architecture is scored by
judges (the mean of boosted trees and a support-vector machine) fitted on the half of the table's
rows that its search did not see, so **our figures are judged values, the paper's are trained
ones**, and only differences within a column of ours mean something. Mean absolute errors of
the judges on rows that they did not see: {errors}.

They pull extremes towards the mean: of the ten best of these rows, as they were trained and as
they are judged: {extremes}.

{splits}; ± is the standard error over splits.
FLOPs are G multiply-adds, params M of the network with 19 classes, unless a table says otherwise.
The run took {minutes:.0f} minutes.

"""


def write_pages(results: Results, folder: Path, *, root: str | os.PathLike[str]) -> Path:
    """Writes report.md and its pictures into a folder; returns the report's path."""
    sections: list[Callable[[Results, Path], str]] = [
        _table6,
        _figure4,
        _table2,
        _head_to_head,
        _table3,
        _table4,
        _small_tables,
        _table10,
        _figures38,
    ]
    errors = ", ".join(f"{s} {error:.2f}" for s, error in results.judge_errors.items())
    splits = "One split of the rows (--quick)" if results.quick else f"{results.splits} splits"
    extremes = ", ".join(
        f"{s} {trained:.2f} and {judged:.2f}" for s, (trained, judged) in results.extremes.items()
    )
    text = _INTRO.format(
        errors=errors, extremes=extremes, splits=splits, minutes=results.seconds / 60
    )
    text += "\n".join(section(results, folder) for section in sections)
    if results.walks:
        text += "\n" + _nas_bench_201(results, folder, root)
    path = folder / "report.md"
    path.write_text(text, encoding="utf-8")
    return path


def _table6(results: Results, folder: Path) -> str:
    lines = []
    for p in results.predictions:
        printed = published.PREDICTION_L1[p.setting]
        line = [p.setting, f"{p.mean:.2f}", f"{p.std:.2f}", f"{p.l1:.3f} ± {p.l1_error:.3f}"]
        line += [f"{p.l1_paper:.3f}", f"{printed:.2f}", f"{p.spearman:.3f}"]
        lines.append([*line, f"{p.fit_seconds:.0f}"])
    shown = {p.setting for p in results.predictions}
    lines += [
        [s, *["–"] * 4, f"{v:.2f}", "–", why(s)]
        for s, v in published.PREDICTION_L1.items()
        if s not in shown
    ]
    heads = ["setting", "mean", "std", "L1, ours", "L1, published recipe, same rows"]
    heads += ["L1, paper", "Spearman, ours", "s to fit"]
    rows = results.predictions[0].rows
    return (
        "## Table 6: predictor error\n\n"
        f"L1 in percent of the main metric on {2007 - rows} held-out rows, drawn with seed 0 and "
        f"not looked at; {rows} rows are learnt from (the paper: 2,000, and the epoch that was "
        "best on the validation rows themselves).\n\n" + _table(heads, lines)
    )


def why(setting: str) -> str:
    """Why a setting has no figures."""
    return "no public table" if setting == "3ddet" else _NOT_QUICK


def _figure4(results: Results, folder: Path) -> str:
    names = list(SHIPPED)
    known = np.full((len(names), len(names)), np.nan)
    for pair, value in published.SPEARMAN.items():
        if set(pair) <= set(names):
            i, j = (names.index(name) for name in pair)
            known[i, j] = known[j, i] = value
    correlation_figure(names, results.correlations, published=known).savefig(
        folder / "figure4.png", dpi=110
    )
    return (
        "## Figure 4: rank correlation between settings\n\n![Spearman](figure4.png)\n\n"
        "Over the public rows; the small figures are those that the paper's text prints. 3dDet is "
        "missing: its table is not public. Figure 5a needs the checkpoints of 10, 50 and 90 "
        "epochs, which the tables do not hold; its proxy of 10 epochs is cls-10c against "
        f"cls-50-1000: {results.correlations[names.index('cls-10c'), 0]:.3f}.\n"
    )


def _table2(results: Results, folder: Path) -> str:
    groups = [*_groups(results, "2")]
    for name, rows in _groups(results, "baselines seg"):
        if name in published.SEGMENTATION or name == "regularized evolution":
            groups.append((name, rows))
    lines = []
    for name, rows in groups:
        printed = published.SEGMENTATION.get(name)
        line = [name, _params(rows), _measured(rows, "512x1024"), _judged(rows, "seg")]
        line.append(_predicted(rows, "mIoU"))
        lines.append(line + ([f"{x:.2f}" for x in printed] if printed else ["–"] * 3))
    heads = ["search", "params", "FLOPs, 512x1024", "judged mIoU", "its own prediction"]
    heads += ["params, paper", "FLOPs, paper", "mIoU trained, paper"]
    return (
        "## Table 2: segmentation\n\nNCP is cautious here (a prediction counts "
        f"{CAUTION:g} standard deviations below its mean) and uses exact FLOPs; the paper's plain "
        "search has the published predictor, a learnt FLOPs head and no caution. Baselines: "
        "λ = 0.5.\n\n" + _table(heads, lines)
    )


def _head_to_head(results: Results, folder: Path) -> str:
    text = "## Against the baselines, at equal or fewer FLOPs\n\n"
    text += (
        "λ = 0.5. Baselines ask the same predictor. Ahead: judged metric of NCP, bounded to each "
        "baseline's FLOPs, less the baseline's; won: splits.\n\n"
    )
    for setting in BASIC:
        groups = dict(_groups(results, f"baselines {setting}"))
        lines = []
        for name, rows in groups.items():
            if name.startswith("NCP, at most"):
                continue
            bounded = groups.get(f"NCP, at most the FLOPs of {name}")
            line = [name, _judged(rows, setting), _mean([r.flops for r in rows])]
            line += [
                _predicted(rows, find_setting(setting).main),
                f"{np.median([r.calls for r in rows]):.0f}",
            ]
            line.append(f"{np.median([r.seconds for r in rows]):.1f}")
            ahead = [r.extra["ahead"] for r in bounded] if bounded else []
            line.append(_mean([r.judged[setting] for r in bounded]) if bounded else "–")
            line.append(
                f"{_mean(ahead)}, {sum(a > 0 for a in ahead)}/{len(ahead)}" if ahead else "–"
            )
            lines.append(line)
        heads = ["search", "judged", "FLOPs (table's, G)", "predicted", "predictions", "s"]
        heads += ["NCP at most these FLOPs", "ahead, won"]
        text += f"### {setting}\n\n" + _table(heads, lines)
    return text


def _table3(results: Results, folder: Path) -> str:
    lines = []
    for name, rows in _groups(results, "3"):
        printed = published.JOINT.get(name)
        line = [name, _params(rows), _measured(rows, "128")]
        line += [_judged(rows, setting) for setting in BASIC]
        lines.append(line + ([f"{x:.2f}" for x in printed] if printed else ["–"] * 5))
    heads = ["searched for", "params", "FLOPs", *(f"judged {NAMES[s]}" for s in BASIC)]
    heads += [f"{head}, paper" for head in ("params", "FLOPs", "Cls", "Seg", "Video")]
    return (
        "## Table 3: one task or several\n\nλ = 0.5 for each task; FLOPs of the segmentation "
        "network at 128x128. A pair is searched a second time, with FLOPs bounded by those of the "
        "larger of its single searches. The paper's columns are trained networks; 3dDet has no "
        "public table, and ADE20K needs training.\n\n" + _table(heads, lines)
    )


def _table4(results: Results, folder: Path) -> str:
    lines = []
    for name, rows in _groups(results, "4"):
        source, target = name.split(" to ")
        before, after, flops = published.TRANSFER[source, target]
        line = [name, _mean([r.extra["before"] for r in rows])]
        line += [_mean([r.extra["after"] for r in rows]), _measured(rows, "128")]
        lines.append([*line, f"{before:.2f}", f"{after:.2f}", f"{flops:.2f}"])
    heads = ["from, to", "judged before", "judged after", "FLOPs after"]
    heads += ["before, paper", "after, paper", "FLOPs, paper"]
    return (
        "## Table 4: transfer\n\nAnother task's optimum is the one start of the search. Before: "
        "that architecture as it is, on the new task.\n\n" + _table(heads, lines)
    )


def _small_tables(results: Results, folder: Path) -> str:
    studies: list[tuple[str, str, Sequence[str], str, Mapping[str, tuple[float, ...]]]] = [
        ("5", "three subsets of ImageNet, λ = 0.7", SUBSETS, "224", published.SUBSETS),
        ("8", "two resolutions", RESOLUTIONS, "512x1024", published.RESOLUTIONS),
        ("9", "from scratch and pretrained", PRETRAINING, "112", published.PRETRAINING),
    ]
    text = ""
    for table, title, settings, size, printed in studies:
        heads = ["searched for", "params", f"FLOPs, {size}", *(f"judged {s}" for s in settings)]
        heads += ["params, paper", "FLOPs, paper", *(f"{s}, paper" for s in settings)]
        lines = []
        groups = dict(_groups(results, table))
        for name, values in printed.items():
            rows = groups.get(name)
            line = [name, *[_NOT_QUICK] * (2 + len(settings))]
            if rows:
                line = [name, _params(rows), _measured(rows, size)]
                line += [_judged(rows, setting) for setting in settings]
            lines.append(line + [f"{x:.2f}" for x in values])
        text += f"## Table {table}: {title}\n\n" + _table(heads, lines)
    return text + (
        "FLOPs of Table 9 are those of one frame by the network without its 3D convolution, which "
        "is what the paper's params count.\n"
    )


def _table10(results: Results, folder: Path) -> str:
    groups = dict(_groups(results, "baselines cls-50-1000"))
    lines = []
    for name, key in (
        ("Neural Predictor", "Neural Predictor"),
        ("NetAdapt", "NetAdapt"),
        ("NCP from the start code alone", "NCP"),
        ("NCP", ""),
        ("the paper's plain search", ""),
    ):
        rows = groups[name]
        line = [name, f"{np.median([r.seconds for r in rows]):.2f}"]
        line.append(f"{np.median([r.calls for r in rows]):.0f}")
        lines.append([*line, published.SEARCH_TIME.get(key, "–")])
    walks = np.median([p.walk_seconds for p in results.predictions])
    careful = np.median([p.careful_seconds for p in results.predictions])
    return (
        "## Table 10: seconds\n\n"
        + _table(["search", "s, one thread here", "predictions", "paper, V100"], lines)
        + f"70 iterations from the start code alone, nothing else: {walks:.3f} s; with caution "
        f"{careful:.3f} s (median over settings). Fitting is in Table 6.\n"
    )


def _figures38(results: Results, folder: Path) -> str:
    space = MRSpace()
    for strategy, trace in results.traces.items():
        figure = trace_figure(trace, space, title=f"Segmentation, {strategy.replace('_', ' ')}")
        figure.savefig(folder / f"figure3-{strategy}.png", dpi=110)
    codes = {
        name: rows[0].code
        for name, rows in _groups(results, "3")
        if name in {NAMES[setting] for setting in BASIC} | {"Cls + Seg + Video"}
    }
    architecture_figure(codes, space).savefig(folder / "figure8.png", dpi=110)
    return (
        "## Figures 3 and 8: how codes are edited, and what comes out\n\n"
        "![continuous](figure3-continuous.png)\n\n"
        "![winner takes all](figure3-winner_takes_all.png)\n\n"
        "From the start code, λ = 0.5, the first split; mIoU less the caution. Continuous: "
        "learning rate 0.3, whose steps can be followed.\n\n![architectures](figure8.png)\n"
    )


def _nas_bench_201(results: Results, folder: Path, root: str | os.PathLike[str]) -> str:
    table = NASBenchMR(root).table(NB201)
    best = np.stack([walk.best for walk in results.walks])  # (seeds, starts)
    walk_figure(table, results.walks[0], start=0).savefig(folder / "figure6.png", dpi=110)
    printed, printed_flops, highest = published.NAS_BENCH_201
    return (
        "## Figure 6: NAS-Bench-201\n\n![walk](figure6.png)\n\n"
        f"{best.size} walks of six steps ({best.shape[0]} draws of 500 rows, {best.shape[1]} "
        "starts of low accuracy and high FLOPs), looked up in the table: best of a walk, median "
        f"{np.median(best):.2f} %; at least {printed} % in {(best >= printed).mean():.0%} of "
        f"them. The paper shows one walk, to {printed} % and {printed_flops} M; the table's best "
        f"is {highest} %.\n"
    )


def _groups(results: Results, table: str) -> Iterator[tuple[str, list[Row]]]:
    """Rows of a table by name, in the order of the first split."""
    rows = [row for row in results.rows if row.table == table]
    for name in dict.fromkeys(row.name for row in rows):
        yield name, [row for row in rows if row.name == name]


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{np.mean(values):.2f}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.2f}"


def _params(rows: Sequence[Row]) -> str:
    return f"{np.mean([row.params for row in rows]):.2f}"


def _measured(rows: Sequence[Row], size: str) -> str:
    return f"{np.mean([row.measured[size] for row in rows]):.2f}"


def _judged(rows: Sequence[Row], setting: str) -> str:
    return _mean([row.judged[setting] for row in rows])


def _predicted(rows: Sequence[Row], metric: str) -> str:
    return f"{np.mean([row.predicted[metric] for row in rows]):.2f}"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    text = "| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|\n"
    return text + "".join("| " + " | ".join(line) + " |\n" for line in lines) + "\n"
