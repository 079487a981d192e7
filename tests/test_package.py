"""Modules that an import loads, and public names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ncp_sampler
import ncp_sampler.integrations
from ncp_sampler import nas_bench

REPOSITORY = Path(__file__).resolve().parents[1]


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
        ("import ncp_sampler; ncp_sampler.predictors.GaussianProcess", "numpy scipy torch"),
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


def test_the_package_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "ncp_sampler"]
    finished = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert finished.stdout == f"ncp-sampler {ncp_sampler.__version__}\n"
    wrong = subprocess.run([*command, "study"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("ncp-sampler study: error: the following arguments are required")


@pytest.mark.parametrize("predictor", ["auto", "mlp", "ensemble"])
def test_a_modeled_trial_does_without_slow_imports(predictor: str) -> None:
    """``scipy.stats`` takes half a second, as does sympy; ``torch._dynamo`` takes one."""
    code = f"""import optuna, sys
from ncp_sampler import NCPSampler
sampler = NCPSampler(seed=0, n_startup_trials=2, predictor="{predictor}")
study = optuna.create_study(sampler=sampler)
study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=4)
assert study.trials[3].system_attrs["ncp:reasons"]["how"] == "search"
assert not {{"scipy.stats", "sympy", "torch._dynamo"}} & sys.modules.keys()"""
    ended = run(code, REPOSITORY)
    assert not ended.returncode, ended.stderr


@pytest.mark.parametrize("module", [ncp_sampler, nas_bench])
def test_public_names_are_listed_before_their_use(module: ModuleType) -> None:
    code = f"import {module.__name__} as it; print({{*it.__all__}} - {{*dir(it)}})"
    assert run(code, REPOSITORY).stdout == "set()\n"
    assert {name for name in module.__all__ if getattr(module, name) is None} == set()


@pytest.mark.parametrize("name", ncp_sampler.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(ncp_sampler, name) is not None
    assert name in dir(ncp_sampler)


@pytest.mark.parametrize("missing", ["ray", "pyarrow"])
def test_star_import_without_ray(missing: str) -> None:
    """``pip install .`` brings no Ray, and ``pip install ray`` not what Tune needs."""
    code = f"""import sys
sys.modules["{missing}"] = None
from ncp_sampler import *
print(NCPSampler.__name__, "NCPSearch" in vars())
import ncp_sampler
ncp_sampler.NCPSearch"""
    result = run(code, REPOSITORY)
    assert result.stdout == "NCPSampler False\n"
    assert "NCPSearch needs Ray Tune" in result.stderr
    with_ray = "from ncp_sampler import *; import sys; assert NCPSearch, 'ray' in sys.modules"
    assert run(with_ray, REPOSITORY).returncode == 0


@pytest.mark.parametrize(
    ("module", "missing", "answer"),
    [
        ("visualization", "matplotlib", "visualization needs Matplotlib"),
        ("visualization.plotly", "plotly", "visualization.plotly needs Plotly"),
    ],
)
@pytest.mark.parametrize("name", ["plot_proposal", "plot_tasks"])
def test_figures_say_what_to_install(module: str, missing: str, answer: str, name: str) -> None:
    code = f"""import sys
sys.modules["{missing}"] = None
from ncp_sampler.{module} import {name}"""
    error = run(code, REPOSITORY).stderr
    assert answer in error
    assert f"pip install {missing}, or pip install '.[viz]' in a clone" in error


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NCPsampler'"):
        ncp_sampler.NCPsampler  # type: ignore[attr-defined]  # noqa: B018


def test_version_is_a_release() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ncp_sampler.__version__)


def test_integrations_refuse_another_name() -> None:
    """The repository's folder ``integrations`` is on the path of whoever works in it."""
    result = run("import integrations", REPOSITORY)
    assert "import ncp_sampler.integrations instead" in result.stderr
