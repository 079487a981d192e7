"""The published tables of NAS-Bench-MR and NAS-Bench-201, read without trusting them.

The tables are pickles, and a pickle can run code: the unpickler here knows NumPy's own array
reconstruction and nothing else, and every row is checked before it is used.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.benchmark.settings import NB201, SETTINGS, find_setting
from ncp_sampler.mr_space import MRSpace

ROOT_VARIABLE = "NCP_BENCH_ROOT"

_FILE = "trainval.pkl"
_NB201_LENGTH = 30
_ALLOWED = {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype")}
_SPACE = MRSpace()


@dataclass(frozen=True)
class Table:
    """One setting's trained architectures, in the published order.

    Attributes:
        setting: Folder name of the setting.
        codes: (n, 27) integers; for NAS-Bench-201 (n, 30) one-hot.
        metrics: Metric name -> (n,) in percent, the main metric first.
        flops: (n,) in G; in M for NAS-Bench-201.
        params: (n,) in M.
    """

    setting: str
    codes: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    flops: NDArray[np.float64]
    params: NDArray[np.float64]


class NASBenchMR:
    """The published tables in a folder, each read when it is first asked for.

    Args:
        root: Folder that holds ``SETTING/trainval.pkl``, or its parent with a ``data`` folder;
            the environment variable ``NCP_BENCH_ROOT`` if None.

    Raises:
        ValueError: No root given, or a folder without any table.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        given = os.environ.get(ROOT_VARIABLE) if root is None else root
        if not given:
            raise ValueError(
                f"root is missing: pass the tables' folder, or set {ROOT_VARIABLE} to it"
            )
        base = Path(given)
        names = [setting.name for setting in SETTINGS] + [NB201]
        for folder in (base, base / "data"):
            present = tuple(name for name in names if (folder / name / _FILE).is_file())
            if present:
                break
        else:
            raise ValueError(
                f"root={str(base)!r} holds no SETTING/{_FILE}; give the folder `data` of the "
                "upstream NAS-Bench-MR repository"
            )
        self.root = folder
        self.settings: tuple[str, ...] = present
        self._tables: dict[str, Table] = {}
        self._rows: dict[str, dict[bytes, int]] = {}

    def table(self, setting: str) -> Table:
        """The table of a setting, by folder name or short name (``"seg"``, ``"cls-a"``, ...).

        Raises:
            ValueError: An unknown setting, or a file that is missing, truncated or no table.
        """
        name = NB201 if setting == NB201 else find_setting(setting).name
        if name not in self._tables:
            path = self.root / name / _FILE
            self._tables[name] = _to_table(name, _read(path), path)
        return self._tables[name]

    def query(self, code: ArrayLike | Mapping[str, Any] | str, *, setting: str) -> dict[str, float]:
        """What was measured of one architecture: its metrics, ``flops`` and ``params``.

        Args:
            code: A code, params, or a published code string.
            setting: As ``table``.

        Raises:
            ValueError: The architecture is not in the table, or the code is illegal.
        """
        table = self.table(setting)
        if isinstance(code, str):
            numbers = _SPACE.from_string(code)
        elif isinstance(code, Mapping):
            numbers = _SPACE.to_code(code)
        else:
            numbers = np.asarray(code)
        if table.setting not in self._rows:
            rows = {row.tobytes(): i for i, row in reversed(list(enumerate(table.codes)))}
            self._rows[table.setting] = rows
        key = np.asarray(numbers, dtype=np.float64).reshape(-1)
        whole = key.astype(np.int64)
        row = self._rows[table.setting].get(whole.tobytes()) if (key == whole).all() else None
        if row is None:
            raise ValueError(
                f"code={key.tolist()} is not among the {len(table.codes)} architectures of "
                f"{table.setting!r}; benchmark.surrogate predicts any code"
            )
        found = {name: float(column[row]) for name, column in table.metrics.items()}
        return {**found, "flops": float(table.flops[row]), "params": float(table.params[row])}


class _PlainUnpickler(pickle.Unpickler):
    """Builds builtin containers, numbers and NumPy arrays; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not plain data")
        return super().find_class(module, name)


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except OSError as error:
        raise ValueError(f"cannot read the table {path}: {error.strerror}") from error
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(
            f"{path} is truncated or no table ({type(error).__name__}: {error}); get the file "
            "anew from the upstream repository"
        ) from error


def _to_table(name: str, rows: Any, path: Path) -> Table:
    metrics: tuple[str, ...] = ("Acc",) if name == NB201 else find_setting(name).metrics
    flops, params = ("Flops", "Params") if name == NB201 else ("flops", "params")
    length = _NB201_LENGTH if name == NB201 else len(_SPACE.columns)
    problem = f"{path} is not the table of {name!r}"
    remedy = "get the file anew from the upstream repository"
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{problem}: it must hold a list of dictionaries; {remedy}")
    wanted = ("embedding", *metrics, flops, params)
    for i, row in enumerate(rows):
        missing = [key for key in wanted if key not in row]
        if missing:
            raise ValueError(f"{problem}: row {i} lacks {missing}; {remedy}")
    try:
        codes = np.array([row["embedding"] for row in rows], dtype=np.float64)
        columns = {
            key: np.array([row[key] for row in rows], dtype=np.float64) for key in wanted[1:]
        }
    except (TypeError, ValueError):
        raise ValueError(f"{problem}: a row holds no numbers; {remedy}") from None
    if codes.shape != (len(rows), length):
        raise ValueError(f"{problem}: its codes do not have {length} numbers each; {remedy}")
    for key, column in columns.items():
        if column.shape != (len(rows),) or not np.isfinite(column).all():
            raise ValueError(f"{problem}: {key!r} is not one finite number a row; {remedy}")
    if name == NB201:
        blocks = codes.reshape(-1, 6, 5)
        legal = np.isin(codes, (0, 1)).all() and (blocks.sum(2) == 1).all()
    else:
        legal = np.isfinite(codes).all() and (codes == _SPACE.round(np.nan_to_num(codes))).all()
    if not legal:
        raise ValueError(f"{problem}: it has a code outside the search space; {remedy}")
    return Table(
        setting=name,
        codes=codes.astype(np.int64),
        metrics={key: columns[key] for key in metrics},
        flops=columns[flops],
        params=columns[params],
    )
