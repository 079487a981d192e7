"""Sections of the report on NCP and its baselines within the same FLOPs; no tables of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.reproduction.cells import METHODS, NOTHING, calls, prediction, score, seconds
from benchmarks.reproduction.results import Method, Results, SearchResult, Study
from benchmarks.reproduction.studies import BETAS, GFLOPS
from ncp_sampler.formatting import markdown_table, with_error
from ncp_sampler.nas_bench.settings import find_setting

_BASELINE_HEADER = ["search", "score", "FLOPs (tables', G)", "predicted", "predictions", "s"]
_BASELINE_HEADER += ["NCP within these FLOPs", "lead, wins"]
_BOUNDED_HEADER = ["search", "objective minus NCP's", "score", "first evaluator"]
_BOUNDED_HEADER += ["second evaluator", "NCP's lead", "wins", "s"]


def baselines_section(results: Results) -> str:
    """Return the section that compares each baseline with NCP within that baseline's FLOPs."""
    text = "## Against the baselines, at equal or fewer FLOPs\n\n"
    text += (
        "λ = 0.5. Baselines maximize the mean of the same predictor. Lead: score of NCP on the "
        "mean, with each baseline's FLOPs as its bound, minus the baseline's score; wins: number "
        "of splits with a positive lead.\n\n"
    )
    for setting in results.basic:
        searches = results.of(Study.BASELINES, setting)
        within = {search.within: group for search, group in searches.items()}
        lines = []
        for search, group in searches.items():
            if search.within is None:
                line = [METHODS[search.method], score(group, setting)]
                line += [with_error([result.flops for result in group])]
                line += [prediction(group, find_setting(setting).main), calls(group)]
                line += [seconds(group, ".1f"), *_lead(within.get(search.method, []), setting)]
                lines.append(line)
        text += f"### {setting}\n\n{markdown_table(_BASELINE_HEADER, lines)}\n"
    return text


def bounded_section(results: Results) -> str:
    """Return the section on all methods with the same objective and bound."""
    text = f"## At most {GFLOPS:g} G: every search with the same objective\n\n" + (
        "All maximize the lower confidence bound of the same predictor, mean minus β standard "
        "deviations; objectives are in standard deviations of the metric. The score is that of "
        "models of all held-out rows. The first and the second evaluator are fitted on disjoint "
        "halves of these rows, and NCP's lead is by their mean. Hill climbing moves by single "
        "steps from random codes: the best of as many starts as end within NCP's seconds (at least "
        "one, at most 20). Propagation alone leaves out the hill climbing that ends NCP.\n\n"
    )
    for setting in results.basic:
        searches = results.of(Study.BOUNDED, setting)
        for beta in BETAS:
            groups = {s.method: group for s, group in searches.items() if s.beta == beta}
            lines = [
                _bounded_line(method, group, groups[Method.NCP], setting)
                for method, group in groups.items()
            ]
            text += f"### {setting}, at most {GFLOPS:g} G, β = {beta:g}\n\n"
            text += f"{markdown_table(_BOUNDED_HEADER, lines)}\n"
    return text


def _lead(within: Sequence[SearchResult], setting: str) -> list[str]:
    """Return the cells of NCP within a baseline's FLOPs: its score, and its lead and wins."""
    leads = [result.lead for result in within if result.lead is not None]
    if not leads:
        return [NOTHING, NOTHING]
    wins = sum(lead > 0 for lead in leads)
    return [score(within, setting), f"{with_error(leads)}, {wins}/{len(leads)}"]


def _bounded_line(
    method: Method, group: Sequence[SearchResult], ncp: Sequence[SearchResult], setting: str
) -> list[str]:
    """Return the row of a method; both groups are in the order of the splits."""
    scores, ncp_scores = (np.array([r.disjoint_scores for r in rows]) for rows in (group, ncp))
    leads = (ncp_scores - scores).mean(1)
    gap = [result.utility - best.utility for result, best in zip(group, ncp, strict=True)]
    is_ncp = method is Method.NCP
    return [
        METHODS[method],
        NOTHING if is_ncp else with_error(gap),
        score(group, setting),
        *(with_error(column) for column in scores.T),
        NOTHING if is_ncp else with_error(leads),
        NOTHING if is_ncp else f"{sum(leads > 0)}/{len(leads)}",
        seconds(group, ".1f"),
    ]
