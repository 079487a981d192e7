"""Files that are either whole or not there, and files that know when they are damaged.

A file is written beside its place and then moved there in one step, so that neither a full disk
nor a killed process leaves half of one, or takes an older one away. What a killed process has left
beside it, the next one to write there removes. A sealed file ends with a
line that holds the SHA-256 of all that stands before it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ncp_sampler import checks

try:
    import fcntl
except ImportError:  # Windows, where a killed process's temporary files stay
    fcntl = None  # type: ignore[assignment]

_PREFIX, _SUFFIX = ".ncp-", ".tmp"  # of temporary files
_SEAL = b"\nsha256:"
_SEAL_LENGTH = len(_SEAL) + 64 + 1  # hexadecimal digits, and the end of the line


def write_atomic(
    path: str | os.PathLike[str],
    content: bytes,
    *,
    name: str = "path",
    staging: Path | None = None,
) -> None:
    """Writes a file at once: after a failure an older one is as it was, and nothing lies beside it.

    A link stays one, and what it leads to is written. A device, such as /dev/null, is written to.

    Args:
        path: The file; its folder exists.
        content: All of it.
        name: The argument's in messages.
        staging: A folder in which the file is written before it is moved, where that can be done;
            its own folder if None.

    Raises:
        ValueError: The path is none, is a folder, or stands in no folder that exists; or the
            content is no bytes.
        OSError: The disk is full, or nothing may be written there.
    """
    given = checks.path(name, path, "a file")
    checks.instance("content", content, bytes, "be bytes; encode a text")
    try:
        _write(given, content, name, staging)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"{why}: nothing was written, and an older file is as it was; free some space, or give "
            f"another {name}",
            str(given),
        ) from error


def sealed(content: bytes) -> bytes:
    """The content with its checksum at the end."""
    return content + _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"


def unsealed(content: bytes) -> bytes | None:
    """What ``sealed`` was given; None where a byte is another, is missing or was added."""
    inner = content[:-_SEAL_LENGTH]
    return inner if sealed(inner) == content else None


def _write(given: Path, content: bytes, name: str, staging: Path | None) -> None:
    try:
        target = Path(os.path.realpath(given))
        is_folder, has_folder = target.is_dir(), target.parent.is_dir()
    except ValueError as error:  # a null character
        raise checks.refusal(name, str(given), f"be the path of a file ({error})") from None
    if is_folder:
        raise checks.refusal(name, str(given), "be a file; this is a folder")
    if not has_folder:
        raise checks.refusal(name, str(given), "be in a folder that exists; make it first")
    if target.exists() and not target.is_file():
        target.write_bytes(content)  # what stands in a device's place would be no device
    else:
        _replace(target, content, staging)


def _replace(target: Path, content: bytes, staging: Path | None) -> None:
    folder = target.parent
    if staging is not None and _moves_at_once(staging, folder):
        folder = staging
    _remove_left(folder)
    beside, file = _temporary(folder)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name without its content
            if target.exists():
                beside.chmod(stat.S_IMODE(target.stat().st_mode))
            if fcntl is None:
                file.close()  # Windows moves no open file
            beside.replace(target)  # while the lock is held
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _temporary(folder: Path) -> tuple[Path, BinaryIO]:
    """Create and lock a new file in the folder, of any name that fits and is free."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        file = path.open("xb")
        _lock(file, wait=True)
        if path.exists():
            return path, file
        file.close()  # another process took it for one that was left behind


def _remove_left(folder: Path) -> None:
    """Remove the temporary files of killed processes: nobody holds their locks."""
    with suppress(OSError):  # of a folder or a file that cannot be read
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if path.is_file() and not path.is_symlink():
                with suppress(OSError), path.open("r+b") as file:
                    if _lock(file):
                        path.unlink()


def _lock(file: BinaryIO, *, wait: bool = False) -> bool:
    """Lock a file until it is closed; return False if that cannot be done."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process has it, or the disk has no locks
        return False
    return True


def _moves_at_once(source: Path, target: Path) -> bool:
    """Whether a file can be written in one folder, and moved into the other in one step."""
    return os.access(source, os.W_OK) and source.stat().st_dev == target.stat().st_dev
