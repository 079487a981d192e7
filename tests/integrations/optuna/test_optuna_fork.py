"""Threads of PyTorch: an ask uses one, the caller's number is kept, and forked processes go on.

Each runs in a process of its own with ``OMP_NUM_THREADS`` unset, as users run it: the tests' own
process has one thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import preloaded

_SECONDS = 120  # a child that hangs does so for ever
_STUDY = """
import multiprocessing, optuna, torch, warnings
from ncp_sampler import NCPSampler
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12 on
torch.set_num_threads(max(2, torch.get_num_threads()))  # whatever machine this is

def loss(trial):
    return sum((trial.suggest_float(f"x{i}", -1, 1) - 0.3) ** 2 for i in range(6))

def asked(storage=None):
    study = optuna.create_study(
        storage=storage, study_name="s", load_if_exists=True,
        sampler=NCPSampler(seed=0, n_startup_trials=4),
    )
    study.optimize(loss, n_trials=8)
    return study

def train():
    net = torch.nn.Linear(512, 512)
    net(torch.randn(2048, 512)).square().sum().backward()

def in_fork(function, *arguments):
    child = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode
"""


def _run(code: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    subprocess.run(
        [*preloaded.python(), "-c", _STUDY + textwrap.dedent(code)],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
        timeout=_SECONDS,
    )


def test_an_ask_keeps_the_callers_number_of_threads() -> None:
    _run(
        """
        before = torch.get_num_threads()
        asked()
        assert torch.get_num_threads() == before > 1
        """
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("child", ["asked", "train"])
def test_a_process_forked_after_an_ask_asks_and_trains(child: str) -> None:
    _run(f"asked(); in_fork({child})")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_an_objective_may_train_in_a_forked_process() -> None:
    _run(
        """
        study = asked()
        study.optimize(lambda trial: (in_fork(train), loss(trial))[1], n_trials=2)
        assert len(study.trials) == 10
        """
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_forked_workers_share_a_storage(tmp_path: Path) -> None:
    _run(
        f"""
        storage = "sqlite:///{tmp_path}/runs.db"
        asked(storage)
        children = [
            multiprocessing.get_context("fork").Process(target=asked, args=(storage,))
            for _ in range(2)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0]
        assert len(asked(storage).trials) == 32
        """
    )
