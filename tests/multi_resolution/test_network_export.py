"""torch.export and torch.compile take the networks whole, and give the same outputs."""

from __future__ import annotations

import pytest
import torch

from ncp_sampler.multi_resolution import costs
from ncp_sampler.multi_resolution.layers import initialize
from ncp_sampler.multi_resolution.network import Block
from tests.network_examples import batch, build, parts

_FREE = ("segmentation", "video")  # exported for inputs of any size


@pytest.mark.parametrize("task", [task for task in costs.TASKS if task not in _FREE])
def test_export(task: str) -> None:
    net, x = build(task=task).eval(), batch(task, (49, 64))
    program = torch.export.export(net, (x,))
    torch.testing.assert_close(parts(program.module()(x)), parts(net(x)))


@pytest.mark.parametrize("task", _FREE)
def test_export_with_free_batch_height_and_width(task: str) -> None:
    net = build(task=task).eval()
    x = batch(task, (49, 64))
    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        net, (x,), dynamic_shapes=({0: free, x.ndim - 2: free, x.ndim - 1: free},)
    )
    for n, size in ((2, (49, 64)), (3, (75, 33))):
        images = batch(task, size, n=n)
        torch.testing.assert_close(parts(program.module()(images)), parts(net(images)))


def test_export_refuses_what_the_network_refuses() -> None:
    with pytest.raises(ValueError, match="x has height 31"):
        # strict=False, the default of later versions of PyTorch, runs the network's own code
        torch.export.export(build(), (torch.zeros(2, 3, 31, 64),), strict=False)


# The default backend compiles C++ for minutes; it was tried by hand on the whole network. "eager"
# traces the forward pass alone, "aot_eager" the backward pass and in-place operations too.


@pytest.mark.parametrize("task", ["video", "detection3d"])
def test_compiled_network_is_one_graph(task: str) -> None:
    net, x = build(task=task), batch(task, (33, 40))
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(parts(compiled(x)), parts(net(x)))


def test_compiled_gradients_of_a_block() -> None:
    block = Block([8, 8], [8, 16, 8], [1, 1, 1])
    initialize(block, torch.Generator().manual_seed(0))
    branches = [torch.randn(2, 8, *size) for size in ((9, 12), (5, 6))]
    results = []
    for run in (block, torch.compile(block, backend="aot_eager", fullgraph=True)):
        block.zero_grad()
        output = run(branches)
        torch.stack([branch.square().mean() for branch in output]).sum().backward()
        results.append([*output, *(p.grad for p in block.parameters())])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-4)
