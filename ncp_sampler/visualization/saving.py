"""Figures as files, written at once."""

from __future__ import annotations

import io
import os

from matplotlib.figure import Figure

from ncp_sampler import checks
from ncp_sampler.files import write_atomic


def save_figure(
    figure: Figure, path: str | os.PathLike[str], *, dpi: float | None = None, name: str = "path"
) -> None:
    """Writes a figure in the format that the path's ending names, such as .png or .svg.

    Args:
        figure: To be written.
        path: The file.
        dpi: Dots an inch; the figure's own if None.
        name: The path's in messages.

    Raises:
        ValueError: No path of a file in a folder that exists, or an ending that is no format.
        OSError: The disk is full, or nothing may be written there.
    """
    checks.instance("figure", figure, Figure, "be a Figure of Matplotlib")
    suffix = checks.path(name, path, "a picture").suffix.lower().removeprefix(".")
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ValueError(
            f"{name}={os.fspath(path)!r} must end in a format of pictures, such as .png; known are "
            f"{', '.join(sorted(known))}"
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=dpi or figure.dpi)
    write_atomic(path, buffer.getvalue(), name=name)
