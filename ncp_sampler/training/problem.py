"""What a study trains for one task: data, networks of codes, their cost; and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.network import MultiResolutionNet
from ncp_sampler.training.presets import Preset
from ncp_sampler.training.recipes import Recipe
from ncp_sampler.training.tasks import TASKS, Task


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One task of a study.

    Attributes:
        name: Of the task, as in tables; unique in a study.
        task: Loss and metric.
        recipe: Of every training.
        build: Code (27,) -> its network, seeded.
        gflops: Code (27,) -> the network's multiply-adds for one sample, in G.
        train: Batches to learn from.
        val: Batches that select epochs and codes.
        test: Batches that only the final figures use.
    """

    name: str
    task: Task
    recipe: Recipe
    build: Callable[[ArrayLike], nn.Module]
    gflops: Callable[[ArrayLike], float]
    train: DataLoader[Any]
    val: DataLoader[Any]
    test: DataLoader[Any]


def make_problem(
    name: str,
    preset: Preset,
    *,
    train: Dataset[Any],
    val: Dataset[Any],
    test: Dataset[Any],
    in_channels: int = 3,
    frames: int | None = None,
    workers: int = 0,
    seed: int = 0,
) -> Problem:
    """A problem of classification, segmentation or video by a preset, from three data sets.

    Args:
        name: Of the problem.
        preset: Gives task, classes and recipe.
        train: Samples to learn from; (image, class), (image, mask) or (clip, class).
        val: Samples to select by.
        test: Samples for the final figures.
        in_channels: Of the samples.
        frames: Of the clips, for video.
        workers: Processes of each loader.
        seed: Of the networks' initial weights.

    Raises:
        ValueError: The preset is of another task.
    """
    if preset.task not in TASKS:
        raise ValueError(
            f"preset has task={preset.task!r}, which must be one of {tuple(TASKS)}; "
            "construct a Problem for any other"
        )
    recipe = preset.recipe

    def build(code: ArrayLike) -> nn.Module:
        return MultiResolutionNet(
            code,
            task=preset.task,
            num_classes=preset.num_classes,
            in_channels=in_channels,
            seed=seed,
        )

    def gflops(code: ArrayLike) -> float:
        cost = costs.flops(
            code,
            resolution=preset.test_size or recipe.size,
            num_classes=preset.num_classes,
            task=preset.task,
            in_channels=in_channels,
            frames=frames,
            convention="multiply_adds",
        )
        return float(cost[0])

    loader = partial(make_loader, recipe=recipe, workers=workers)
    return Problem(
        name=name,
        task=TASKS[preset.task],
        recipe=recipe,
        build=build,
        gflops=gflops,
        train=loader(train, training=True),
        val=loader(val, training=False),
        test=loader(test, training=False),
    )


def make_loader(
    data: Dataset[Any],
    *,
    recipe: Recipe,
    training: bool,
    workers: int = 0,
    collate: Callable[[list[Any]], Any] | None = None,
) -> DataLoader[Any]:
    """Batches of the recipe's size; for training shuffled, and without a smaller last one."""
    return DataLoader(
        data,
        recipe.batch_size,
        shuffle=training,
        drop_last=training,
        num_workers=workers,
        collate_fn=collate,
    )


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The trained networks of one code, one for each problem of the study.

    Attributes:
        code: 27 integers.
        gflops: Multiply-adds of all its networks together, in G.
        metrics: Problem's name -> validation metric, in percent.
        states: Problem's name -> ``state_dict`` of its network, on the CPU.
    """

    code: tuple[int, ...]
    gflops: float
    metrics: dict[str, float]
    states: dict[str, dict[str, Tensor]]

    @classmethod
    def of(
        cls,
        code: ArrayLike,
        *,
        gflops: float,
        metrics: Mapping[str, float],
        networks: Mapping[str, nn.Module],
    ) -> Checkpoint:
        """The checkpoint of trained networks, by problem's name; its tensors are copies."""
        return cls(
            code=tuple(int(number) for number in np.asarray(code)),
            # NumPy's numbers would be written, but not read again with ``weights_only``
            gflops=float(gflops),
            metrics={name: float(value) for name, value in metrics.items()},
            states={
                name: {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}
                for name, net in networks.items()
            },
        )

    def save(self, path: Path) -> None:
        """Writes a file of tensors and plain values."""
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Reads what ``save`` wrote; ``weights_only``, so that a foreign file runs no code."""
        kept = torch.load(path, map_location="cpu", weights_only=True)
        return cls(
            code=tuple(kept["code"]),
            gflops=kept["gflops"],
            metrics=kept["metrics"],
            states=kept["states"],
        )

    def network(self, problem: Problem) -> nn.Module:
        """The trained network of a problem, in evaluation mode.

        Raises:
            ValueError: The checkpoint has none of that name.
        """
        if problem.name not in self.states:
            raise ValueError(f"problem {problem.name!r} is not among {tuple(self.states)}")
        network = problem.build(np.array(self.code))
        network.load_state_dict(self.states[problem.name])
        return network.eval()
