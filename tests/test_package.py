"""What an import brings, what is public, and that README's code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import optuna
import pytest
import ray
from ray.tune import ResultGrid

import ncp_sampler
import ncp_sampler.integrations
from ncp_sampler import MRSpace, nas_bench
from ncp_sampler.multi_resolution import costs
from tests import ray_examples

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text()


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


_HEAVY = "{'torch', 'numpy', 'scipy', 'sklearn', 'optuna', 'ray', 'lightgbm', 'matplotlib'}"
_HELP = "from ncp_sampler.command_line.program import main; sys.argv = ['ncp-sampler', {}]"


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import ncp_sampler; dir(ncp_sampler), ncp_sampler.__version__", ""),
        ("from ncp_sampler.nas_bench import SETTINGS", ""),
        (_HELP.format("'--help'"), ""),
        (_HELP.format("'search', '--help'"), ""),
        (_HELP.format("'search', '--setting', 'seg', '--n', '0'"), ""),
        ("from ncp_sampler import SearchSpace", "numpy torch"),
        ("from ncp_sampler import NCPSampler", "numpy optuna scipy torch"),
        ("import ncp_sampler; ncp_sampler.costs.flops", "numpy torch"),
        ("import ncp_sampler; ncp_sampler.predictors.GaussianProcess", "numpy torch"),
    ],
)
def test_an_import_brings_what_it_needs(code: str, loaded: str) -> None:
    """Neither the package nor help loads PyTorch; a sampler loads no other host."""
    program = f"""import sys
try:
    {code}
    if 'main' in globals():
        main()
except SystemExit:
    pass
print(*sorted({_HEAVY} & sys.modules.keys()))"""
    result = run(program, REPOSITORY)
    assert result.stdout.splitlines()[-1] == loaded, result.stderr


@pytest.mark.parametrize("module", [ncp_sampler, nas_bench])
def test_public_names_are_listed_before_their_use(module: ModuleType) -> None:
    code = f"import {module.__name__} as it; print({{*it.__all__}} - {{*dir(it)}})"
    assert run(code, REPOSITORY).stdout == "set()\n"
    assert {name for name in module.__all__ if getattr(module, name) is None} == set()


@pytest.mark.parametrize("name", ncp_sampler.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(ncp_sampler, name) is not None
    assert name in dir(ncp_sampler)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NCPsampler'"):
        ncp_sampler.NCPsampler  # type: ignore[attr-defined]  # noqa: B018


def test_version_is_a_release() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ncp_sampler.__version__)


def test_integrations_refuse_another_name() -> None:
    """The repository's folder ``integrations`` is on the path of whoever works in it."""
    result = run("import integrations", REPOSITORY)
    assert "import ncp_sampler.integrations instead" in result.stderr


@pytest.mark.parametrize(
    "code", re.findall(r"```python\n(.*?)```", README + CONTRIBUTING, re.DOTALL)
)
def test_code_of_the_documents_runs(code: str, tmp_path: Path) -> None:
    if "from ray import" in code:
        ray_examples.start()
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def train_and_validate(params: dict[str, int]) -> float:
        return float(sum(params.values()))

    space = MRSpace()
    codes = space.sample(130, 0)
    gflops = costs.flops(codes).numpy()
    namespace: dict[str, object] = {
        "train_and_validate": train_and_validate,
        "measure_ms": lambda params: params["o1"] / 4,
        "space": space,
        "codes": codes,
        "miou": 70 + np.log(gflops),
        "gflops": gflops,
        "folder": str(tmp_path),
    }
    exec(code, namespace)  # the documents are ours
    study = namespace.get("study")
    if isinstance(study, optuna.Study):
        assert len(study.trials) == 20
    results = namespace.get("results")
    if isinstance(results, ResultGrid):
        assert (len(results), results.errors) == (6, [])
        ray.shutdown()


def test_readme_names_the_commands_that_ci_runs() -> None:
    for marker in ("main", "tests"):
        assert f"<!-- {marker} -->\n```sh\npython3 -m venv .venv && " in README
