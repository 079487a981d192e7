"""Figures as files: as Matplotlib writes them, and at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from ncp_sampler.visualization.saving import save_figure


def figure() -> Figure:
    drawn = Figure(figsize=(2, 2), dpi=50)
    drawn.add_subplot().plot([1, 2])
    return drawn


@pytest.mark.parametrize("dpi", [None, 80])
def test_a_figure_is_saved_as_matplotlib_saves_it(tmp_path: Path, dpi: float | None) -> None:
    figure().savefig(tmp_path / "theirs.png", dpi=dpi or "figure")
    save_figure(figure(), tmp_path / "ours.PNG", dpi=dpi)
    assert (tmp_path / "ours.PNG").read_bytes() == (tmp_path / "theirs.png").read_bytes()


@pytest.mark.parametrize(
    ("drawn", "name", "message"),
    [
        (5, "a.png", "figure=5 must be a Figure"),
        (figure(), "a.txt", "out='.*a.txt' must end in a format of pictures, such as .png; known"),
        (figure(), "a", "out='.*a' must end in a format"),
        (figure(), "no/a.png", "out='.*a.png' must be in a folder that exists"),
        (figure(), "folder.png", "out='.*folder.png' must be a file; this is a folder"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    tmp_path: Path, drawn: Any, name: str, message: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=message):
        save_figure(drawn, tmp_path / name, name="out")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]
