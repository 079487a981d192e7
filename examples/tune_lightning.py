"""Tune a LightningModule: the sizes and the training of a small transformer, with Optuna's pruning.

Most of the program is ordinary Lightning code: the module, ``Trainer``, and the callback
``PyTorchLightningPruningCallback`` of optuna-integration, with which the study's pruner stops bad
trainings early. Only the sampler is different. It knows the number of parameters (``costs=``) and
proposes no network with more than ``--max-params`` (``limits=``). The data are scikit-learn's
handwritten digits; nothing is downloaded. The program needs some more packages:
``pip install lightning optuna-integration rich``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import lightning
import optuna
import torch
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna_integration import PyTorchLightningPruningCallback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

from ncp_sampler import Categorical, Float, Integer, NCPSampler, SearchSpace
from ncp_sampler.command_line.option_types import integer_at_least
from ncp_sampler.command_line.options import make_parser

SPACE = SearchSpace(
    [
        Integer("width", 16, 96, step=16),
        Integer("depth", 1, 4),
        Categorical("heads", (1, 2, 4)),
        Integer("mlp_ratio", 1, 4),
        Categorical("activation", ("relu", "gelu")),
        Float("dropout", 0.0, 0.4),
        Float("rate", 1e-4, 3e-2, log=True),
        Categorical("batch", (16, 32, 64)),
    ]
)
SHOWN = 5  # number of rows of the table


class PatchTransformer(lightning.LightningModule):
    """Transformer from images (n, 64) of 8 x 8 pixels, as 16 patches, to logits (n, 10)."""

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: int,
        activation: str,
        dropout: float,
        rate: float,
    ) -> None:
        super().__init__()
        self.rate = rate
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            mlp_ratio * width,
            dropout,
            activation,
            batch_first=True,
            norm_first=True,
        )
        self.embed = nn.Linear(4, width)
        self.places = nn.Parameter(torch.zeros(16, width))
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        tokens = self.encoder(self.embed(patches) + self.places)
        logits: Tensor = self.head(tokens.mean(1))
        return logits

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        x, y = batch
        return functional.cross_entropy(self(x), y)

    def validation_step(self, batch: Sequence[Tensor], index: int) -> None:
        self._log_accuracy("val_accuracy", batch)

    def test_step(self, batch: Sequence[Tensor], index: int) -> None:
        self._log_accuracy("test_accuracy", batch)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), self.rate)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _log_accuracy(self, name: str, batch: Sequence[Tensor]) -> None:
        x, y = batch
        self.log(name, 100 * (self(x).argmax(1) == y).float().mean(), batch_size=len(x))


@cache
def load_parts() -> list[Dataset[tuple[Tensor, ...]]]:
    """Return 700 digits for training, 600 for validation, and 497 for the test."""
    images, digits = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits)
    parts = random_split(TensorDataset(x, y), (700, 600, 497), torch.Generator().manual_seed(0))
    return list(parts)


def build(params: Mapping[str, Any]) -> PatchTransformer:
    return PatchTransformer(**{name: params[name] for name in params if name != "batch"})


def n_params(params: Mapping[str, Any]) -> float:
    """Return the exact number of parameters; the cache ignores params that do not change it."""
    return _n_params(params["width"], params["depth"], params["mlp_ratio"])


@cache
def _n_params(width: int, depth: int, mlp_ratio: int) -> float:
    sizes = {"width": width, "depth": depth, "mlp_ratio": mlp_ratio}
    with torch.device("meta"):  # allocates no memory
        network = PatchTransformer(**sizes, heads=1, activation="relu", dropout=0.0, rate=1.0)
    return float(sum(weights.numel() for weights in network.parameters()))


def objective(trial: Trial, *, epochs: int, seed: int) -> float:
    """Return the validation accuracy after training, in percent."""
    params = SPACE.suggest(trial)
    lightning.seed_everything(seed, verbose=False)
    network = build(params)
    train, val, test = load_parts()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=[PyTorchLightningPruningCallback(trial, monitor="val_accuracy")],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    loader = DataLoader(train, params["batch"], shuffle=True, drop_last=True)
    trainer.fit(network, loader, DataLoader(val, 600))
    accuracy = float(trainer.callback_metrics["val_accuracy"])
    (tested,) = trainer.test(network, DataLoader(test, 497), verbose=False)
    trial.set_user_attr("test", tested["test_accuracy"])  # not reported to the study
    return accuracy


def make_table(trials: Sequence[FrozenTrial]) -> Table:
    """Return a table of the trials with the highest validation accuracy and their params."""
    ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    stopped = sum(trial.state == TrialState.PRUNED for trial in trials)
    title = f"The best of {len(trials)} trainings, {stopped} of them stopped early"
    table = Table(title=title, title_justify="left")
    for head in ("trial", "val. (%)", "test (%)", "parameters"):
        table.add_column(head, justify="right")
    table.add_column("what it is")
    for trial in sorted(ended, key=lambda trial: -(trial.value or 0.0))[:SHOWN]:
        scores = (f"{trial.value:.2f}", f"{trial.user_attrs['test']:.2f}")
        shown = (
            f"{value:.3g}" if isinstance(value, float) else str(value)
            for value in trial.params.values()
        )
        size = f"{n_params(trial.params):,.0f}"
        table.add_row(str(trial.number), *scores, size, ", ".join(shown))
    return table


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--trials", type=integer_at_least(1), default=30)
    add("--epochs", type=integer_at_least(1), default=10, help="epochs of each training")
    add(
        "--max-params",
        type=integer_at_least(1),
        default=30_000,
        help="maximum number of parameters of a network",
    )
    add("--seed", type=integer_at_least(0), default=0, help="seed of the sampler and the trainings")
    add(
        "--smoke", action="store_true", help="a few short trainings, to check that everything works"
    )
    options = parser.parse_args(arguments)
    if options.smoke:
        options.trials, options.epochs = 3, 1
    least = n_params(SPACE.to_params(SPACE.round([[0.0] * len(SPACE.columns)])[0]))
    if options.max_params < least:
        parser.error(f"--max-params {options.max_params}: the smallest network has {least:.0f}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for about in ("does not have many workers", "The number of training batches", "LeafSpec"):
        warnings.filterwarnings("ignore", f".*{about}.*")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=NCPSampler(
            space=SPACE,
            costs={"params": n_params},  # computed, so it need not be modeled
            limits={"params": options.max_params},  # no proposal exceeds it
            seed=options.seed,
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=options.epochs // 3),
    )
    columns = (TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=options.trials)
        study.optimize(
            partial(objective, epochs=options.epochs, seed=options.seed),
            n_trials=options.trials,
            callbacks=[lambda _, __: progress.advance(bar)],
        )
    Console(width=None if sys.stdout.isatty() else 120).print(make_table(study.trials))
    return 0


if __name__ == "__main__":
    sys.exit(main())
