"""The report's pages, of results that were made up: three splits, every study."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduction import published
from benchmarks.reproduction.bounded import CAUTIONS
from benchmarks.reproduction.pages import write_pages
from benchmarks.reproduction.prediction import Prediction
from benchmarks.reproduction.results import Results
from benchmarks.reproduction.rows import Method, Row, Search, Study
from benchmarks.reproduction.studies import BASIC, PRETRAINING, RESOLUTIONS, SUBSETS
from ncp_sampler.multi_resolution.space import MRSpace

SETTINGS = tuple(dict.fromkeys((*BASIC, *SUBSETS, *RESOLUTIONS, *PRETRAINING)))
METRICS = ("top1", "mIoU")
START = MRSpace().start.astype(np.int64)


def together(study: Study, settings: tuple[str, ...], weight: float) -> list[Search]:
    groups = [*((setting,) for setting in settings), settings]
    return [Search(study, Method.NCP, weight, group) for group in groups]


def basic_searches() -> list[Search]:
    searches = [
        Search(Study.LAMBDAS, method, weight, ("seg",))
        for weight in (0.7, 0.3, 0.1)
        for method in (Method.PAPER, Method.NCP, Method.WINNER_TAKES_ALL)
    ]
    ours = (Method.PAPER, Method.NCP, Method.ONE_START, Method.NO_CAUTION)
    for setting in BASIC:
        for method in Method:
            if method not in (Method.WINNER_TAKES_ALL, Method.PROPAGATION, Method.LOCAL_SEARCH):
                search = Search(Study.BASELINES, method, 0.5, (setting,))
                searches.append(search)
                if method not in ours:
                    searches.append(replace(search, method=Method.NCP, weight=1.0, within=method))
        searches += [
            Search(Study.BOUNDED, method, 1.0, (setting,), caution=caution)
            for caution in CAUTIONS
            for method in (Method.NCP, Method.PROPAGATION, Method.EVOLUTION)
        ]
        searches += 2 * [Search(Study.FRONTS, Method.NCP, 0.5, (setting,))]
    *singles, all_three = together(Study.JOINT, BASIC, 0.5)
    searches += singles
    for pair in itertools.combinations(BASIC, 2):
        search = Search(Study.JOINT, Method.NCP, 0.5, pair)
        searches += [search, replace(search, within=Method.NCP)]
    searches.append(all_three)
    for source, target in itertools.permutations(BASIC, 2):
        searches.append(Search(Study.TRANSFER, Method.ONE_START, 0.5, (target,), source=source))
    return searches


def other_searches() -> list[Search]:
    return [
        *together(Study.SUBSETS, SUBSETS, 0.7),
        *together(Study.RESOLUTIONS, RESOLUTIONS, 0.5),
        *together(Study.PRETRAINING, PRETRAINING, 0.5),
    ]


def row(search: Search, split: int) -> Row:
    """Judged 50, 51, 52, ... for the settings in order, one more in each split, and so on."""
    other = search.method is not Method.NCP
    return Row(
        search=search,
        split=split,
        code=START,
        judged={setting: 50.0 + i + split for i, setting in enumerate(SETTINGS)},
        flops=1.0 + 0.1 * split,
        params=5.0 + split,
        counted=30.0 + search.weight,
        predicted=dict.fromkeys(METRICS, 80.0 + split),
        calls=100 + split,
        seconds=0.2 * split,
        before=40.0 + split if search.source else None,
        ahead=split - 0.5 if search.within not in (None, Method.NCP) else None,
        disjoint=(70.0 + split * other, 72.0) if search.study is Study.BOUNDED else None,
        utility=9.0 - 0.5 * other,
    )


def made_up(searches: list[Search], splits: int) -> Results:
    """Every search's rows, split by split as a run has them."""
    return Results(
        quick=splits == 1,
        splits=splits,
        rows=[row(search, split) for split in range(splits) for search in searches],
        predictions=[
            Prediction("seg", 70.0, 5.0, 1507, 0.7, 0.03, 0.8, 0.9, 0.95, 0.4, 4.0, 0.2, 0.3)
        ],
        judge_errors={"seg": 0.75},
        extremes={"seg": (78.0, 77.5)},
        correlations=np.eye(8),
        segmentation={"mIoU": np.arange(9.0), "mAcc": np.arange(9.0), "aAcc": np.arange(9.0)[::-1]},
        walks=[],
        traces={},
        clouds={setting: np.ones((4, 3)) for setting in BASIC},
        seconds=600.0,
    )


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    results = made_up([*basic_searches(), *other_searches()], 3)
    report = write_pages(results, tmp_path_factory.mktemp("pages"), root="not read")
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
        ("## Table 6", "3ddet | – | – | – | – | 0.85 | – | – | – | no public table"),
        ("## Table 2", "the paper's plain search, λ = 0.7 | 6.00 | 30.70 | 52.00 ± 0.58 | 81.00 |"),
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
            "### seg, at most 2.5 G, caution 3",
            "propagation alone | -0.50 ± 0.00 | 52.00 ± 0.58 | 71.00 ± 0.58 | 72.00 ± 0.00 | "
            "-0.50 ± 0.29 | 0/3 | 0.2",
        ),
        (
            "### video, at most 2.5 G, caution 0",
            "NCP | – | 53.00 ± 0.58 | 70.00 ± 0.00 | 72.00 ± 0.00 | – | – | 0.2",
        ),
        (
            "## Table 3",
            "Cls + Seg | 6.00 | 30.50 | 51.00 ± 0.58 | 52.00 ± 0.58 | 53.00 ± 0.58 | 8.29 | 1.70 |",
        ),
        (
            "## Table 3",
            "Cls + Seg, at most 95% of the larger one's FLOPs | 6.00 | 30.50 | 51.00 ± 0.58 | "
            "52.00 ± 0.58 | 53.00 ± 0.58 | – | – | – | – | –",
        ),
        ("## Table 3", "Cls + Seg + Video | 6.00 | 30.50 | 51.00 ± 0.58 |"),
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
def test_a_row_stands_once_below_its_heading(lines: list[str], heading: str, expected: str) -> None:
    (begin,) = (i for i, line in enumerate(lines) if line.split(":")[0] == heading)
    rest = lines[begin + 1 :]
    end = next((i for i, line in enumerate(rest) if line.startswith("#")), len(rest))
    assert sum(line.startswith(f"| {expected}") for line in rest[:end]) == 1


def test_a_figure_of_the_paper_has_a_row_of_ours() -> None:
    """No printed figure is left out because nothing has its key."""
    searches = basic_searches()
    trade_offs = {(s.method, s.weight) for s in searches if s.settings == ("seg",)}
    assert set(published.SEGMENTATION) <= trade_offs
    assert set(published.JOINT) <= {s.settings for s in searches if s.study is Study.JOINT}
    transfers = {(s.source, *s.settings) for s in searches if s.study is Study.TRANSFER}
    assert set(published.TRANSFER) == transfers
    printed = [published.SUBSETS, published.RESOLUTIONS, published.PRETRAINING]
    assert [key for table in printed for key in table] == [s.settings for s in other_searches()]


def test_a_quick_run_says_what_it_left_out(tmp_path: Path) -> None:
    text = write_pages(made_up(basic_searches(), 1), tmp_path, root="not read").read_text("utf-8")
    assert "One split of the rows (--quick)" in text
    assert f"| A | {'not run with --quick | ' * 5}4.39 | 5.95 |" in text
    assert "| NCP | 51.00 | 1.00 | 80.00 | 100 | 0.0 | – | – |" in text  # no error of one split


def test_searches_are_grouped_over_splits() -> None:
    results = made_up(other_searches(), 2)
    found = results.searches(Study.RESOLUTIONS)
    assert [search.settings for search in found] == [("seg",), ("seg-4x",), ("seg", "seg-4x")]
    assert [[row.split for row in rows] for rows in found.values()] == [[0, 1]] * 3
