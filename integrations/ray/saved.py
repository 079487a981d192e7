"""Files of a saved searcher: written whole or not at all, read whole or refused.

A file is one line, ``ncp_sampler.NCPSearch VERSION``, the pickled searcher, and the seal of
``ncp_sampler.files``. A pickle itself has none: with a byte changed it may load as something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import cloudpickle

from ncp_sampler.files import sealed, unsealed, write_atomic

_MAGIC = b"ncp_sampler.NCPSearch "
_VERSION = b"3"  # another one as soon as the searcher's attributes change
_PICKLE = b"\x80"  # how one begins, and so what ncp_sampler 0.1 wrote
_NAME = "checkpoint_path"
_REMEDY = (
    "give a whole file that NCPSearch.save wrote, such as a copy of this one, or let a new "
    "NCPSearch learn the run's trials by add_evaluated_trials"
)


def write_searcher(
    path: Path, searcher: Any, *, name: str = _NAME, staging: Path | None = None
) -> None:
    """Writes a file at once; after a failure an older one is as it was.

    Args:
        path: The file.
        searcher: What is pickled.
        name: The argument's in messages.
        staging: As of ``write_atomic``.

    Raises:
        OSError: The disk is full, or nothing may be written there.
        ValueError: The path is no file's, or the searcher holds what cannot be pickled.
    """
    try:
        content = cloudpickle.dumps(searcher)
    except Exception as error:  # of strategies and choices; each has its own
        raise ValueError(
            f"strategy or choices cannot be pickled ({type(error).__name__}: {error}), so the "
            "searcher cannot be saved; give functions and plain values"
        ) from error
    write_atomic(path, sealed(_MAGIC + _VERSION + b"\n" + content), name=name, staging=staging)


def read_searcher(path: Path) -> Any:
    """What ``write_searcher`` was given. It is unpickled: read only your own files.

    Raises:
        ValueError: There is no such file, it is another's or another version's, it is damaged, or
            something that the searcher holds cannot be loaded here.
    """
    try:
        if path.exists() and not path.is_file():  # a device may have no end
            raise ValueError("it is no file")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be read ({error})") from error
    if content.startswith(_PICKLE):
        raise _refused(path, "is a pickle without a checksum, as ncp_sampler 0.1 wrote them")
    if not content.startswith(_MAGIC):
        raise _refused(path, "holds no NCPSearch")
    whole = unsealed(content)
    if whole is None:
        raise _refused(path, "is damaged, or was cut off: its checksum is another")
    version, _, pickled = whole.removeprefix(_MAGIC).partition(b"\n")
    if version != _VERSION:
        other, own = version.decode(errors="replace"), _VERSION.decode()
        raise _refused(path, f"is of version {other}, and not of {own}")
    try:
        return cloudpickle.loads(pickled)
    except Exception as error:  # what it imports can raise anything
        why = f"holds what cannot be loaded here ({type(error).__name__}: {error})"
        raise _refused(path, why) from error


def _refused(path: Path, why: str) -> ValueError:
    return ValueError(f"{_NAME}={str(path)!r} {why}; {_REMEDY}")
