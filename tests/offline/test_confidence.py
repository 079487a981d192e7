"""Beta by cross-validation of the search itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ncp_sampler import Integer, SearchSpace
from ncp_sampler.offline.confidence import choose_beta
from ncp_sampler.propagation.targets import Target
from ncp_sampler.records.records import Records
from tests.search_examples import SPACE, records, trade_off


@pytest.mark.slow
def test_the_best_beta_by_the_other_half_is_chosen() -> None:
    """The best of what was tried is chosen, the same again for a seed."""
    rows = records(80)
    noisy = Records(
        SPACE,
        rows.codes,
        {"mIoU": rows.values("mIoU") + np.random.default_rng(0).normal(0, 3, len(rows))},
    )
    choice = choose_beta(noisy, trade_off(), betas=(0, 4), seed=1)
    assert choice.scores.shape == (2, 2)
    assert choice.beta == choice.betas[int(choice.scores.mean(0).argmax())]
    assert f"beta {choice.beta:g}" in choice.note
    again = choose_beta(noisy, trade_off(beta=1.0), betas=(0, 4), seed=1)
    np.testing.assert_array_equal(again.scores, choice.scores)
    first, second = choice.apply(trade_off())
    assert (first.beta, second.beta) == (choice.beta, None)  # a known cost has no uncertainty


def test_a_limit_of_a_noisy_column_asks_for_a_margin() -> None:
    """Codes that are predicted to be exactly at a limit exceed it by the other half."""
    rng = np.random.default_rng(0)
    space = SearchSpace([Integer(f"w{i}", 1, 16) for i in range(4)])
    codes = space.sample(120, 0).astype(np.float64)
    accuracy = 80 + 10 * np.log1p(codes / 16).sum(1) + rng.normal(0, 0.3, len(codes))
    ms = codes.sum(1) * np.exp(rng.normal(0, 0.1, len(codes)))
    table = Records(space, codes, {"accuracy": accuracy, "ms": ms})
    bounded = Target("ms", "minimize", bound=25.0)
    choice = choose_beta(table, [Target("accuracy"), bounded], betas=(0, 4))
    exceeded, within = choice.scores.mean(0)
    assert exceeded < 0 < within
    assert choice.beta == 4


@pytest.mark.parametrize(("betas", "chosen"), [((8, 0, 4, 2), 2), ((0, 8), 0), ((8, 4), 4)])
def test_among_betas_that_find_the_same_code_the_nearest_to_the_default_is_chosen(
    betas: tuple[float, ...], chosen: float
) -> None:
    """The scores differ by rounding at most, which says nothing about the betas."""
    space = SearchSpace([Integer("width", 1, 12), Integer("depth", 1, 12)])
    codes = space.enumerate().astype(np.float64)
    table = Records(space, codes, {"ms": codes.sum(1)})
    choice = choose_beta(table, [Target("ms", "minimize")], betas=betas)
    assert np.ptp(choice.scores, axis=1).max() < 1e-9
    assert choice.beta == chosen


def test_too_few_rows_and_no_betas() -> None:
    with pytest.raises(ValueError, match=r"sources\[0\] has 39 rows, too few to halve; give at"):
        choose_beta(records(39), trade_off())
    with pytest.raises(ValueError, match=r"betas=\(\) must be numbers of at least 0"):
        choose_beta(records(40), trade_off(), betas=())
    with pytest.raises(ValueError, match="betas=-1 must be at least 0"):
        choose_beta(records(40), trade_off(), betas=(-1,))
    with pytest.raises(ValueError, match="refers to source 1, but the number of sources is 1"):
        choose_beta(records(40), [replace(trade_off()[0], predictor=1)])
