"""Claims on searches of several tasks or settings together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.reproduction import published
from benchmarks.reproduction.cells import TASK_LABELS, settings_label
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
from benchmarks.reproduction.joint_gain import TRUE_VALUES, GainTest, PairGain, gain_test
from benchmarks.reproduction.results import BASIC, Results, Study
from benchmarks.reproduction.studies import BETAS, GFLOPS, PRETRAINING, RESOLUTIONS, SUBSETS
from ncp_sampler.formatting import with_error

_GRAPH = "`python -m benchmarks.reproduction.graph_pairs`"
_P = 0.05  # significance level of the Mantel test
_CLS, _SEG, _VIDEO = "cls-50-1000", "seg", "video"
_PRINTED = {
    Study.SUBSETS: published.SUBSETS,
    Study.RESOLUTIONS: published.RESOLUTIONS,
    Study.PRETRAINING: published.PRETRAINING,
}


def pair_claims(results: Results) -> list[Claim]:
    """Return the claims of section 4.3 on pairs of tasks."""
    claims = []
    for first, second, fewer in ((_CLS, _SEG, True), (_CLS, _VIDEO, False)):
        names = f"{TASK_LABELS[first]} + {TASK_LABELS[second]}"
        text = f"A joint search of {names} improves both tasks"
        text += " with fewer FLOPs than the larger single one" if fewer else ""
        ours, gains, saved = _pair(results, first, second)
        held = verdict(gains)
        if fewer and held == HELD:  # fewer FLOPs alone would be no gain
            held = verdict([*gains, saved])
        claims.append(Claim(f"{text} (4.3, Table 3)", _printed_pair(first, second), ours, held))
    ours, gains, _ = _pair(results, _SEG, _VIDEO)
    text = "A joint search of Seg + Video, which do not correlate, hinders both (4.3, Table 3)"
    losses = [difference(np.zeros(len(gain)).tolist(), gain) for gain in gains]
    claims.append(Claim(text, _printed_pair(_SEG, _VIDEO), ours, verdict(losses)))
    return claims


def related_claims(results: Results) -> list[Claim]:
    """Return the claims that one code is good on several settings of a task."""
    return [
        _one_code(results, Study.SUBSETS, SUBSETS, "three subsets of ImageNet (4.5, Table 5)"),
        _one_code(results, Study.RESOLUTIONS, RESOLUTIONS, "two resolutions (B, Table 8)"),
        _one_code(results, Study.PRETRAINING, PRETRAINING, "both trainings of Video (B, Table 9)"),
    ]


def correlation_claims(results: Results, graph: Sequence[PairGain]) -> list[Claim]:
    """Return the claim of appendix A.2, for pairs of settings and of NAS-Bench-Graph's tasks."""
    text = "The higher two tasks' correlation, the greater the gain of their joint search (A.2)"
    claims = []
    for beta in (None, BETAS[0]):
        gains, paper = pair_gains(results, beta), "no figure"
        what = f"{text}: all pairs of settings, {_searched(beta)}"
        if not gains:
            claims.append(Claim(what, paper, NOT_RUN, NOT_RUN))
            continue
        test = gain_test(gains)
        claims.append(Claim(what, paper, _figures(test, "σ"), _of_test([test])))
    tests = {
        search: gain_test(gain for gain in graph if gain.search == search)
        for search in dict.fromkeys(gain.search for gain in graph)
    }
    ours = "; ".join(f"{name}: {_figures(test, 'points of rank')}" for name, test in tests.items())
    held = _of_test([test for name, test in tests.items() if name != TRUE_VALUES])
    what = "The same: all pairs of NAS-Bench-Graph's tasks, looked up"
    claims.append(Claim(what, "not in the paper", ours or NOT_RUN, held, _GRAPH))
    return claims


def pair_gains(results: Results, beta: float | None) -> list[PairGain]:
    """Return the gains of all pairs of settings, in standard deviations of their metrics.

    Args:
        results: Results of a run; a quick one has none.
        beta: Confidence coefficient of the searches with a bound; None for those with lambda.
    """
    groups = {s.settings: g for s, g in results.of(Study.PAIRS).items() if s.beta == beta}
    spread = {p.setting: p.std for p in results.predictions}
    gains = []
    for settings, group in groups.items():
        if len(settings) == 1:
            continue
        first, second = settings
        of_first, of_second = (
            np.divide(difference(scores(group, s), scores(groups[s,], s)), spread[s])
            for s in settings
        )
        correlation = results.correlation(first, second)
        for result, a, b in zip(group, of_first, of_second, strict=True):
            pair = first, second, result.split, correlation, float(a), float(b)
            gains.append(PairGain(_searched(beta), *pair))
    return gains


def _searched(beta: float | None) -> str:
    return "λ = 0.5" if beta is None else f"at most {GFLOPS:g} G"


def _pair(results: Results, first: str, second: str) -> tuple[str, list[Values], Values]:
    """Return the figures of a pair and its single searches, the gains, and the FLOPs saved."""
    joint = {s.settings: g for s, g in results.of(Study.JOINT).items() if s.within is None}
    pair = joint[first, second]
    cells, gains = [], []
    for setting in (first, second):
        both, alone = scores(pair, setting), scores(joint[setting,], setting)
        gains.append(difference(both, alone))
        cells.append(_beside(TASK_LABELS[setting], float(np.mean(both)), float(np.mean(alone))))
        cells[-1] += f" ({with_error(gains[-1], '+.2f')})"
    flops = [r.multiply_adds for r in pair]
    single = [[r.multiply_adds for r in joint[s,]] for s in (first, second)]
    larger = [max(pair) for pair in zip(*single, strict=True)]
    cells.append(f"{np.mean(flops):.2f} G, larger alone {np.mean(larger):.2f} G")
    return "; ".join(cells), gains, difference(larger, flops)


def _printed_pair(first: str, second: str) -> str:
    """Return the figures of Table 3 for a pair and its single searches."""
    pair, singles = published.JOINT[first, second], [published.JOINT[s,] for s in (first, second)]
    cells = []
    for setting, alone in zip((first, second), singles, strict=True):
        at = 2 + BASIC.index(setting)
        cells.append(_beside(TASK_LABELS[setting], pair[at], alone[at]))
        cells[-1] += f" ({pair[at] - alone[at]:+.2f})"
    return "; ".join([*cells, f"{pair[1]} G, larger alone {max(s[1] for s in singles)} G"])


def _beside(label: str, both: float, alone: float) -> str:
    return f"{label} {both:.2f}, alone {alone:.2f}"


def _one_code(results: Results, study: Study, settings: tuple[str, ...], what: str) -> Claim:
    """Return the claim that a joint search is as good as each single one, or better."""
    text = f"One code searched for {what} is better on each than the code searched for it alone"
    printed = _PRINTED[study]
    paper = [printed[settings][2 + i] - printed[s,][2 + i] for i, s in enumerate(settings)]
    labels = [settings_label(study, (setting,)) for setting in settings]
    groups = {search.settings: group for search, group in results.of(study).items()}
    gains = [
        difference(scores(groups[settings], s), scores(groups[s,], s)) for s in settings if groups
    ]
    ours = ", ".join(
        f"{label} {with_error(gain, '+.2f')}" for label, gain in zip(labels, gains, strict=False)
    )
    theirs = ", ".join(f"{label} {gain:+.2f}" for label, gain in zip(labels, paper, strict=True))
    return Claim(text, theirs, ours or NOT_RUN, verdict(gains))


def _figures(test: GainTest, unit: str) -> str:
    error = "" if np.isnan(test.error) else f" ± {test.error:.2f}"
    return (
        f"rho {test.rho:.2f}, p {test.p:.3f}; mean gain {test.mean:+.2f}{error} {unit}; both tasks "
        f"gain in {test.both} of {test.n_pairs} pairs and lose in {test.neither}"
    )


def _of_test(tests: Sequence[GainTest]) -> str:
    """Return the verdict: correlation must predict gains, and there must be gains on average."""
    if not tests:
        return NOT_RUN
    if not all(test.rho > 0 and test.p < _P for test in tests):
        return NOT_HELD if not any(test.rho > 0 and test.p < _P for test in tests) else PARTLY
    return HELD if all(test.mean > 0 for test in tests) else PARTLY
