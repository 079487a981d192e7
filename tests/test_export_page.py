"""The page "Export the found network": its code runs, and exported files give the same outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from tests.pages import REPOSITORY, runnable

PAGE = "docs/how-to/export.md"
# PyTorch's exporter warns of its own calls, as of deprecated ones of its pytree
_OWN_WARNINGS = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def run_page(*, onnx: bool) -> dict[str, Any]:
    """Run the blocks of the page in the working directory; return its names."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in runnable(PAGE):
        if "onnx" not in block.title or onnx:
            code = "\n" * block.line + block.code
            exec(compile(code, str(REPOSITORY / PAGE), "exec"), names)
    return names


@pytest.mark.slow
@_OWN_WARNINGS
def test_exported_programs_run_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page(onnx=False)
    detector, trunk = names["detector"], names["Trunk"](names["detector"])
    images, views = torch.rand(3, 1, 32, 32), torch.rand(3, 64, *detector.encoder.shape)
    with torch.no_grad():
        torch.save((images, names["net"](images), views, trunk(views)), "expected.pt")
    program = (
        "import sys\n"
        "sys.modules['ncp_sampler'] = None\n"
        "import torch\n"
        "images, logits, views, outputs = torch.load('expected.pt')\n"
        "net, detector = (torch.export.load(f'{n}.pt2').module() for n in ('digits', 'detector'))\n"
        "torch.testing.assert_close(net(images), logits)\n"
        "torch.testing.assert_close(detector(views), outputs)\n"
        "print('equal')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout == "equal\n", done.stderr


@pytest.mark.slow
@_OWN_WARNINGS
def test_onnx_model_gives_the_networks_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{PAGE} says how to install {package}")
    monkeypatch.chdir(tmp_path)
    names = run_page(onnx=True)
    images = torch.rand(7, 1, 32, 32)
    session = names["session"]
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        expected = names["net"](images)
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-4)
    assert names["onnx_logits"].shape == (5, 10)
    assert not (tmp_path / "digits.onnx.data").exists()
