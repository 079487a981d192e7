"""Batches as loaders give them: pairs, dictionaries, bytes; and those that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ncp_sampler.training import CLASSIFICATION, SEGMENTATION, ImageAugmentation, evaluate, train
from ncp_sampler.training.tasks import pair
from tests.training_examples import digits_problem, scenes_problem, uniform_code


class Renamed(Dataset[Any]):
    """Samples of another data set as dictionaries, of bytes if told."""

    def __init__(self, inner: Any, names: tuple[str, str], *, bytes_: bool) -> None:
        self.inner, self.names, self.bytes = inner, names, bytes_

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, i: int) -> dict[str, Any]:
        x, y = self.inner[i]
        if self.bytes:
            x = (x * 255).round().to(torch.uint8)
        return dict(zip(self.names, (x, y), strict=True))


@pytest.mark.parametrize("names", [("image", "label"), ("pixel_values", "labels")])
@pytest.mark.parametrize("bytes_", [False, True])
def test_dictionaries_and_bytes_are_learnt_from_as_pairs_are(
    names: tuple[str, str], bytes_: bool
) -> None:
    problem = digits_problem(limit=64, epochs=1)
    data = Renamed(problem.val.dataset, names, bytes_=bytes_)
    loader, plain = DataLoader(data, 16), DataLoader(problem.val.dataset, 16)
    models = [problem.build(uniform_code(1, 8)) for _ in range(2)]
    losses = [
        train(model, batches, batches, task=CLASSIFICATION, recipe=problem.recipe)
        for model, batches in zip(models, (loader, plain), strict=True)
    ]
    close = 3e-2 if bytes_ else 1e-2  # bytes are rounded, and each step adds to that
    assert losses[0].epochs[0].loss == pytest.approx(losses[1].epochs[0].loss, rel=close)


def test_masks_of_dictionaries_are_scored() -> None:
    problem = scenes_problem(length=4)
    data = Renamed(problem.val.dataset, ("image", "mask"), bytes_=False)
    model = problem.build(uniform_code(1, 8))
    scores = [
        evaluate(model, loader, task=SEGMENTATION) for loader in (DataLoader(data, 4), problem.val)
    ]
    assert scores[0] == pytest.approx(scores[1])


def test_bytes_are_numbers_between_0_and_1() -> None:
    image = torch.tensor([0, 51, 255], dtype=torch.uint8)
    x, _ = pair([image, torch.zeros(3)])
    np.testing.assert_allclose(x.numpy(), [0, 0.2, 1])
    picture = torch.full((3, 40, 40), 255, dtype=torch.uint8)
    changed, _ = ImageAugmentation(size=(32, 32), area=(0.5, 1.0), contrast=0.1)(picture)
    assert changed.dtype == torch.float32
    assert changed.max() <= 1


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"a": torch.ones(1), "label": torch.ones(1)}, r"'label'\], which must include"),
        ([torch.ones(1)] * 3, r"\(list\) is not two tensors; give images"),
        (torch.ones(2), r"\(Tensor\) is not two tensors"),
        ([torch.ones(1, dtype=torch.int64), torch.ones(1)], "dtype torch.int64; give floating"),
    ],
)
def test_other_batches_are_refused(batch: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair(batch)
