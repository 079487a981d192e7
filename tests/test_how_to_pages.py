"""The snippets of the how-to pages run as they stand, in order, a page in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import optuna
import pytest

from tests import ray_examples

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "how-to"


@pytest.mark.parametrize("name", ["dashboard", "tensorboard"])
def test_snippets_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("optuna_dashboard")
    monkeypatch.chdir(tmp_path)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    snippets = re.findall(r"```python\n(.*?)```", (FOLDER / f"{name}.md").read_text(), re.DOTALL)
    namespace: dict[str, object] = {}
    for code in snippets:
        if "from ray import" in code:
            ray_examples.start()
        exec(code, namespace)  # the pages are ours
    made = {path.name for path in tmp_path.iterdir()}
    assert {"dashboard": {"runs.db", "moves.html"}, "tensorboard": {"logs", "runs"}}[name] <= made


def test_commands_of_the_shell_are_known() -> None:
    from ncp_sampler.command_line.program import _parse

    text = (FOLDER / "study-from-the-shell.md").read_text()
    commands = re.findall(r"^ncp-sampler (.*?)(?:\s+#.*|\s+\|.*)?$", text, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        assert _parse(command.split())["command"] == "study"
