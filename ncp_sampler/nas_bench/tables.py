"""Safe reading of the published tables of NAS-Bench-MR and NAS-Bench-201.

The tables are pickles, and a pickle can run code. Therefore, `plain_pickle` reads them, which
creates only plain data, and every row is checked before it is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench import plain_pickle
from ncp_sampler.nas_bench.settings import NB201, SETTINGS, find_setting
from ncp_sampler.nas_bench.table_checks import find_damage
from ncp_sampler.records.records import Records
from ncp_sampler.space.nas_bench_201 import NB201Space

ROOT_VARIABLE = "NCP_BENCH_ROOT"

_FILE = "trainval.pkl"
_LARGEST = 128  # Largest value in a code
_SPACE, _NB201_SPACE = MRSpace(), NB201Space()


@dataclass(frozen=True)
class Table:
    """Trained architectures of one setting, in the published order.

    Attributes:
        setting: Folder name of the setting.
        codes: Codes: integers (n, 27); one-hot vectors (n, 30) for NAS-Bench-201.
        metrics: Name -> values (n,) in percent, with the main metric first.
        flops: FLOPs (n,) in G; in M for NAS-Bench-201.
        params: Numbers of parameters (n,) in M.

    Examples:
        >>> import numpy as np
        >>> from ncp_sampler import NB201Space
        >>> codes = NB201Space().sample(3, 0).astype(np.int64)  # in place of published codes
        >>> cost = np.array([10.0, 20.0, 30.0])
        >>> accuracy = np.array([40.0, 44.0, 42.0])
        >>> table = Table("nas-bench-201", codes, {"Acc": accuracy}, cost, cost / 100)
        >>> table.main, table.rows(codes[1:2]).tolist()
        ('Acc', [1])
    """

    setting: str
    codes: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    flops: NDArray[np.float64]
    params: NDArray[np.float64]

    @property
    def main(self) -> str:
        """Name of the main metric, which the paper reports."""
        return next(iter(self.metrics))

    @property
    def space(self) -> MRSpace | NB201Space:
        """Search space of the codes."""
        return _space(self.setting)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the values (n,) of a metric, of "flops" or of "params".

        Raises:
            ValueError: If there is no such column.
        """
        columns = {**self.metrics, "flops": self.flops, "params": self.params}
        if not isinstance(name, str) or name not in columns:
            raise ValueError(f"{self.setting!r} has no column {name!r}; it has {list(columns)}")
        return columns[name]

    def rows(self, codes: ArrayLike) -> NDArray[np.intp]:
        """Return the positions (k,) of codes (k, d) in the table; the first of equal rows.

        Raises:
            ValueError: If the shape is wrong, or if a code is not in the table.
        """
        numbers = np.asarray(codes, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != self.codes.shape[1]:
            raise ValueError(
                f"codes has shape {numbers.shape}; it must be (k, {self.codes.shape[1]})"
            )
        integers = np.nan_to_num(numbers).clip(0, _LARGEST).astype(np.int64)
        rows = [self._row_of.get(row.tobytes(), -1) for row in integers]
        for code, row, exact in zip(numbers, rows, (numbers == integers).all(1), strict=True):
            if row < 0 or not exact:
                complete = len(self._row_of) == self.space.size
                remedy = "" if complete else "; nas_bench.surrogate predicts any code"
                raise ValueError(
                    f"code={code.tolist()} is not among the {len(self.codes)} architectures of "
                    f"{self.setting!r}{remedy}"
                )
        return np.array(rows, dtype=np.intp)

    @cached_property
    def _row_of(self) -> dict[bytes, int]:
        return {row.tobytes(): i for i, row in reversed(list(enumerate(self.codes)))}

    def records(self) -> Records:
        """Return the table as records for offline searches; costs are metrics of the records."""
        columns = {**self.metrics, "flops": self.flops, "params": self.params}
        return Records(self.space, self.codes.astype(np.float64), columns)


class NASBenchMR:
    """Published tables in a folder; each table is read when it is first used.

    Args:
        root: Folder that contains ``SETTING/trainval.pkl`` or ``data/SETTING/trainval.pkl``. None
            for the folder in the environment variable ``NCP_BENCH_ROOT``.

    Attributes:
        root: Folder that contains the folders of the settings.
        settings: Folder names of the settings that have a table.

    Raises:
        ValueError: If there is no root, or if the folder has no table.

    Examples:
        >>> bench = NASBenchMR("nas-bench-mr/data")  # your copy of the published tables
        >>> bench.table("seg").main
        'mIoU'
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        given = os.environ.get(ROOT_VARIABLE) if root is None else root
        if not given:
            raise ValueError(
                f"root is missing: pass the folder of the tables, or set {ROOT_VARIABLE} to it"
            )
        base = checks.path("root", given)
        names = [setting.name for setting in SETTINGS] + [NB201]
        for folder in (base, base / "data"):
            present = tuple(name for name in names if (folder / name / _FILE).is_file())
            if present:
                break
        else:
            raise ValueError(
                f"root={str(base)!r} does not contain SETTING/{_FILE}; give the folder `data` of "
                "the upstream NAS-Bench-MR repository"
            )
        self.root = folder
        self.settings: tuple[str, ...] = present
        self._tables: dict[str, Table] = {}

    def table(self, setting: str) -> Table:
        """Return the table of a setting, by folder name or short name (``"cls-a"``).

        Raises:
            ValueError: If the setting is unknown, or if the file is missing, damaged or not a
                table.
        """
        name = NB201 if setting == NB201 else find_setting(setting).name
        if name not in self._tables:
            path = self.root / name / _FILE
            if not path.is_file():
                raise ValueError(f"{path} is missing; {self.root} contains {list(self.settings)}")
            self._tables[name] = _to_table(name, _read(path), path)
        return self._tables[name]

    def query(self, code: ArrayLike | Mapping[str, Any] | str, *, setting: str) -> dict[str, float]:
        """Return the metrics, ``flops`` and ``params`` of one architecture.

        Args:
            code: A code, params, or a published code string.
            setting: Folder name or short name of the setting, as for ``table``.

        Raises:
            ValueError: If the architecture is not in the table, or if the code is invalid.
        """
        table = self.table(setting)
        (row,) = table.rows(_to_numbers(code, table)[None])
        metrics = {metric: float(column[row]) for metric, column in table.metrics.items()}
        return {**metrics, "flops": float(table.flops[row]), "params": float(table.params[row])}


def _space(setting: str) -> MRSpace | NB201Space:
    return _NB201_SPACE if setting == NB201 else _SPACE


def _to_numbers(code: ArrayLike | Mapping[str, Any] | str, table: Table) -> NDArray[np.float64]:
    """Return a code, params or code string as one row of a table."""
    shape = table.codes.shape[1:]
    if isinstance(code, str):
        code = table.space.from_string(code)
    elif isinstance(code, Mapping):
        code = table.space.to_code(code)
    try:
        numbers = np.asarray(code, dtype=np.float64)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"code must be {shape[0]} numbers, params or a code string") from None
    if numbers.shape != shape:
        raise ValueError(
            f"code has shape {numbers.shape}; one code of {table.setting!r} has {shape}"
        )
    return numbers


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return plain_pickle.load(file)
    except OSError as error:
        raise ValueError(f"cannot read the table {path}: {error.strerror}") from error
    except Exception as error:  # a broken pickle can raise almost any exception
        raise ValueError(
            f"{path} is damaged or not a table ({type(error).__name__}: {error}); download "
            "it again from the upstream repository"
        ) from error


def _to_table(name: str, rows: Any, path: Path) -> Table:
    metrics: tuple[str, ...] = ("Acc",) if name == NB201 else find_setting(name).metrics
    flops, params = ("Flops", "Params") if name == NB201 else ("flops", "params")
    space = _space(name)
    length = len(space.columns)
    problem = f"{path} is not the table of {name!r}"
    remedy = "download it again from the upstream repository"
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{problem}: it must be a list of dictionaries; {remedy}")
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
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{problem}: a row has values that are not numbers; {remedy}") from None
    if codes.shape != (len(rows), length):
        raise ValueError(f"{problem}: its codes do not have {length} numbers each; {remedy}")
    for key, column in columns.items():
        if column.shape != (len(rows),) or not np.isfinite(column).all():
            raise ValueError(f"{problem}: {key!r} is not one finite number per row; {remedy}")
    if (
        min(columns[key].min() for key in columns) < 0
        or max(columns[key].max() for key in metrics) > 100
    ):
        raise ValueError(
            f"{problem}: a metric is not a percentage, or a cost is negative; {remedy}"
        )
    valid = np.isfinite(codes).all() and (codes == space.round(np.nan_to_num(codes))).all()
    if not valid:
        raise ValueError(f"{problem}: it has a code outside the search space; {remedy}")
    damage = find_damage(name, codes.astype(np.int64), columns)
    if damage is not None:
        raise ValueError(f"{problem} as published: {damage}; {remedy}")
    return Table(
        setting=name,
        codes=codes.astype(np.int64),
        metrics={key: columns[key] for key in metrics},
        flops=columns[flops],
        params=columns[params],
    )
