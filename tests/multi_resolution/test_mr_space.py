from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler import MRSpace
from ncp_sampler.space.dimensions import Integer

SPACE = MRSpace()
# From the README of NAS-Bench-MR
TEXT = "96_128-1_1_1_48-1_2_1_1_128_8-1_3_1_1_1_128_128_120-4_4_4_4_4_4_128_128_128_128-64"
CODE = [96, 128, 1, 1, 48, 1, 1, 1, 128, 8, 1, 1, 1, 1, 128, 128, 120]
CODE += [4, 4, 4, 4, 4, 128, 128, 128, 128, 64]


@pytest.fixture(scope="module")
def rows(bench_root: Path) -> list[dict[str, Any]]:
    path = bench_root / "cls-50-1000" / "trainval.pkl"
    result: list[dict[str, Any]] = pickle.loads(path.read_bytes())
    return result


def test_dimensions() -> None:
    assert SPACE.names == SPACE.columns
    assert " ".join(SPACE.names) == (
        "i1 i2 b1 n1_1 c1_1 b2 n2_1 n2_2 c2_1 c2_2 b3 n3_1 n3_2 n3_3 c3_1 c3_2 c3_3 "
        "b4 n4_1 n4_2 n4_3 n4_4 c4_1 c4_2 c4_3 c4_4 o1"
    )
    for dim in SPACE.dimensions:
        assert isinstance(dim, Integer)
        expected = (1, 4, 1) if dim.name[0] in "bn" else (8, 128, 8)
        assert (dim.low, dim.high, dim.step, dim.log) == (*expected, False)
    assert SPACE.size == 4.0**14 * 16.0**13
    assert MRSpace() == SPACE
    assert hash(MRSpace()) == hash(SPACE)
    assert repr(SPACE) == "MRSpace(27 dimensions, 1.21e+24 codes)"


def test_default_is_the_start_code_of_the_paper() -> None:
    assert SPACE.start.dtype == np.int64
    for name, number in SPACE.to_params(SPACE.start).items():
        assert number == (2 if name[0] in "bn" else 64)
    SPACE.start[0] = 8  # a copy each time
    assert SPACE.start[0] == 64


def test_published_string() -> None:
    np.testing.assert_array_equal(SPACE.from_string(TEXT), CODE)
    assert SPACE.from_string(TEXT).dtype == np.int64
    assert SPACE.to_string(CODE) == TEXT
    assert SPACE.to_string([CODE]) == TEXT


def test_round_trips_of_published_rows(rows: list[dict[str, Any]]) -> None:
    codes = np.array([row["embedding"] for row in rows])
    params: Any = SPACE.to_params(codes)
    assert list(params[0]) == list(SPACE.names)
    assert {type(value) for row in params for value in row.values()} == {int}
    np.testing.assert_array_equal(SPACE.to_code(params), codes)
    np.testing.assert_array_equal(SPACE.round(codes), codes)
    np.testing.assert_array_equal(SPACE.round(SPACE.denormalize(SPACE.normalize(codes))), codes)


def test_strings_of_published_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        # Independent of the codec: the tables also hold the numbers by stage
        stages = {widths[0]: widths for widths in row["inverted_residual_setting"]}
        blocks = [s[0] for s in row["inverted_residual_setting"]]
        parts = [row["input_channel"]]
        parts += [[blocks.count(s), s, *units, *widths] for s, units, widths in stages.values()]
        parts.append([row["last_channel"]])
        text = "-".join("_".join(map(str, part)) for part in parts)
        assert SPACE.to_string(row["embedding"]) == text
        assert SPACE.from_string(text).tolist() == row["embedding"]


def test_round_trips_of_random_codes() -> None:
    codes = SPACE.sample(100_000, 0)
    assert codes.dtype == np.int64
    params: Any = SPACE.to_params(codes)
    np.testing.assert_array_equal(SPACE.to_code(params), codes)
    np.testing.assert_array_equal(SPACE.round(SPACE.denormalize(SPACE.normalize(codes))), codes)
    for code in codes[:1000]:
        np.testing.assert_array_equal(SPACE.from_string(SPACE.to_string(code)), code)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "64",
        TEXT[:-3],
        TEXT + "-64",
        TEXT.replace("-1_2_", "-1_3_"),
        TEXT.replace("96_128-", "96_128_8-"),
        TEXT.replace("96", "x"),
        TEXT.replace("96", "9.6"),
        TEXT.replace("-64", "--64"),
        None,
        CODE,
    ],
)
def test_strings_of_another_form(text: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a code string; it must look like 64_64-2_1_"):
        SPACE.from_string(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("96_", "95_", "i1=95 is not .* 96"), ("-4_4", "-5_4", "b4=5 is not"), ("-64", "-0", "o1=0")],
)
def test_strings_of_invalid_codes(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SPACE.from_string(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("code", "message"),
    [(CODE[:-1], "27 columns"), ([*CODE[:-1], 60], "o1=60"), ([CODE, CODE], "27 columns")],
)
def test_invalid_codes_have_no_string(code: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SPACE.to_string(code)


def test_a_narrow_space_builds_no_wider_network() -> None:
    narrow, wide = MRSpace(width=64, depth=2), MRSpace()
    params = wide.to_params(wide.start)
    assert narrow.build(params, num_classes=2).num_classes == 2
    with pytest.raises(ValueError, match="i1=128"):
        narrow.build({**params, "i1": 128}, num_classes=2)
    assert wide.build({**params, "i1": 128}, num_classes=2).code[0] == 128
