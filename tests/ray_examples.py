"""A search space, trainables and short runs that the tests of the Ray searcher share.

Trial processes import this module, so it imports Ray alone, and what needs torch inside functions.
"""

from __future__ import annotations

import logging
import os
import tempfile
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

if TYPE_CHECKING:
    from ncp_sampler import NCPSearch

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
    **tune_config: Any,
) -> list[tune.Result]:
    """The results of a quiet run in ``folder``."""
    tuner = tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            search_alg=search, num_samples=samples, reuse_actors=True, **tune_config
        ),
        run_config=tune.RunConfig(name="run", storage_path=str(folder), verbose=0),
    )
    return listed(tuner.fit())


def listed(results: tune.ResultGrid) -> list[tune.Result]:
    """The trials' results; by position, since Ray does not declare that they are iterable."""
    return [results[i] for i in range(len(results))]


def config_of(result: tune.Result) -> dict[str, Any]:
    assert result.config is not None
    return result.config


def metric_of(result: tune.Result, name: str) -> Any:
    assert result.metrics is not None
    return result.metrics[name]


def told(search: NCPSearch) -> list[tuple[dict[str, Any], list[float], bool]]:
    """What the searcher has learnt, in order: params, values, and whether to the end."""
    assert search._started is not None
    optimizer = search._started.optimizer
    history = optimizer.state_dict()["history"]
    params = [optimizer.space.to_params(code) for code in history["codes"]]
    return list(zip(params, history["values"], history["complete"], strict=True))
