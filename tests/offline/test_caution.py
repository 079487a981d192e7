"""Caution by cross-validation of the search itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ncp_sampler.offline.caution import choose_caution
from ncp_sampler.records.records import Records
from tests.search_examples import SPACE, records, trade_off


@pytest.mark.slow
def test_the_half_that_judges_tells_how_much() -> None:
    """The best of what was tried is chosen, the same again for a seed."""
    rows = records(80)
    noisy = Records(
        SPACE,
        rows.codes,
        {"mIoU": rows.values("mIoU") + np.random.default_rng(0).normal(0, 3, len(rows))},
    )
    choice = choose_caution(noisy, trade_off(), cautions=(0, 4), seed=1)
    assert choice.judged.shape == (2, 2)
    assert choice.caution == choice.cautions[int(choice.judged.mean(0).argmax())]
    assert f"caution {choice.caution:g}" in choice.note
    again = choose_caution(noisy, trade_off(caution=1.0), cautions=(0, 4), seed=1)
    np.testing.assert_array_equal(again.judged, choice.judged)
    first, second = choice.apply(trade_off())
    assert (first.caution, second.caution) == (choice.caution, 0.0)


def test_too_few_rows_and_no_cautions() -> None:
    with pytest.raises(ValueError, match=r"sources\[0\] has 39 rows, too few to halve; give at"):
        choose_caution(records(39), trade_off())
    with pytest.raises(ValueError, match=r"cautions=\(\) must be numbers of at least 0"):
        choose_caution(records(40), trade_off(), cautions=())
    with pytest.raises(ValueError, match="cautions=-1 must be at least 0"):
        choose_caution(records(40), trade_off(), cautions=(-1,))
    with pytest.raises(ValueError, match="wants source 1, there are 1"):
        choose_caution(records(40), [replace(trade_off()[0], predictor=1)])
