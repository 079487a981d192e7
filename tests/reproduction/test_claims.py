"""Which of the paper's claims held: the rule, the test of joint gains, and the table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reproduction.claim import HELD, NOT_HELD, NOT_RUN, PARTLY, verdict
from benchmarks.reproduction.claims import claims_section, write_claims
from benchmarks.reproduction.joint_gain import PairGain, gain_test, read_gains, write_gains
from benchmarks.reproduction.results import Results, SearchResult, Study
from tests.reproduction.made_up import (
    NINE,
    basic_searches,
    made_up,
    pair_searches,
    related_searches,
)

TASKS = "abcdef"
PAIRS = list(itertools.combinations(TASKS, 2))


def gains(gain: Callable[[float], float], splits: int = 2) -> list[PairGain]:
    """Gains of all pairs, of which pair k has the correlation k / 20, on both tasks alike."""
    return [
        PairGain("s", *pair, split, k / 20, gain(k / 20), gain(k / 20))
        for split in range(splits)
        for k, pair in enumerate(PAIRS)
    ]


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([[0.5, 0.6, 0.4], [1.0, 1.1, 0.9]], HELD),
        ([[0.5, 0.6, 0.4], [-1.0, -1.1, -0.9]], PARTLY),
        ([[0.5, 0.6, 0.4], [1.0, -1.0, 0.3]], PARTLY),  # above 0 by less than one standard error
        ([[-0.5, -0.6, -0.4]], NOT_HELD),
        ([[0.1]], HELD),  # one split is compared with 0
        ([], NOT_RUN),
    ],
)
def test_a_claim_holds_if_all_of_its_differences_do(
    differences: Sequence[Sequence[float]], expected: str
) -> None:
    assert verdict(differences) == expected


def test_gains_that_rise_with_correlation_are_found() -> None:
    test = gain_test(gains(lambda correlation: correlation - 0.3))
    assert (test.n_pairs, test.n_splits) == (15, 2)
    assert test.rho == pytest.approx(1.0)
    assert test.p < 0.01
    assert test.mean == pytest.approx(0.35 - 0.3)
    assert test.error == pytest.approx(0.0)  # both splits are alike
    assert (test.both, test.neither) == (8, 6)  # of correlation .3 neither


@pytest.mark.parametrize(
    ("gain", "rho"), [(lambda correlation: 0.1, 0.0), (lambda correlation: -correlation, -1.0)]
)
def test_other_gains_are_not(gain: Callable[[float], float], rho: float) -> None:
    test = gain_test(gains(gain))
    assert test.rho == pytest.approx(rho)
    assert test.p > 0.9


def test_a_missing_pair_is_refused() -> None:
    incomplete = [gain for gain in gains(float) if (gain.first, gain.second) != ("a", "f")]
    with pytest.raises(ValueError, match="gains of 6 tasks lack a pair"):
        gain_test(incomplete)


def test_gains_come_back_from_their_file(tmp_path: Path) -> None:
    written = gains(lambda correlation: round(correlation / 3, 4))
    write_gains(written, tmp_path / "gains.csv")
    assert read_gains(tmp_path / "gains.csv") == written


def changed(results: Results, change: Callable[[SearchResult], SearchResult]) -> Results:
    return replace(results, searches=[change(result) for result in results.searches])


def row(section: str, begin: str) -> list[str]:
    (line,) = (line for line in section.splitlines() if line.startswith(f"| {begin}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def results() -> Results:
    return made_up([*basic_searches(), *related_searches(), *pair_searches(NINE)], 3)


def test_equal_scores_are_no_gain(results: Results) -> None:
    section = claims_section(results, graph=[])
    claim, paper, ours, status, command = row(section, "A joint search of Cls + Seg improves")
    assert "with fewer FLOPs" in claim
    assert paper == (
        "Cls 86.05, alone 85.56 (+0.49); Seg 77.16, alone 77.15 (+0.01); 1.7 G, larger alone 2.05 G"
    )
    assert ours.startswith("Cls 51.00, alone 51.00 (+0.00 ± 0.00); Seg 52.00, alone 52.00")
    assert status == NOT_HELD
    assert command == "`python examples/reproduce_paper.py --root DATA`"
    assert row(section, "A search from another task's optimum")[2:4] == [
        "+0.00 to +0.00; above 0 in 0 of 12",
        NOT_HELD,
    ]
    assert row(section, "The search is not sensitive")[3] == HELD
    assert row(section, "It is always better than the other")[2:4] == [
        "+10.00 to +18.00; above 0 in 12 of 12",
        HELD,
    ]


def test_fewer_flops_are_part_of_the_claim(results: Results) -> None:
    def better(result: SearchResult) -> SearchResult:
        """Joint searches of two tasks score 1 higher, at the FLOPs of the single ones."""
        if result.search.study is not Study.JOINT or len(result.search.settings) != 2:
            return result
        return replace(result, scores={name: s + 1 for name, s in result.scores.items()})

    section = claims_section(changed(results, better), graph=[])
    assert row(section, "A joint search of Cls + Seg improves")[3] == PARTLY
    assert row(section, "A joint search of Cls + Video improves")[3] == HELD
    assert row(section, "A joint search of Seg + Video, which")[3] == NOT_HELD


def test_all_pairs_of_settings_are_tested(results: Results) -> None:
    def related(result: SearchResult) -> SearchResult:
        """Within the bound, joint searches gain ten times the correlation."""
        search = result.search
        if search.study is not Study.PAIRS or search.beta is None or len(search.settings) == 1:
            return result
        gain = 10 * correlations[search.settings]
        return replace(result, scores={name: s + gain for name, s in result.scores.items()})

    correlations: dict[tuple[str, ...], float] = {
        pair: results.correlation(*pair) for pair in itertools.combinations(results.settings, 2)
    }
    section = claims_section(changed(results, related), graph=gains(lambda c: c - 0.9))
    begin = "The higher two tasks' correlation, the greater the gain of their joint search (A.2)"
    assert row(section, f"{begin}: all pairs of settings, λ = 0.5")[3] == NOT_HELD
    bounded = row(section, f"{begin}: all pairs of settings, at most 2.5 G")
    assert bounded[2].startswith("rho 1.00")
    assert bounded[3] == HELD
    graph = row(section, "The same: all pairs of NAS-Bench-Graph's tasks")
    assert graph[2].startswith("s: rho 1.00")
    assert graph[3] == PARTLY  # correlation orders the pairs, but all of them lose
    assert graph[4] == "`python -m benchmarks.reproduction.graph_pairs`"


def test_what_a_quick_run_leaves_out_is_named(tmp_path: Path) -> None:
    section = claims_section(made_up(basic_searches(), 1), graph=[])
    assert section.count(f"| {NOT_RUN} | {NOT_RUN} |") == 6  # figures and verdict
    write_claims(section, tmp_path)
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert text.startswith("# Which of the paper's claims held\n\nOne split;")
