"""Access to Optuna storages without writing: a missing storage is not created.

Nothing is unpickled: of a journal in Redis, only the entries are read, not the pickled snapshot.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from optuna.study import Study
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

_SQLITE = b"SQLite format 3\0"  # first bytes of a SQLite file
_LONGEST = 1_000_000  # maximum number of bytes read of a journal's first line
_REDIS = ("redis", "rediss", "unix")  # URL schemes of Redis
_PORT, _PATIENCE = 13000, 10  # default port of Optuna's gRPC server; seconds to wait for it
_READ_ONLY = {"mode": "ro", "uri": "true"}


def read_study(storage: str, name: str | None = None) -> Study:
    """Return a study from a storage.

    Args:
        storage: URL of a database, of Redis or of a gRPC server, or the path of a SQLite or
            journal file.
        name: Name of the study; None if it is the only one.

    Raises:
        ValueError: The storage or study does not exist, or there are several studies and no name is
            given.
    """
    opened = _opened(storage)
    names = sorted(study.study_name for study in opened.get_all_studies())
    if not names:
        raise ValueError(f"{storage} holds no study")
    if name is None and len(names) > 1:
        raise ValueError(f"{storage} holds {len(names)} studies; --name one of {_listed(names)}")
    if name is not None and name not in names:
        raise ValueError(f"{storage} holds no study {name!r}; --name one of {_listed(names)}")
    return optuna.load_study(study_name=name or names[0], storage=opened)


def _opened(text: str) -> BaseStorage:
    if "://" not in text:
        return _of_file(text, Path(text))
    scheme = text.partition("://")[0]
    if scheme == "grpc" or scheme in _REDIS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return _served(text, _grpc if scheme == "grpc" else _redis)
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError(f"{text} is not the URL of a database: {error}") from error
    if url.get_backend_name() != "sqlite":
        return _database(text, url)
    if url.database in (None, "", ":memory:"):
        raise ValueError(f"{text} is a database in memory, which was lost when its process ended")
    return _of_file(text, Path(str(url.database)))


def _of_file(text: str, path: Path) -> BaseStorage:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a file"
        raise ValueError(
            f"{text} is {what}; give a SQLite or journal file of Optuna, or a URL such as "
            "sqlite:///runs.db"
        )
    with path.open("rb") as file:
        line = file.readline(_LONGEST)
    if line.startswith(_SQLITE):
        name = f"file:{quote(str(path.resolve()))}"
        return _database(text, URL.create("sqlite", database=name, query=_READ_ONLY))
    if "://" in text:
        raise ValueError(f"{text} is not a SQLite database")
    try:
        if line and "op_code" not in json.loads(line):
            raise ValueError("no entry")
        return JournalStorage(JournalFileBackend(str(path)))
    except Exception as error:  # a foreign file can raise nearly anything
        raise ValueError(f"{text} is neither a SQLite database nor a journal of Optuna") from error


def _database(text: str, url: URL) -> BaseStorage:
    """Open a database that has Optuna's tables; without this check, Optuna would create them."""
    try:
        engine = create_engine(url)
        known = inspect(engine).has_table("studies")
        engine.dispose()
        if not known:
            raise ValueError(f"{text} is a database without Optuna's tables")
        return RDBStorage(url.render_as_string(hide_password=False))
    except ModuleNotFoundError as error:
        raise ValueError(f"{text} needs {error.name}, which is not installed") from error
    except (SQLAlchemyError, RuntimeError) as error:  # RuntimeError: another version of the tables
        raise ValueError(f"{text} cannot be read: {error}") from error


class _Journal(JournalRedisBackend):
    """Journal in Redis that is read without its snapshot, which is a pickle."""

    def load_snapshot(self) -> None:
        return None


def _redis(text: str) -> BaseStorage:
    return JournalStorage(_Journal(text))


def _grpc(text: str) -> BaseStorage:
    """Connect to the server of ``optuna.storages.run_grpc_proxy_server``."""
    from optuna.storages import GrpcStorageProxy  # since Optuna 4.2

    parts = urlsplit(text)
    if not parts.hostname:
        raise ValueError(f"it must be grpc://HOST or grpc://HOST:PORT, such as grpc://host:{_PORT}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    proxy = GrpcStorageProxy(host=host, port=parts.port or _PORT)
    proxy.wait_server_ready(timeout=_PATIENCE)
    return proxy


def _served(text: str, connect: Callable[[str], BaseStorage]) -> BaseStorage:
    """Connect to a server, and check that its studies can be read."""
    try:
        storage = connect(text)
        storage.get_all_studies()
    except ImportError as error:  # Optuna's message names the missing package
        raise ValueError(f"{text} cannot be read: {error}") from error
    except Exception as error:  # Redis and gRPC raise their own errors
        raise ValueError(f"{text} cannot be read ({type(error).__name__}: {error})") from error
    return storage


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))
