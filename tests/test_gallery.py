"""The gallery's pictures are those of its code; ``tests/pages.py`` says how to draw them anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from PIL import Image

from ncp_sampler import visualization
from tests.pages import REPOSITORY, run, runnable, shown_pictures

PAGE = "docs/gallery.md"
SHOWN = shown_pictures(PAGE)
NAMES = [name for name in visualization.__all__ if name.startswith("plot_")]


def test_every_figure_is_shown_once_under_its_name() -> None:
    assert sorted(SHOWN) == [f"gallery/{name}.png" for name in sorted(NAMES)]


@pytest.mark.slow
def test_the_code_draws_the_pictures(
    bench_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large as the committed ones; the very pixels are those of a font and of a processor."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    (tmp_path / "nas-bench-mr").mkdir()
    (tmp_path / "nas-bench-mr/data").symlink_to(bench_root)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gallery").mkdir()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in runnable(PAGE):
        run(block, PAGE, namespace)
    for name in SHOWN:
        with Image.open(tmp_path / name) as drawn, Image.open(REPOSITORY / "docs" / name) as shown:
            for mine, theirs in zip(drawn.size, shown.size, strict=True):
                assert mine == pytest.approx(theirs, rel=0.25), name
            assert len(np.unique(np.asarray(drawn.convert("L")))) > 10, f"{name} is empty"
