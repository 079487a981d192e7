"""The notebooks run from top to bottom, and are committed without outputs."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))
FIGURES = {"search_a_table": 1, "tune_a_network": 2}


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def test_both_notebooks_are_there() -> None:
    assert {path.stem for path in NOTEBOOKS} == FIGURES.keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    code = [cell for cell in _cells(path) if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_installs_the_repository_of_the_metadata(path: Path) -> None:
    first = next(cell for cell in _cells(path) if cell["cell_type"] == "code")
    text = "".join(first["source"])
    assert 'if "google.colab" in sys.modules' in text
    (address,) = re.findall(r"git\+(\S+)\"", text)
    metadata = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'Repository = "{address}"' in metadata


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_figures(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of its own; the kernel is the Python of the tests."""
    nbformat = pytest.importorskip("nbformat")  # of the extra "dev"
    client = pytest.importorskip("nbclient")
    sources = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", sources)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert (
        len([output for output in outputs if "image/png" in output.get("data", {})])
        == FIGURES[path.stem]
    )
    installed = "".join(
        output.get("text", "") for output in outputs if output["output_type"] == "stream"
    )
    assert "Successfully installed" not in installed, f"{sys.executable} was changed"
