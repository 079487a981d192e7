"""Reads pickles of plain data: builtin containers, numbers, strings and NumPy arrays of numbers.

A pickle is a program that may call whatever its names resolve to, and NumPy's own functions are
not safe to offer: a dtype whose state is forged makes them take the file's bytes for pointers. So
no name resolves to the real thing. The few that the pickle of an array mentions get stand-ins
from here, which check their arguments; every other name is refused.
"""

from __future__ import annotations

import pickle
import re
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"[biuf]\d{1,2}")  # booleans, integers and floats
_NATIVE = (None, None, None, -1, -1, 0)  # rest of the state of a dtype that is a number's


def load(file: IO[bytes]) -> Any:
    """The object in a pickle; its arrays are objects that ``numpy.array`` converts.

    Raises:
        pickle.UnpicklingError: The pickle mentions anything but plain data.
        Exception: It is broken; a broken pickle can raise nearly anything.
    """
    return _Unpickler(file).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _STAND_INS.get((module.replace("numpy._core", "numpy.core", 1), name))
        if found is None:
            raise _refusal(f"{module}.{name}")
        return found


class _DType:
    """Stands in for ``numpy.dtype``."""

    __slots__ = ("dtype",)

    def __init__(self, name: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not _NUMBER.fullmatch(name):
            raise _refusal(f"an array of dtype {name!r}")
        self.dtype: np.dtype[Any] = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, order, *rest = state
        if order not in ("<", ">", "|") or tuple(rest) != _NATIVE:
            raise _refusal(f"a dtype of state {state!r}")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands in for ``numpy.ndarray``."""

    __slots__ = ("array",)

    def __init__(self, *_arguments: object) -> None:
        raise _refusal("a call of numpy.ndarray")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, data = state
        self.array: NDArray[Any] = _array(data, dtype, shape, "F" if fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype)

    # bound methods: a pickle cannot change them, as it could a function's attributes

    @classmethod
    def reconstruct(cls, *_arguments: object) -> _Array:
        """``numpy.core.multiarray._reconstruct``: an array whose state follows."""
        return cls.__new__(cls)

    @classmethod
    def from_buffer(cls, data: bytes, dtype: _DType, shape: Any, order: str) -> _Array:
        """``numpy.core.numeric._frombuffer``, from pickle protocol 5 on."""
        made = cls.__new__(cls)
        made.array = _array(data, dtype, shape, order)
        return made

    @classmethod
    def scalar(cls, dtype: _DType, data: bytes) -> Any:
        """``numpy.core.multiarray.scalar``, as a builtin number."""
        return _array(data, dtype, (), "C").item()


def _array(data: bytes, dtype: _DType, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(dtype, _DType):
        raise _refusal(f"an array of dtype {dtype!r}")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _refusal(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"{what} is not plain data")


_STAND_INS: dict[tuple[str, str], Any] = {  # numpy.core is numpy._core from NumPy 2 on
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array.reconstruct,
    ("numpy.core.multiarray", "scalar"): _Array.scalar,
    ("numpy.core.numeric", "_frombuffer"): _Array.from_buffer,
}
