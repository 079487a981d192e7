"""Files of saved searchers, which are written atomically and rejected if damaged.

A file contains the line ``ncp_sampler.NCPSearch VERSION``, the pickled searcher, and the checksum
of ``ncp_sampler.files``. Without a checksum, a damaged pickle might be loaded as something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.search import Searcher

from ncp_sampler import checks
from ncp_sampler.files import sealed, unsealed, write_atomic

_MAGIC = b"ncp_sampler.NCPSearch "
_VERSION = b"4"  # Version of the file format; it changes with the searcher's attributes
_PICKLE = b"\x80"  # First byte of a pickle, and thus of files written by ncp_sampler 0.1


class SavedSearcher(Searcher):
    """Base class of a searcher that is saved to files as a pickle with a checksum."""

    def save(self, checkpoint_path: str) -> None:
        """Write the searcher, with all that its next suggestions depend on, to a file atomically.

        Raises:
            OSError: The disk is full, or the file cannot be written.
            ValueError: The path is not the path of a file, or an object cannot be pickled.
        """
        path = checks.path("checkpoint_path", checkpoint_path)
        write_atomic(path, self._content(), name="checkpoint_path")

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Write the searcher to a run's folder; Tune calls this method during the run.

        Tune may be copying the folder at the same time, and fails if a file disappears after it has
        been listed. The temporary file is therefore written next to the folder, not in it.
        """
        folder = checks.path("checkpoint_dir", checkpoint_dir, "a folder")
        path = folder / self.CKPT_FILE_TMPL.format(session_str)
        parent = folder.absolute().parent
        write_atomic(path, self._content(), name="checkpoint_dir", staging=parent)

    def restore(self, checkpoint_path: str) -> None:
        """Replace the state of this searcher with that of a saved one.

        The file is unpickled, so restore only files that you trust.

        Raises:
            ValueError: The file does not exist, comes from another program or version, is damaged,
                or contains objects that cannot be loaded here. In that case, nothing is changed.
        """
        path = checks.path("checkpoint_path", checkpoint_path)
        try:
            saved = _read(path)
        except ValueError as error:
            raise ValueError(
                f"checkpoint_path={str(path)!r} {error}; give an intact file that NCPSearch.save "
                "wrote, such as a copy of this one, or add the run's trials to a new NCPSearch "
                "with add_evaluated_trials"
            ) from error
        self.__dict__.update(saved.__dict__)

    def _content(self) -> bytes:
        try:
            content = cloudpickle.dumps(self)
        except Exception as error:  # strategies and categories can raise anything
            raise ValueError(
                f"strategy or choices cannot be pickled ({type(error).__name__}: {error}), so the "
                "searcher cannot be saved; give functions and plain values"
            ) from error
        return sealed(_MAGIC + _VERSION + b"\n" + content)


def _read(path: Path) -> Any:
    """Return the searcher in a file; raise a ValueError that describes what is wrong with it."""
    try:
        if path.exists() and not path.is_file():  # a device may have no end
            raise ValueError("it is not a file")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    if content.startswith(_PICKLE):
        raise ValueError("is a pickle without a checksum, as ncp_sampler 0.1 wrote them")
    if not content.startswith(_MAGIC):
        raise ValueError("does not contain an NCPSearch")
    intact = unsealed(content)
    if intact is None:
        raise ValueError("is damaged or truncated: its checksum does not match")
    version, _, pickled = intact.removeprefix(_MAGIC).partition(b"\n")
    if version != _VERSION:
        given, own = version.decode(errors="replace"), _VERSION.decode()
        raise ValueError(f"is of version {given}, not {own}")
    try:
        return cloudpickle.loads(pickled)
    except Exception as error:  # imported modules can raise anything
        why = f"contains objects that cannot be loaded here ({type(error).__name__}: {error})"
        raise ValueError(why) from error
