"""Progress of a training run: the state after an epoch, from which the run can be resumed.

The state consists of the weights, the optimizer state, the results of all epochs so far, the
weights of the best epoch, and the states of the random generators. A resumed run gives the same
result as an uninterrupted run.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ncp_sampler import checks
from ncp_sampler.training.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Result of one epoch.

    Attributes:
        number: Number of the epoch, starting at 1.
        loss: Mean loss of the training steps.
        metric: Metric on the validation samples, in percent.

    Examples:
        >>> Epoch(number=1, loss=2.1, metric=40.0).metric
        40.0
    """

    number: int
    loss: float
    metric: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """State of a training run after an epoch, from which ``train(progress=...)`` continues.

    Attributes:
        epochs: Results of all epochs so far.
        model: ``state_dict`` of the network.
        best: ``state_dict`` of the network after the best epoch so far.
        optimizer: ``state_dict`` of the optimizer.
        random: States of the random generators: "cpu"; "device" for a CUDA device; and "loader" and
            "sampler" if a loader or its sampler has its own generator.

    Examples:
        >>> from dataclasses import replace
        >>> from torch.utils.data import DataLoader
        >>> from ncp_sampler import MRSpace
        >>> from ncp_sampler.training import CLASSIFICATION, PRESETS, Digits, train
        >>> space = MRSpace(width=8, depth=1)
        >>> net = space.build(space.sample(1, 0)[0], num_classes=10, in_channels=1, seed=0)
        >>> loader = DataLoader(Digits("train", limit=16), 8)
        >>> recipe = replace(PRESETS["digits-cls"].recipe, epochs=1)
        >>> of = {"model": net, "train_loader": loader, "val_loader": loader}
        >>> of["task"] = CLASSIFICATION
        >>> saved = []
        >>> _ = train(**of, recipe=recipe, on_progress=saved.append)
        >>> trained = train(**of, recipe=replace(recipe, epochs=2), progress=saved[-1])
        >>> len(trained.epochs)
        2
    """

    epochs: tuple[Epoch, ...]
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    random: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        epochs: Iterable[Epoch],
        *,
        model: nn.Module,
        best: dict[str, Tensor],
        optimizer: Optimizer,
        loader: Iterable[Any],
        device: torch.device,
    ) -> Progress:
        """Return the current progress of a training run, with copies of its tensors."""
        generators = _generators(loader)
        random = {name: generator.get_state() for name, generator in generators.items()}
        random["cpu"] = torch.get_rng_state()
        if device.type == "cuda":
            random["device"] = torch.cuda.get_rng_state(device)
        return cls(
            epochs=tuple(epochs),
            model={name: value.clone() for name, value in model.state_dict().items()},
            best={name: value.clone() for name, value in best.items()},
            optimizer=copy.deepcopy(optimizer.state_dict()),
            random=random,
        )

    def restore(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        loader: Iterable[Any],
        device: torch.device,
    ) -> None:
        """Restore a training run to this state.

        Raises:
            ValueError: The network or the optimizer does not fit the state.
        """
        try:
            model.load_state_dict(self.model)
            optimizer.load_state_dict(copy.deepcopy(self.optimizer))
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                "progress is of another training; give the model and the recipe of that training "
                f"({checks.shown(str(error))})"
            ) from error
        for name, generator in _generators(loader).items():
            if name in self.random:
                generator.set_state(self.random[name].cpu())
        torch.set_rng_state(self.random["cpu"].cpu())
        if device.type == "cuda" and "device" in self.random:
            torch.cuda.set_rng_state(self.random["device"].cpu(), device)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the progress to a file of tensors and plain values, atomically and with a checksum.

        Raises:
            ValueError: The path does not name a file in an existing folder.
            OSError: The disk is full, or the folder cannot be written to.
        """
        epochs = [asdict(epoch) for epoch in self.epochs]
        write_tensors(path, {**vars(self), "epochs": epochs})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Progress:
        """Read a file that ``save`` wrote; tensors are on the CPU, and no code in the file runs.

        Raises:
            ValueError: The file cannot be read, is damaged, or contains something else.
        """
        given = checks.path("path", path, "a file that Progress.save wrote")
        must = "be a file that Progress.save wrote, so copy it again, or train from the start"
        try:
            values = read_tensors(given, [field.name for field in fields(cls)])
            return cls(**{**values, "epochs": tuple(Epoch(**epoch) for epoch in values["epochs"])})
        except Exception as error:  # a foreign file can raise nearly anything
            raise checks.refusal("path", os.fspath(path), f"{must} ({error})") from error


def best_of(epochs: Iterable[Epoch]) -> Epoch:
    """Return the epoch with the highest validation metric, the first of several."""
    return max(epochs, key=lambda epoch: epoch.metric)


def _generators(loader: Iterable[Any]) -> dict[str, torch.Generator]:
    """Return the own generators of a loader and its sampler, by name."""
    candidates = {
        "loader": getattr(loader, "generator", None),
        "sampler": getattr(getattr(loader, "sampler", None), "generator", None),
    }
    return {
        name: candidate
        for name, candidate in candidates.items()
        if isinstance(candidate, torch.Generator)
    }
