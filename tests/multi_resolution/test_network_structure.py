"""Which tensors and convolutions a code makes: against costs, ptflops, the tables, the paper."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.layers import initialize
from ncp_sampler.multi_resolution.network import Fusion
from tests.network_examples import LARGEST, SMALLEST, SPACE, batch, build


@pytest.mark.parametrize("task", costs.TASKS)
def test_params_are_those_of_costs(task: str) -> None:
    for code in [SMALLEST, LARGEST, *SPACE.sample(8, 1)]:
        with torch.device("meta"):
            net = build(code, task=task, num_classes=11, in_channels=4)
        expected = costs.params(code, task=task, num_classes=11, in_channels=4).item()
        assert sum(p.numel() for p in net.parameters()) == round(expected * 1e6)


@pytest.mark.parametrize("task", costs.TASKS)
@pytest.mark.parametrize("size", [(32, 32), (33, 90), (64, 47)])
def test_multiply_adds_are_those_that_ptflops_counts(task: str, size: tuple[int, int]) -> None:
    frames = 3 if task == "video" else None
    code = SPACE.sample(1, sum(size))[0]
    measured = costs.measure(
        build(code, task=task, in_channels=2), tuple(batch(task, size, channels=2).shape[1:])
    )
    expected = costs.flops(
        code,
        resolution=size,
        num_classes=5,
        task=task,
        in_channels=2,
        frames=frames,
        convention="multiply_adds",
    )
    assert measured.multiply_adds == round(expected.item() * 1e9)


def tables_flops(net: nn.Module, size: tuple[int, int]) -> int:
    """By the tables' convention, from what the network's own layers put out."""
    count = 0

    def add(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal count
        per_element = layer.weight[0].numel() + 1 if isinstance(layer, nn.Conv2d) else 1
        count += output.numel() * per_element

    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
            layer.register_forward_hook(add)
    net.eval()(torch.zeros(1, 3, *size))
    return count


def test_rows_of_the_tables(bench_root: Path) -> None:
    # tests/test_costs.py holds the closed form against every row; here the modules themselves.
    rows = pickle.loads((bench_root / "cls-50-1000" / "trainval.pkl").read_bytes())
    for row in rows[::200]:
        net = build(row["embedding"], num_classes=50)
        assert sum(p.numel() for p in net.parameters()) == round(row["params"] * 1e6)
        assert tables_flops(net, (128, 128)) == pytest.approx(row["flops"] * 1e9, abs=0.5)


@pytest.mark.parametrize(
    ("text", "params", "multiply_adds"),
    [  # the paper's Table 3, as far as it is printed: M, G
        ("8 8 1 1 88 1 1 1 8 8 1 1 1 1 64 128 128 1 1 1 1 4 80 128 128 48 128", 2.56, 0.74),
        ("120 48 1 1 24 1 3 4 80 128 1 1 3 1 96 8 128 1 1 1 2 1 40 80 40 96 112", 2.89, 1.21),
    ],
)
def test_published_codes(text: str, params: float, multiply_adds: float) -> None:
    net = build([int(number) for number in text.split()], task="segmentation", num_classes=19)
    found = costs.measure(net, (3, 128, 128))
    assert round(found.params / 1e6, 2) == params
    assert round(found.multiply_adds / 1e9, 2) == multiply_adds


def shapes(code: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(x.shape) for name, x in build(code).state_dict().items()}


def touched(name: str) -> str:
    """Pattern of the tensors of the start code's network that one number shapes or makes."""
    kind, stage, branch = name[0], int(name[1]), int(name[3:] or 0)
    output = r"(conv\.weight|norm\.(weight|bias|running_\w+))"
    if name == "i1":
        return rf"stem\.(0\.{output}|1\.conv\.weight)"
    if name == "i2":
        return rf"stem\.1\.{output}|stage1\.0\.fusion\.branch1\.from1\.conv\.weight"
    if name == "o1":
        return rf"head\.fuse\.{output}|head\.classifier\.weight"
    if kind == "b":
        return rf"stage{stage}\.2\..*"
    if kind == "n":
        return rf"stage{stage}\.[01]\.parallel\.branch{branch}\.2\..*"
    return "|".join(
        [
            rf"stage{stage}\.[01]\.fusion\.branch{branch}\.(from\d\.)?{output}",
            rf"stage{stage}\.[01]\.parallel\.branch{branch}\.[01]\.(first|second)\.{output}",
            rf"stage{stage}\.1\.fusion\.branch\d\.from{branch}\.conv\.weight",
            rf"stage{stage}\.0\.fusion\.branch{branch + 1}\.conv\.weight",  # where new
            rf"stage{stage + 1}\.0\.fusion\.branch\d\.from{branch}\.conv\.weight",
            *([r"head\.fuse\.conv\.weight"] if stage == 4 else []),
        ]
    )


@pytest.mark.parametrize("name", SPACE.names)
def test_one_number_changes_exactly_its_tensors(name: str) -> None:
    params = SPACE.to_params(SPACE.start)
    before = shapes(params)
    after = shapes({**params, name: params[name] + (1 if name[0] in "bn" else 8)})
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed == {key for key in before | after if re.fullmatch(touched(name), key)}
    assert changed


def test_names_in_the_state_dict() -> None:
    names = list(build(SPACE.start, task="video").state_dict())
    for name in (
        "stem.1.norm.running_mean",
        "stage1.0.fusion.branch1.from1.conv.weight",
        "stage3.0.fusion.branch3.conv.weight",
        "stage3.1.fusion.branch2.from3.conv.weight",
        "stage4.1.parallel.branch4.0.second.norm.bias",
        "head.fuse.conv.weight",
        "head.classifier.bias",
    ):
        assert name in names


def test_fusion_gathers_neighbours_and_makes_the_new_branch_from_the_fused_one() -> None:
    fusion = Fusion([8, 16], [24, 32, 40])
    initialize(fusion, torch.Generator().manual_seed(0))
    high, low = torch.randn(2, 8, 9, 7), torch.randn(2, 16, 5, 4)

    def path(name: str, x: Tensor) -> Tensor:
        layer = fusion.get_submodule(name)
        convolution: Any = layer.get_submodule("conv")
        side = convolution.weight.shape[-1]
        y = functional.conv2d(x, convolution.weight, None, convolution.stride, side // 2)
        return functional.batch_norm(y, None, None, training=True).relu()

    upsampled = path("branch1.from2", low).repeat_interleave(2, 2).repeat_interleave(2, 3)
    first = (path("branch1.from1", high) + upsampled[:, :, :9, :7]).relu()
    second = (path("branch2.from1", high) + path("branch2.from2", low)).relu()
    third = path("branch3", second)
    for found, expected in zip(fusion([high, low]), (first, second, third), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
