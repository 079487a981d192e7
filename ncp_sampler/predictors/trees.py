"""Boosted trees for shipped surrogates, held-out evaluators and distillation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lightgbm import Booster

FloatArray = NDArray[np.float64]

BAGS = 4  # number of averaged boosters, with different seeds
_PARAMETERS: dict[str, Any] = {
    "objective": "l2",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 10,
    "extra_trees": True,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "num_threads": 1,
    "verbose": -1,
}


def fit_trees(
    x: FloatArray, y: FloatArray, rounds: int, *, weights: FloatArray | None = None
) -> list[Booster]:
    """Fit boosters, whose predictions are averaged, to x (n, f) and y (n,) with weights (n,).

    Raises:
        ImportError: LightGBM is not installed.
    """
    lightgbm = import_lightgbm()
    return [
        lightgbm.train(
            {**_PARAMETERS, "seed": seed}, lightgbm.Dataset(x, y, weight=weights), rounds
        )
        for seed in range(BAGS)
    ]


def predict_trees(boosters: Sequence[Booster], x: FloatArray) -> FloatArray:
    """Return the mean prediction (n,) of the boosters."""
    mean: FloatArray = np.mean(
        [np.asarray(booster.predict(x, num_threads=1)) for booster in boosters], axis=0
    )
    return mean


def has_lightgbm() -> bool:
    """Return True if LightGBM and its libraries are installed."""
    try:
        import_lightgbm()
    except (ImportError, OSError):
        return False
    return True


def import_lightgbm() -> Any:
    """Return LightGBM, or raise an ImportError that explains how to install it."""
    try:
        import lightgbm
    except ImportError as error:
        raise ImportError(
            "surrogates, evaluators and Distilled need LightGBM, which is not installed: "
            "pip install lightgbm"
        ) from error
    return lightgbm
