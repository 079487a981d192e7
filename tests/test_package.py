"""What an import brings, and what is public."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ncp_sampler
import ncp_sampler.integrations

REPOSITORY = Path(__file__).resolve().parents[1]


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_import_brings_neither_hosts_nor_lightgbm() -> None:
    code = (
        "import sys, ncp_sampler; ncp_sampler.SearchSpace, dir(ncp_sampler);"
        "print(sorted({'optuna', 'ray', 'lightgbm'} & sys.modules.keys()))"
    )
    result = run(code, REPOSITORY)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize("name", ncp_sampler.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(ncp_sampler, name) is not None
    assert name in dir(ncp_sampler)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NCPsampler'"):
        ncp_sampler.NCPsampler  # noqa: B018


def test_version_is_a_release() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ncp_sampler.__version__)


def test_integrations_refuse_another_name() -> None:
    """The repository's folder ``integrations`` is on the path of whoever works in it."""
    result = run("import integrations", REPOSITORY)
    assert "import ncp_sampler.integrations instead" in result.stderr
