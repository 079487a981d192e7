"""``costs.measure``: what ptflops counts of any module, and that the module is left as it was."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.costs import Measurement, measure

LENGTH, WIDTH, HEADS = 10, 16, 4  # of attention
PROJECTIONS = LENGTH * WIDTH * 4 * WIDTH
SCORES = 2 * LENGTH * LENGTH * WIDTH


class Forward(nn.Module):
    """Runs a function of the input, and a part that it may use."""

    def __init__(self, run: Callable[[Any, Tensor], Any], part: nn.Module | None = None) -> None:
        super().__init__()
        self.part = part
        self.run = run

    def forward(self, x: Tensor) -> Any:
        return self.run(self.part, x)


def attention(**options: bool) -> Forward:
    part = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    return Forward(lambda layer, x: layer(x, x, x, **options), part)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ptflops", None)
    with pytest.raises(ImportError, match=r'extra "measure"; .* pip install ptflops'):
        measure(nn.Linear(1, 1), (1,))


@pytest.mark.parametrize(
    ("module", "shape", "multiply_adds", "params"),
    [
        (nn.Conv2d(3, 8, 3, bias=True), (3, 10, 12), 3 * 8 * 9 * 8 * 10, 3 * 8 * 9 + 8),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 9, 9), 3 * 8 * 9 * 25, 224),
        (nn.Conv2d(8, 8, 3, groups=8), (8, 5, 5), 8 * 9 * 9, 80),
        (nn.Conv3d(2, 4, (3, 1, 1), bias=False), (2, 5, 6, 7), 2 * 4 * 3 * 3 * 6 * 7, 24),
        (nn.ConvTranspose2d(4, 2, 2, stride=2), (4, 5, 5), 4 * 2 * 4 * 25, 34),
        (nn.Linear(16, 8), (16,), 128, 136),
        (nn.Linear(16, 8), (10, 16), 1280, 136),
        (nn.BatchNorm2d(4), (4, 3, 3), 0, 8),
        (nn.Sequential(nn.ReLU(inplace=True), nn.Conv1d(1, 1, 1)), (1, 7), 7, 2),
        (Forward(lambda _, x: x @ x.mT), (3, 5), 3 * 3 * 5, 0),
        (Forward(lambda _, x: functional.conv2d(x, x)), (3, 4, 4), 3 * 4 * 4, 0),
        (attention(), (LENGTH, WIDTH), PROJECTIONS + SCORES, 1088),
        (attention(need_weights=False), (LENGTH, WIDTH), PROJECTIONS + SCORES, 1088),
        (
            nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True),
            (LENGTH, WIDTH),
            PROJECTIONS + SCORES + 2 * LENGTH * WIDTH * 32,
            2224,
        ),
        (nn.LSTM(16, 8, batch_first=True), (10, 16), 10 * 4 * 8 * (16 + 8), 832),
        (nn.GRU(16, 8, batch_first=True), (10, 16), 10 * 3 * 8 * (16 + 8), 624),
    ],
)
def test_counts_by_hand(
    module: nn.Module, shape: tuple[int, ...], multiply_adds: int, params: int
) -> None:
    expected = Measurement(multiply_adds=multiply_adds, params=params)
    assert measure(module.train(), shape) == expected
    assert measure(module.eval(), shape) == expected


def test_frozen_parameters_are_no_trainable_ones_and_change_no_path() -> None:
    frozen = attention().requires_grad_(False)
    assert measure(frozen, (LENGTH, WIDTH)) == Measurement(PROJECTIONS + SCORES, 0)


def test_shared_layers_count_each_time_they_run_and_once_as_parameters() -> None:
    layer = nn.Linear(4, 4, bias=False)
    assert measure(nn.Sequential(layer, layer, layer), (4,)) == Measurement(48, 16)


def mixed() -> nn.Module:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Sequential(nn.Dropout(), nn.ReLU())).train()
    norm.eval()  # as in fine-tuning
    return module


@pytest.mark.parametrize("shape", [(3, 8, 8), (5, 8, 8)])  # the second fails
def test_module_is_left_as_it_was(
    shape: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    module, twin = mixed(), mixed()
    calls: list[bool] = []
    module[0].register_forward_hook(lambda *_: calls.append(module[0].training))  # type: ignore[index]
    before = [(part.training, set(vars(part)), str(vars(part))) for part in module.modules()]
    if shape == (3, 8, 8):
        measure(module, shape)
        assert calls == [False]  # in evaluation mode
    else:
        with pytest.raises(ValueError, match=r"input of shape \(1, 5, 8, 8\).*expected input.* 3 "):
            measure(module, shape)
    after = [(part.training, set(vars(part)), str(vars(part))) for part in module.modules()]
    assert after == before
    assert all(p.grad is None for p in module.parameters())
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name]), name
    assert capfd.readouterr() == ("", "")


def test_runs_under_no_grad_in_inference_mode_and_in_threads() -> None:
    module = mixed()
    measured: list[Measurement] = []
    with torch.no_grad():
        expected = measure(module, (3, 8, 8))
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        assert measure(module, (3, 8, 8)) == expected
        assert torch.is_inference_mode_enabled()
    threads = [
        threading.Thread(target=lambda: measured.append(measure(mixed(), (3, 8, 8))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert measured == [expected] * 4


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_input_takes_the_type_of_the_module(dtype: torch.dtype) -> None:
    assert measure(nn.Linear(4, 2, dtype=dtype), (4,)) == Measurement(8, 10)


def test_meta_device_computes_nothing() -> None:
    module = nn.Conv2d(3, 64, 3, padding=1, device="meta")
    assert measure(module, (3, 4096, 4096)).multiply_adds == 3 * 64 * 9 * 4096**2


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        ("resnet", (3, 8, 8), r"module='resnet' must be a torch.nn.Module"),
        (nn.Linear(4, 2), 4, r"input_shape=4 must be integers .* \(3, 224, 224\)"),
        (nn.Linear(4, 2), (), r"input_shape=\(\)"),
        (nn.Linear(4, 2), (0,), r"input_shape=\(0,\)"),
        (nn.Linear(4, 2), (4.0,), r"input_shape=\(4.0,\)"),
        (nn.Linear(4, 2), "4", r"input_shape='4'"),
        (nn.Linear(4, 2), (5,), r"module cannot run on an input of shape \(1, 5\)"),
    ],
)
def test_wrong_arguments(module: Any, shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(module, shape)


def test_measure_is_public_in_costs() -> None:
    assert costs.measure is measure
