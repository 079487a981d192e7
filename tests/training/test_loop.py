"""The training loop on real digits and small networks; tasks, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from ncp_sampler import MRSpace
from ncp_sampler.multi_resolution import costs
from ncp_sampler.training import (
    CLASSIFICATION,
    IGNORED,
    PRESETS,
    SEGMENTATION,
    Checkpoint,
    Digits,
    Epoch,
    Recipe,
    Task,
    Trained,
    TrainingProblem,
    evaluate,
    measure,
    train,
)
from tests.training_examples import digits_problem, scenes_problem, uniform_code

CODE = uniform_code(1, 16)


def run(problem: TrainingProblem, model: nn.Module, **changes: Any) -> Trained:
    arguments: dict[str, Any] = {"task": problem.task, "recipe": problem.recipe, **changes}
    return train(model, problem.train, problem.val, **arguments)


def test_digits_are_learnt_to_nine_tenths() -> None:
    problem = digits_problem(limit=2000, epochs=4)
    model = problem.build(CODE)
    trained = run(problem, model)
    assert [epoch.number for epoch in trained.epochs] == [1, 2, 3, 4]
    assert trained.epochs[-1].loss < trained.epochs[0].loss / 3
    assert evaluate(model, problem.test, task=CLASSIFICATION) > 90


def test_best_epoch_is_kept() -> None:
    """A learning rate that ruins the network after a good epoch: the weights are those before."""
    problem = digits_problem(limit=1000, epochs=4)

    class Ruinous(Recipe):
        def rate(self, p: float) -> float:
            return super().rate(p) if p < 0.5 else 30.0

    recipe = Ruinous(**vars(problem.recipe))
    model = problem.build(CODE)
    trained = run(problem, model, recipe=recipe)
    assert trained.epoch <= 3
    assert trained.epochs[-1].metric < trained.metric - 20
    assert trained.metric == max(epoch.metric for epoch in trained.epochs)
    assert evaluate(model, problem.val, task=CLASSIFICATION) == trained.metric


def test_seed_decides_all_and_touches_nothing_else() -> None:
    problem = digits_problem(limit=64)
    results = []
    for seed, outside in ((1, 0), (1, 5), (2, 0)):
        torch.manual_seed(outside)
        before = torch.get_rng_state()
        model = problem.build(CODE)
        results.append((run(problem, model, seed=seed).epochs, model.state_dict()))
        assert torch.equal(torch.get_rng_state(), before)
    assert results[0][0] == results[1][0] != results[2][0]
    for name, value in results[0][1].items():
        assert torch.equal(value, results[1][1][name])


def test_gpus_are_not_seeded_by_a_training_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their random numbers are outside too; what torch.manual_seed does to them is recorded."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    problem = digits_problem(limit=32, epochs=1)
    run(problem, problem.build(CODE))
    assert not seeds


def test_on_epoch_hears_every_epoch_and_may_stop() -> None:
    class StopError(Exception):
        pass

    heard: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        heard.append(epoch)
        if epoch.number == 2:
            raise StopError

    problem = digits_problem(epochs=5)
    with pytest.raises(StopError):
        run(problem, problem.build(CODE), on_epoch=on_epoch)
    assert [epoch.number for epoch in heard] == [1, 2]


def test_bf16_trains_float32_weights() -> None:
    problem = digits_problem(limit=64)
    model = problem.build(CODE)
    trained = run(problem, model, bf16=True)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert trained.epochs != run(problem, problem.build(CODE)).epochs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("bf16", [False, True])
def test_on_cuda(bf16: bool) -> None:
    problem = digits_problem(limit=2000, epochs=4)
    model = problem.build(CODE)
    run(problem, model, device="cuda", bf16=bf16)
    assert next(model.parameters()).is_cuda
    assert evaluate(model, problem.test, task=CLASSIFICATION, device="cuda", bf16=bf16) > 90


def test_any_nest_of_tensors_is_a_batch() -> None:
    """A task of one's own: a loader of dictionaries, and a loss that reads them."""
    data = [
        {"x": torch.tensor([float(i % 7)]), "y": torch.tensor(3.0 * (i % 7))} for i in range(28)
    ]
    loader: DataLoader[Any] = DataLoader(data, 4)  # type: ignore[arg-type]

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        error: Tensor = model(batch["x"])[:, 0] - batch["y"]
        return error.square().mean()

    def score(model: nn.Module, batches: Any) -> float:
        return -sum(float(loss(model, batch)) for batch in batches)

    recipe = replace(PRESETS["digits-cls"].recipe, learning_rate=0.2, epochs=30)
    task = Task(metric="minus error", loss=loss, score=score)
    model = nn.Linear(1, 1)
    assert train(model, loader, loader, task=task, recipe=recipe).metric > -1e-2
    assert model.weight.item() == pytest.approx(3, abs=0.05)


def test_a_metric_that_is_not_a_number_is_an_error() -> None:
    loader = DataLoader(TensorDataset(torch.ones(8, 1), torch.zeros(8, dtype=torch.long)), 4)
    task = replace(CLASSIFICATION, score=lambda model, batches: float("nan"))
    with pytest.raises(FloatingPointError, match="top1 of epoch 1 is NaN"):
        train(nn.Linear(1, 2), loader, loader, task=task, recipe=PRESETS["digits-cls"].recipe)


def test_a_metric_may_be_minus_infinity() -> None:
    """As a log-likelihood may be; the first of the equal epochs is the best."""
    loader = DataLoader(TensorDataset(torch.ones(8, 1), torch.zeros(8, dtype=torch.long)), 4)
    task = replace(CLASSIFICATION, score=lambda model, batches: -math.inf)
    recipe = replace(PRESETS["digits-cls"].recipe, epochs=2)
    assert train(nn.Linear(1, 2), loader, loader, task=task, recipe=recipe).epoch == 1


def test_infinite_loss_is_an_error() -> None:
    x = torch.full((8, 1), 1e38)
    loader = DataLoader(TensorDataset(x, torch.zeros(8, dtype=torch.long)), 4)
    recipe = replace(PRESETS["digits-cls"].recipe, clip_norm=None)
    model = nn.Linear(1, 2)
    nn.init.constant_(model.weight, 10.0)
    nn.init.constant_(model.weight[1:], 100.0)
    with pytest.raises(FloatingPointError, match="loss of epoch 1 is"):
        train(model, loader, loader, task=CLASSIFICATION, recipe=recipe)


def test_loader_without_batches_is_an_error() -> None:
    problem = digits_problem(limit=16)  # fewer than a batch, which drop_last drops
    with pytest.raises(
        ValueError, match="train_loader has no batches: 16 samples in batches of 32"
    ):
        run(problem, problem.build(CODE))


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(torch.ones(1), torch.tensor(0))] * 8)


class KnownStream(Stream):
    def __len__(self) -> int:
        return 8


def test_stream_of_samples_needs_a_length() -> None:
    recipe = replace(PRESETS["digits-cls"].recipe, epochs=1)
    endless, known = DataLoader(Stream(), 4), DataLoader(KnownStream(), 4)
    with pytest.raises(ValueError, match=r"train_loader has no length, .* a __len__"):
        train(nn.Linear(1, 2), endless, known, task=CLASSIFICATION, recipe=recipe)
    trained = train(nn.Linear(1, 2), known, known, task=CLASSIFICATION, recipe=recipe)
    assert trained.epoch == 1


class Fixed(nn.Module):
    """A network that says what it was given as logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_top1() -> None:
    logits = torch.eye(4)
    batches = [(logits[:2], torch.tensor([0, 1])), (logits[2:], torch.tensor([2, 0]))]
    assert CLASSIFICATION.score(Fixed(), batches) == 75


def test_mean_iou_over_classes_that_occur() -> None:
    """Class 0: 2 of 3 pixels; 1: 1 of 2; 2 nowhere; the ignored pixel does not count."""
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 1]]), 3).float()
    logits = logits.permute(0, 2, 1)[:, :, None]  # (1, 3, 1, 4)
    truth = torch.tensor([[[0, 0, 0, 1]]])
    assert SEGMENTATION.score(Fixed(), [(logits, truth)]) == pytest.approx(
        100 * (2 / 3 + 1 / 2) / 2
    )
    ignored = torch.tensor([[[0, 0, IGNORED, 1]]])
    assert SEGMENTATION.score(Fixed(), [(logits, ignored)]) == 100
    assert SEGMENTATION.loss(Fixed(), (logits, torch.full_like(truth, IGNORED))) == 0
    with pytest.raises(ValueError, match=f"class {logits.shape[1]}, but the network has"):
        SEGMENTATION.score(Fixed(), [(logits, torch.full_like(truth, logits.shape[1]))])


def test_top5_counts_the_five_most_likely_classes() -> None:
    """The right one of six classes is the first, the fifth and the last."""
    logits = torch.tensor([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]).expand(3, 6)
    loader: Any = [(logits, torch.tensor([0, 4, 5]))]
    metrics = measure(Fixed(), loader, task=CLASSIFICATION)
    assert list(metrics) == ["top1", "top5"]
    assert metrics == {"top1": pytest.approx(100 / 3), "top5": pytest.approx(200 / 3)}
    two_classes: Any = [(logits[:, :2], torch.tensor([0, 1, 1]))]
    assert measure(Fixed(), two_classes, task=CLASSIFICATION)["top5"] == 100


def test_accuracies_of_masks_are_by_class_and_over_all_pixels() -> None:
    """Class 0: 2 of 3 pixels right; 1: 1 of 1; 2 is predicted once and occurs nowhere."""
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 2, 1, 0]]), 3).float()
    truth = torch.tensor([[[0, 0, 0, 1, IGNORED]]])
    loader: Any = [(logits.permute(0, 2, 1)[:, :, None], truth)]
    metrics = measure(Fixed(), loader, task=SEGMENTATION)
    assert list(metrics) == ["mIoU", "mAcc", "aAcc"]
    assert metrics["mIoU"] == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert metrics["mIoU"] == SEGMENTATION.score(Fixed(), loader)
    assert metrics["mAcc"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert metrics["aAcc"] == pytest.approx(100 * 3 / 4)


def test_a_task_of_one_metric_has_that_one() -> None:
    task = Task(metric="half", loss=lambda *_: torch.zeros(()), score=lambda *_: 50.0)
    assert measure(Fixed(), [], task=task) == {"half": 50.0}  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="measure=3 must be a function of a model and batches"):
        replace(task, measure=3)  # type: ignore[arg-type]


def test_masks_may_be_of_bytes() -> None:
    """As image files have them; class 18 of 19 is beyond a byte once it is a row of a table."""
    truth = torch.tensor([[[0, 17, 18, IGNORED]]])
    logits = torch.nn.functional.one_hot(truth.clamp_max(18), 19).float().permute(0, 3, 1, 2)
    for mask in (truth, truth.byte()):
        assert SEGMENTATION.score(Fixed(), [(logits, mask)]) == 100
    expected = SEGMENTATION.loss(Fixed(), (logits, truth))
    assert SEGMENTATION.loss(Fixed(), (logits, truth.byte())) == expected


def test_checkpoint_of_a_metric_in_numpys_numbers_can_be_read(tmp_path: Path) -> None:
    """As scikit-learn's metrics are, which a task of one's own may return."""
    metrics = {"digits": np.float64(90)}
    networks = {"digits": nn.Linear(1, 1)}
    checkpoint = Checkpoint.of(CODE, gflops=np.float64(0.1), metrics=metrics, networks=networks)
    checkpoint.save(tmp_path / "kept.pt")
    kept = Checkpoint.load(tmp_path / "kept.pt")
    assert (kept.gflops, kept.metrics) == (0.1, {"digits": 90})


def test_costs_of_a_problem_are_those_of_its_network() -> None:
    for problem, size in ((digits_problem(), 32), (scenes_problem(), 48)):
        network = problem.build(MRSpace().start)
        measured = costs.measure(network, (1, size, size))
        assert problem.gflops(MRSpace().start) == pytest.approx(
            measured.multiply_adds / 1e9, rel=1e-9
        )


def test_digits_loader_reads_images_as_the_network_takes_them() -> None:
    problem = digits_problem(limit=32)
    x, y = next(iter(problem.train))
    assert x.shape == (32, 1, 32, 32)
    assert problem.build(CODE)(x).shape == (32, 10)
    assert sorted(y.tolist()) == sorted(Digits("train", limit=32).labels.tolist())
