"""Training problems: batches of data for a task, networks of codes, and costs of the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ncp_sampler import checks
from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.network import INITIALIZATIONS, MultiResolutionNet
from ncp_sampler.training.presets import Preset
from ncp_sampler.training.recipes import Recipe
from ncp_sampler.training.tasks import TASK_OF, Task


@dataclass(frozen=True, kw_only=True)
class TrainingProblem:
    """Problem of a study: a task with its data, its recipe and the networks of codes.

    Attributes:
        name: Name of the problem in tables, unique in a study.
        task: Loss and metric.
        recipe: Settings of every training run.
        build: Function that returns the network of a code (27,), with seeded initial weights.
        gflops: Function that returns the multiply-adds, in G, of the network of a code (27,) for
            one sample. Given a tensor of codes (n, 27), the function should return a differentiable
            tensor (n,), as the functions of ``make_problem`` do. Otherwise, a study interpolates
            the function between codes, which is slower.
        train: Batches to train on.
        val: Batches for the selection of epochs and codes.
        test: Batches for the final evaluation only.

    Raises:
        ValueError: An attribute has the wrong type.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> from ncp_sampler.training import PRESETS, Digits, make_problem
        >>> parts = {part: Digits(part, limit=64) for part in ("train", "val", "test")}
        >>> problem = make_problem("digits", PRESETS["digits-cls"], in_channels=1, **parts)
        >>> problem.name, problem.gflops(MRSpace().start) > 0
        ('digits', True)
    """

    name: str
    task: Task
    recipe: Recipe
    build: Callable[[ArrayLike], nn.Module]
    gflops: Callable[[ArrayLike], float]
    train: DataLoader[Any]
    val: DataLoader[Any]
    test: DataLoader[Any]

    def __post_init__(self) -> None:
        checks.text("name", self.name)
        checks.instance("task", self.task, Task, "be a Task, such as CLASSIFICATION")
        checks.instance("recipe", self.recipe, Recipe, "be a Recipe")
        checks.function("build", self.build, "be a function from a code to its network")
        checks.function("gflops", self.gflops, "be a function from a code to its cost")
        for part in ("train", "val", "test"):
            checks.instance(part, getattr(self, part), Iterable, "be a DataLoader of batches")


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
    initialization: str = "identity",
) -> TrainingProblem:
    """Make a classification, segmentation or video problem from a preset and three data sets.

    Args:
        name: Name of the problem.
        preset: Preset with the task, number of classes and recipe.
        train: Training samples: (image, class), (image, mask) or (clip, class).
        val: Validation samples, for the selection of epochs and codes.
        test: Samples for the final evaluation.
        in_channels: Number of channels of the samples.
        frames: Number of frames of the clips; only for video.
        workers: Number of processes of each loader.
        seed: Seed of the networks' initial weights.
        initialization: Initial weights, as for ``MultiResolutionNet``; "kaiming" was used for the
            tables of NAS-Bench-MR.

    Raises:
        ValueError: The preset has another task, or an argument is not as described.
    """
    checks.instance("preset", preset, Preset, "be a Preset, such as PRESETS['digits-cls']")
    if preset.task not in TASK_OF:
        raise ValueError(
            f"preset has task={preset.task!r}, which must be one of {tuple(TASK_OF)}; "
            "construct a TrainingProblem for any other task"
        )
    networks = _PresetNetworks(
        preset=preset,
        in_channels=in_channels,
        frames=frames,
        seed=seed,
        initialization=initialization,
    )
    return join_problem(
        name,
        networks,
        TASK_OF[preset.task],
        preset.recipe,
        (train, val, test),
        workers=workers,
    )


class Networks(Protocol):
    """Protocol of the networks of codes for one problem, and their costs."""

    def build(self, code: ArrayLike) -> nn.Module:
        """Return the network of a code, with seeded initial weights."""

    def gflops(self, code: ArrayLike) -> Any:
        """Return the multiply-adds for one sample, in G, of one or several codes' networks."""


def join_problem(
    name: str,
    networks: Networks,
    task: Task,
    recipe: Recipe,
    data: tuple[Dataset[Any], Dataset[Any], Dataset[Any]],
    *,
    workers: int,
    collate: Callable[[list[Any]], Any] | None = None,
) -> TrainingProblem:
    """Make a problem from networks and training, validation and test samples.

    Batches have the recipe's batch size. Training batches are shuffled, and a smaller last batch of
    an epoch is dropped.

    Args:
        name: Name of the problem.
        networks: Networks of codes.
        task: Loss and metric.
        recipe: Settings of every training run.
        data: Samples for training, validation and test.
        workers: Nonnegative number of processes of each loader.
        collate: Function that makes a batch from samples; None for PyTorch's default function.

    Raises:
        ValueError: An argument is not as described.
    """
    checks.instance("recipe", recipe, Recipe, "be a Recipe")
    checks.integer("workers", workers, low=0)
    for part, samples in zip(("train", "val", "test"), data, strict=True):
        readable = hasattr(samples, "__getitem__") or hasattr(samples, "__iter__")
        if not readable or isinstance(samples, str | bytes):
            raise checks.refusal(part, samples, "be a data set, such as Digits('train')")
        if hasattr(samples, "__len__") and len(samples) == 0:
            raise ValueError(f"{part} has no samples; give a data set with at least one")
    load = partial(
        DataLoader[Any], batch_size=recipe.batch_size, num_workers=workers, collate_fn=collate
    )
    train, val, test = data
    return TrainingProblem(
        name=name,
        task=task,
        recipe=recipe,
        build=networks.build,
        gflops=networks.gflops,
        train=load(train, shuffle=True, drop_last=True),
        val=load(val),
        test=load(test),
    )


@dataclass(frozen=True, kw_only=True)
class _PresetNetworks:
    """Networks of codes for the task and the number of classes of a preset."""

    preset: Preset
    in_channels: int
    frames: int | None
    seed: int
    initialization: str

    def __post_init__(self) -> None:
        checks.integer("in_channels", self.in_channels, low=1)
        checks.one_of("initialization", self.initialization, INITIALIZATIONS)
        checks.integer("seed", self.seed, low=0)
        if self.preset.task == "video":
            checks.integer("frames", self.frames, low=1)
        elif self.frames is not None:
            raise checks.refusal("frames", self.frames, "be None unless the preset is of video")

    def build(self, code: ArrayLike) -> nn.Module:
        return MultiResolutionNet(
            code,
            task=self.preset.task,
            num_classes=self.preset.num_classes,
            in_channels=self.in_channels,
            seed=self.seed,
            initialization=self.initialization,
        )

    def gflops(self, code: ArrayLike) -> Any:
        cost = costs.flops(
            code,
            resolution=self.preset.test_size or self.preset.recipe.size,
            num_classes=self.preset.num_classes,
            task=self.preset.task,
            in_channels=self.in_channels,
            frames=self.frames,
            convention="multiply_adds",
        )
        return cost if np.ndim(code) == 2 else float(cost[0])
