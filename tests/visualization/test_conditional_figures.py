"""Figures of trials in a space with conditions: what does not exist is not drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from ncp_sampler import NCPSampler, visualization
from ncp_sampler.integrations.optuna.dashboard import publish
from ncp_sampler.visualization import plotly
from tests.conditional_examples import NETWORK, accuracy

CODES = {
    "shallow": NETWORK.to_code({"n_layers": 1, "w0": 64}),
    "deep": NETWORK.to_code({"n_layers": 4, "w0": 16, "w1": 24, "w2": 32, "w3": 128}),
}


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    sampler = NCPSampler(space=NETWORK, seed=0, n_startup_trials=5)
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def value(trial: optuna.Trial) -> float:
        params = NETWORK.suggest(trial)
        return float(accuracy(params) - 0.2 * params["n_layers"] ** 2)  # one layer or two

    study.optimize(value, n_trials=14)
    return study


def data_of(figure: Any) -> list[Any]:
    return list(figure.to_plotly_json()["data"])


def test_params_that_do_not_exist_have_no_mark() -> None:
    shallow, deep = data_of(plotly.plot_params(CODES, NETWORK))
    assert list(shallow["text"]) == ["1", "64", "", "", ""]
    assert list(shallow["x"]) == [0.0, pytest.approx(48 / 112), None, None, None]
    assert list(deep["text"]) == ["4", "16", "24", "32", "128"]
    figure = visualization.plot_params(CODES, NETWORK)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1", "64", "4", "16", "24", "32", "128"]


def test_lines_of_params_have_gaps(study: optuna.Study) -> None:
    for trial in study.trials[5:]:
        figure = plotly.plot_descent(study, NETWORK, trial=trial.number)
        lines = {trace["name"]: trace for trace in data_of(figure) if "name" in trace}
        for name in ("w1", "w2", "w3"):
            chain = [study.trials[int(number)] for number in lines[name]["x"]]
            drawn = [trial.params.get(name) for trial in chain]
            assert list(lines[name]["y"]) == [
                None if value is None else pytest.approx(value) for value in drawn
            ]
        visualization.plot_descent(study, NETWORK, trial=trial.number).canvas.draw()


def test_a_trial_without_what_exists_is_refused(study: optuna.Study) -> None:
    study = optuna.create_study(sampler=study.sampler)
    dists = {name: NETWORK.distributions[name] for name in ("n_layers", "w0")}
    study.add_trial(
        optuna.trial.create_trial(params={"n_layers": 2, "w0": 16}, distributions=dists, value=1.0)
    )
    for figures in (visualization, plotly):
        with pytest.raises(ValueError, match=r"space has \['w1'\], but some of the trials \[0\]"):
            figures.plot_descent(study, NETWORK)


def test_moves_name_what_is_absent(study: optuna.Study) -> None:
    labels = [
        label
        for trial in study.trials[5:]
        for bars in data_of(plotly.plot_proposal(trial))  # none without a move
        for label in bars["customdata"]
    ]
    assert any("absent" in label for label in labels)
    assert not any("None" in label for label in labels)


def test_the_dashboard_has_all_figures(study: optuna.Study) -> None:
    pytest.importorskip("optuna_dashboard")
    assert publish(study) == ("ncp-moves", "ncp-descent", "ncp-architectures", "ncp-calibration")
    assert np.isfinite(study.best_value)
