"""Claims on single searches: transfer, other methods, budgets and time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from benchmarks.reproduction import published
from benchmarks.reproduction.cells import METHODS
from benchmarks.reproduction.claim import (
    HELD,
    NOT_HELD,
    NOT_RUN,
    PARTLY,
    Claim,
    Values,
    difference,
    scores,
    verdict,
)
from benchmarks.reproduction.results import BASIC, Method, Results, SearchResult, Study
from ncp_sampler.formatting import with_error

_SECONDS = 60.0  # longest duration that still counts as seconds
_LAMBDAS = (0.7, 0.3, 0.1)
_PEERS = (Method.NET_ADAPT, Method.RANDOM_SEARCH, Method.NEURAL_PREDICTOR)


def transfer_claims(results: Results) -> list[Claim]:
    """Return the claims of section 4.4; "from scratch" is NCP from the start code alone."""
    over_scratch, over_source, targets = [], [], []
    for search, group in results.of(Study.TRANSFER).items():
        (target,) = search.settings
        after = scores(group, target)
        scratch = _baselines(results, target)[Method.ONE_START]
        over_scratch.append(difference(after, scores(scratch, target)))
        over_source.append(difference(after, [r.start_score or np.nan for r in group]))
        targets.append(target)
    printed = [
        (after - published.JOINT[target,][2 + BASIC.index(target)], after - before)
        for (source, target), (before, after, _) in published.TRANSFER.items()
        if {source, target} <= set(results.basic)
    ]
    paper_scratch, paper_source = ([row[i] for row in printed] for i in range(2))
    noise = {p.setting: p.noise for p in results.predictions}
    means = [abs(float(np.mean(values))) for values in over_scratch]
    close = [mean < noise[target] for mean, target in zip(means, targets, strict=True)]
    return [
        Claim(
            "A search from another task's optimum is always better than one from scratch (4.4)",
            _span(paper_scratch),
            _span([float(np.mean(values)) for values in over_scratch]),
            verdict(over_scratch),
        ),
        Claim(
            "It is always better than the other task's optimum, unedited (4.4)",
            _span(paper_source),
            _span([float(np.mean(values)) for values in over_source]),
            verdict(over_source),
        ),
        Claim(
            "The search is not sensitive to the initial code (4.4): ends differ by less than two "
            "trainings of one network do",
            f"at most {max(map(abs, paper_scratch)):.2f} apart",
            f"at most {max(means):.2f} apart",
            HELD if all(close) else PARTLY if any(close) else NOT_HELD,
        ),
    ]


def method_claims(results: Results) -> list[Claim]:
    """Return the claims of section 4.2 on other methods, and on the published search itself."""
    claims = []
    for peer in _PEERS:
        leads: list[Values] = []
        for setting in results.basic:
            for search, group in results.of(Study.BASELINES, setting).items():
                if search.within is peer:
                    leads.append([result.lead or 0.0 for result in group])
        theirs = published.SEGMENTATION[Method.NCP, 0.3][2]
        rival = published.SEGMENTATION[peer, 0.5][2]
        text = f"NCP is better than {METHODS[peer]} (4.2, Table 2): within the same FLOPs"
        ours = _leads(results.basic, leads)
        claims.append(Claim(text, f"seg {theirs - rival:+.2f}", ours, verdict(leads)))
    by_setting = {name: _baselines(results, name) for name in results.basic}
    published_leads = [
        difference(scores(of[Method.PUBLISHED], name), scores(of[Method.NET_ADAPT], name))
        for name, of in by_setting.items()
    ]
    text = "The same of the published search, with its own predictor and settings, and NetAdapt"
    ours = _leads(results.basic, published_leads)
    claims.append(Claim(text, "as above", ours, verdict(published_leads)))
    lambdas = _lambdas(results)
    continuous, winner = (
        [scores(lambdas[m, 0.3], "seg") for m in (Method.NCP, Method.WINNER_TAKES_ALL)]
        if lambdas
        else ([], [])
    )
    gain = [difference(continuous, winner)] if lambdas else []
    text = "Continuous propagation is better than winner takes all (4.2, Table 2), λ = 0.3"
    ours = f"seg {with_error(gain[0], '+.2f')}" if gain else NOT_RUN
    return [*claims, Claim(text, "seg +0.45", ours, verdict(gain))]


def budget_claim(results: Results) -> Claim:
    """Return the claim that lambda sets the budget."""
    lambdas = _lambdas(results)
    text = "A smaller λ gives a larger and better network (4.2, Table 2): λ = 0.7, 0.3, 0.1"
    paper = [published.SEGMENTATION[Method.NCP, weight] for weight in _LAMBDAS]
    groups = [lambdas[Method.NCP, weight] for weight in _LAMBDAS if lambdas]
    flops = [[r.multiply_adds for r in group] for group in groups]
    metric = [scores(group, "seg") for group in groups]
    steps = [
        difference(after, before)
        for column in (flops, metric)
        for before, after in itertools.pairwise(column)
    ]
    ours = [(float(np.mean(f)), float(np.mean(m))) for f, m in zip(flops, metric, strict=True)]
    cells = [
        ", ".join(f"{f:.0f} G {m:.2f} %" for f, m in rows)
        for rows in ([(row[1], row[2]) for row in paper], ours)
    ]
    return Claim(text, cells[0], cells[1] or NOT_RUN, verdict(steps))


def time_claim(results: Results) -> Claim:
    """Return the claim of Table 10."""
    groups = [_baselines(results, name)[Method.NCP] for name in results.basic]
    taken = [result.seconds for group in groups for result in group]
    single = [p.mean_seconds for p in results.predictions]
    ours = (
        f"{np.median(taken):.1f} s (longest {max(taken):.1f}), one thread; 70 iterations of one "
        f"code {np.median(single):.2f} s"
    )
    text = "A search takes seconds (Table 10)"
    return Claim(text, "10 s, V100", ours, HELD if max(taken) < _SECONDS else NOT_HELD)


def _baselines(results: Results, setting: str) -> dict[Method, list[SearchResult]]:
    searches = results.of(Study.BASELINES, setting)
    return {s.method: group for s, group in searches.items() if s.within is None}


def _lambdas(results: Results) -> dict[tuple[Method, float], list[SearchResult]]:
    return {(s.method, s.weight): group for s, group in results.of(Study.LAMBDAS).items()}


def _leads(settings: Sequence[str], leads: Sequence[Values]) -> str:
    return ", ".join(
        f"{setting} {with_error(lead, '+.2f')}"
        for setting, lead in zip(settings, leads, strict=True)
    )


def _span(differences: Sequence[float]) -> str:
    above = sum(value > 0 for value in differences)
    low, high = min(differences), max(differences)
    return f"{low:+.2f} to {high:+.2f}; above 0 in {above} of {len(differences)}"
