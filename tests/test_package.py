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
from tests import preloaded

REPOSITORY = Path(__file__).resolve().parents[1]


def run(code: str, cwd: Path, *python: str) -> subprocess.CompletedProcess[str]:
    command = [*(python or (sys.executable,)), "-c", code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


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
    ],
)
def test_an_import_brings_what_it_needs(code: str, loaded: str) -> None:
    """Neither the package nor help loads PyTorch."""
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


def test_a_name_brings_what_it_needs() -> None:
    """A sampler loads no other host. In one process, each name adds to those before it.

    ``*`` has the searcher where Ray is, and the name loads Ray.
    """
    loaded = {
        "SearchSpace": "numpy torch",
        "costs.flops": "numpy torch",
        "predictors.GaussianProcess": "numpy scipy torch",
        "NCPSampler": "numpy optuna scipy torch",
    }
    shown = f"print(*sorted({_HEAVY} & sys.modules.keys()))"
    lines = [f"ncp_sampler.{name}; {shown}" for name in loaded]
    lines.append("from ncp_sampler import *; print(NCPSearch.__name__, 'ray' in sys.modules)")
    result = run("\n".join(["import ncp_sampler, sys", *lines]), REPOSITORY)
    assert result.stdout.splitlines() == [*loaded.values(), "NCPSearch True"], result.stderr


def test_the_package_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "ncp_sampler"]
    finished = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert finished.stdout == f"ncp-sampler {ncp_sampler.__version__}\n"
    wrong = subprocess.run([*command, "study"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("ncp-sampler study: error: the following arguments are required")


def test_a_modeled_trial_does_without_slow_imports() -> None:
    """``scipy.stats`` takes half a second, as does sympy; ``torch._dynamo`` takes one."""
    code = """import optuna, sys
from ncp_sampler import NCPSampler
for predictor in ("auto", "mlp", "ensemble"):
    sampler = NCPSampler(seed=0, n_startup_trials=2, predictor=predictor)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=4)
    assert study.trials[3].system_attrs["ncp:reasons"]["how"] == "search"
    assert not {"scipy.stats", "sympy", "torch._dynamo"} & sys.modules.keys(), predictor"""
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


@pytest.mark.parametrize(
    ("module", "missing", "answer"),
    [
        ("visualization", "matplotlib", "visualization needs Matplotlib"),
        ("visualization.plotly", "plotly", "visualization.plotly needs Plotly"),
    ],
)
def test_figures_say_what_to_install(module: str, missing: str, answer: str) -> None:
    code = f"""import sys
sys.modules["{missing}"] = None
for name in ("plot_proposal", "plot_tasks"):
    try:
        exec(f"from ncp_sampler.{module} import {{name}}")
    except ImportError as error:
        print(error)"""
    python = () if missing == "matplotlib" else preloaded.python()  # which has Matplotlib
    errors = run(code, REPOSITORY, *python).stdout.splitlines()
    assert len(errors) == 2
    for error in errors:
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
