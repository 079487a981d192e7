"""The examples that tune somebody's own network, as a user runs them, at the smallest size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from torch import nn

from examples import tune_your_network
from ncp_sampler import SearchSpace
from tests.example_runs import refusal
from tests.example_runs import run as run_example
from tests.pages import REPOSITORY, run, runnable

_PAGE = "docs/tutorials/your-own-network.md"
_TUTORIAL = (REPOSITORY / _PAGE).read_text(encoding="utf-8")
_ERRORS = ("Traceback", "Error", "Killed")


def _check_sizes(space: SearchSpace, n_params: Callable[[Any], float], net: Any) -> None:
    """The declared cost equals the number of parameters of the networks."""
    for params in space.to_params(space.sample(60, 0)):
        module: nn.Module = net(params)
        assert n_params(params) == sum(weights.numel() for weights in module.parameters())


def test_network_of_ones_own() -> None:
    done = run_example("examples/tune_your_network.py", "--smoke", "--max-params", "1500")
    assert done.returncode == 0, done.stderr
    assert not any(word in done.stderr for word in _ERRORS), done.stderr
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in done.stdout.splitlines()
        if line.startswith("│")
    }
    assert rows.keys() == {"NCP", "TPE", "random"}
    best = [float(cells[1]) for cells in rows.values()]
    assert best == sorted(best, reverse=True)
    assert all(int(cells[3].replace(",", "")) <= 1500 for cells in rows.values())
    refused = {name: int(cells[5]) for name, cells in rows.items()}
    assert refused["NCP"] == 0 < refused["random"]
    assert "The best: {'width1':" in done.stdout


def test_its_sizes_are_the_networks() -> None:
    _check_sizes(tune_your_network.SPACE, tune_your_network.n_params, tune_your_network.Net)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samplers", "ncp,gp"), "--samplers must name some of ncp,tpe,random, each once"),
        (("--samplers", "ncp,ncp"), "each once"),
        (("--trials", "1"), "1 must be at least 2"),
        (("--max-params", "100"), "--max-params 100: the smallest network has 150"),
    ],
)
def test_bad_argument(
    arguments: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(tune_your_network.parse, arguments, capsys)


def test_lightning() -> None:
    done = run_example("examples/tune_lightning.py", "--smoke", "--max-params", "9000")
    assert done.returncode == 0, done.stderr
    assert not any(word in done.stderr for word in _ERRORS), done.stderr
    assert "The best of 3 trainings" in done.stdout
    sizes = re.findall(r"│ +([\d,]+) │ \d+, ", done.stdout)
    assert len(sizes) == 3
    assert all(int(size.replace(",", "")) <= 9000 for size in sizes)


@pytest.mark.filterwarnings("ignore")  # of Lightning, when it is imported
def test_lightnings_sizes_are_the_networks() -> None:
    from examples import tune_lightning

    _check_sizes(tune_lightning.SPACE, tune_lightning.n_params, tune_lightning.build)


@pytest.mark.filterwarnings("ignore")
def test_lightning_refuses_a_limit_that_nothing_meets(capsys: pytest.CaptureFixture[str]) -> None:
    from examples import tune_lightning

    message = refusal(tune_lightning.parse, ("--max-params", "100"), capsys)
    assert "--max-params 100: the smallest network has" in message


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_code_of_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, in order, as somebody who follows the page types it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    monkeypatch.chdir(tmp_path)  # to which it draws
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in runnable(_PAGE):
        run(block, _PAGE, namespace)
    study, front = namespace["study"], namespace["front"]
    assert len(study.trials) == 20
    assert max(namespace["n_params"](t.params) for t in study.trials) <= 20_000
    assert len(front.trials) == 20
    assert all(t.values[1] == namespace["n_params"](t.params) for t in front.trials)
    assert study.best_value > 0.3


def test_tutorial_shows_what_the_example_prints() -> None:
    """The table of the page is one of the example's."""
    (title,) = re.findall(r"^Networks of at most .*$", _TUTORIAL, re.MULTILINE)
    options = tune_your_network.parse([])
    assert f"at most {options.max_params:,} parameters" in title
    assert f"after {options.trials} trainings" in title
    assert f"(seeds: {options.seeds})" in title
