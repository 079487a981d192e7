"""A search space, trainables and short runs that the tests of the Ray searcher share.

Trial processes import this module, so it imports Ray alone, and what needs torch inside functions.
"""

from __future__ import annotations

import inspect
import logging
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.update(  # read when Ray is imported or started
    RAY_AIR_NEW_OUTPUT="0",
    RAY_DEDUP_LOGS="0",
    RAY_USAGE_STATS_ENABLED="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
)

import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter

from tests import preloaded

if TYPE_CHECKING:
    from ncp_sampler import NCPSearch

_ROOT = Path(__file__).resolve().parents[1]
_TRIES, _SECONDS = 3, 90  # of what Ray may let hang
STORE = 80 * 2**20  # bytes of shared memory, close to Ray's minimum
POINT = {"net/width": 16, "net/op": "conv", "rate": 0.01, "drop": 0.2}  # one of ``domains``


def domains() -> dict[str, Any]:
    """Domains, nested and not, with constants beside them; new ones, as Ray changes them."""
    return {
        "net": {
            "width": tune.qrandint(8, 32, 8),
            "op": tune.choice(["conv", "pool", None]),
            "bias": True,
        },
        "rate": tune.loguniform(1e-4, 1e-1),
        "drop": tune.quniform(0, 0.5, 0.1),
        "epochs": 3,
    }


def new_search(**arguments: Any) -> NCPSearch:
    from ncp_sampler import NCPSearch

    arguments = {"space": domains(), "metric": "m", "mode": "max", "seed": 0, **arguments}
    return NCPSearch(**arguments)


def score(config: dict[str, Any]) -> float:
    net = config["net"]
    return float(net["width"] - 10 * config["drop"] + (net["op"] == "conv"))


def train(config: dict[str, Any]) -> None:
    """Reports once; the constants must have arrived."""
    assert config["net"]["bias"] is True
    assert config["epochs"] == 3
    tune.report({"nest": {"score": score(config)}, "cost": config["rate"]})


def train_long(config: dict[str, Any]) -> None:
    """Four reports; resumes from its checkpoint, with which HyperBand pauses."""
    first = 1
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            first = int((Path(folder) / "epoch").read_text()) + 1
    for epoch in range(first, 5):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "epoch").write_text(str(epoch))
            checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({"m": config["x"] * epoch}, checkpoint=checkpoint)


def start() -> None:
    """Starts a local runtime, unless there is one."""
    if not ray.is_initialized():
        ray.init(
            "local",  # whatever else runs on this machine
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=STORE,
        )


def fit(
    trainable: Any,
    search: Any,
    folder: Path,
    *,
    space: dict[str, Any] | None = None,
    samples: int = 6,
    max_failures: int = 0,
    **tune_config: Any,
) -> list[tune.Result]:
    """The results of a quiet run in ``folder``, of one trial at a time unless it says how many.

    Such a run needs one process of Ray's, which takes longer to start than all of its trials.
    """
    if not isinstance(search, ConcurrencyLimiter):  # which has its own number
        tune_config.setdefault("max_concurrent_trials", 1)
    tuner = tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            search_alg=search, num_samples=samples, reuse_actors=True, **tune_config
        ),
        run_config=tune.RunConfig(
            name="run", storage_path=str(folder), verbose=0,
            failure_config=tune.FailureConfig(max_failures=max_failures),
        ),
    )  # fmt: skip
    return listed(tuner.fit())


def start_process(
    function: Callable[..., None],
    *arguments: object,
    output: Path,
    python: Sequence[str] = (sys.executable,),
    **environment: str,
) -> subprocess.Popen[bytes]:
    """Calls a function of a test's module, with strings, in a process of its own.

    Its output goes to a file: Ray's processes may hold a pipe open beyond its end.
    """
    code = f"import sys, {function.__module__} as it; it.{function.__name__}(*sys.argv[1:])"
    folder = Path(inspect.getfile(function)).parent
    path = os.pathsep.join([str(_ROOT), str(folder), os.environ.get("PYTHONPATH", "")])
    with output.open("wb") as file:
        return subprocess.Popen(
            [*python, "-c", code, *map(str, arguments)],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": path, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def succeed(function: Callable[..., None], *arguments: object, folder: Path) -> None:
    """Calls a function, with strings and then a new folder, in a process; again if Ray hangs.

    ``TuneController.step`` of Ray 2.60 can spin for good over the trials that HyperBand has paused,
    whoever searches. A process that fails is no such case.
    """
    for i in range(_TRIES):
        output = folder / f"{i}.log"
        process = start_process(
            function, *arguments, folder / f"{i}", output=output, python=preloaded.python()
        )
        try:
            assert process.wait(_SECONDS) == 0, output.read_text()
            return
        except subprocess.TimeoutExpired:
            continue
        finally:
            process.kill()  # Ray's own processes end with it
            process.wait()
    raise AssertionError(f"hung {_TRIES} times for {_SECONDS} s: {output.read_text()}")


def listed(results: tune.ResultGrid) -> list[tune.Result]:
    """The trials' results; by position, since Ray does not declare that they are iterable."""
    return [results[i] for i in range(len(results))]


def config_of(result: tune.Result) -> dict[str, Any]:
    assert result.config is not None
    return result.config


def metric_of(result: tune.Result, name: str) -> Any:
    assert result.metrics is not None
    return result.metrics[name]


def observations(search: NCPSearch) -> list[tuple[dict[str, Any], list[float], bool]]:
    """Return the searcher's observations in order: params, values, and True if complete.

    NaN stands for what was not reported.
    """
    assert search._optimizer is not None
    optimizer = search._optimizer
    history = optimizer.state_dict()["observations"]
    params = [optimizer.space.to_params(code) for code in history["codes"]]
    values = [[math.nan if v is None else v for v in row] for row in history["values"]]
    return list(zip(params, values, history["complete"], strict=True))
