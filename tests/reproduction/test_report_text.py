"""Text of the report, from made-up results: three splits, every study."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reproduction import published
from benchmarks.reproduction.report import write_text
from benchmarks.reproduction.results import BASIC, Study
from tests.reproduction.made_up import (
    EIGHT,
    NINE,
    basic_searches,
    made_up,
    pair_searches,
    related_searches,
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    results = made_up([*basic_searches(), *related_searches(), *pair_searches(NINE)], 3)
    report = write_text(results, tmp_path_factory.mktemp("pages"))
    return report.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        (
            "## Table 6",
            "seg | 70.00 | 5.00 | 0.700 ± 0.030 | 0.800 | 0.75 | 0.900 | 95.0% | 0.40 | 4",
        ),
        ("## Table 7", "input layers | – | – | i1 i2 |"),
        ("## Table 7", "stage 2 | b2 | n2_1 n2_2 | c2_1 c2_2 |"),
        (
            "## Table 6",
            "3ddet | 70.00 | 5.00 | 0.700 ± 0.030 | 0.800 | 0.85 | 0.900 | 95.0% | 0.40 | 4",
        ),
        (
            "## Table 2",
            "published search, published settings, λ = 0.7 | 6.00 | 30.70 | 52.00 ± 0.58 | 81.00 |",
        ),
        (
            "## Table 2",
            "published search, steps of 1 σ, λ = 0.7 | 6.00 | 30.70 | 52.00 ± 0.58 | 81.00 |",
        ),
        (
            "## Table 2",
            "NCP continuous, λ = 0.1 | 6.00 | 30.10 | 52.00 ± 0.58 | 81.00 | 37.70 | 179.98 |",
        ),
        (
            "## Table 2",
            "NCP winner takes all, λ = 0.3 | 6.00 | 30.30 | 52.00 ± 0.58 | 81.00 | 7.18 |",
        ),
        (
            "## Table 2",
            "NetAdapt | 6.00 | 30.50 | 52.00 ± 0.58 | 81.00 | 10.83 | 42.49 | 78.02",
        ),
        (
            "## Table 2",
            "regularized evolution | 6.00 | 30.50 | 52.00 ± 0.58 | 81.00 | – | – | –",
        ),
        ("### seg", "NCP | 52.00 ± 0.58 | 1.10 ± 0.06 | 81.00 | 101 | 0.2 | – | –"),
        (
            "### video",
            "NetAdapt, as many predictions as NCP from one start | 53.00 ± 0.58 | 1.10 ± 0.06 | "
            "81.00 | 101 | 0.2 | 53.00 ± 0.58 | 0.50 ± 0.58, 2/3",
        ),
        (
            "### seg, at most 2.5 G, β = 3",
            "propagation alone | -0.50 ± 0.00 | 52.00 ± 0.58 | 71.00 ± 0.58 | 72.00 ± 0.00 | "
            "-0.50 ± 0.29 | 0/3 | 0.2",
        ),
        (
            "### video, at most 2.5 G, β = 0",
            "NCP | – | 53.00 ± 0.58 | 70.00 ± 0.00 | 72.00 ± 0.00 | – | – | 0.2",
        ),
        (
            "## Table 3",
            "Cls + Seg | 6.00 | 30.50 | 51.00 ± 0.58 | 52.00 ± 0.58 | 53.00 ± 0.58 | "
            "59.00 ± 0.58 | 8.29 | 1.70 | 86.05 | 77.16 | 22.95 | 74.39",
        ),
        (
            "## Table 3",
            "Cls + Seg, at most 95% of the larger one's FLOPs | 6.00 | 30.50 | 51.00 ± 0.58 | "
            "52.00 ± 0.58 | 53.00 ± 0.58 | 59.00 ± 0.58 | – | – | – | – | – | –",
        ),
        ("## Table 3", "Four tasks | 6.00 | 30.50 | 51.00 ± 0.58 |"),
        (
            "## Table 4",
            "3dDet to Cls | 41.00 ± 0.58 | 51.00 ± 0.58 | 30.50 | 82.60 | 85.63 | 1.61",
        ),
        ("### 3ddet", "NetAdapt | 59.00 ± 0.58 |"),
        (
            "## Table 4",
            "Seg to Video | 41.00 ± 0.58 | 53.00 ± 0.58 | 30.50 | 14.68 | 28.44 | 0.75",
        ),
        (
            "## Table 5",
            "B | 6.00 | 30.70 | 51.00 ± 0.58 | 54.00 ± 0.58 | 55.00 ± 0.58 | 3.33 | 3.55 | 82.76 |",
        ),
        ("## Table 5", "A + B + C | 6.00 | 30.70 |"),
        (
            "## Table 8",
            "128x256 | 6.00 | 30.50 | 52.00 ± 0.58 | 56.00 ± 0.58 | 2.61 | 31.37 | 70.91 | 65.89",
        ),
        (
            "## Table 9",
            "both | 6.00 | 30.50 | 53.00 ± 0.58 | 57.00 ± 0.58 | 2.39 | 1.16 | 27.14 | 40.21",
        ),
        (
            "## Table 10",
            "NCP from the start code alone | 0.20 | 101 | 10 s (70 iterations)",
        ),
        ("## Table 10", "NCP | 0.20 | 101 | –"),
    ],
)
def test_a_row_is_once_below_its_heading(lines: list[str], heading: str, expected: str) -> None:
    (begin,) = (i for i, line in enumerate(lines) if line.split(":")[0] == heading)
    rest = lines[begin + 1 :]
    end = next((i for i, line in enumerate(rest) if line.startswith("#")), len(rest))
    assert sum(line.startswith(f"| {expected}") for line in rest[:end]) == 1


def test_every_printed_figure_has_a_search() -> None:
    searches = basic_searches()
    trade_offs = {(s.method, s.weight) for s in searches if s.settings == ("seg",)}
    assert set(published.SEGMENTATION) <= trade_offs
    assert set(published.JOINT) <= {s.settings for s in searches if s.study is Study.JOINT}
    transfers = {(s.source, *s.settings) for s in searches if s.study is Study.TRANSFER}
    assert set(published.TRANSFER) == transfers
    printed = [published.SUBSETS, published.RESOLUTIONS, published.PRETRAINING]
    assert [key for table in printed for key in table] == [s.settings for s in related_searches()]


def test_without_the_table_of_detection_the_report_says_so(tmp_path: Path) -> None:
    three = tuple(name for name in BASIC if name in EIGHT)
    searches = [*basic_searches(three), *related_searches(), *pair_searches(EIGHT)]
    text = write_text(made_up(searches, 3, EIGHT), tmp_path).read_text("utf-8")
    assert text.count("3dDet is left out: its table") == 2  # Figure 4 and Table 3
    assert "| 3ddet | – | – | – | – | 0.85 | – | – | – | no table given |" in text
    assert "| Cls + Seg + Video | 6.00 |" in text
    assert "| Cls | 6.00 | 30.50 | 51.00 ± 0.58 | 52.00 ± 0.58 | 53.00 ± 0.58 | 5.35 |" in text
    assert "3dDet to" not in text


def test_a_quick_run_says_what_it_left_out(tmp_path: Path) -> None:
    text = write_text(made_up(basic_searches(), 1), tmp_path).read_text("utf-8")
    assert "One split of the rows (--quick)" in text
    assert f"| A | {'not run with --quick | ' * 5}4.39 | 5.95 |" in text
    assert "| NCP | 51.00 | 1.00 | 80.00 | 100 | 0.0 | – | – |" in text  # one split has no error


def test_searches_are_grouped_over_splits() -> None:
    results = made_up(related_searches(), 2)
    groups = results.of(Study.RESOLUTIONS)
    assert [search.settings for search in groups] == [("seg",), ("seg-4x",), ("seg", "seg-4x")]
    assert [[result.split for result in group] for group in groups.values()] == [[0, 1]] * 3
