"""Metadata of a release: one version everywhere, and files that GitHub and PyPI can read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

_ROOT = Path(__file__).resolve().parents[1]
_PROJECT = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
_CHANGES = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_one_version_and_one_date() -> None:
    (version,) = re.findall(r'^version = "(.*)"$', _PROJECT, re.MULTILINE)
    citation = yaml.safe_load((_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.findall(r"^## \[(\d.*)\] - (\S+)$", _CHANGES, re.MULTILINE)[0]
    assert (citation["version"], citation["date-released"]) == newest
    assert version == newest[0]


def test_citation_names_the_paper() -> None:
    citation = yaml.safe_load((_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = citation["references"]
    assert paper["title"] == "Learning Versatile Neural Architectures by Propagating Network Codes"
    assert len(paper["authors"]) == 8
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()


@pytest.mark.parametrize("name", ["bug.yml", "wish.yml"])
def test_issue_templates_are_forms(name: str) -> None:
    text = (_ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8")
    form = yaml.safe_load(text)
    assert {"name", "description", "body"} <= form.keys()
    kinds = {field["type"] for field in form["body"]}
    assert kinds <= {"markdown", "textarea", "checkboxes", "input", "dropdown"}
    ids = [field["id"] for field in form["body"] if "id" in field]
    assert len(ids) == len(set(ids))
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_every_python_that_was_tried_is_a_classifier() -> None:
    tried = re.findall(r"^\| \S+ \| (3\.\d+)\.", (_ROOT / "docs/versions.md").read_text(), re.M)
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', _PROJECT)
    assert set(named) == set(tried)
