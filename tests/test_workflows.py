"""Files that services read: workflows, Read the Docs, Dependabot, the development container."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HOSTED = [*WORKFLOWS, ROOT / ".readthedocs.yaml", ROOT / ".devcontainer" / "devcontainer.json"]


def _read(path: Path) -> dict[Any, Any]:
    parsed: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return parsed


def _jobs(path: Path) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = _read(path)["jobs"]
    return jobs


def test_the_workflows_are_those_of_tests_site_and_release() -> None:
    assert [path.stem for path in WORKFLOWS] == ["docs", "release", "tests"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_jobs_end_and_have_few_rights(path: Path) -> None:
    workflow = _read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert {"push", "pull_request"} <= workflow[True].keys()  # YAML 1.1 reads "on" as True
    for name, job in _jobs(path).items():
        assert job["timeout-minutes"] <= 90, name
        assert job.get("permissions", {}) in ({}, {"id-token": "write"}), name
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert re.fullmatch(r"[\w-]+/[\w-]+@[\w./-]+", step.get("uses", "a/b@v1"))


def test_only_a_tag_publishes_what_was_installed_everywhere() -> None:
    jobs = _jobs(ROOT / ".github/workflows/release.yml")
    trusted = [name for name, job in jobs.items() if "permissions" in job]
    assert trusted == ["publish"]
    publish = jobs["publish"]
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert (publish["needs"], jobs["install"]["needs"]) == ("install", "build")
    systems = jobs["install"]["strategy"]["matrix"]["os"]
    assert [name.split("-")[0] for name in systems] == ["ubuntu", "macos", "windows"]


@pytest.mark.parametrize("path", HOSTED, ids=lambda path: path.stem)
def test_what_is_named_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    extras = {
        name for listed in re.findall(r"\"?\.\[([\w,]+)\]", text) for name in listed.split(",")
    }
    assert extras <= set(re.findall(r"^(\w+) = \[", PROJECT, re.MULTILINE))
    files = re.findall(r"(?<![\w./])(?:tests/[\w/]+(?:\.py)?|constraints\.txt|mkdocs\.yml)", text)
    files += re.findall(r"\.ci/\w+(?:\.py)?", text)
    assert all((ROOT / name).exists() for name in files)


def test_pages_are_built_as_strictly_as_here() -> None:
    site = _read(ROOT / ".readthedocs.yaml")
    assert site["version"] == 2
    assert site["mkdocs"] == {"configuration": "mkdocs.yml", "fail_on_warning": True}
    assert any(".[docs]" in line for line in site["build"]["jobs"]["post_create_environment"])


def test_dependencies_are_updated_where_they_are_pinned() -> None:
    updates = _read(ROOT / ".github" / "dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip"}
    assert all(update["directory"] == "/" and update["schedule"]["interval"] for update in updates)


def test_the_container_installs_what_the_fast_check_needs() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    assert "-c constraints.txt" in container["postCreateCommand"]
    assert "dev,bench" in container["postCreateCommand"]


def test_the_account_of_the_repository_is_named_in_one_place() -> None:
    urls = re.search(r"^\[project\.urls\]\n(.*?)\n\n", PROJECT, re.MULTILINE | re.DOTALL)
    assert urls is not None
    owners = set(re.findall(r"github\.com/([\w-]+)/ncp_sampler", urls[1]))
    assert len(owners) == 1
    elsewhere = [
        path
        for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "mkdocs.yml")
        if re.search(r"github\.com/[\w-]+/ncp_sampler", path.read_text(encoding="utf-8"))
    ]
    assert elsewhere == []
