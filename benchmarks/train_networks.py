"""Accuracy of trained networks with about equal multiply-adds: ours, ResNet-18 and HRNet.

Run from the repository root, with the packages of the other networks installed:

    pip install timm scikit-image
    python -m benchmarks.train_networks --seeds 1

The data are patches of 15 photographs from scikit-image and scikit-learn; the class of a patch is
its photograph. Patches are gray and standardized. They are 40 to 96 pixels wide and are resized to
64. Training patches come from the left three fifths of a photograph, test patches from the right
part. Each run has 12 epochs of 1,500 patches in batches of 50, flipped and shifted by up to 4
pixels.

When a run ends, its row is added to OUT/train_networks.csv, and an interrupted benchmark continues
from this file. OUT/train_networks.md is made from the rows.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ncp_sampler import MRSpace, costs
from ncp_sampler.command_line.options import make_parser, parse_benchmark
from ncp_sampler.formatting import markdown_table
from ncp_sampler.training import CLASSIFICATION, Recipe, train

NETWORKS = ("mr", "resnet18", "hrnet_w18_small")
_LABELS = {"mr": "start code", "resnet18": "ResNet-18", "hrnet_w18_small": "HRNet-W18-S"}
_PHOTOS = (
    "astronaut brick camera chelsea coffee coins grass gravel ihc moon motorcycle_left retina "
    "rocket"  # two photographs of scikit-learn follow
)
_SHORT_SIDE, _SIDE, _SHIFT = 300, 64, 4
_CLASSES, _TRAIN, _TEST = (
    15,
    100,
    40,
)  # number of classes; number of patches of a class for training and test
_BATCH, _EPOCHS = 50, 12
_WIDTH = 32
RECIPES = {
    "AdamW": Recipe(
        optimizer="adamw",
        learning_rate=4e-3,
        min_learning_rate=1e-5,
        schedule="one_cycle",
        weight_decay=1e-2,
        clip_norm=5.0,
        epochs=_EPOCHS,
        batch_size=_BATCH,
        size=(_SIDE, _SIDE),
    ),
    "SGD": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        schedule="one_cycle",
        weight_decay=1e-4,
        epochs=_EPOCHS,
        batch_size=_BATCH,
        size=(_SIDE, _SIDE),
    ),
}
_HEAD = ("network", "recipe", "seed", "params", "gflops", "last", "seconds")


class Run(NamedTuple):
    """Training run: M params, G multiply-adds, final test accuracy (%) and CPU seconds."""

    network: str
    recipe: str
    seed: int
    params: float
    gflops: float
    last: float
    seconds: float


class Patches(Dataset[tuple[Tensor, Tensor]]):
    """Training patches, with a new random flip and shift at each access."""

    def __init__(self, images: Tensor, classes: Tensor) -> None:
        self.images, self.classes = images, classes

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        image = self.images[i]
        if torch.rand(()) < 0.5:
            image = image.flip(-1)
        top, left = torch.randint(0, 2 * _SHIFT + 1, (2,)).tolist()
        padded = functional.pad(image[None], [_SHIFT] * 4, mode="reflect")[0]
        return padded[:, top : top + _SIDE, left : left + _SIDE], self.classes[i]


def photographs() -> list[NDArray[np.float32]]:
    """Return gray photographs in [0, 1], (h, w), whose shorter side is 300."""
    color, io, transform = map(import_module, ("skimage.color", "skimage.io", "skimage.transform"))
    data_dir = import_module("skimage").data_dir
    images = []
    for name in _PHOTOS.split():
        (path,) = (p for p in Path(data_dir).glob(f"{name}.*") if p.suffix in {".png", ".jpg"})
        image = io.imread(path)
        images.append(np.stack([image] * 3, -1) if image.ndim == 2 else image[..., :3])
    grey = []
    for image in [*images, *load_sample_images().images]:
        scale = _SHORT_SIDE / min(image.shape[:2])
        size = [round(side * scale) for side in image.shape[:2]]
        small = transform.resize(image, size, anti_aliasing=True).astype(np.float32)
        grey.append(color.rgb2gray(small))
    return grey


def patches(seed: int = 0) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images (n, 3, 64, 64) and classes (n,), for training and for the test."""
    transform = import_module("skimage.transform")
    rng = np.random.default_rng(seed)
    parts: dict[int, list[NDArray[np.float64]]] = {_TRAIN: [], _TEST: []}
    for image in photographs():
        height, width = image.shape
        for count, begin, end in (
            (_TRAIN, 0, int(0.6 * width)),
            (_TEST, int(0.62 * width), width),
        ):
            half = image[:, begin:end]
            for _ in range(count):
                side = min(int(rng.integers(40, 97)), half.shape[1] - 1)
                top = rng.integers(0, height - side + 1)
                left = rng.integers(0, half.shape[1] - side + 1)
                cut = half[top : top + side, left : left + side]
                patch = transform.resize(cut, (_SIDE, _SIDE), anti_aliasing=True)
                parts[count].append((patch - patch.mean()) / (patch.std() + 0.02))
    return _tensors(parts[_TRAIN]), _tensors(parts[_TEST])


def _tensors(images: list[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
    grey = torch.tensor(np.array(images), dtype=torch.float32)[:, None]
    classes = torch.arange(_CLASSES).repeat_interleave(len(images) // _CLASSES)
    return grey.expand(-1, 3, -1, -1).contiguous(), classes


def build(name: str, seed: int) -> nn.Module:
    """Return our network (the start code with at most 32 channels), or one of timm's."""
    torch.manual_seed(seed)
    if name == "mr":
        space = MRSpace(width=_WIDTH)
        return space.build(space.to_params(space.start), num_classes=_CLASSES, seed=seed)
    model: nn.Module = import_module("timm").create_model(name, num_classes=_CLASSES)
    return model


def run(name: str, recipe: str, seed: int) -> Run:
    """Train one network on one thread."""
    torch.set_num_threads(1)
    model = build(name, seed)
    known, new = patches()
    loaders = (
        DataLoader(Patches(*known), _BATCH, shuffle=True, drop_last=True),
        DataLoader(TensorDataset(*new), 100),
    )
    size = costs.measure(model, (3, _SIDE, _SIDE))
    since = time.process_time()
    trained = train(model, *loaders, task=CLASSIFICATION, recipe=RECIPES[recipe], seed=seed)
    seconds = time.process_time() - since
    last = trained.epochs[-1].metric
    return Run(name, recipe, seed, size.params / 1e6, size.multiply_adds / 1e9, last, seconds)


def read(path: Path) -> list[Run]:
    """Return the runs in a file, or none if it is missing."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return [Run(row[0], row[1], int(row[2]), *map(float, row[3:])) for row in rows]


def append(run: Run, path: Path) -> None:
    """Add a complete row to a file."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        if new:
            rows.writerow(_HEAD)
        rows.writerow([*run[:3], *(f"{number:.4g}" for number in run[3:])])


def markdown(runs: Sequence[Run], command: str) -> str:
    """Return the report."""
    table = []
    for name, recipe in product(NETWORKS, RECIPES):
        mine = [run for run in runs if (run.network, run.recipe) == (name, recipe)]
        if mine:
            mean = np.mean([run.last for run in mine])
            each = ", ".join(f"{run.last:.1f}" for run in mine)
            first = mine[0]
            size = [f"{first.params:.2f}", f"{first.gflops:.3f}"]
            table.append([_LABELS[name], recipe, *size, f"{mean:.1f}", each, str(len(mine))])
    heads = ["network", "recipe", "params (M)", "G multiply-adds", "test accuracy (%)"]
    return f"""# How well networks train

Made by `{command}`.

{_CLASSES} classes of patches of photographs, {_SIDE} x {_SIDE}, {_EPOCHS} epochs of
{_CLASSES * _TRAIN:,} patches, accuracy on {_CLASSES * _TEST} others after the last one. Ours is
the start code of at most {_WIDTH} channels; the peers are timm's, as they come. AdamW at .004 and
SGD at .1, each in one cycle.

{markdown_table([*heads, "each seed", "seeds"], table, numbers=True)}"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, prog="python -m benchmarks.train_networks")
    add = parser.add_argument
    add("--networks", default=",".join(NETWORKS), help=f"some of {', '.join(NETWORKS)}")
    add("--seeds", type=int, default=1, help="number of runs of each network and recipe")
    options = parse_benchmark(parser, arguments, "seeds")
    options.networks = options.networks.split(",")
    if unknown := set(options.networks) - {*NETWORKS}:
        parser.error(f"--networks has {sorted(unknown)}; it must be some of {', '.join(NETWORKS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    path = options.out / "train_networks.csv"
    done = {run[:3] for run in read(path)}
    for seed, name, recipe in product(range(options.seeds), options.networks, RECIPES):
        if (name, recipe, seed) not in done:
            append(run(name, recipe, seed), path)
    command = shlex.join(["python", "-m", "benchmarks.train_networks", *given])
    text = markdown(read(path), command)
    (options.out / "train_networks.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
