"""Codes of trials that must not be proposed again, and parts of codes that stand for all others.

A trial that lacked parameters of the space says nothing about their values. Any code that agrees
with it in all other columns would repeat the trial.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.space.search_space import code_key

_MAX_PARTS = 32  # number of masks of columns that are compared; each takes time at every proposal


class KnownCodes:
    """Codes of the first trials of a search.

    Attributes:
        count: Number of these trials.
        codes: Keys of the codes of trials that had all columns.
    """

    def __init__(self) -> None:
        self.count = 0
        self.codes: set[bytes] = set()
        # key of a mask of columns -> the mask (d,), and keys of codes in these columns
        self._parts: dict[bytes, tuple[NDArray[np.bool_], set[bytes]]] = {}
        self._max_parts = _MAX_PARTS

    def add(
        self,
        key: bytes,
        code: NDArray[Any],
        *,
        exact: bool,
        placeholders: NDArray[np.bool_] | None,
    ) -> None:
        """Add the code of the next trial.

        Args:
            key: The ``code_key`` of the code.
            code: The code, (d,).
            exact: False if the code may be proposed again.
            placeholders: Mask (d,) of the columns that the trial did not have; None if it had all.
        """
        had = None if placeholders is None else ~placeholders
        if exact and (had is None or not had.any() or not self._has_room(had)):
            self.codes.add(key)
        elif exact and had is not None:
            _, parts = self._parts.setdefault(had.tobytes(), (had, set()))
            parts.add(code_key(code[had]))
        self.count += 1

    def in_part(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask of the codes (n, d) that agree with a trial in all columns it had."""
        known = np.zeros(len(codes), dtype=bool)
        for had, keys in self._parts.values():
            left = np.flatnonzero(~known)
            known[left] = [code_key(code) in keys for code in codes[np.ix_(left, had)]]
        return known

    def forget_parts(self) -> bool:
        """Compare whole codes only from now on; return True if that is a change."""
        had_parts, self._parts, self._max_parts = bool(self._parts), {}, 0
        return had_parts

    def _has_room(self, had: NDArray[np.bool_]) -> bool:
        return had.tobytes() in self._parts or len(self._parts) < self._max_parts
