"""Files are written whole or not at all, and sealed ones know when they are damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncp_sampler.files import sealed, unsealed, write_atomic

# what a full disk does to a process, for real: beyond so many bytes each write fails
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from ncp_sampler.files import write_atomic
try:
    write_atomic(sys.argv[1], b"new" * 1000)
except OSError as error:
    print(error)
"""

# a process that stops when all is written, and not yet in its place
SLOW = """
import os, sys
from ncp_sampler.files import write_atomic
def wait(_):
    print("written", flush=True)
    sys.stdin.readline()
os.fsync = wait
write_atomic(sys.argv[1], b"slow")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_atomic(path, b"one")
    write_atomic(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.csv"]


def test_new_files_have_the_users_permissions_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.touch()
    old.chmod(0o640)
    mask = os.umask(0o022)
    try:
        write_atomic(new, b"")
        write_atomic(old, b"")
    finally:
        os.umask(mask)
    assert (new.stat().st_mode & 0o777, old.stat().st_mode & 0o777) == (0o644, 0o640)


def test_a_link_stays_one_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomic(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_file_may_come_by_way_of_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that who copies its own folder sees nothing come and go there."""
    inner = tmp_path / "copied"
    inner.mkdir()
    moved = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        moved.append((self.parent, target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    write_atomic(inner / "a", b"x", staging=tmp_path)
    write_atomic(inner / "b", b"x", staging=tmp_path / "missing")
    write_atomic(inner / "c", b"x", staging=Path("/proc"))  # another disk: no file moves at once
    assert moved == [(tmp_path, inner / "a"), (inner, inner / "b"), (inner, inner / "c")]
    assert (names(tmp_path), names(inner)) == (["copied"], ["a", "b", "c"])


def test_names_may_be_as_long_as_the_disk_has_them(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("a" * 255), b"x")
    with pytest.raises(OSError, match="File name too long: nothing was written"):
        write_atomic(tmp_path / ("a" * 256), b"x")
    assert names(tmp_path) == ["a" * 255]


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert "File too large: nothing was written, and an older file is unchanged" in done.stdout
    assert str(path) in done.stdout
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.csv"]


def test_an_interrupt_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at the worst moment: all is written, and not yet in its place."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt  # not the signal: what runs in a shell's background ignores it

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path,
) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SLOW, str(tmp_path / name)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("killed", "live")
    ]  # fmt: skip
    killed, live = started
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
    left = tmp_path / ".ncp-0123456789abcdef.tmp"  # of version 0.2, which had no locks
    left.touch()
    (tmp_path / ".ncp-linked.tmp").symlink_to(tmp_path / "mine.tmp")
    (tmp_path / "mine.tmp").touch()
    killed.kill()
    killed.communicate()
    write_atomic(tmp_path / "a", b"x")
    kept = names(tmp_path)
    assert len(kept) == 4
    assert {"a", "mine.tmp", ".ncp-linked.tmp"} < {*kept}
    live.communicate("\n")
    assert (tmp_path / "live").read_bytes() == b"slow"
    assert names(tmp_path) == [".ncp-linked.tmp", "a", "live", "mine.tmp"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_written_to_and_stay_devices() -> None:
    write_atomic("/dev/null", b"x")
    with pytest.raises(OSError, match=r"No space left on device.*'/dev/full'"):
        write_atomic("/dev/full", b"x")
    assert Path("/dev/null").is_char_device()
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere/a.csv", "must be in a folder that exists; make it first"),
        ("file/a.csv", "must be in a folder that exists; make it first"),
        (".", "must be a file; this is a folder"),
        ("a\0b", "must be the path of a file"),
    ],
)
def test_a_wrong_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as refused:
        write_atomic(path, b"x", name="out")
    assert str(refused.value).startswith("out='")
    assert names(tmp_path) == ["file"]


def test_something_that_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="path=5 must be the path of a file"):
        write_atomic(5, b"x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="content='x' must be bytes; encode a text"):
        write_atomic("a", "x")  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_a_folder_that_takes_no_files_is_named() -> None:
    """Also root may write nothing there."""
    with pytest.raises(OSError, match=r"nothing was written.*'/proc/a.csv'"):
        write_atomic("/proc/a.csv", b"x")


def test_any_change_breaks_a_seal() -> None:
    content = bytes(range(256))
    sealed_content = sealed(content)
    assert unsealed(sealed_content) == content
    assert unsealed(sealed(b"")) == b""
    for i in range(len(sealed_content)):
        for bit in (1, 32, 128):
            flipped = (
                sealed_content[:i] + bytes([sealed_content[i] ^ bit]) + sealed_content[i + 1 :]
            )
            assert unsealed(flipped) is None
        assert unsealed(sealed_content[:i]) is None
        assert unsealed(sealed_content[i:]) is None or i == 0
    assert unsealed(sealed_content + b"\n") is None
    assert unsealed(content) is None
    assert unsealed(b"") is None
