"""Safe reading of pickled plain data: builtin containers, numbers, strings, arrays of numbers.

A pickle is a program that can call any object to which its names resolve. NumPy's own functions are
not safe, either: a dtype with a forged state makes them interpret bytes of the file as pointers.
Therefore, no name resolves to the real object. The few names in pickles of arrays resolve to
stand-ins in this module, which check their arguments. Every other name is rejected.

Furthermore, a few bytes can nest containers so that their expanded size is exponential, and
``hash``, ``repr`` or ``numpy.array`` would never end. The depth and the expanded size of containers
are therefore bounded. These bounds are checked when tuples and frozensets are created, because
these may be keys, and for the final result.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"[biuf]\d{1,2}")  # Booleans, integers and floats
_CONTAINERS = (list, tuple, dict, set, frozenset)
_NATIVE = (None, None, None, -1, -1, 0)  # State of a numeric dtype after version and byte order


_DEEPEST = 32  # Maximum depth of nested containers
_LARGEST_KEY = 10_000  # Maximum number of expanded elements of a tuple or frozenset
_LARGEST = 1_000_000  # Maximum number of expanded elements, plus twice the number of elements read

_Size = tuple[int, int]  # number of expanded elements of a container, and its depth


def load(file: IO[bytes]) -> Any:
    """Return the object in a pickle.

    Arrays in the result are stand-ins, which ``numpy.array`` converts.

    Raises:
        pickle.UnpicklingError: If the pickle contains anything but plain data, or containers that
            exceed the bounds.
        Exception: If the pickle is broken; almost any exception is possible.
    """
    data = _Unpickler(file).load()
    _check_size(data)
    return data


class _Unpickler(pickle._Unpickler):  # the implementation in Python, whose steps can be checked
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        # ID of a tuple or frozenset -> the object, which keeps the ID valid, and its size
        self._made: dict[int, tuple[object, _Size]] = {}

    def _checked(self: Any, code: int) -> None:
        """Create a tuple or a frozenset, and check its size before it can be a key."""
        pickle._Unpickler.dispatch[code](self)
        container = self.stack[-1]
        inner = [self._made[id(part)][1] for part in container if id(part) in self._made]
        size = len(container) + sum(size for size, _ in inner)
        depth = 1 + max((depth for _, depth in inner), default=0)
        if depth > _DEEPEST or (inner and size > _LARGEST_KEY):
            raise _refusal("a tuple that is nested too deeply")
        self._made[id(container)] = container, (size, depth)

    for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.FROZENSET):
        dispatch[_code[0]] = partial(_checked, code=_code[0])

    def _load_bytearray(self: Any) -> None:
        """Create a byte array from the bytes that are read.

        Python's own implementation would allocate the stated length, which may be wrong.
        """
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core", 1), name))
        if stand_in is None:
            raise _refusal(f"{module}.{name}")
        return stand_in


class _DType:
    """Stand-in for ``numpy.dtype``."""

    __slots__ = ("dtype",)

    def __init__(self, name: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not _NUMBER.fullmatch(name):
            raise _refusal(f"an array of dtype {name if isinstance(name, str) else type(name)!r}")
        self.dtype: np.dtype[Any] = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, order, *rest = state
        if order not in ("<", ">", "|") or tuple(rest) != _NATIVE:
            raise _refusal("a dtype that is not numeric")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stand-in for ``numpy.ndarray``."""

    __slots__ = ("array",)

    def __init__(self, *_arguments: object) -> None:
        raise _refusal("a call of numpy.ndarray")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, data = state
        self.array: NDArray[Any] = _array(data, dtype, shape, "F" if fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype)

    # bound methods, because a pickle could change the attributes of a function

    @classmethod
    def reconstruct(cls, *_arguments: object) -> _Array:
        """Return an empty stand-in, like ``numpy.core.multiarray._reconstruct``; state follows."""
        return cls.__new__(cls)

    @classmethod
    def from_buffer(cls, data: bytes, dtype: _DType, shape: Any, order: str) -> _Array:
        """Return an array, like ``numpy.core.numeric._frombuffer`` (since pickle protocol 5)."""
        made = cls.__new__(cls)
        made.array = _array(data, dtype, shape, order)
        return made

    @classmethod
    def scalar(cls, dtype: _DType, data: bytes) -> Any:
        """Return a builtin number, in place of ``numpy.core.multiarray.scalar``."""
        return _array(data, dtype, (), "C").item()


def _array(data: bytes, dtype: _DType, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(dtype, _DType):
        raise _refusal(f"an array of dtype {type(dtype)!r}")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _check_size(data: object) -> None:
    """Reject containers that contain themselves or exceed the bounds of depth and expanded size."""
    sizes: dict[int, _Size] = {}
    above: set[int] = set()
    elements = 0
    left = [(data, False)]
    while left:
        element, is_ready = left.pop()
        if id(element) in sizes or not isinstance(element, _CONTAINERS):
            continue
        parts = [*element, *element.values()] if isinstance(element, dict) else [*element]
        if not is_ready:
            if id(element) in above:
                raise _refusal("a container that contains itself")
            containers = [(part, False) for part in parts if isinstance(part, _CONTAINERS)]
            if containers:
                above.add(id(element))
                left += [(element, True), *containers]
                continue
        above.discard(id(element))
        elements += len(parts)
        inner = [sizes[id(part)] for part in parts if id(part) in sizes]
        size = len(parts) + sum(size for size, _ in inner)
        depth = 1 + max((depth for _, depth in inner), default=0)
        if depth > _DEEPEST or size > _LARGEST + 2 * elements:
            raise _refusal("data that is nested too deeply")
        sizes[id(element)] = size, depth


def _refusal(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"{what} is not plain data")


_STAND_INS: dict[tuple[str, str], Any] = {  # numpy.core is numpy._core since NumPy 2
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array.reconstruct,
    ("numpy.core.multiarray", "scalar"): _Array.scalar,
    ("numpy.core.numeric", "_frombuffer"): _Array.from_buffer,
}
