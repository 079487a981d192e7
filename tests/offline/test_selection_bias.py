"""Predictions of the best codes are corrected by those of rows that the predictor has not seen."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ncp_sampler import Integer, SearchSpace
from ncp_sampler.offline import Records, learn, propagate_search
from ncp_sampler.offline.selection_bias import SelectionBias
from ncp_sampler.predictors.calibration import Calibrated
from ncp_sampler.propagation import Target
from ncp_sampler.records.records import FloatArray

SPACE = SearchSpace([Integer(f"w{i}", 0, 9) for i in range(4)])


def leveling_off(codes: FloatArray) -> FloatArray:
    """Return an accuracy that levels off at 95 and differs a little, repeatably, from code to code.

    A smooth model expects it to rise further.
    """
    risen = np.minimum(codes.sum(1) / 18, 1.0)
    own = np.sin(codes @ np.array([12.9898, 78.233, 37.719, 53.12]))
    return np.asarray(95 * risen - 160 * (1 - risen) ** 2 + 0.4 * own)


@pytest.mark.parametrize("sign", [1, -1])
def test_predictions_that_are_too_good_at_the_top_are_corrected(sign: int) -> None:
    predicted = np.linspace(80, 99, 100)
    measured = np.minimum(predicted, 95.0)  # the best ten are predicted 2 to 4 too high
    bias = SelectionBias.of(sign * predicted, sign * measured, sign)
    assert bias is not None
    mean, variance = bias.correct(sign * np.array([98.0, 100.0]))
    assert sign * mean == pytest.approx(95.0, abs=1.1)
    assert variance[1] > variance[0] > 0  # farther from the rows


def test_a_correction_never_makes_a_prediction_better() -> None:
    predicted = np.linspace(80, 99, 100)
    bias = SelectionBias.of(predicted, predicted + 3.0, 1)
    assert bias is not None
    assert bias.correct(np.array([98.0]))[0] == 98.0


def test_few_rows_give_no_correction() -> None:
    assert SelectionBias.of(np.arange(9.0), np.zeros(9), 1) is None
    missing = np.where(np.arange(20) < 9, np.arange(20.0), np.nan)
    assert SelectionBias.of(missing, np.zeros(20), 1) is None


def test_where_a_metric_levels_off_the_best_row_is_recommended() -> None:
    worse = 0
    for seed in range(5):
        codes = SPACE.sample(80, seed)
        accuracy = leveling_off(codes)
        solution = propagate_search(
            Records(SPACE, codes, {"accuracy": accuracy}), [Target("accuracy")]
        )
        worse += int(leveling_off(solution.code[None])[0] < accuracy.max())
    assert worse == 0


def test_a_predictor_keeps_its_unseen_rows_when_it_is_saved() -> None:
    codes = SPACE.sample(60, 0)
    rows = Records(SPACE, codes, {"accuracy": leveling_off(codes)})
    predictor = learn(rows)
    assert predictor.unseen is not None
    predicted, measured = predictor.unseen[..., 0]
    assert np.array_equal(measured, rows.values("accuracy"))
    assert not np.allclose(predicted, predictor.predict(SPACE.normalize(codes))[0][:, 0])
    loaded = learn(rows.take(range(50)))
    loaded.load_state_dict(predictor.state_dict())
    assert loaded.unseen is not None
    assert np.array_equal(loaded.unseen, predictor.unseen)


def test_an_old_pickle_has_no_unseen_rows() -> None:
    predictor = learn(Records(SPACE, SPACE.sample(20, 0), {"accuracy": np.arange(20.0)}))
    state = pickle.loads(pickle.dumps(predictor)).__dict__
    del state["_unseen"]
    old = Calibrated.__new__(Calibrated)
    old.__dict__.update(state)
    assert old.unseen is None
