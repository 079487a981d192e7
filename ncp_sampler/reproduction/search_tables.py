"""The report's sections of what searches found: Tables 2 to 5, 8, 9 and 10, and the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncp_sampler.defaults import BETA
from ncp_sampler.formatting import markdown_table, with_error
from ncp_sampler.nas_bench.settings import find_setting
from ncp_sampler.reproduction import published
from ncp_sampler.reproduction.labels import (
    METHODS,
    TASK_LABELS,
    joint_label,
    settings_label,
    trade_off_label,
    transfer_label,
)
from ncp_sampler.reproduction.results import Results
from ncp_sampler.reproduction.rows import Method, Row, Search, Study
from ncp_sampler.reproduction.studies import BASIC, PRETRAINING, RESOLUTIONS, SUBSETS

NOT_QUICK = "not run with --quick"
NOTHING = "–"

_TIMED = (
    Method.NEURAL_PREDICTOR,
    Method.NET_ADAPT,
    Method.ONE_START,
    Method.NCP,
    Method.PAPER,
)


@dataclass(frozen=True)
class _SmallTable:
    """A table of the paper about settings that are alike.

    Attributes:
        number: Of the table.
        study: Its searches.
        title: What is compared.
        settings: Those judged, a column each.
        size: Of the input for which FLOPs are counted.
        printed: Settings searched for -> the paper's row.
    """

    number: int
    study: Study
    title: str
    settings: tuple[str, ...]
    size: str
    printed: Mapping[tuple[str, ...], Sequence[float]]


_SMALL_TABLES = (
    _SmallTable(
        5, Study.SUBSETS, "three subsets of ImageNet, λ = 0.7", SUBSETS, "224", published.SUBSETS
    ),
    _SmallTable(
        8, Study.RESOLUTIONS, "two resolutions", RESOLUTIONS, "512x1024", published.RESOLUTIONS
    ),
    _SmallTable(
        9,
        Study.PRETRAINING,
        "from scratch and pretrained",
        PRETRAINING,
        "112",
        published.PRETRAINING,
    ),
)


def segmentation_section(results: Results) -> str:
    """Table 2: trade-offs of NCP, then the baselines that the paper has, and evolution."""
    groups = [(trade_off_label(s), s, rows) for s, rows in results.searches(Study.LAMBDAS).items()]
    for search, rows in _baselines(results, "seg").items():
        printed = (search.method, search.weight) in published.SEGMENTATION
        if printed or search.method is Method.EVOLUTION:
            groups.append((METHODS[search.method], search, rows))
    lines = []
    for label, search, rows in groups:
        line = [label, _params(rows), _counted(rows), _judged(rows, "seg")]
        line.append(_predicted(rows, "mIoU"))
        lines.append(line + _printed(published.SEGMENTATION.get((search.method, search.weight)), 3))
    heads = ["search", "params", "FLOPs, 512x1024", "judged mIoU", "its own prediction"]
    heads += ["params, paper", "FLOPs, paper", "mIoU trained, paper"]
    return (
        "## Table 2: segmentation\n\nNCP is cautious here (a prediction counts "
        f"{BETA:g} standard deviations below its mean) and uses exact FLOPs; the paper's plain "
        "search has the published predictor, a learnt FLOPs head and no caution. Baselines: "
        f"λ = 0.5.\n\n{markdown_table(heads, lines)}\n"
    )


def baselines_section(results: Results) -> str:
    """Each baseline beside NCP that is bounded to its FLOPs."""
    text = "## Against the baselines, at equal or fewer FLOPs\n\n"
    text += (
        "λ = 0.5. Baselines ask the same predictor, without caution. Ahead: judged metric of NCP "
        "without caution, bounded to each baseline's FLOPs, less the baseline's; won: splits.\n\n"
    )
    heads = ["search", "judged", "FLOPs (table's, G)", "predicted", "predictions", "s"]
    heads += ["NCP at most these FLOPs", "ahead, won"]
    for setting in BASIC:
        metric = find_setting(setting).main
        bounded = {
            search.within: rows
            for search, rows in results.searches(Study.BASELINES).items()
            if search.settings == (setting,) and search.within
        }
        lines = []
        for search, rows in _baselines(results, setting).items():
            line = [METHODS[search.method], _judged(rows, setting)]
            line += [with_error([row.flops for row in rows]), _predicted(rows, metric)]
            line += [_calls(rows), _seconds(rows, ".1f")]
            lines.append(line + _ahead(bounded.get(search.method, []), setting))
        text += f"### {setting}\n\n{markdown_table(heads, lines)}\n"
    return text


def joint_section(results: Results) -> str:
    """Table 3: one task or several."""
    lines = []
    for search, rows in results.searches(Study.JOINT).items():
        line = [joint_label(search), _params(rows), _counted(rows)]
        line += [_judged(rows, setting) for setting in BASIC]
        printed = None if search.within else published.JOINT.get(search.settings)
        lines.append(line + _printed(printed, 5))
    heads = ["searched for", "params", "FLOPs", *(f"judged {TASK_LABELS[s]}" for s in BASIC)]
    heads += [f"{head}, paper" for head in ("params", "FLOPs", *(TASK_LABELS[s] for s in BASIC))]
    return (
        "## Table 3: one task or several\n\nλ = 0.5 for each task; FLOPs of the segmentation "
        "network at 128x128. A pair is searched a second time, with FLOPs bounded by those of the "
        "larger of its single searches. The paper's columns are trained networks; 3dDet has no "
        f"public table, and ADE20K needs training.\n\n{markdown_table(heads, lines)}\n"
    )


def transfer_section(results: Results) -> str:
    """Table 4: another task's optimum as the start."""
    found = {(s.source, *s.settings): rows for s, rows in results.searches(Study.TRANSFER).items()}
    lines = []
    for (source, target), printed in published.TRANSFER.items():
        rows = found[source, target]
        before = [row.before for row in rows if row.before is not None]
        line = [transfer_label(source, target), with_error(before)]
        lines.append([*line, _judged(rows, target), _counted(rows), *_printed(printed, 3)])
    heads = ["from, to", "judged before", "judged after", "FLOPs after"]
    heads += ["before, paper", "after, paper", "FLOPs, paper"]
    return (
        "## Table 4: transfer\n\nAnother task's optimum is the one start of the search. Before: "
        f"that architecture as it is, on the new task.\n\n{markdown_table(heads, lines)}\n"
    )


def small_tables_section(results: Results) -> str:
    """Tables 5, 8 and 9: like settings, alone and together."""
    text = ""
    for table in _SMALL_TABLES:
        found = {search.settings: rows for search, rows in results.searches(table.study).items()}
        lines = []
        for group, printed in table.printed.items():
            cells = [NOT_QUICK] * (2 + len(table.settings))
            if rows := found.get(group):
                cells = [_params(rows), _counted(rows)]
                cells += [_judged(rows, setting) for setting in table.settings]
            label = settings_label(table.study, group)
            lines.append([label, *cells, *_printed(printed, len(printed))])
        heads = ["searched for", "params", f"FLOPs, {table.size}"]
        heads += [f"judged {setting}" for setting in table.settings]
        heads += ["params, paper", "FLOPs, paper", *(f"{s}, paper" for s in table.settings)]
        text += f"## Table {table.number}: {table.title}\n\n{markdown_table(heads, lines)}\n"
    return text + (
        "FLOPs of Table 9 are those of one frame by the network without its 3D convolution, which "
        "is what the paper's params count.\n"
    )


def seconds_section(results: Results) -> str:
    """Table 10: how long a search takes."""
    found = {s.method: rows for s, rows in _baselines(results, "cls-50-1000").items()}
    lines = []
    for method in _TIMED:
        rows = found[method]
        line = [METHODS[method], _seconds(rows, ".2f"), _calls(rows)]
        lines.append([*line, published.SEARCH_TIME.get(method, NOTHING)])
    walks = np.median([p.walk_seconds for p in results.predictions])
    careful = np.median([p.careful_seconds for p in results.predictions])
    heads = ["search", "s, one thread here", "predictions", "paper, V100"]
    return (
        f"## Table 10: seconds\n\n{markdown_table(heads, lines)}\n"
        f"70 iterations from the start code alone, nothing else: {walks:.3f} s; with caution "
        f"{careful:.3f} s (median over settings). Fitting is in Table 6.\n"
    )


def _baselines(results: Results, setting: str) -> dict[Search, list[Row]]:
    """Searches of one setting that no other one bounds."""
    found = results.searches(Study.BASELINES)
    return {s: rows for s, rows in found.items() if s.settings == (setting,) and not s.within}


def _ahead(bounded: Sequence[Row], setting: str) -> list[str]:
    """Cells of NCP within a baseline's FLOPs: judged, and by how much and how often ahead."""
    ahead = [row.ahead for row in bounded if row.ahead is not None]
    if not ahead:
        return [NOTHING, NOTHING]
    won = sum(one > 0 for one in ahead)
    return [_judged(bounded, setting), f"{with_error(ahead)}, {won}/{len(ahead)}"]


def _printed(values: Sequence[float] | None, n: int) -> list[str]:
    """The paper's n cells of a row."""
    return [NOTHING] * n if values is None else [f"{value:.2f}" for value in values]


def _params(rows: Sequence[Row]) -> str:
    return f"{np.mean([row.params for row in rows]):.2f}"


def _counted(rows: Sequence[Row]) -> str:
    return f"{np.mean([row.counted for row in rows]):.2f}"


def _judged(rows: Sequence[Row], setting: str) -> str:
    return with_error([row.judged[setting] for row in rows])


def _predicted(rows: Sequence[Row], metric: str) -> str:
    return f"{np.mean([row.predicted[metric] for row in rows]):.2f}"


def _calls(rows: Sequence[Row]) -> str:
    return f"{np.median([row.calls for row in rows]):.0f}"


def _seconds(rows: Sequence[Row], form: str) -> str:
    return f"{np.median([row.seconds for row in rows]):{form}}"
