"""Names in another order: gRPC storages, and trials that are added, do not keep the objective's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, create_trial

from ncp_sampler import NCPSampler
from ncp_sampler.integrations.optuna.inferred_space import Conditions, InferredCondition
from tests.integrations.optuna.test_optuna_conditional import branches

grpc = pytest.importorskip("grpc", reason="Optuna's gRPC proxy needs grpcio and protobuf")

NAMES = ["depth", "kind", "leaf", "rate", "width_0", "width_1", "width_2"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture(scope="module")
def sampled() -> list[FrozenTrial]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(branches, n_trials=40)
    return study.trials


def reordered(trial: FrozenTrial, rng: np.random.Generator | None) -> FrozenTrial:
    """Return the trial with its parameters in reverse or random order."""
    names = [*reversed(trial.params)] if rng is None else rng.permutation([*trial.params])
    return create_trial(
        params={str(name): trial.params[name] for name in names},
        distributions={str(name): trial.distributions[name] for name in names},
        values=trial.values,
    )


@contextmanager
def grpc_storage(folder: Path) -> Iterator[BaseStorage]:
    """Storage behind a real proxy server on this machine."""
    from optuna.storages import GrpcStorageProxy
    from optuna.storages._grpc.server import make_server

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    backend = RDBStorage(f"sqlite:///{folder / 'grpc.db'}")
    server = make_server(backend, "localhost", port)
    server.start()
    with pytest.warns(ExperimentalWarning):
        proxy = GrpcStorageProxy(host="localhost", port=port)
    try:
        proxy.wait_server_ready(timeout=60)
        yield proxy
    finally:
        proxy.close()
        server.stop(0).wait()
        backend.remove_session()
        backend.engine.dispose()


def test_the_tree_does_not_depend_on_an_order(sampled: list[FrozenTrial]) -> None:
    rng = np.random.default_rng(0)
    expected = (
        InferredCondition("depth", "kind", ("net",), ("tree",)),
        InferredCondition("leaf", "kind", ("tree",), ("net",)),
        InferredCondition("width_0", "kind", ("net",), ("tree",)),
        InferredCondition("width_1", "depth", (2,), (1,)),
        InferredCondition("width_2", "depth", (3,), (2,)),
    )
    orders = [sampled, [reordered(trial, None) for trial in sampled]]
    for _ in range(20):
        orders.append([reordered(sampled[i], rng) for i in rng.permutation(len(sampled))])
    for trials in orders:
        conditions = Conditions()
        for trial in trials:
            conditions.read(trial)
        assert conditions.among(NAMES) == expected


def test_siblings_are_not_taken_for_parents() -> None:
    """Parameters that are always present together do not decide on each other."""
    dists: dict[str, BaseDistribution] = {
        "p": CategoricalDistribution(["a", "b"]),
        "q": CategoricalDistribution(["a", "b"]),
        "one": IntDistribution(0, 9),
        "two": IntDistribution(0, 9),
    }
    conditions = Conditions()
    for i, (p, q) in enumerate([("a", "b"), ("a", "a"), ("b", "b"), ("b", "a")]):
        params: dict[str, Any] = {"one": i, "two": 5 - i, "q": q, "p": p}
        if p == "b":
            del params["one"], params["two"]
        distributions = {name: dists[name] for name in params}
        conditions.read(create_trial(params=params, distributions=distributions, value=0.0))
    assert conditions.among(["one", "p", "q", "two"]) == (
        InferredCondition("one", "p", ("a",), ("b",)),
        InferredCondition("two", "p", ("a",), ("b",)),
    )


def test_added_trials_in_another_order_keep_the_tree(sampled: list[FrozenTrial]) -> None:
    """As from a data frame, whose columns are sorted by name: the same proposals follow."""
    runs = []
    for trials in (sampled, [reordered(trial, None) for trial in sampled]):
        study = optuna.create_study(sampler=NCPSampler(seed=0))
        study.add_trials(trials)
        study.optimize(branches, n_trials=4)
        runs.append([trial.params for trial in study.trials[-4:]])
    assert runs[0] == runs[1]


def test_the_same_seed_gives_the_same_study_over_every_storage(tmp_path: Path) -> None:
    def run(storage: BaseStorage | None) -> list[dict[str, Any]]:
        study = optuna.create_study(storage=storage, sampler=NCPSampler(seed=1))
        study.optimize(branches, n_trials=16)
        return [trial.params for trial in study.trials]

    in_memory = run(None)
    assert run(JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))) == in_memory
    with grpc_storage(tmp_path) as storage:
        assert run(storage) == in_memory
