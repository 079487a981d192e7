"""What every test may use: the NAS-Bench-MR tables, a Ray runtime, and one torch thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

_REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    torch.set_num_threads(1)  # the tests' tensors are small; more threads only wait


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where tests run in several processes, a file stays in one, and all of Ray's do.

    They mostly wait for a runtime that takes seconds to start; begun first, as the largest group,
    they end before the others.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        of_ray = "integrations/ray" in item.nodeid or "ray_runtime" in fixtures
        item.add_marker(pytest.mark.xdist_group("ray" if of_ray else item.path.stem))


@pytest.fixture(scope="session")
def bench_root() -> Path:
    """Folder of the NAS-Bench-MR tables, ``SETTING/trainval.pkl`` in it.

    It is ``$NCP_BENCH_ROOT``, else ``../shared/nas-bench-mr/data`` beside the repository. Without
    it the test is skipped, or fails where ``NCP_REQUIRE_DATA=1``, as in CI.
    """
    default = _REPOSITORY.parent / "shared" / "nas-bench-mr" / "data"
    root = Path(os.environ.get("NCP_BENCH_ROOT") or default)
    if not any(root.glob("*/trainval.pkl")):
        reason = (
            f"no NAS-Bench-MR tables (SETTING/trainval.pkl) in {root}; "
            "set NCP_BENCH_ROOT to the folder that holds them"
        )
        if os.environ.get("NCP_REQUIRE_DATA") == "1":
            pytest.fail(f"{reason} (NCP_REQUIRE_DATA=1 forbids skipping)", pytrace=False)
        pytest.skip(reason)
    return root


@pytest.fixture(scope="session")
def _ray_ended() -> Iterator[None]:
    yield
    import ray

    ray.shutdown()


@pytest.fixture
def ray_runtime(_ray_ended: None) -> None:
    """A local Ray runtime, started by the first test that needs it and shared by the others."""
    from tests import ray_examples

    ray_examples.start()
