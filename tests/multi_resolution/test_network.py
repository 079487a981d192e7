"""The network behind a code: inputs and outputs, gradients, weights and errors."""

from __future__ import annotations

import copy
import io
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.heads import resize_logits
from ncp_sampler.multi_resolution.layers import ResidualUnit
from ncp_sampler.multi_resolution.network import Gather
from tests.network_examples import LARGEST, SMALLEST, SPACE, batch, build, parts

CODES = {
    "smallest": SMALLEST,
    "largest": LARGEST,
    "start": SPACE.start,
    "random 0": SPACE.sample(2, 0)[0],
    "random 1": SPACE.sample(2, 0)[1],
}


def expected_shapes(task: str, size: tuple[int, int]) -> list[tuple[int, ...]]:
    height, width = (-(-side // 4) for side in size)
    shapes: dict[str, list[tuple[int, ...]]] = {
        "classification": [(2, 5)],
        "segmentation": [(2, 5, height, width)],
        "video": [(2, 5)],
        "detection3d": [(2, height, width, 10, values) for values in (5, 7, 2)],
    }
    return shapes[task]


@pytest.mark.parametrize("task", costs.TASKS)
@pytest.mark.parametrize("size", [(32, 32), (33, 63), (64, 47), (75, 130)])
def test_output_shapes_at_even_and_odd_sizes(task: str, size: tuple[int, int]) -> None:
    net = build(task=task, in_channels=2)
    output = net(batch(task, size, channels=2))
    assert [tuple(part.shape) for part in parts(output)] == expected_shapes(task, size)


def test_features_are_four_branches_at_a_quarter_to_a_thirty_second() -> None:
    net = build(SPACE.to_code({**SPACE.to_params(SMALLEST), "c4_2": 16, "c4_4": 24}))
    shapes = [tuple(x.shape[1:]) for x in net.features(torch.zeros(2, 3, 65, 100))]
    assert shapes == [(8, 17, 25), (16, 9, 13), (8, 5, 7), (24, 3, 4)]


def units(net: nn.Module) -> list[ResidualUnit]:
    return [layer for layer in net.modules() if isinstance(layer, ResidualUnit)]


def test_residual_units_begin_as_identities_and_do_not_stay_so() -> None:
    net = build()
    x = batch("classification", (40, 32)).repeat(1, 3, 1, 1)[:, :8]
    for unit in units(net):
        assert torch.equal(unit(x.relu()), x.relu())
    net(batch("classification", (40, 32))).square().sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert all(unit.second.norm.weight.all() for unit in units(net))


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
@pytest.mark.parametrize("task", costs.TASKS)
def test_forward_and_backward_are_finite(task: str, code: Any) -> None:
    net = build(code, task=task)
    for unit in units(net):  # as after some steps; at first they are identities
        nn.init.constant_(unit.second.norm.weight, 0.1)
    output = net(batch(task, (33, 40)))
    assert all(part.isfinite().all() for part in parts(output))
    torch.stack([part.square().mean() for part in parts(output)]).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("task", costs.TASKS[1:])
def test_trunk_goes_from_task_to_task(task: str) -> None:
    source, target = build(seed=0), build(task=task, seed=1)
    trunk = {k: v for k, v in source.state_dict().items() if not k.startswith("head.")}
    report = target.load_state_dict(trunk, strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith("head.") for key in report.missing_keys)


def test_video_sees_the_order_of_frames_and_takes_any_number() -> None:
    net = build(task="video").eval()
    clip = batch("video", (32, 32))
    assert not torch.allclose(net(clip), net(clip.flip(2)))
    for frames in (1, 2, 7):
        assert net(torch.zeros(2, 3, frames, 32, 32)).shape == (2, 5)


def test_clips_of_a_batch_are_apart() -> None:
    net = build(task="video").eval()
    clips = batch("video", (32, 40))
    torch.testing.assert_close(net(clips)[1:], net(clips[1:]))


def test_same_seed_same_weights_and_no_generator_touched() -> None:
    state = torch.get_rng_state()
    nets = [build(task="detection3d", seed=seed) for seed in (0, np.int64(0), 1)]
    assert torch.equal(torch.get_rng_state(), state)
    first, same, reseeded = (net.state_dict() for net in nets)
    assert all(torch.equal(first[name], same[name]) for name in first)
    drawn = [name for name in first if re.search(r"(conv|classes|boxes|directions)\.weight", name)]
    assert not any(torch.equal(first[name], reseeded[name]) for name in drawn)


def test_without_a_seed_the_weights_follow_torch() -> None:
    def drawn(*, reseed: bool) -> Tensor:
        if reseed:
            torch.manual_seed(3)
        weight: Tensor = build(seed=None).state_dict()["stem.0.conv.weight"]
        return weight

    first = drawn(reseed=True)
    assert not torch.equal(drawn(reseed=False), first)
    assert torch.equal(drawn(reseed=True), first)


@pytest.mark.parametrize("task", costs.TASKS)
def test_weights_are_kaiming_normal_by_fan_out(task: str) -> None:
    net = build(SPACE.start, task=task)
    own = {layer.own.conv for layer in net.modules() if isinstance(layer, Gather)}
    for name, layer in net.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)) and "anchors" not in name:
            expected = (2 / layer.weight[:, 0].numel()) ** 0.5
            if layer in own:  # half of that, and the identity
                expected /= 2
                nn.init.dirac_(identity := torch.empty_like(layer.weight))
                with torch.no_grad():
                    layer.weight.sub_(identity)
            few = 5 / layer.weight.numel() ** 0.5  # standard errors
            assert layer.weight.std().item() == pytest.approx(expected, rel=few), name
            assert layer.weight.mean().abs().item() < few * expected, name
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("task", costs.TASKS)
def test_kaiming_is_the_initialization_of_the_published_networks(task: str) -> None:
    """Kaiming-normal everywhere, batch norms that scale by 1: no identity anywhere."""
    net = build(SPACE.start, task=task, initialization="kaiming")
    for name, layer in net.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)) and "anchors" not in name:
            expected = (2 / layer.weight[:, 0].numel()) ** 0.5
            few = 5 / layer.weight.numel() ** 0.5  # standard errors
            assert layer.weight.std().item() == pytest.approx(expected, rel=few), name
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all(), name
            assert not layer.bias.any(), name
    default = build(SPACE.start, task=task)
    assert default.state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize("as_state", [False, True])
def test_a_pretrained_trunk_is_taken_over_and_the_head_is_not(as_state: bool) -> None:
    pretrained, video = build(seed=0), build(task="video", seed=1)
    pretrained(batch("classification", (32, 32)))  # moves the batch statistics
    before = {name: value.clone() for name, value in video.state_dict().items()}
    video.load_trunk(pretrained.state_dict() if as_state else pretrained)
    images = batch("classification", (32, 32))
    for own, loaded in zip(
        video.eval().features(images), pretrained.eval().features(images), strict=True
    ):
        assert torch.equal(own, loaded)
    for name, value in video.state_dict().items():
        if name.startswith("head."):
            assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: build(SPACE.start), "source is a network with another trunk; it must be"),
        (lambda: build(in_channels=1), "source is a network with another trunk"),
        (dict, "source is a network with another trunk"),
        (
            lambda: dict.fromkeys(build().state_dict(), 0.5),
            "source is a network with another trunk",
        ),
        (lambda: {3: torch.zeros(2)}, "source is a network with another trunk"),
        (lambda: nn.Linear(2, 2), "source=.* must be a MultiResolutionNet of the same code"),
    ],
)
def test_another_trunk_is_refused(source: Callable[[], Any], message: str) -> None:
    net = build()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        net.load_trunk(source())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_copies_and_saved_weights_give_the_same_output() -> None:
    net = build().eval()
    x = batch("classification", (40, 32))
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    loaded = build(seed=1).eval()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), loaded):
        assert torch.equal(twin(x), net(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types(dtype: torch.dtype) -> None:
    assert build().to(dtype)(batch("classification", (32, 64)).to(dtype)).dtype == dtype


def test_learns() -> None:
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 4
    net = build(num_classes=4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1  # log 4 = 1.39 by chance


def test_every_form_of_a_code_builds_the_same() -> None:
    code = SPACE.sample(1, 5)[0]
    params = SPACE.to_params(code)
    net = SPACE.build(params, task="segmentation", num_classes=3, in_channels=1, seed=0)
    assert (net.code, net.task) == (tuple(code.tolist()), "segmentation")
    assert (net.num_classes, net.in_channels) == (3, 1)
    assert SPACE.to_string(code) in repr(net)
    for form in (code, code.tolist(), torch.from_numpy(code), code.astype(np.float32)):
        assert build(form).code == net.code
    assert list(params) == list(SPACE.names)


def test_logits_at_full_size() -> None:
    logits = build(task="segmentation")(batch("segmentation", (33, 50)))
    full = resize_logits(logits, (33, 50))
    assert full.shape == (2, 5, 33, 50)
    torch.testing.assert_close(
        resize_logits(torch.ones(1, 2, 3, 4), (9, 9)), torch.ones(1, 2, 9, 9)
    )


@pytest.mark.parametrize(
    ("logits", "size", "message"),
    [
        (torch.zeros(2, 3), (8, 8), r"logits has shape \(2, 3\); it must be \(n, K, h, w\)"),
        (torch.zeros(2, 3, 4, 4), (8,), r"size=\(8,\) must be a height and a width"),
        (torch.zeros(2, 3, 4, 4), (0, 8), r"size=\(0, 8\)"),
    ],
)
def test_wrong_logits(logits: Tensor, size: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resize_logits(logits, size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "depth"}, r"task='depth' must be one of \('classification', "),
        ({"num_classes": 0}, "num_classes=0 must be at least 1"),
        ({"num_classes": 2.5}, "num_classes=2.5"),
        ({"in_channels": 0}, "in_channels=0 must be at least 1"),
        ({"seed": 1.5}, "seed=1.5 must be an integer from"),
        ({"seed": 2**64}, "seed=18446744073709551616 must be"),
        ({"initialization": "xavier"}, r"initialization='xavier' must be one of \('identity', "),
        ({"code": [8] * 26}, r"shape \(26,\)"),
        ({"code": [8] * 27}, "b1=8 is not a value of"),
        ({"code": [7, *SMALLEST[1:]]}, "i1=7 is not a value of .* nearest valid value is 8"),
        ({"code": [SMALLEST, SMALLEST]}, "code has 2 codes; a network is built from one"),
        ({"code": {"i1": 8}}, r"params do not fit the space: missing \['i2', "),
        ({"code": "8_8"}, "code='8_8' must be numbers"),
    ],
)
def test_wrong_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize(
    ("task", "shape", "message"),
    [
        (
            "classification",
            (3, 32, 32),
            r"shape \(3, 32, 32\); it must be \(n, C, H, W\) for task=",
        ),
        ("video", (2, 3, 32, 32), r"must be \(n, C, T, H, W\) for task='video'"),
        ("segmentation", (2, 4, 32, 32), "x has 4 channels, but the network has in_channels=3"),
        ("video", (2, 4, 3, 32, 32), "x has 4 channels"),
        ("classification", (2, 3, 31, 99), "x has height 31; it must be at least 32"),
        ("detection3d", (2, 3, 64, 20), "x has width 20; it must be at least 32"),
        ("video", (2, 3, 0, 32, 32), "x has no frames"),
    ],
)
def test_wrong_input(task: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(task=task)(torch.zeros(shape))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    with torch.device("cuda"):
        net = build()
    x = batch("classification", (64, 64))
    torch.testing.assert_close(net.eval()(x.cuda()).cpu(), build().eval()(x), rtol=1e-3, atol=1e-3)
