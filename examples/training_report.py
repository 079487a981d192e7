"""Report on a training study: table of best trials, answer, and figure and CSV of all trials."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from ncp_sampler.command_line.study_trials import (
    answer_trial,
    best_trials,
    checkpoint_path,
    code_of,
    complete_trials,
    proposed_trials,
    regrets_of,
)
from ncp_sampler.files import write_atomic
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.training.checkpoint import Checkpoint
from ncp_sampler.training.loop import evaluate
from ncp_sampler.training.problem import TrainingProblem


@dataclass(frozen=True, kw_only=True)
class Result:
    """A best trial after the study.

    Attributes:
        trial: Trial, with its validation metrics.
        test: Test metric of each problem, in percent.
    """

    trial: FrozenTrial
    test: tuple[float, ...]


def score_best(
    study: Study, problems: Sequence[TrainingProblem], out: Path, device: str, *, bf16: bool = False
) -> list[Result]:
    """Score the checkpoints of the best trials on the test samples, cheapest trial first."""
    results = []
    for trial in sorted(best_trials(study), key=lambda trial: trial.user_attrs["gflops"]):
        checkpoint = Checkpoint.load(checkpoint_path(out, trial.number))
        scores = [
            evaluate(checkpoint.network(p), p.test, task=p.task, device=device, bf16=bf16)
            for p in problems
        ]
        results.append(Result(trial=trial, test=tuple(scores)))
    return results


def make_table(results: Sequence[Result], problems: Sequence[TrainingProblem]) -> Table:
    """Return a table of the costs and metrics of the best trials.

    With several problems, each has a column for the multiply-adds of its network.
    """
    title = "Pareto-optimal trials, the cheapest first" if len(results) > 1 else "Best trial"
    table = Table(title=title, title_justify="left")
    for name in ("trial", "G multiply-adds", "M params"):
        table.add_column(name, justify="right")
    several = len(problems) > 1
    for problem in problems:
        if several:
            table.add_column(f"{problem.name}: G", justify="right")
        table.add_column(f"{problem.name}: {problem.task.metric} val. (%)", justify="right")
        table.add_column("test (%)", justify="right")
    for result in results:
        attrs = result.trial.user_attrs
        cells = [str(result.trial.number), f"{attrs['gflops']:.4f}", f"{attrs['params']:.3f}"]
        # without a limit, the last value is the cost
        for problem, val, test in zip(problems, result.trial.values, result.test, strict=False):
            own = [f"{problem.gflops(code_of(result.trial)):.4f}"] if several else []
            cells += [*own, f"{val:.2f}", f"{test:.2f}"]
        table.add_row(*cells)
    return table


def describe_answer(study: Study, problems: Sequence[TrainingProblem], out: Path) -> str:
    """Return the answer of a study with complete trials, and the path of its networks.

    With several problems, the answer is their best compromise, with its regrets.
    """
    answer, complete = answer_trial(study, len(problems)), complete_trials(study)
    name = f"trial {answer.number}, code {MRSpace().to_string(code_of(answer))}"
    if len(problems) > 1:
        regrets = regrets_of(complete, len(problems))
        row = [trial.number for trial in complete].index(answer.number)
        shares = zip(problems, regrets[row], strict=True)
        parts = ", ".join(f"{problem.name} {regret:.0%}" for problem, regret in shares)
        scale = "0% at the best, 100% at the median of the first ten trials"
        text = f"Best compromise: {name}\nRegret ({scale}): {parts}"
    else:
        text = f"Highest validation {problems[0].task.metric}: {name}"
    return f"{text}\nNetworks: {checkpoint_path(out, answer.number)}"


def write_csv(study: Study, problems: Sequence[TrainingProblem], path: Path) -> None:
    """Write every proposed trial; missing validation metrics are empty.

    With several problems, each has a column for the multiply-adds of its network.
    """
    several = len(problems) > 1
    own = [f"{problem.name} gflops" for problem in problems] if several else []
    names = [f"{problem.name} {problem.task.metric}" for problem in problems]
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "state", "epochs", "gflops", *own, *names, "seconds", "code"])
    for trial in proposed_trials(study):
        values = trial.values if trial.state == TrialState.COMPLETE else None
        metrics = [f"{v:.4f}" for v in values[: len(problems)]] if values else [""] * len(names)
        counts = [problem.gflops(code_of(trial)) for problem in problems] if several else []
        cost = [f"{count:.6f}" for count in (trial.user_attrs["gflops"], *counts)]
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        epochs = trial.user_attrs.get("epochs", 0)
        code = MRSpace().to_string(code_of(trial))
        state = trial.state.name.lower()
        rows.writerow([trial.number, state, epochs, *cost, *metrics, f"{seconds:.2f}", code])
    write_atomic(path, text.getvalue().encode())


def write_figure(
    study: Study, results: Sequence[Result], problems: Sequence[TrainingProblem], path: Path
) -> None:
    """Draw each problem's metric over the cost: all complete trials, the best, and the answer."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    from ncp_sampler.visualization.saving import save_figure
    from ncp_sampler.visualization.style import BLACK, BLUE, RED

    figure = Figure(figsize=(6.4 * len(problems), 4.6), layout="constrained")
    complete = complete_trials(study)
    best = {result.trial.number for result in results}
    cost = np.array([trial.user_attrs["gflops"] for trial in complete])
    on_front = np.array([trial.number in best for trial in complete], dtype=bool)
    front = "Pareto-optimal" if len(best) > 1 else "best"
    answer = answer_trial(study, len(problems))
    for i, problem in enumerate(problems):
        axes = figure.add_subplot(1, len(problems), i + 1)
        value = np.array([trial.values[i] for trial in complete])
        axes.scatter(cost[~on_front], value[~on_front], s=28, color=BLUE, label="other trials")
        order = np.argsort(cost[on_front])
        x, y = cost[on_front][order], value[on_front][order]
        if len(problems) == 1:
            axes.step(x, y, where="post", color=RED, lw=1)
        else:
            at = (answer.user_attrs["gflops"], answer.values[i])
            label = "best compromise"
            axes.scatter(*at, s=220, facecolors="none", edgecolors=BLACK, label=label)
        axes.scatter(x, y, s=48, color=RED, marker="D", label=f"{front}, validation")
        test = [result.test[i] for result in results]
        axes.scatter(x, test, s=60, color=BLACK, marker="x", lw=1.2, label=f"{front}, test")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("Multiply-adds (G)")
        axes.set_ylabel(f"{problem.task.metric} (%)")
        axes.set_title(f"{problem.name}: {len(complete)} trained codes")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
    save_figure(figure, path, dpi=150)
