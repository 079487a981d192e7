"""The file of a saved searcher: written whole or not at all, read whole or refused."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ray import tune

from ncp_sampler import NCPSearch
from ncp_sampler.files import sealed, unsealed
from tests import preloaded
from tests.ray_examples import new_search, observations

_ROOT = Path(__file__).resolve().parents[3]
_REMEDY = (
    r"; give an intact file that NCPSearch\.save wrote, such as a copy of this one, or add the"
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The file of a searcher with one observation."""
    path = tmp_path / "folder" / "state"
    path.parent.mkdir()
    _observed().save(str(path))
    return path


def _observed(n: int = 1) -> NCPSearch:
    search = new_search(space={"x": tune.uniform(0, 1)})
    for i in range(n):
        search.suggest(f"{i}")
        search.on_trial_complete(f"{i}", result={"m": 0.5})
    return search


def _refusal(path: Path) -> str:
    """Why a file is refused; the searcher that was to be restored must stay as it was."""
    search = _observed(2)
    before = observations(search), search.__dict__.copy()
    with pytest.raises(ValueError, match=_REMEDY) as refused:
        search.restore(str(path))
    assert (observations(search), search.__dict__) == before
    assert str(refused.value).startswith(f"checkpoint_path={str(path)!r} ")
    return str(refused.value)


def test_every_byte_matters(state: Path) -> None:
    """Whichever is changed, to whatever: nothing is loaded that was not saved."""
    content, rng = state.read_bytes(), random.Random(0)
    search = _observed(0)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= rng.randrange(1, 256)
        state.write_bytes(damaged)
        with pytest.raises(ValueError, match=_REMEDY):
            search.restore(str(state))
    assert observations(search) == []
    state.write_bytes(content)
    search.restore(str(state))
    assert len(observations(search)) == 1


def test_every_length_matters(state: Path) -> None:
    content = state.read_bytes()
    search = _observed(0)
    for length in range(len(content)):
        state.write_bytes(content[:length])
        with pytest.raises(ValueError, match=_REMEDY):
            search.restore(str(state))


def _of_another_version(content: bytes) -> bytes:
    return sealed((unsealed(content) or b"").replace(b"Search 4", b"Search 3", 1))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: b"", "does not contain an NCPSearch"),
        (lambda content: content[:20], "does not contain an NCPSearch"),
        (lambda content: content[:-1], "is damaged or truncated: its checksum does not match"),
        (lambda content: content + b"\n", "is damaged or truncated"),
        (lambda content: content[:-9] + bytes(9), "is damaged or truncated"),
        (lambda content: b"trial,m\n1,0.5\n", "does not contain an NCPSearch"),
        (_of_another_version, "is of version 3, not 4"),
        (
            lambda content: content.partition(b"\n")[2],
            "is a pickle without a checksum, as ncp_sampler",
        ),
        (lambda content: pickle.dumps({"m": 1}), "is a pickle without a checksum, as ncp_sampler"),
    ],
    ids=["empty", "cut-early", "cut", "longer", "zeros", "other", "version", "0.1", "pickle"],
)
def test_damage_is_named(change: Callable[[bytes], bytes], why: str, state: Path) -> None:
    state.write_bytes(change(state.read_bytes()))
    assert why in _refusal(state)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read ([Errno 2] No such file" in _refusal(tmp_path / "none")
    for path in (tmp_path, Path("/dev/zero")):  # which has no end
        assert "cannot be read (it is not a file)" in _refusal(path)


class _Gone:
    """A choice of a program that the reader is not."""


def test_what_the_file_names_is_no_longer_there(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_search(space={"x": tune.choice([_Gone, None])}).save(str(state))
    monkeypatch.delattr(sys.modules[__name__], "_Gone")
    assert "contains objects that cannot be loaded here (AttributeError: " in _refusal(state)


def test_choice_that_cannot_be_saved(state: Path) -> None:
    before = state.read_bytes()
    search = new_search(space={"x": tune.choice([threading.Lock(), None])})
    with pytest.raises(ValueError, match=r"strategy or choices cannot be pickled .*'_thread.lock'"):
        search.save(str(state))
    assert state.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/state", r"checkpoint_path='.*/none/state' must be in a folder that exists"),
        ("file/state", r"checkpoint_path='.*/file/state' must be in a folder that exists"),
        (
            "/proc/state",
            "No such file or directory: nothing was written, .*another checkpoint_path",
        ),
        ("/dev/full", "No space left on device: nothing was written, .*another checkpoint_path"),
        (".", "must be a file; this is a folder"),
    ],
)
def test_path_that_cannot_be_written_to(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((OSError, ValueError), match=message):
        _observed().save(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


_FULL = """
import resource, signal, sys
from tests.integrations.ray.test_ray_checkpoint import _observed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write that is too long only fails
search = _observed(3)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # bytes
try:
    search.save(sys.argv[1])
except OSError as error:
    print(error)
"""


def test_disk_that_is_full(state: Path) -> None:
    """The older file remains without temporary files, and the next save succeeds."""
    before = state.read_bytes()
    assert len(before) > 1000
    done = subprocess.run(
        [*preloaded.python(), "-c", _FULL, str(state)],
        cwd=_ROOT, capture_output=True, encoding="utf-8", timeout=120, check=True,
    )  # fmt: skip
    assert "File too large: nothing was written, and an older file is unchanged" in done.stdout
    assert f"give another checkpoint_path: '{state}'" in done.stdout
    assert state.read_bytes() == before
    assert [path.name for path in state.parent.iterdir()] == ["state"]
    _observed(3).save(str(state))
    assert state.read_bytes() != before


def test_saving_again_replaces_the_file_behind_a_link(state: Path) -> None:
    link = state.parent / "link"
    link.symlink_to(state)
    _observed(3).save(str(link))
    assert link.is_symlink()
    search = _observed(0)
    search.restore(str(state))
    assert len(observations(search)) == 3
