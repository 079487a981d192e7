"""Files of tensors and plain values, written atomically and read without running their code."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from ncp_sampler.files import sealed, unsealed, write_atomic


def write_tensors(path: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Write tensors and plain values by name to a file, atomically, with a checksum at the end.

    ``torch.load`` can also read the file, but does not detect damage.

    Raises:
        ValueError: The path does not name a file in an existing folder.
        OSError: The disk is full, or the folder cannot be written to.
    """
    buffer = io.BytesIO()
    torch.save(dict(values), buffer)
    write_atomic(path, sealed(buffer.getvalue()))


def read_tensors(path: Path, names: Collection[str]) -> dict[str, Any]:
    """Return the values that ``write_tensors`` wrote, on the CPU.

    Raises:
        ValueError: The file cannot be read, is damaged, or does not contain exactly these names.
            The message is a predicate such as "is damaged", to which the caller adds the file.
    """
    try:
        content = unsealed(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if content is None:
        raise ValueError("is damaged, or has another format")
    try:
        values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file can raise nearly anything
        raise ValueError("is something else") from error
    if not isinstance(values, dict) or set(values) != set(names):
        raise ValueError("is something else")
    return values
