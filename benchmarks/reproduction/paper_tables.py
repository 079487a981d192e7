"""Sections of the report on the paper's Tables 2 to 10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.reproduction import published
from benchmarks.reproduction.cells import (
    METHODS,
    NOT_QUICK,
    NOTHING,
    TASK_LABELS,
    calls,
    joint_label,
    mean,
    prediction,
    printed,
    score,
    seconds,
    settings_label,
    without_detection,
)
from benchmarks.reproduction.results import BASIC, Method, Results, Study
from benchmarks.reproduction.studies import PRETRAINING, RESOLUTIONS, SUBSETS
from ncp_sampler.defaults import BETA
from ncp_sampler.formatting import markdown_table, with_error
from ncp_sampler.multi_resolution.blueprint import (
    MAX_DEPTH,
    MAX_WIDTH,
    NAMES,
    OUTPUT,
    STAGES,
    STEM,
    WIDTH_STEP,
)

_TIMED = (
    Method.NEURAL_PREDICTOR,
    Method.NET_ADAPT,
    Method.ONE_START,
    Method.NCP,
    Method.PUBLISHED,
)


@dataclass(frozen=True)
class _RelatedSettings:
    """Table of the paper about related settings, searched alone and together.

    Attributes:
        number: Number of the table.
        study: Group of its searches.
        title: Title, which says how the settings differ.
        settings: Settings that are scored, a column each.
        size: Input size for which FLOPs are counted.
        printed: Settings searched for -> the paper's row.
    """

    number: int
    study: Study
    title: str
    settings: tuple[str, ...]
    size: str
    printed: Mapping[tuple[str, ...], Sequence[float]]


_RELATED = (
    _RelatedSettings(
        5, Study.SUBSETS, "three subsets of ImageNet, λ = 0.7", SUBSETS, "224", published.SUBSETS
    ),
    _RelatedSettings(
        8, Study.RESOLUTIONS, "two resolutions", RESOLUTIONS, "512x1024", published.RESOLUTIONS
    ),
    _RelatedSettings(
        9,
        Study.PRETRAINING,
        "with and without pretraining",
        PRETRAINING,
        "112",
        published.PRETRAINING,
    ),
)


def segmentation_section(results: Results) -> str:
    """Return Table 2: trade-offs of NCP, the paper's baselines, and evolution."""
    groups = {}
    for search, group in results.of(Study.LAMBDAS).items():
        kind = " continuous" if search.method is Method.NCP else ""
        groups[f"{METHODS[search.method]}{kind}, λ = {search.weight}"] = search, group
    for search, group in results.of(Study.BASELINES, "seg").items():
        in_paper = (search.method, search.weight) in published.SEGMENTATION
        if search.within is None and (in_paper or search.method is Method.EVOLUTION):
            groups[METHODS[search.method]] = search, group
    lines = [
        [
            label,
            mean(group, "params"),
            mean(group, "multiply_adds"),
            score(group, "seg"),
            prediction(group, "mIoU"),
            *printed(published.SEGMENTATION.get((search.method, search.weight)), 3),
        ]
        for label, (search, group) in groups.items()
    ]
    header = ["search", "params", "FLOPs, 512x1024", "score, mIoU", "its own prediction"]
    header += ["params, paper", "FLOPs, paper", "mIoU trained, paper"]
    return (
        "## Table 2: segmentation\n\nNCP maximizes a lower confidence bound here (mean minus "
        f"{BETA:g} standard deviations) and uses exact FLOPs; its winner takes all compares the "
        "gradients of standardized codes. The published search edits the start code through the "
        "published predictor, with FLOPs modeled by it, and answers with the last code. Its "
        "settings are those of the published configurations: targets 0.1 standard deviations "
        "beyond the predictions, no dropout in the head of FLOPs and params, and the epoch that is "
        "best on a fifth of the training rows. The paper's text has steps of 1 standard deviation, "
        "the second row. Baselines: "
        f"λ = 0.5.\n\n{markdown_table(header, lines)}\n"
    )


def joint_section(results: Results) -> str:
    """Return Table 3: one task or several."""
    lines = []
    for search, group in results.of(Study.JOINT).items():
        values = None if search.within else published.JOINT.get(search.settings)
        line = [joint_label(search), mean(group, "params"), mean(group, "multiply_adds")]
        lines.append([*line, *(score(group, setting) for setting in results.basic)])
        lines[-1] += _printed_of(values, results.basic)
    labels = [TASK_LABELS[setting] for setting in results.basic]
    header = ["searched for", "params", "FLOPs", *(f"score, {label}" for label in labels)]
    header += [f"{name}, paper" for name in ("params", "FLOPs", *labels)]
    return (
        "## Table 3: one task or several\n\nλ = 0.5 for each task; FLOPs of the segmentation "
        "network at 128x128. A pair is searched a second time, with FLOPs bounded by those of the "
        "larger of its single searches. The paper's columns are trained networks. "
        f"{without_detection(results)}ADE20K needs training.\n\n"
        f"{markdown_table(header, lines)}\n"
    )


def _printed_of(values: Sequence[float] | None, settings: Sequence[str]) -> list[str]:
    """Format the paper's params, FLOPs and the metrics of some of the basic settings."""
    if values is None:
        return printed(None, 2 + len(settings))
    params, flops, *metrics = values
    return printed([params, flops, *(metrics[BASIC.index(s)] for s in settings)], 0)


def transfer_section(results: Results) -> str:
    """Return Table 4: another task's optimum as the start."""
    groups = {(s.source, *s.settings): group for s, group in results.of(Study.TRANSFER).items()}
    lines = []
    for (source, target), values in published.TRANSFER.items():
        group = groups.get((source, target), [])
        if not group:  # of 3dDet, without its table
            continue
        before = [r.start_score for r in group if r.start_score is not None]
        line = [f"{TASK_LABELS[source]} to {TASK_LABELS[target]}", with_error(before)]
        line += [score(group, target), mean(group, "multiply_adds")]
        lines.append([*line, *printed(values, 3)])
    header = ["from, to", "score before", "score after", "FLOPs after"]
    header += ["before, paper", "after, paper", "FLOPs, paper"]
    return (
        "## Table 4: transfer\n\nAnother task's optimum is the only start of the search. Before: "
        f"that architecture, unedited, on the new task.\n\n{markdown_table(header, lines)}\n"
    )


def related_settings_section(results: Results) -> str:
    """Return Tables 5, 8 and 9: related settings, alone and together."""
    text = ""
    for table in _RELATED:
        groups = {search.settings: group for search, group in results.of(table.study).items()}
        lines = []
        for settings, values in table.printed.items():
            cells = [NOT_QUICK] * (2 + len(table.settings))
            if group := groups.get(settings):
                cells = [mean(group, "params"), mean(group, "multiply_adds")]
                cells += [score(group, setting) for setting in table.settings]
            label = settings_label(table.study, settings)
            lines.append([label, *cells, *printed(values, len(values))])
        header = ["searched for", "params", f"FLOPs, {table.size}"]
        header += [f"score, {setting}" for setting in table.settings]
        header += ["params, paper", "FLOPs, paper", *(f"{s}, paper" for s in table.settings)]
        text += f"## Table {table.number}: {table.title}\n\n{markdown_table(header, lines)}\n"
    return text + (
        "FLOPs of Table 9 are those of one frame by the network without its 3D convolution, which "
        "is what the paper's params count.\n"
    )


def prediction_section(results: Results) -> str:
    """Return Table 6: errors of this package's predictor and of the published recipe's."""
    lines = []
    for p in results.predictions:
        line = [p.setting, f"{p.mean:.2f}", f"{p.std:.2f}", f"{p.l1:.3f} ± {p.l1_error:.3f}"]
        line += [f"{p.l1_published:.3f}", f"{published.PREDICTION_L1[p.setting]:.2f}"]
        line += [f"{p.spearman:.3f}", f"{p.covered:.1%}", f"{p.noise:.2f}", f"{p.fit_seconds:.0f}"]
        lines.append(line)
    shown = {p.setting for p in results.predictions}
    for setting, value in published.PREDICTION_L1.items():
        if setting not in shown:
            why = NOT_QUICK if setting in results.settings else "no table given"
            lines.append([setting, *[NOTHING] * 4, f"{value:.2f}", *[NOTHING] * 3, why])
    header = ["setting", "mean", "std", "L1, ours", "L1, published recipe, same rows"]
    header += ["L1, paper", "Spearman, ours", "covered", "noise", "s to fit"]
    first = results.predictions[0]
    return (
        "## Table 6: predictor error\n\n"
        f"L1 in percent of the main metric on {first.n_held_out} held-out rows, drawn with seed 0 "
        f"and used for nothing else; {first.n_rows} training rows (the paper: 2,000, and the epoch "
        "that was best on the validation rows themselves). Covered: fraction of the held-out rows "
        "in our 95 % interval, of uncertainty and noise together; noise: our estimate of the "
        f"standard deviation of a training.\n\n{markdown_table(header, lines)}\n"
    )


def code_section() -> str:
    """Return Table 7: the 27 integers of a code."""
    lines = [
        ["input layers", NOTHING, NOTHING, " ".join(name for _, name in STEM)],
        *([f"stage {s.number}", s.blocks, " ".join(s.units), " ".join(s.widths)] for s in STAGES),
        ["output layer", NOTHING, NOTHING, OUTPUT],
    ]
    return (
        "## Table 7: the code\n\n"
        f"{len(NAMES)} integers, by their names here: blocks and units 1 to {MAX_DEPTH}, channels "
        f"{WIDTH_STEP} to {MAX_WIDTH} by {WIDTH_STEP}. The number after an underscore is that of a "
        "stage's branch.\n\n"
        f"{markdown_table(['component', 'blocks', 'residual units', 'channels'], lines)}\n"
    )


def seconds_section(results: Results) -> str:
    """Return Table 10: durations of searches."""
    searches = results.of(Study.BASELINES, "cls-50-1000")
    groups = {s.method: group for s, group in searches.items() if s.within is None}
    lines = [
        [
            METHODS[method],
            seconds(groups[method], ".2f"),
            calls(groups[method]),
            published.SEARCH_TIME.get(method, NOTHING),
        ]
        for method in _TIMED
    ]
    on_mean = np.median([p.mean_seconds for p in results.predictions])
    on_bound = np.median([p.bound_seconds for p in results.predictions])
    header = ["search", "s, one thread here", "predictions", "paper, V100"]
    return (
        f"## Table 10: seconds\n\n{markdown_table(header, lines)}\n"
        f"70 iterations from the start code alone, nothing else: {on_mean:.3f} s on the mean, "
        f"{on_bound:.3f} s on a lower confidence bound (median over settings). Table 6 has the "
        "seconds of fitting.\n"
    )
