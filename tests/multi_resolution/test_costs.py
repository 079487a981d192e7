from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler import MRSpace
from ncp_sampler.multi_resolution import costs
from tests.work import instructions

SPACE = MRSpace()
SETTINGS = (
    "cls-50-1000",
    "cls-50-100",
    "cls-10-1000",
    "cls-10c",
    "seg",
    "seg-4x",
    "video",
    "video-p",
)
PUBLISHED = [  # the paper's Table 3: code, M params, G multiply-adds
    (
        "8 8 1 1 88 1 1 1 8 8 1 1 1 1 64 128 128 1 1 1 1 4 80 128 128 48 128",
        2.564,
        0.743,
    ),
    (
        "120 48 1 1 24 1 3 4 80 128 1 1 3 1 96 8 128 1 1 1 2 1 40 80 40 96 112",
        2.890,
        1.209,
    ),
]


def fractional_codes(n: int, seed: int) -> torch.Tensor:
    unit = np.random.default_rng(seed).uniform(0.02, 0.98, (n, len(SPACE.columns)))
    return torch.from_numpy(SPACE.denormalize(unit))


def reference(
    code: dict[str, int],
    resolution: tuple[int, int],
    num_classes: int,
    task: str,
    in_channels: int,
    frames: int,
) -> Iterator[tuple[int, int, int, int, bool]]:
    """Kernel's volume, c_in, c_out, pixels and norm of every single convolution, by block."""
    sizes = [resolution]
    for _ in range(5):  # the output of a 3x3 convolution of stride 2 and padding 1
        height, width = sizes[-1]
        sizes.append(((height - 1) // 2 + 1, (width - 1) // 2 + 1))
    pixels = [height * width * frames for height, width in sizes]

    yield 9, in_channels, code["i1"], pixels[1], True
    yield 9, code["i1"], code["i2"], pixels[2], True
    features = {1: code["i2"]}  # branch: channels
    for stage in (1, 2, 3, 4):
        width_of = {r: code[f"c{stage}_{r}"] for r in range(1, stage + 1)}
        for _ in range(code[f"b{stage}"]):
            for to, width in width_of.items():
                if to not in features:
                    yield 9, width_of[to - 1], width, pixels[to + 1], True
                    continue
                for source, channels in features.items():
                    if source in (to - 1, to):
                        yield 9, channels, width, pixels[to + 1], True
                    elif source == to + 1:
                        yield 1, channels, width, pixels[source + 1], True
            features = width_of
            for r, width in features.items():
                for _ in range(2 * code[f"n{stage}_{r}"]):
                    yield 9, width, width, pixels[r + 1], True
    channels, o = sum(features.values()), code["o1"]
    if task == "classification":
        yield 1, channels, o, pixels[5], True
        yield 1, o, num_classes, 1, False
    elif task == "segmentation":
        yield 1, channels, o, pixels[2], True
        yield 1, o, num_classes, pixels[2], False
    elif task == "video":
        yield 27, channels, o, pixels[5], True
        yield 1, o, num_classes, 1, False
    else:  # two anchors a class: its logits, a box of 7 numbers and 2 directions
        yield 1, channels, o, pixels[2], True
        for values in (num_classes, 7, 2):
            yield 1, o, 2 * num_classes * values, pixels[2], False


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_row_of_the_tables_is_exact(setting: str, bench_root: Path) -> None:
    rows: list[dict[str, Any]] = pickle.loads((bench_root / setting / "trainval.pkl").read_bytes())
    codes = [row["embedding"] for row in rows]
    flops = np.array([row["flops"] for row in rows])
    params = np.array([row["params"] for row in rows])
    assert len(rows) == 2007
    np.testing.assert_allclose(costs.flops(codes).numpy(), flops, rtol=0, atol=5e-10)
    np.testing.assert_array_equal(np.rint(costs.params(codes).numpy() * 1e6), np.rint(params * 1e6))


@pytest.mark.parametrize(("text", "params", "multiply_adds"), PUBLISHED)
def test_published_codes(text: str, params: float, multiply_adds: float) -> None:
    code = [int(number) for number in text.split()]
    computed = costs.flops(code, task="segmentation", num_classes=19, convention="multiply_adds")
    assert computed.item() == pytest.approx(multiply_adds, abs=5e-4)
    computed = costs.params(code, task="segmentation", num_classes=19)
    assert computed.item() == pytest.approx(params, abs=5e-4)


@pytest.mark.parametrize("task", costs.TASKS)
@pytest.mark.parametrize("resolution", [(128, 128), (32, 32), (33, 250), (496, 431)])
@pytest.mark.parametrize(("num_classes", "in_channels", "frames"), [(1, 3, 1), (1000, 64, 7)])
def test_sum_over_single_convolutions(
    task: str, resolution: tuple[int, int], num_classes: int, in_channels: int, frames: int
) -> None:
    codes = SPACE.sample(20, 0)
    rows: Any = SPACE.to_params(codes)
    frames = frames if task == "video" else 1
    multiply_adds: list[int] = []
    flops: list[int] = []
    params: list[int] = []
    for code in rows:
        convs = list(reference(code, resolution, num_classes, task, in_channels, frames))
        multiply_adds.append(sum(volume * i * o * at for volume, i, o, at, _ in convs))
        elements = sum(o * at * (1 + norm) for _, _, o, at, norm in convs)
        flops.append(multiply_adds[-1] + elements)
        params.append(sum(volume * i * o + o * (1 + norm) for volume, i, o, _, norm in convs))

    computed = {
        convention: costs.flops(
            codes,
            resolution=resolution,
            num_classes=num_classes,
            task=task,
            in_channels=in_channels,
            frames=frames if task == "video" else None,
            convention=convention,
        )
        for convention in costs.CONVENTIONS
    }
    assert (computed["tables"] * 1e9).round().tolist() == flops
    assert (computed["multiply_adds"] * 1e9).round().tolist() == multiply_adds
    assert torch.equal(computed["twice_multiply_adds"], 2 * computed["multiply_adds"])
    found_params = costs.params(codes, num_classes=num_classes, task=task, in_channels=in_channels)
    assert (found_params * 1e6).round().tolist() == params


@pytest.mark.parametrize("cost", [costs.flops, costs.params])
def test_gradients_of_fractional_codes(cost: Any) -> None:
    codes = fractional_codes(3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(cost, (codes,), eps=1e-4, atol=1e-6)
    assert torch.autograd.gradgradcheck(cost, (codes,), eps=1e-4, atol=1e-6)


@pytest.mark.parametrize("cost", [costs.flops, costs.params])
def test_central_differences_of_integer_codes_are_the_gradient(cost: Any) -> None:
    # Linear in b and n, at most quadratic in the widths: differences of any step are exact.
    base = torch.from_numpy(SPACE.start).double()
    step = torch.tensor([1.0 if name[0] in "bn" else 8.0 for name in SPACE.names])
    above, below = base + torch.diag(step), base - torch.diag(step)
    (gradient,) = torch.autograd.grad(cost(base.requires_grad_()), base)
    torch.testing.assert_close(
        gradient, (cost(above) - cost(below)) / (2 * step.double()), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", [name for name in SPACE.names if name[0] in "bn"])
def test_blocks_and_units_are_linear(name: str) -> None:
    column = SPACE.names.index(name)
    codes = torch.from_numpy(SPACE.sample(1, 2)).double().repeat(4, 1)
    codes[:, column] = torch.arange(1.0, 5.0, dtype=torch.float64)
    codes.requires_grad_()
    flops = costs.flops(codes)
    (gradient,) = torch.autograd.grad(flops.sum(), codes)
    torch.testing.assert_close(flops.diff(), gradient[:3, column], rtol=1e-10, atol=0.0)


def test_any_form_of_codes_gives_the_same_float64() -> None:
    codes = SPACE.sample(5, 0)
    expected = costs.flops(codes)
    assert expected.dtype == torch.float64
    assert expected.shape == (5,)
    for form in (
        codes.tolist(),
        tuple(map(tuple, codes)),
        codes.astype(np.float32),
        np.asfortranarray(codes),
        torch.from_numpy(codes),
        torch.from_numpy(codes).to(torch.float32),
        torch.from_numpy(codes).to(torch.bfloat16),
    ):
        assert torch.equal(costs.flops(form), expected)
    assert torch.equal(costs.flops(codes[0]), expected[:1])
    assert torch.equal(costs.params(codes[0].tolist()), costs.params(codes)[:1])
    assert costs.flops(codes[:0]).shape == costs.params(codes[:0]).shape == (0,)


def test_codes_are_not_changed_and_gradients_keep_their_dtype() -> None:
    codes = fractional_codes(2, seed=0).float().requires_grad_()
    before = codes.detach().clone()
    (gradient,) = torch.autograd.grad(costs.flops(codes).sum(), codes)
    assert gradient.dtype == torch.float32
    assert torch.equal(codes, before)


def test_many_codes_are_as_few() -> None:
    codes = SPACE.sample(20_001, 0)
    assert torch.equal(costs.flops(codes)[-7:], costs.flops(codes[-7:]))


def test_many_codes_take_no_more_steps_of_python_than_few() -> None:
    codes = SPACE.sample(10_000, 0)
    costs.flops(codes[:10])  # imports, once
    few = instructions(lambda: costs.flops(codes[:10]))
    assert instructions(lambda: costs.flops(codes)) < 2 * few


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_default_device_is_left_alone(device: str) -> None:
    torch.set_default_device(device)
    try:
        tensor = torch.tensor(SPACE.start.tolist(), device="cpu")
        for codes in (SPACE.start, SPACE.start.tolist(), tensor):
            assert costs.flops(codes).device.type == "cpu"
            assert costs.params(codes).item() > 1
    finally:
        torch.set_default_device(None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_codes_stay_on_their_device() -> None:
    codes = torch.from_numpy(SPACE.sample(100, 0))
    computed = costs.flops(codes.cuda())
    assert computed.device.type == "cuda"
    torch.testing.assert_close(computed.cpu(), costs.flops(codes), rtol=1e-14, atol=0.0)


def test_codes_a_hair_outside_the_bounds_are_accepted() -> None:
    code = SPACE.denormalize(np.ones(len(SPACE.columns)))
    assert costs.flops(code * (1 + 1e-8)).item() == pytest.approx(costs.flops(code).item())


def changed(**values: float) -> list[float]:
    return [
        values.get(name, float(number)) for name, number in SPACE.to_params(SPACE.start).items()
    ]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([1, 2, 3], r"shape \(3,\); it must be \(n, 27\)"),
        (np.ones((2, 2, 27)), r"shape \(2, 2, 27\)"),
        (8, r"shape \(\)"),
        ([], r"shape \(0,\)"),
        (["a"] * 27, r"codes=.* must be numbers"),
        ([[8] * 27, [8] * 26], r"codes=.* must be numbers"),
        (changed(b3=5), r"codes\[0\] has b3=5, which is not in \[1, 4\]"),
        (changed(n4_2=0), r"n4_2=0, which is not in \[1, 4\]"),
        (changed(b1=0.99), r"b1=0.99"),
        ([changed(), changed(c4_1=136)], r"codes\[1\] has c4_1=136, .* \[8, 128\]; .*round"),
        (changed(o1=float("nan")), "o1=nan"),
        (changed(i1=float("inf")), "i1=inf"),
        (torch.tensor(changed(i2=-8)), "i2=-8"),
    ],
)
@pytest.mark.parametrize("cost", [costs.flops, costs.params])
def test_wrong_codes(cost: Any, codes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cost(codes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "depth"}, r"task='depth' must be one of \('classification', "),
        ({"task": "video"}, "frames=None must be an integer of at least 1"),
        ({"task": "video", "frames": 0}, "frames=0"),
        ({"task": "video", "frames": 2.5}, "frames=2.5"),
        ({"frames": 8}, "frames=8 is only for task='video', not for 'classification'"),
        ({"in_channels": 0}, "in_channels=0 must be at least 1"),
        ({"num_classes": 0}, "num_classes=0 must be at least 1"),
        ({"num_classes": 2.5}, "num_classes=2.5"),
        ({"num_classes": float("nan")}, "num_classes=nan"),
        ({"num_classes": None}, "num_classes=None must be an integer of at least 1"),
        ({"task": "video", "frames": "8"}, "frames='8' must be an integer"),
        ({"resolution": (31, 128)}, r"resolution=\(31, 128\) must be .* at least 32"),
        ({"resolution": (128, 0)}, "resolution"),
        ({"resolution": 128}, "resolution=128"),
        ({"resolution": (128,)}, "resolution"),
        ({"resolution": (128, 128.5)}, "resolution"),
        ({"resolution": ("a", "b")}, "resolution"),
        ({"convention": "thop"}, r"convention='thop' .* 'multiply_adds'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        costs.flops(SPACE.start, **arguments)
    if arguments.keys() <= {"task", "num_classes", "in_channels"} and "frames" not in message:
        with pytest.raises(ValueError, match=message):
            costs.params(SPACE.start, **arguments)
