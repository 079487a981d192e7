"""Text of the report, from made-up results: three splits, every study."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduction import published
from benchmarks.reproduction.prediction import Prediction
from benchmarks.reproduction.report import write_text
from benchmarks.reproduction.results import Method, Results, Search, SearchResult, Study
from benchmarks.reproduction.studies import BASIC, BETAS, PRETRAINING, RESOLUTIONS, SUBSETS
from ncp_sampler.multi_resolution.space import MRSpace

SETTINGS = tuple(dict.fromkeys((*BASIC, *SUBSETS, *RESOLUTIONS, *PRETRAINING)))
METRICS = ("top1", "mIoU")
START = MRSpace().start.astype(np.int64)


def alone_and_together(study: Study, settings: tuple[str, ...], weight: float) -> list[Search]:
    groups = [*((setting,) for setting in settings), settings]
    return [Search(study, Method.NCP, weight, group) for group in groups]


def basic_searches() -> list[Search]:
    searches = [
        Search(Study.LAMBDAS, method, weight, ("seg",))
        for weight in (0.7, 0.3, 0.1)
        for method in (Method.PLAIN, Method.NCP, Method.WINNER_TAKES_ALL)
    ]
    variants = (Method.PLAIN, Method.NCP, Method.ONE_START, Method.MEAN)
    for setting in BASIC:
        for method in Method:
            if method not in (Method.WINNER_TAKES_ALL, Method.PROPAGATION, Method.HILL_CLIMBING):
                search = Search(Study.BASELINES, method, 0.5, (setting,))
                searches.append(search)
                if method not in variants:
                    searches.append(replace(search, method=Method.NCP, weight=1.0, within=method))
        searches += [
            Search(Study.BOUNDED, method, 1.0, (setting,), beta=beta)
            for beta in BETAS
            for method in (Method.NCP, Method.PROPAGATION, Method.EVOLUTION)
        ]
        searches += 2 * [Search(Study.FRONTS, Method.NCP, 0.5, (setting,))]
    *singles, all_three = alone_and_together(Study.JOINT, BASIC, 0.5)
    searches += singles
    for pair in itertools.combinations(BASIC, 2):
        search = Search(Study.JOINT, Method.NCP, 0.5, pair)
        searches += [search, replace(search, within=Method.NCP)]
    searches.append(all_three)
    for source, target in itertools.permutations(BASIC, 2):
        searches.append(Search(Study.TRANSFER, Method.ONE_START, 0.5, (target,), source=source))
    return searches


def related_searches() -> list[Search]:
    return [
        *alone_and_together(Study.SUBSETS, SUBSETS, 0.7),
        *alone_and_together(Study.RESOLUTIONS, RESOLUTIONS, 0.5),
        *alone_and_together(Study.PRETRAINING, PRETRAINING, 0.5),
    ]


def result(search: Search, split: int) -> SearchResult:
    """Score the settings 50, 51, 52, ... in the first split, and 1 higher in each further one."""
    is_ncp = search.method is Method.NCP
    return SearchResult(
        search=search,
        split=split,
        code=START,
        scores={setting: 50.0 + i + split for i, setting in enumerate(SETTINGS)},
        flops=1.0 + 0.1 * split,
        params=5.0 + split,
        multiply_adds=30.0 + search.weight,
        predictions=dict.fromkeys(METRICS, 80.0 + split),
        calls=100 + split,
        seconds=0.2 * split,
        start_score=40.0 + split if search.source else None,
        lead=split - 0.5 if search.within not in (None, Method.NCP) else None,
        disjoint_scores=(70.0 if is_ncp else 70.0 + split, 72.0),
        utility=9.0 if is_ncp else 8.5,
    )


def made_up(searches: list[Search], splits: int) -> Results:
    """Results of all searches, split by split as in a run."""
    return Results(
        quick=splits == 1,
        splits=splits,
        searches=[result(search, split) for split in range(splits) for search in searches],
        predictions=[
            Prediction("seg", 70.0, 5.0, 1507, 0.7, 0.03, 0.8, 0.9, 0.95, 0.4, 4.0, 0.2, 0.3)
        ],
        evaluator_errors={"seg": 0.75},
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
    results = made_up([*basic_searches(), *related_searches()], 3)
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
        ("## Table 6", "3ddet | – | – | – | – | 0.85 | – | – | – | table not read"),
        (
            "## Table 2",
            "plain search, steps of 1 σ, λ = 0.7 | 6.00 | 30.70 | 52.00 ± 0.58 | 81.00 |",
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
