"""Run the code of the documentation's pages and the examples of docstrings.

A page is one program: its blocks of Python and of shell run in their order, in one folder, and
build on each other. A block that no test can run (it installs something, or needs a cluster) has a
comment above it that says why, and that readers of the page do not see: ``<!-- not run: why -->``.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

import pytest

import ncp_sampler
from ncp_sampler.offline import SearchProblem
from tests import preloaded
from tests.pages import (
    BLOCK,
    REPOSITORY,
    RUN,
    SHOWN,
    TUTORIALS,
    Block,
    blocks,
    run,
    runnable,
    shown_pictures,
)

PAGES = sorted(
    str(path.relative_to(REPOSITORY))
    for path in (
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        *(REPOSITORY / "docs").rglob("*.md"),
    )
)
ELSEWHERE = {  # pages whose blocks other files of tests run, and look at what they give
    "docs/gallery.md",  # test_gallery.py
    "docs/how-to/export.md",  # test_export_page.py
    "docs/how-to/optunahub.md",  # integrations/test_optunahub.py
    "docs/how-to/other-tools.md",  # test_other_tools.py
    "docs/tutorials/your-own-network.md",  # test_tuning_examples.py
}
SLOW = {  # they learn tables, or start Ray
    "README.md",
    "docs/how-to/command-line.md",
    "docs/how-to/offline.md",
    "docs/tutorials/from-a-table.md",
    "docs/tutorials/ray.md",
}
PACKAGES = [
    "ncp_sampler",
    *(f"ncp_sampler.{name}" for name in ncp_sampler._FOLDERS if name != "integrations"),
    "ncp_sampler.integrations.optuna",
    "ncp_sampler.integrations.ray",
]
PUBLIC = {
    f"{package}.{name}": getattr(import_module(package), name)
    for package in PACKAGES
    for name in import_module(package).__all__
}
COSTS = import_module("ncp_sampler.multi_resolution.costs")
EXAMPLES = {  # each once, by the longest of its names
    id(value): (name, value)
    for name, value in {**PUBLIC, "costs.flops": COSTS.flops, "costs.params": COSTS.params}.items()
    if (isclass(value) or isfunction(value)) and ">>> " in (value.__doc__ or "")
}
DATA = "nas-bench-mr"  # the folder that pages and examples read tables from


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the programs of a clone."""
    for name in ("benchmarks", "examples", "integrations"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(block: Block, page: str, folder: Path) -> None:
    """Runs a block as a user's shell does; a line that fails ends it."""
    bin = preloaded.programs(folder / ".bin")
    path = os.pathsep.join([str(bin), str(Path(sys.executable).parent), os.environ["PATH"]])
    sources = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": sources, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{page}:{block.line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else [])
        for page in PAGES
        if runnable(page) and page not in ELSEWHERE
    ],
)
def test_code_of_a_page_runs(
    page: str,
    folder: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import optuna

    listings = runnable(page)
    if any(DATA in block.code for block in listings):
        root: Path = request.getfixturevalue("bench_root")
        (folder / DATA).mkdir()
        (folder / DATA / "data").symlink_to(root)
    if any("from ray" in block.code or "import ray" in block.code for block in listings):
        request.getfixturevalue("ray_runtime")
        for where in ("ray.train.constants", "ray.tune.experiment.experiment"):  # not at home
            monkeypatch.setattr(f"{where}.DEFAULT_STORAGE_PATH", str(folder / "ray_results"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    namespace: dict[str, Any] = {"__name__": "__main__"}  # as a script
    for block in listings:
        if block.language == "sh":
            shell(block, page, folder)
        else:
            run(block, page, namespace)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_left_out(page: str) -> None:
    """A block is closed, is of a language that is run or shown, and says why it is not run."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    matches = list(BLOCK.finditer(text))
    assert text.count("```") == 2 * len(matches)
    assert {match[2] for match in matches} <= {*RUN, *SHOWN}
    for block in blocks(page):
        assert block.reason is None or len(block.reason) > 8, f"{page}:{block.line}"


@pytest.mark.parametrize("page", TUTORIALS)
def test_tutorials_show_what_their_code_prints_and_draws(page: str) -> None:
    """The outputs come from one machine, so only their presence is tested.

    ``python -m tests.pages`` writes the outputs and pictures of a run into the pages.
    """
    listings = runnable(page)
    prints = [block for block in listings if re.search(r"\bprint\(", block.code)]
    assert prints
    assert [f"{page}:{block.line}" for block in prints if block.output is None] == []
    pictures = shown_pictures(page)
    saved = [name for block in listings for name in re.findall(r'savefig\("(.+)"\)', block.code)]
    assert pictures
    assert sorted(pictures) == sorted(saved)
    for name in pictures:
        assert (REPOSITORY / page).with_name(name).stat().st_size < 60_000, name


@pytest.mark.parametrize(
    ("name", "value"), EXAMPLES.values(), ids=[name for name, _ in EXAMPLES.values()]
)
def test_examples_of_docstrings_run(
    name: str,
    value: Any,
    folder: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if DATA in value.__doc__:
        root: Path = request.getfixturevalue("bench_root")
        (folder / DATA).mkdir()
        (folder / DATA / "data").symlink_to(root)
    module, text = vars(sys.modules[value.__module__]), value.__doc__
    if name.startswith("ncp_sampler.offline.") and value is not SearchProblem:
        text = f"{SearchProblem.__doc__}\n{text}"  # its example is continued by the others
    test = doctest.DocTestParser().get_doctest(text, dict(module), name, None, 0)
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert tried > 0
    assert failed == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "name", [name for name, value in PUBLIC.items() if isclass(value) or "search" in name]
)
def test_public_classes_have_an_example(name: str) -> None:
    assert ">>> " in (PUBLIC[name].__doc__ or "")


def test_every_public_name_is_in_the_reference() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs/reference").glob("*.md")
    )
    listed = {name.split(".")[-1] for name in re.findall(r"^::: ([\w.]+)", text, re.MULTILINE)}
    wanted = {name.split(".")[-1] for name in PUBLIC} - {"__version__"}
    assert wanted - listed == set(), "docs/reference lacks them"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CONTRIBUTING.md"])
def test_code_fits_beside_the_navigation(page: str) -> None:
    """Lines of code have at most 80 columns; docs/ruff.toml formats the Python of the pages."""
    long = [
        line
        for block in blocks(page)
        for line in block.code.splitlines()
        if len(line) > 80 and not line.startswith("python3 -m venv ")  # one line to copy
    ]
    assert long == []


def test_readme_is_short_and_names_the_commands_that_ci_runs() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) <= 7000
    for marker in ("main", "tests"):
        assert f"<!-- {marker} -->\n```sh\npython3 -m venv .venv && " in text
