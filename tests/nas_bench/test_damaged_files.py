"""Damaged tables and surrogates: refused by name, and never read as if nothing were wrong."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler import MRSpace
from ncp_sampler.nas_bench import NASBenchMR, Table, surrogate, surrogates

SPACE = MRSpace()
MODEL = "seg.aAcc.txt.xz"  # a small one


def written(folder: Path, setting: str, content: bytes) -> NASBenchMR:
    (folder / setting).mkdir(exist_ok=True)
    (folder / setting / "trainval.pkl").write_bytes(content)
    return NASBenchMR(folder)


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def columns(table: Table) -> np.ndarray:
    return np.stack([table.flops, table.params, *table.metrics.values()])


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["seg", "nas-bench-201"])
def test_a_flipped_bit_is_found_or_matters_to_nobody(
    bench_root: Path, tmp_path: Path, setting: str
) -> None:
    """Undetected damage leaves the codes; metrics change in the eighth digit or are halved.

    The table is the first rows of a published one, written as that is.
    """
    published = (bench_root / setting / "trainval.pkl").read_bytes()
    content = pickle.dumps(pickle.loads(published)[:100], protocol=published[1])
    good = written(tmp_path, setting, content).table(setting)
    rng = np.random.default_rng(0)
    refusals = []
    for at in rng.choice(len(content), 40, replace=False).tolist():
        bench = written(tmp_path, setting, flipped(content, at, int(rng.integers(8))))
        try:
            table = bench.table(setting)
        except ValueError as error:
            refusals.append(str(error))
            continue
        np.testing.assert_array_equal(table.codes, good.codes)
        wrong = ~np.isclose(columns(table), columns(good), rtol=1e-6)
        assert wrong.sum() <= 1
        assert (columns(table)[wrong] <= columns(good)[wrong] / 2).all()
    assert len(refusals) > 10
    for message in refusals:
        assert "trainval.pkl" in message
        assert "download it again from the upstream repository" in message


def row(**changes: Any) -> dict[str, Any]:
    from ncp_sampler.multi_resolution import costs

    return {
        "embedding": SPACE.start.tolist(),
        "top1": 70.0,
        "top5": 90.0,
        "flops": costs.flops(SPACE.start).item(),
        "params": costs.params(SPACE.start).item(),
        **changes,
    }


def other_code() -> list[int]:
    code = SPACE.start
    code[0] += 8
    return list(code.tolist())


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"flops": 3.0}, "flops"),
        ({"params": 3.0}, "params"),
        ({"embedding": other_code()}, "flops"),
        ({"top1": 70.00390625}, "top1"),
        ({"top1": 95.0}, "top1"),
        ({"top5": 90.0 + 2**-30}, "top5"),
    ],
)
def test_figures_that_cannot_be_right_are_named(
    tmp_path: Path, change: dict[str, Any], column: str
) -> None:
    """Costs follow from the code, and what was measured has few digits."""
    assert written(tmp_path, "video", pickle.dumps([row()])).table("video").main == "top1"
    bench = written(tmp_path, "video", pickle.dumps([row(), row(**change)]))
    with pytest.raises(ValueError, match=rf"as published: row 1 cannot be right in '{column}'"):
        bench.table("video")


@pytest.mark.parametrize(
    ("setting", "content"), [("seg", b""), ("seg", b"\x80\x04"), ("nas-bench-201", b"")]
)
def test_an_empty_or_cut_table_is_refused(tmp_path: Path, setting: str, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"trainval.pkl is damaged or not a table"):
        written(tmp_path, setting, content).table(setting)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_a_truncated_table_is_refused(bench_root: Path, tmp_path: Path, part: float) -> None:
    content = (bench_root / "seg" / "trainval.pkl").read_bytes()
    with pytest.raises(ValueError, match=r"trainval.pkl is damaged or not a table"):
        written(tmp_path, "seg", content[: int(part * len(content))]).table("seg")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shipped surrogates in a folder of the test's own."""
    with resources.as_file(resources.files("ncp_sampler.nas_bench") / "data") as shipped:
        shutil.copytree(shipped, tmp_path / "data")
    monkeypatch.setattr(surrogates, "_DATA", tmp_path / "data")
    surrogates._booster.cache_clear()
    yield tmp_path / "data"
    surrogates._booster.cache_clear()


def test_a_damaged_surrogate_is_refused_whichever_byte_it_is(models: Path) -> None:
    content = (models / MODEL).read_bytes()
    truth = surrogate("seg").predict(SPACE.start, metrics=["aAcc"])["aAcc"]
    for at in range(0, len(content), len(content) // 40):
        (models / MODEL).write_bytes(flipped(content, at, at % 8))
        surrogates._booster.cache_clear()
        with pytest.raises(ValueError, match=rf"{MODEL} is missing or damaged \(.*install"):
            surrogate("seg").predict(SPACE.start, metrics=["aAcc"])
    (models / MODEL).write_bytes(content)
    again = surrogate("seg").predict(SPACE.start, metrics=["aAcc"])["aAcc"]
    np.testing.assert_array_equal(again, truth)


@pytest.mark.parametrize("size", [None, 0, 1, 1000])
def test_a_missing_or_truncated_surrogate_is_refused(models: Path, size: int | None) -> None:
    content = (models / MODEL).read_bytes()
    (models / MODEL).unlink()
    if size is not None:
        (models / MODEL).write_bytes(content[:size])
    with pytest.raises(ValueError, match=f"{MODEL} is missing or damaged"):
        surrogate("seg").predict(SPACE.start, metrics=["aAcc"])
    assert len(surrogate("seg").predict(SPACE.start, metrics=["mIoU"])["mIoU"]) == 1
