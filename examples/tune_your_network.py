"""Tune your own network: the sizes, the block type and the training of a plain PyTorch module.

The network below does not come from this package. The study searches its widths, depths, kernel
sizes, block type and learning rate for the highest validation accuracy on scikit-learn's
handwritten digits, with at most ``--max-params`` parameters. The number of parameters can be
computed before training. The sampler gets a function for it (``costs=``, ``limits=``), and proposes
no network that is too large. Optuna's pruner stops bad trainings early. By default, TPE and random
search get the same number of trainings, and a table compares the results.
docs/tutorials/your-own-network.md explains which lines to change for your own network and data.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler import Categorical, Float, Integer, NCPSampler, SearchSpace
from ncp_sampler.command_line.option_types import integer_at_least, names
from ncp_sampler.command_line.options import make_parser
from ncp_sampler.formatting import with_error

LABELS = {"ncp": "NCP", "tpe": "TPE", "random": "random"}

# --- yours: what is searched ----------------------------------------------------------------------

SPACE = SearchSpace(
    [
        Integer("width1", 4, 32, step=4),
        Integer("width2", 8, 64, step=8),
        Integer("depth1", 1, 3),
        Integer("depth2", 1, 3),
        Integer("kernel1", 1, 5, step=2),
        Integer("kernel2", 1, 5, step=2),
        Categorical("block", ("plain", "residual", "separable")),
        Float("rate", 1e-4, 1e-1, log=True),
    ]
)
SMALLEST = {dim.name: dim.low for dim in SPACE.dimensions if not isinstance(dim, Categorical)}

# --- yours: the network ---------------------------------------------------------------------------


class Block(nn.Module):
    """Convolution with batch norm and ReLU: plain, with a shortcut, or depthwise separable."""

    def __init__(self, kind: str, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        if kind == "separable":
            self.conv = nn.Sequential(
                nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
                nn.Conv2d(inputs, outputs, 1, bias=False),
            )
        else:
            conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
            self.conv = nn.Sequential(conv)
        self.norm = nn.BatchNorm2d(outputs)
        self.shortcut = kind == "residual" and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = functional.relu(self.norm(self.conv(x)))
        return x + y if self.shortcut else y


class Net(nn.Module):
    """Network of two stages of blocks, from images (n, 1, 8, 8) to logits (n, 10)."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        blocks: list[nn.Module] = [Block(params["block"], *sizes) for sizes in sizes_of(params)]
        blocks.insert(params["depth1"], nn.MaxPool2d(2))
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(params["width2"], 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).mean((2, 3)))
        return logits


def sizes_of(params: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Return the input channels, output channels and kernel size of every block."""
    first, second = params["depth1"], params["depth2"]
    channels = [1] + [params["width1"]] * first + [params["width2"]] * second
    kernels = [params["kernel1"]] * first + [params["kernel2"]] * second
    return list(zip(channels, channels[1:], kernels, strict=False))


def n_params(params: Mapping[str, Any]) -> float:
    """Count the parameters without building the network; a proposal needs thousands of counts."""
    n = 10 * params["width2"] + 10  # the head
    for inputs, outputs, kernel in sizes_of(params):
        if params["block"] == "separable":
            n += inputs * kernel**2 + inputs * outputs
        else:
            n += inputs * outputs * kernel**2
        n += 2 * outputs  # batch norm
    return float(n)


# --- yours: data and training ---------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Part of the data: images (n, 1, 8, 8) from 0 to 1, and their digits (n,)."""

    images: Tensor
    digits: Tensor


@cache
def load_parts() -> tuple[Part, Part, Part]:
    """Return 700 digits for training, 600 for validation, and 497 for the test."""
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = torch.tensor(images[order] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(digits[order], dtype=torch.int64)
    train, val, test = zip(x.split((700, 600, 497)), y.split((700, 600, 497)), strict=True)
    return Part(*train), Part(*val), Part(*test)


def train(net: nn.Module, rate: float, *, epochs: int, batch: int = 50) -> Iterator[int]:
    """Train the network, and yield after every epoch, so that the caller can evaluate it."""
    part = load_parts()[0]
    steps = len(part.digits) // batch
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * steps)
    for epoch in range(epochs):
        net.train()
        for rows in torch.randperm(len(part.digits))[: steps * batch].split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(net(part.images[rows]), part.digits[rows]).backward()
            optimizer.step()
            schedule.step()
        yield epoch


def accuracy(net: nn.Module, part: Part) -> float:
    """Return the accuracy in percent."""
    net.eval()
    with torch.no_grad():
        right = net(part.images).argmax(1) == part.digits
    return 100 * float(right.double().mean())


# --- the study: this stays ------------------------------------------------------------------------


def objective(trial: Trial, *, epochs: int, most: float, seed: int) -> float:
    """Return the validation accuracy after training; networks that are too large are pruned."""
    params = SPACE.suggest(trial)
    size = n_params(params)
    trial.set_user_attr("params", size)
    trial.set_constraint("params", size - most)  # for samplers without hard limits
    if size > most:
        raise optuna.TrialPruned
    torch.manual_seed(seed)
    net = Net(params)
    _, val, test = load_parts()
    value = 0.0
    for epoch in train(net, params["rate"], epochs=epochs):
        value = accuracy(net, val)
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("test", accuracy(net, test))  # not reported to the study
    return value


def make_sampler(name: str, *, most: float, seed: int, startup: int) -> optuna.samplers.BaseSampler:
    if name == "ncp":
        return NCPSampler(
            space=SPACE,
            costs={"params": n_params},  # computed, so it need not be modeled
            limits={"params": most},  # no proposal exceeds it
            seed=seed,
            n_startup_trials=startup,
        )
    if name == "tpe":
        return optuna.samplers.TPESampler(multivariate=True, seed=seed, n_startup_trials=startup)
    return optuna.samplers.RandomSampler(seed=seed)


@dataclass(frozen=True)
class Run:
    """Result of one sampler with one seed.

    Attributes:
        best: Trial with the highest validation accuracy.
        halfway: Highest validation accuracy after half of the trainings, rounded up.
        stopped: Number of trainings that the pruner stopped.
        refused: Number of proposals over the limit; they cost nothing, and are no trainings.
        seconds: Duration of the whole study.
    """

    best: FrozenTrial
    halfway: float
    stopped: int
    refused: int
    seconds: float


def run_study(name: str, seed: int, *, trials: int, epochs: int, most: float) -> Run:
    """Run a study until ``trials`` networks have been trained, completely or until pruned."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begin = time.perf_counter()
    study = optuna.create_study(
        direction="maximize",
        sampler=make_sampler(name, most=most, seed=seed, startup=min(10, trials // 2)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 3),
    )
    trained: list[FrozenTrial] = []
    while len(trained) < trials:
        study.optimize(partial(objective, epochs=epochs, most=most, seed=seed), n_trials=1)
        trained = [trial for trial in study.trials if trial.intermediate_values]
    return Run(
        best=study.best_trial,
        halfway=max(trial.value or 0.0 for trial in trained[: (trials + 1) // 2]),
        stopped=sum(trial.state == TrialState.PRUNED for trial in trained),
        refused=len(study.trials) - trials,
        seconds=time.perf_counter() - begin,
    )


# --- the comparison: leave it out -----------------------------------------------------------------


def run_all(options: argparse.Namespace) -> dict[str, list[Run]]:
    """Run every sampler with every seed, ``--jobs`` at once, with a progress bar."""
    columns = (TextColumn("studies"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    size = {"trials": options.trials, "epochs": options.epochs, "most": options.max_params}
    with (
        ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        bar = progress.add_task("", total=options.seeds * len(options.samplers))
        runs: dict[str, list[Future[Run]]] = {name: [] for name in options.samplers}
        for seed in range(options.seeds):
            for name, own in runs.items():
                own.append(pool.submit(run_study, name, seed, **size))
                own[-1].add_done_callback(lambda _: progress.advance(bar))
        return {name: [run.result() for run in own] for name, own in runs.items()}


def make_table(runs: Mapping[str, Sequence[Run]], options: argparse.Namespace) -> Table:
    """Return a table with a row for each sampler, the best first."""
    n, half = options.trials, (options.trials + 1) // 2
    title = f"Networks of at most {options.max_params:,} parameters: accuracy after {n} trainings"
    spread = ", mean ± standard error" if options.seeds > 1 else ""
    table = Table(title=f"{title}{spread} (seeds: {options.seeds})", title_justify="left")
    table.add_column("sampler")
    heads = ("val. (%)", "test (%)", "parameters", "stopped early", "over the limit", "s")
    for head in (f"val. at {half} (%)", *heads):
        table.add_column(head, justify="right")
    for name, own in sorted(
        runs.items(), key=lambda item: -np.mean([_value(run) for run in item[1]])
    ):
        scores = [[run.halfway for run in own], [_value(run) for run in own]]
        scores.append([run.best.user_attrs["test"] for run in own])
        plain = [
            [run.best.user_attrs["params"] for run in own],
            [run.stopped for run in own],
            [run.refused for run in own],
            [run.seconds for run in own],
        ]
        cells = [with_error(values) for values in scores]
        table.add_row(LABELS[name], *cells, *(f"{np.mean(values):,.0f}" for values in plain))
    return table


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--samplers", type=names, default="ncp,tpe,random", help="some of ncp, tpe and random")
    add(
        "--trials",
        type=integer_at_least(2),
        default=30,
        help="number of networks that each study trains",
    )
    add("--epochs", type=integer_at_least(1), default=12, help="epochs of each training")
    add(
        "--max-params",
        type=integer_at_least(1),
        default=2500,
        help="maximum number of parameters of a network",
    )
    add("--seeds", type=integer_at_least(1), default=3, help="number of studies of each sampler")
    add(
        "--jobs",
        type=integer_at_least(1),
        default=2,
        help="number of studies that run at once, one core each",
    )
    add(
        "--smoke", action="store_true", help="a few short trainings, to check that everything works"
    )
    options = parser.parse_args(arguments)
    if options.smoke:
        options.trials, options.epochs, options.seeds, options.jobs = 4, 2, 1, 1
    samplers = options.samplers
    if not samplers or len({*samplers}) < len(samplers) or {*samplers} - LABELS.keys():
        parser.error(f"--samplers must name some of {','.join(LABELS)}, each once")
    least = min(n_params({**SMALLEST, "block": kind}) for kind in ("plain", "separable"))
    if options.max_params < least:
        parser.error(f"--max-params {options.max_params}: the smallest network has {least:.0f}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    runs = run_all(options)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(make_table(runs, options))
    best = max((run for own in runs.values() for run in own), key=_value).best
    console.print(f"The best: {best.params}", highlight=False, soft_wrap=True)
    return 0


def _value(run: Run) -> float:
    """Return the validation accuracy of the best trial."""
    assert run.best.value is not None
    return run.best.value


if __name__ == "__main__":
    sys.exit(main())
