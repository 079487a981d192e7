"""torch.export and torch.compile take the networks whole, and give the same outputs."""

from __future__ import annotations

import pytest
import torch

from ncp_sampler import costs
from tests.network_examples import batch, build, parts


@pytest.mark.parametrize("task", costs.TASKS)
def test_export_with_free_batch_height_and_width(task: str) -> None:
    net = build(task=task).eval()
    x = batch(task, (49, 64))
    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        net, (x,), dynamic_shapes=({0: free, x.ndim - 2: free, x.ndim - 1: free},)
    )
    for n, size in ((2, (49, 64)), (3, (75, 33))):
        other = batch(task, size, n=n)
        torch.testing.assert_close(parts(program.module()(other)), parts(net(other)))


def test_export_refuses_what_the_network_refuses() -> None:
    with pytest.raises(ValueError, match="x has height 31"):
        torch.export.export(build(), (torch.zeros(2, 3, 31, 64),))


@pytest.mark.parametrize(("task", "backend"), [("video", "eager"), ("detection3d", "aot_eager")])
def test_compiled_training_step(task: str, backend: str) -> None:
    # "aot_eager" traces forward and backward as the default backend does, but spares its C++
    # compiler, which takes minutes; the default was tried by hand.
    net, x = build(task=task), batch(task, (33, 40))
    results = []
    for run in (net, torch.compile(net, backend=backend, fullgraph=True)):
        net.zero_grad()
        output = parts(run(x))
        torch.stack([part.square().mean() for part in output]).sum().backward()
        results.append([*output, *(p.grad for p in net.parameters() if p.grad is not None)])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-4)
