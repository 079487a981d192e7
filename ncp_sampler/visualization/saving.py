"""Writing of Matplotlib figures to files, in one step so that no file is left incomplete."""

from __future__ import annotations

import io
import os

from matplotlib.figure import Figure

from ncp_sampler import checks
from ncp_sampler.files import write_atomic


def save_figure(
    figure: Figure, path: str | os.PathLike[str], *, dpi: float | None = None, name: str = "path"
) -> None:
    """Write a figure in the format given by the suffix of the path, such as .png or .svg.

    Args:
        figure: Figure to write.
        path: Path of the file.
        dpi: Dots per inch; None for the figure's own value.
        name: Name of the argument ``path`` in error messages.

    Raises:
        ValueError: If the folder does not exist, or if the suffix is not a known format.
        OSError: If the file cannot be written.
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
