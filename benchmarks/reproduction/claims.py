"""Section of the report on the paper's claims and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.reproduction.graph_pairs import GRAPH_PAIRS
from benchmarks.reproduction.joint_claims import correlation_claims, pair_claims, related_claims
from benchmarks.reproduction.joint_gain import PairGain, read_gains
from benchmarks.reproduction.results import Results
from benchmarks.reproduction.search_claims import (
    budget_claim,
    method_claims,
    time_claim,
    transfer_claims,
)
from ncp_sampler.files import write_atomic
from ncp_sampler.formatting import markdown_table

_HEADER = ["claim", "the paper's trained networks", "ours, scored", "verdict", "made by"]


def claims_section(results: Results, graph: Sequence[PairGain] | None = None) -> str:
    """Return the section of the report.

    Args:
        results: Results of a run; a quick one leaves some claims out.
        graph: Gains on NAS-Bench-Graph; by default those of the committed table, if it is there.
    """
    if graph is None:
        graph = read_gains(GRAPH_PAIRS) if GRAPH_PAIRS.is_file() else []
    claims = [
        *pair_claims(results),
        *correlation_claims(results, graph),
        *transfer_claims(results),
        *related_claims(results),
        *method_claims(results),
        budget_claim(results),
        time_claim(results),
    ]
    rows = [[c.text, c.paper, c.ours, c.verdict, c.command] for c in claims]
    number = "One split" if results.splits == 1 else f"{results.splits} splits"
    return (
        f"## Which of the paper's claims held\n\n{number}; differences are paired by split. A "
        "claim held if every difference that it names is above 0 by more than one standard error, "
        "and partly if some are. The paper trained one network per figure. Ours are scores of "
        "held-out evaluators, and of NAS-Bench-Graph looked up. Rho: Spearman correlation, over "
        "pairs, of the tasks' rank correlation and the pair's mean gain; p: Mantel test; σ: "
        f"standard deviations of a metric.\n\n{markdown_table(_HEADER, rows)}\n"
    )


def write_claims(section: str, folder: Path) -> None:
    """Write the section as a separate page, ``claims.md``."""
    write_atomic(folder / "claims.md", section.replace("## ", "# ", 1).encode())
