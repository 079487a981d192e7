"""The unpickler of the tables: arrays of numbers, and nothing that could run or corrupt."""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler.nas_bench import plain_pickle


def _load(content: bytes) -> Any:
    return plain_pickle.load(io.BytesIO(content))


def _forged_pointer() -> bytes:
    """A pickle of an array whose dtype hides that its 8 bytes are a pointer to an object.

    NumPy's own reconstruction would follow that pointer, to anywhere.
    """

    def plain(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    def call(module: str, name: str, *arguments: bytes) -> bytes:
        return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"

    def dtype(name: str) -> bytes:
        return call("numpy", "dtype", plain(name), plain(False), plain(True))

    fields = b"}" + plain("a") + b"(" + dtype("O8") + plain(0) + b"ts"
    names = b"(" + plain("a") + b"t"
    state = b"(" + plain(3) + plain("|") + plain(None) + names + fields
    state += plain(8) + plain(1) + plain(0) + b"t"  # the last number should say: has objects
    array = call(
        "numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", plain((0,)), b"C\x01b"
    )
    content = b"(" + plain(1) + plain((1,)) + dtype("V8") + state + b"b" + plain(False)
    return b"\x80\x03" + array + content + b"C\x08" + b"A" * 8 + b"tb."


@pytest.mark.parametrize(
    "content",
    [
        _forged_pointer(),
        pickle.dumps(np.array([1, "a"], dtype=object)),
        pickle.dumps(np.array(["a"])),
        pickle.dumps(np.zeros(1, dtype=[("a", "f8")])),
        b"cnumpy\nndarray\n((K\x03ttR.",
        b"cncp_sampler.nas_bench.plain_pickle\n_Array\n.",
        b"cnumpy.core.multiarray\n_reconstruct.__func__\n.",
    ],
    ids=["pointer", "objects", "strings", "fields", "ndarray", "own", "dotted"],
)
def test_arrays_of_anything_but_numbers_are_refused(content: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError, match="is not plain data"):
        _load(content)


def _nested(kind: type[Any]) -> bytes:
    """Opcodes of a container that holds the one below it twice, and so on."""
    nested = kind()
    for _ in range(60):
        nested = kind([nested, nested])
    return pickle.dumps(nested, 2)[2:-1]


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\ndtype\n(" + _nested(list) + b"\x89\x88tR.",  # as the name of a dtype
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00i8tR(K\x03" + _nested(list) + b"tb.",  # or its state
        b"](}(X\x09\x00\x00\x00embedding" + _nested(list) + b"ue.",  # as an embedding
        b"}" + _nested(tuple) + b"K\x01s.",  # as a key, of which the hash never ends
        b"}(" + b")" + b"\x85" * 1_000_000 + b"K\x01u.",  # or needs too much of the stack
        b"](" * 100_000 + b"]" + b"e" * 100_000 + b".",  # lists, deeper than the stack
        b"]q\x00h\x00a.",  # a list that holds itself
        b"]q\x00}(K\x01h\x00ua.",  # or a dictionary with itself
    ],
)
def test_data_nested_without_end_are_refused_at_once(content: bytes) -> None:
    """Such files of some hundred bytes kept the reader busy for ever."""
    with pytest.raises(pickle.UnpicklingError, match="is not plain data"):
        _load(b"\x80\x04" + content)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
@pytest.mark.parametrize("opcode", [b"\x96", b"\x8e", b"\x8d"])
def test_a_length_without_its_bytes_takes_no_memory(opcode: bytes, tmp_path: Path) -> None:
    """Such a file of 12 bytes made Python's unpickler fill gigabytes."""
    import resource

    path = tmp_path / "table.pkl"
    path.write_bytes(b"\x80\x05" + opcode + (1 << 40).to_bytes(8, "little") + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    with path.open("rb") as file, pytest.raises((EOFError, MemoryError, pickle.UnpicklingError)):
        plain_pickle.load(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_shared_data_are_read() -> None:
    row = [1.0] * 30
    rows = [{"embedding": row, ("a", ("b", 1)): i} for i in range(1000)]
    assert _load(pickle.dumps(rows)) == rows


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", "i1", "<u2", ">i4", "<f4", ">f8"])
def test_arrays_of_numbers_are_read(dtype: str, order: Any, protocol: int) -> None:
    array = np.asarray(np.arange(6).reshape(2, 3), dtype=dtype, order=order)
    copy, number, empty = _load(pickle.dumps([array, array[1, 2], array[:0]], protocol))
    np.testing.assert_array_equal(np.array(copy), array)
    assert number == array[1, 2]
    assert np.array(empty).shape == (0, 3)


def test_numpy_1_and_2_name_their_functions_alike() -> None:
    content = pickle.dumps(np.arange(3), 3)
    for name in (b"cnumpy.core.", b"cnumpy._core."):
        renamed = content.replace(b"cnumpy._core.", b"cnumpy.core.")
        read = _load(renamed.replace(b"cnumpy.core.", name))
        np.testing.assert_array_equal(np.array(read), np.arange(3))
