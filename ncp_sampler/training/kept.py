"""Values and tensors in a file that is whole or not there; reading it runs no code."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from ncp_sampler.files import sealed, unsealed, write_atomic


def write_kept(path: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Writes plain values and tensors by name, at once, with a checksum at the end.

    ``torch.load`` reads the file too, but would not notice a damaged one.

    Raises:
        ValueError: No path of a file in a folder that exists.
        OSError: The disk is full, or nothing may be written there.
    """
    buffer = io.BytesIO()
    torch.save(dict(values), buffer)
    write_atomic(path, sealed(buffer.getvalue()))


def read_kept(path: Path, names: Collection[str]) -> dict[str, Any]:
    """What ``write_kept`` wrote, on the CPU.

    Raises:
        ValueError: What is wrong, to be said of the file: it cannot be read, is damaged, or does
            not hold just these names.
    """
    try:
        content = unsealed(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if content is None:
        raise ValueError("is damaged, or something else")
    try:
        kept = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file can raise nearly anything
        raise ValueError("is something else") from error
    if not isinstance(kept, dict) or set(kept) != set(names):
        raise ValueError("is something else")
    return kept
