"""Search for networks for handwritten digits with Ray Tune, on a laptop or on a cluster.

Each trial trains the network of a code on scikit-learn's digits, and reports its accuracy and a
checkpoint after every epoch. ASHA stops trials that are worse than others. Without ``--address``,
Ray is started on this machine; with it, the trials run wherever the cluster has free resources.
``--resume`` continues an interrupted run from its last checkpoints, and runs failed trials again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the progress bar below shows enough
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

import ray
import torch
from ray import tune
from ray.tune.logger import TBXLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ncp_sampler import MRSpace, NCPSearch
from ncp_sampler.command_line.options import check_at_least_one, check_folder, make_parser
from ncp_sampler.integrations.ray import ReasonsCallback
from ncp_sampler.multi_resolution import costs
from ncp_sampler.training import (
    PRESETS,
    Digits,
    TrainingProblem,
    evaluate,
    make_problem,
    train,
)
from ncp_sampler.training import Progress as TrainingProgress
from ncp_sampler.visualization.style import BLUE, RED

NAME = "digits"  # name of the run's folder
METRIC = "top1"
STARTUP = 6  # number of trials before the predictor is used
GRACE = 2  # number of epochs before ASHA may stop a trial
SHOWN = 5  # number of rows of the table
_PROGRESS = "progress.pt"  # file with a trial's progress, in its checkpoint
STORE = 200 * 2**20  # bytes of shared memory on this machine; the trials share no data


@dataclass(frozen=True)
class Row:
    """Results of a trial in its best epoch."""

    trial_id: str
    config: dict[str, Any]
    checkpoint: tune.Checkpoint
    top1: float
    gflops: float
    params: float
    epochs: int
    node: str


def make_digits(config: dict[str, Any]) -> TrainingProblem:
    """Return the problem; constants of the config set the amount of data and training."""
    preset, limit = PRESETS["digits-cls"], config["limit"]
    train_set = Digits("train", limit=limit, transform=preset.recipe.augmentation)
    val, test = Digits("val", limit=limit), Digits("test", limit=limit)
    problem = make_problem("digits", preset, train=train_set, val=val, test=test, in_channels=1)
    return replace(problem, recipe=replace(problem.recipe, epochs=config["epochs"]))


def train_digits(config: dict[str, Any]) -> None:
    """Run a trial; Ray may stop it at any report, and restart it from its last checkpoint."""
    torch.set_num_threads(config["threads"])
    problem, code = make_digits(config), MRSpace().from_config(config)
    before = None
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            before = TrainingProgress.load(Path(folder) / _PROGRESS)
    size = float(costs.params(code, num_classes=10, in_channels=1)[0])

    def report(progress: TrainingProgress) -> None:
        epoch = progress.epochs[-1]
        metrics = {METRIC: epoch.metric, "loss": epoch.loss, "epoch": epoch.number}
        cost = {"gflops": problem.gflops(code), "params": size}
        with tempfile.TemporaryDirectory() as folder:
            progress.save(Path(folder) / _PROGRESS)
            tune.report({**metrics, **cost}, checkpoint=tune.Checkpoint.from_directory(folder))

    train(
        problem.build(code),
        problem.train,
        problem.val,
        task=problem.task,
        recipe=problem.recipe,
        device=config["device"],
        progress=before,
        on_progress=report,
    )


class Bar(tune.Callback):
    """Progress bar of the trials, with the best accuracy so far."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_progress": None}  # Ray pickles the callback with the run

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        self._best = 0.0
        self._progress = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total_num_samples)
        self._progress.start()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._best = max(self._best, result[METRIC])
        self._show(trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show(trials, ending=trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _show(self, trials: list[Any], ending: Any = None) -> None:
        assert self._progress is not None
        done = sum(trial.is_finished() or trial is ending for trial in trials)
        text = f"best {METRIC} {self._best:.2f} %"
        self._progress.update(self._task, completed=done, description=text)


def make_tuner(options: argparse.Namespace) -> tune.Tuner:
    """Return a new run, or restore the one in the storage folder."""
    trainable = tune.with_resources(train_digits, {"cpu": options.cpus, "gpu": options.gpus})
    if options.resume:
        return tune.Tuner.restore(f"{options.storage}/{NAME}", trainable, restart_errored=True)
    search = NCPSearch(
        space=MRSpace(width=options.width, depth=options.depth),
        seed=options.seed,
        n_startup_trials=min(STARTUP, options.trials),
    )
    callbacks: list[tune.Callback] = [Bar()]
    if options.tensorboard:  # predictions of a trial, beside its reports
        callbacks += [ReasonsCallback(search), TBXLoggerCallback()]
    return tune.Tuner(
        trainable,
        # constants of every trial; the searcher has the space
        param_space={
            "epochs": options.epochs,
            "limit": options.limit,
            "device": "cuda" if options.gpus else "cpu",
            "threads": max(1, int(options.cpus)),
            "trials": options.trials,
        },
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=ASHAScheduler(
                max_t=options.epochs, grace_period=min(GRACE, options.epochs), reduction_factor=3
            ),
            metric=METRIC,
            mode="max",
            num_samples=options.trials,
            max_concurrent_trials=options.concurrent,
            reuse_actors=True,
            trial_dirname_creator=_folder_of,  # a name from 27 parameters would be too long
        ),
        run_config=tune.RunConfig(
            name=NAME,
            storage_path=options.storage,
            verbose=0,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=5),  # a lost node
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=1, checkpoint_score_attribute=METRIC
            ),
        ),
    )


def rows_of(results: Sequence[tune.Result]) -> list[Row]:
    """Return the trials that have reported a result, most accurate first."""
    rows = []
    for result in results:
        kept, metrics = result.best_checkpoints, result.metrics
        if not kept or metrics is None or result.config is None:
            continue
        checkpoint, best = max(kept, key=lambda pair: pair[1][METRIC])
        rows.append(
            Row(
                trial_id=metrics["trial_id"],
                config=result.config,
                checkpoint=checkpoint,
                top1=best[METRIC],
                gflops=metrics["gflops"],
                params=metrics["params"],
                epochs=metrics["epoch"],
                node=metrics["node_ip"],
            )
        )
    return sorted(rows, key=lambda row: (-row.top1, row.gflops))


def test_accuracy(row: Row) -> float:
    """Return the accuracy on the test digits, which no trial has used, in percent."""
    problem = make_digits(row.config)
    model = problem.build(MRSpace().from_config(row.config))
    with row.checkpoint.as_directory() as folder:
        model.load_state_dict(TrainingProgress.load(Path(folder) / _PROGRESS).model)
    return evaluate(model, problem.test, task=problem.task)


def make_table(rows: Sequence[Row]) -> Table:
    table = Table(title=f"The best of {len(rows)} trials", title_justify="left")
    headings = ("trial", "val. top1 (%)", "test top1 (%)", "G multiply-adds", "M params", "epochs")
    for name in headings:
        table.add_column(name, justify="left" if name == "trial" else "right")
    table.add_column("node")
    for row in rows[:SHOWN]:
        scores = (f"{row.top1:.2f}", f"{test_accuracy(row):.2f}")
        size = (f"{row.gflops:.4f}", f"{row.params:.3f}", str(row.epochs))
        table.add_row(row.trial_id, *scores, *size, row.node)
    return table


def write_figure(rows: Sequence[Row], epochs: int, path: Path) -> None:
    """Draw the accuracy of all trials over their cost, and mark those that ASHA stopped."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for full, color, marker in ((True, BLUE, "o"), (False, RED, "x")):
        shown = [row for row in rows if (row.epochs == epochs) == full]
        label = f"all {epochs} epochs" if full else "stopped by ASHA"
        x, y = [1000 * row.gflops for row in shown], [row.top1 for row in shown]
        axes.scatter(x, y, color=color, marker=marker, label=f"{label} ({len(shown)})")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("Multiply-adds of the network (M)")
    axes.set_ylabel("Validation accuracy (%), best epoch")
    axes.set_title("Networks for handwritten digits that NCPSearch tried")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=150)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        "--address",
        help="address of a running cluster: auto or ray://head:10001; default: start Ray",
    )
    add("--trials", type=int, default=24)
    add("--epochs", type=int, default=PRESETS["digits-cls"].recipe.epochs, help="at most")
    add("--concurrent", type=int, default=4, help="number of trials at once, resources permitting")
    add("--cpus", type=float, default=1, help="of each trial")
    add(
        "--gpus", type=float, default=0, help="GPUs of each trial; 0.25 puts four trials on one GPU"
    )
    add(
        "--width",
        type=int,
        default=64,
        help="maximum channels of a layer, a multiple of 8 up to 128",
    )
    add("--depth", type=int, default=4, help="maximum blocks and residual units, 1 to 4")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=Path("ray_tune"), help="output folder for the figure")
    add("--storage", help="folder or URI that every node can write to; default: --out")
    add("--resume", action="store_true", help="continue the run in --storage")
    add(
        "--tensorboard",
        action="store_true",
        help="write curves to the run's folder, with predictions",
    )
    add("--smoke", action="store_true", help="a few small trials, to check that everything works")
    options = parser.parse_args(arguments)
    options.limit = None
    if options.smoke:
        options.trials, options.epochs, options.limit = 4, 2, 64
        options.width, options.depth = 16, 1
    try:
        check_at_least_one(options, "trials", "epochs", "concurrent")
        if options.seed < 0:
            raise ValueError(f"--seed {options.seed} must be at least 0")
        if min(options.cpus, options.gpus) < 0 or not options.cpus + options.gpus:
            asked = f"--cpus {options.cpus} and --gpus {options.gpus}"
            raise ValueError(f"{asked}: give one, none below 0")
        MRSpace(width=options.width, depth=options.depth)
        check_folder(options.out)
    except ValueError as error:
        parser.error(str(error))
    options.storage = options.storage or str(options.out.resolve())
    if options.resume and not tune.Tuner.can_restore(f"{options.storage}/{NAME}"):
        parser.error(f"--resume: {options.storage}/{NAME} holds no run to go on with")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(1)  # threads of the searcher; the other cores are for the trials
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if options.address:
        ray.init(options.address, **quiet)
    else:
        ray.init("local", include_dashboard=False, object_store_memory=STORE, **quiet)
    try:
        grid = make_tuner(options).fit()
        results = [grid[i] for i in range(len(grid))]
        rows = rows_of(results)
        console = Console(width=None if sys.stdout.isatty() else 120)
        for error in grid.errors:
            console.print(f"failed: {error}", markup=False)
        done = [result.error or (result.metrics or {}).get("done") for result in results]
        if not all(done) or len(done) < max((r.config or {}).get("trials", 0) for r in results):
            console.print("The run was interrupted; --resume goes on with it.")
        if not rows:
            return 1
        figure = options.out / "digits.png"
        write_figure(rows, rows[0].config["epochs"], figure)
        console.print(make_table(rows))
        console.print(f"Run: {grid.experiment_path}\nFigure: {figure}", highlight=False)
    finally:
        ray.shutdown()
    return 0


def _folder_of(trial: Any) -> str:
    return str(trial.trial_id)


if __name__ == "__main__":
    sys.exit(main())
