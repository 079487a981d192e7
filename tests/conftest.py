"""Fixtures of all tests: the NAS-Bench-MR tables, a Ray runtime, and one PyTorch thread."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests import preloaded

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

    from ncp_sampler.nas_bench.tables import NASBenchMR

_RAY = (  # parts of the names of tests that share a runtime; pages that use Ray among them
    "integrations/ray/",
    "[README.md]",
    "[docs/how-to/tensorboard.md]",
    "[docs/tutorials/ray.md]",
)
_LONGEST = (  # parts of groups' names, in the order in which they begin
    "Ray",
    "test_reproduction",
    "test_notebooks",
    "test_ray_examples",
    "test_documentation",
    "test_examples",
    "test_other_tools",
    "test_package",
    "test_optuna_interrupts",
    "test_network_export",
    "test_tuning_examples",
    "test_search_command",
    "tests/properties/",
    "test_optuna_storage",
    "test_training_runs",
    "test_optuna_kills",
)
_REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # the tests' tensors are small; more threads only wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that they start
    if preloaded.SOCKET not in os.environ:  # else this is a process of pytest-xdist
        folder = tempfile.mkdtemp()
        os.environ[preloaded.SOCKET] = os.path.join(folder, "socket")
        config.add_cleanup(partial(shutil.rmtree, folder))  # ends the server


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """With ``--dist loadfile``, a file stays in one process, and all that use Ray in the same.

    A Ray runtime takes seconds to start, and a test mostly waits for it. Long files of few tests
    begin first: at the end, one would keep its process busy while the others have nothing left.
    (``--dist loadgroup`` of pytest-xdist 3.8 sees no groups with pytest 9.2.)
    """
    from xdist.scheduler import LoadFileScheduling

    class LongestFirst(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            if any(part in nodeid for part in _RAY):
                return "Ray"
            return str(super()._split_scope(nodeid))

        def _assign_work_unit(self, node: Any) -> None:
            first = min(self.workqueue, key=_place)
            self.workqueue.move_to_end(first, last=False)  # from where the next one is taken
            super()._assign_work_unit(node)

    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


def _place(group: str) -> int:
    """Place of a group of tests in the order in which they begin."""
    places = (i for i, part in enumerate(_LONGEST) if part in group)
    return next(places, len(_LONGEST))


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
def bench(bench_root: Path) -> NASBenchMR:
    """The NAS-Bench-MR tables, each read at its first use; for tests that change none."""
    from ncp_sampler.nas_bench.tables import NASBenchMR

    return NASBenchMR(bench_root)


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
