"""The folder for OptunaHub's registry: its form, and that the module loads and searches."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import optunahub
import pytest
import yaml

import ncp_sampler

_ROOT = Path(__file__).resolve().parents[2]
_REGISTRY = _ROOT / "integrations" / "optunahub" / "package"
_PACKAGE = "samplers/ncp"
_README = (_REGISTRY / _PACKAGE / "README.md").read_text(encoding="utf-8")
_HOW_TO = (_ROOT / "docs" / "how-to" / "optunahub.md").read_text(encoding="utf-8")


def _load(package: str = _PACKAGE) -> ModuleType:
    module = optunahub.load_local_module(package, registry_root=str(_REGISTRY))
    assert isinstance(module, ModuleType)
    return module


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """``load_module``, which downloads, takes the folder in the repository instead."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    monkeypatch.setattr(optunahub, "load_module", _load)


def test_it_is_the_packages_sampler() -> None:
    module = _load()
    assert module.NCPSampler is ncp_sampler.NCPSampler
    assert all(getattr(module, name) is getattr(ncp_sampler, name) for name in module.__all__)


@pytest.mark.usefixtures("registry")
def test_example_finds_the_optimum() -> None:
    study = _example().main(n_trials=40)
    assert study.best_value < 0.05
    assert (study.best_params["n"], study.best_params["curve"]) == (3, "wide")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    "code", re.findall(r"```python.*?\n(.*?)```", _README + _HOW_TO, re.DOTALL)
)
def test_code_of_the_documents_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_ROOT)
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # the documents are ours
    study = namespace["study"]
    assert len(study.trials) == 30
    if "n_weights" in namespace:
        assert max(namespace["n_weights"](trial.params) for trial in study.trials) <= 50_000


def test_without_the_package_the_message_says_what_to_install(tmp_path: Path) -> None:
    """Where ncp_sampler cannot be found, as for somebody who has the registry's folder alone."""
    program = f"""import sys, optunahub
sys.path = [path for path in sys.path if path != {str(_ROOT)!r}]
sys.meta_path = [one for one in sys.meta_path if "editable" not in str(one)]
sys.modules.pop("ncp_sampler", None)
optunahub.load_local_module({_PACKAGE!r}, registry_root={str(_REGISTRY)!r})"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: samplers/ncp is the sampler of the package")
    assert last.endswith("pip install ncp_sampler")


def test_header_is_what_the_registry_checks() -> None:
    begin, header, _ = _README.split("---\n", maxsplit=2)
    fields = yaml.safe_load(header)
    assert begin == ""
    assert list(fields) == ["author", "title", "description", "tags", "optuna_versions", "license"]
    assert all(isinstance(fields[name], str) for name in ("author", "title", "description"))
    assert fields["license"] == "MIT License"
    assert "sampler" in fields["tags"]
    for name in ("tags", "optuna_versions"):
        assert isinstance(fields[name], list)
        assert all(isinstance(value, str) for value in fields[name]), name
    tried = (_ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    assert all(f"| {version} |" in tried for version in fields["optuna_versions"])


def test_folder_has_what_the_registry_asks_for() -> None:
    folder = _REGISTRY / _PACKAGE
    files = {file.name for file in folder.iterdir() if file.is_file()}
    assert files == {"LICENSE", "README.md", "__init__.py", "example.py", "requirements.txt"}
    assert (folder / "LICENSE").read_text() == (_ROOT / "LICENSE").read_text()
    for section in ("Abstract", "Class or Function Names", "Installation", "Example"):
        assert f"\n## {section}\n" in _README


def _example() -> ModuleType:
    spec = spec_from_file_location("example", _REGISTRY / _PACKAGE / "example.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
