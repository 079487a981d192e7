"""Atomic writes of files, and checksums that detect damage.

Content is written to a temporary file, usually in the folder of the target. The temporary file then
replaces the target in one step. Therefore, neither a full disk nor a killed process leaves an
incomplete file or destroys an older one. The next process that writes to the folder removes the
temporary files of killed processes. A sealed file ends with a line that contains the SHA-256 of the
content before it.
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
except ImportError:  # Windows, where temporary files of killed processes remain
    fcntl = None  # type: ignore[assignment]

_PREFIX, _SUFFIX = ".ncp-", ".tmp"  # Names of temporary files
_SEAL = b"\nsha256:"
_SEAL_LENGTH = len(_SEAL) + 64 + 1  # Length including 64 hexadecimal digits and the newline


def write_atomic(
    path: str | os.PathLike[str],
    content: bytes,
    *,
    name: str = "path",
    staging: Path | None = None,
) -> None:
    """Write a file in one step; after a failure, an older file is unchanged.

    If the path is a symbolic link, its target is written and the link remains. Devices such as
    /dev/null are written directly.

    Args:
        path: Path of the file; its folder must exist.
        content: The complete content.
        name: Name of the argument ``path`` in messages.
        staging: Folder for the temporary file, if files can be moved from it to the folder of the
            target in one step. Otherwise, or if None, the folder of the target is used.

    Raises:
        ValueError: If the path is a folder or its folder does not exist, or if the content is not
            bytes.
        OSError: If the disk is full, or the folder is not writable.
    """
    file = checks.path(name, path, "a file")
    checks.instance("content", content, bytes, "be bytes; encode a text")
    try:
        _write(file, content, name, staging)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"{why}: nothing was written, and an older file is unchanged; free some space, or give "
            f"another {name}",
            str(file),
        ) from error


def sealed(content: bytes) -> bytes:
    """Return the content with a checksum appended."""
    return content + _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"


def unsealed(content: bytes) -> bytes | None:
    """Return the content of ``sealed``, or None if any byte was changed, removed or added."""
    inner = content[:-_SEAL_LENGTH]
    return inner if sealed(inner) == content else None


def _write(given: Path, content: bytes, name: str, staging: Path | None) -> None:
    try:
        target = Path(os.path.realpath(given))
        is_folder, has_folder = target.is_dir(), target.parent.is_dir()
    except ValueError as error:  # Null character
        raise checks.refusal(name, str(given), f"be the path of a file ({error})") from None
    if is_folder:
        raise checks.refusal(name, str(given), "be a file; this is a folder")
    if not has_folder:
        raise checks.refusal(name, str(given), "be in a folder that exists; make it first")
    if target.exists() and not target.is_file():
        target.write_bytes(content)  # Moving a file would replace the device
    else:
        _replace(target, content, staging)


def _replace(target: Path, content: bytes, staging: Path | None) -> None:
    folder = target.parent
    if staging is not None and _moves_at_once(staging, folder):
        folder = staging
    _remove_left(folder)
    temporary, file = _temporary(folder)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # Otherwise a power failure could leave an empty file
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            if fcntl is None:
                file.close()  # Windows cannot move open files
            temporary.replace(target)  # Moved while the lock is held
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary(folder: Path) -> tuple[Path, BinaryIO]:
    """Create and lock a new file in the folder."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        file = path.open("xb")
        _lock(file, wait=True)
        if path.exists():
            return path, file
        file.close()  # Another process removed it


def _remove_left(folder: Path) -> None:
    """Remove the temporary files of killed processes, which no process locks any more."""
    with suppress(OSError):  # Unreadable folders or files
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if path.is_file() and not path.is_symlink():
                with suppress(OSError), path.open("r+b") as file:
                    if _lock(file):
                        path.unlink()


def _lock(file: BinaryIO, *, wait: bool = False) -> bool:
    """Lock a file until it is closed; return False if it cannot be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # Another process holds it, or the disk has no locks
        return False
    return True


def _moves_at_once(source: Path, target: Path) -> bool:
    """Return True if files can be moved from one folder to the other in one step."""
    return os.access(source, os.W_OK) and source.stat().st_dev == target.stat().st_dev
