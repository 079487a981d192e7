"""Boosted trees of a table's metrics: the shipped surrogates' recipe, and one of the judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lightgbm import Booster

FloatArray = NDArray[np.float64]

BAGS = 4  # boosters averaged, of other seeds
DEFAULT_ROUNDS = 600
# trees per booster; settings whose training is noisy overfit earlier
ROUNDS = {"cls-10-1000": 200, "video": 400, "video-p": 400}

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


def fit_trees(x: FloatArray, y: FloatArray, rounds: int = DEFAULT_ROUNDS) -> list[Booster]:
    """Boosters of features x (n, f) and values y (n,), to be averaged.

    Raises:
        ImportError: LightGBM is not installed.
    """
    lightgbm = import_lightgbm()
    return [
        lightgbm.train({**_PARAMETERS, "seed": seed}, lightgbm.Dataset(x, y), rounds)
        for seed in range(BAGS)
    ]


def predict_trees(boosters: Sequence[Booster], x: FloatArray) -> FloatArray:
    """Their mean, (n,)."""
    mean: FloatArray = np.mean(
        [np.asarray(booster.predict(x, num_threads=1)) for booster in boosters], axis=0
    )
    return mean


def import_lightgbm() -> Any:
    """LightGBM, or an ImportError that says how to get it."""
    try:
        import lightgbm
    except ImportError as error:
        raise ImportError(
            "surrogates and judges need LightGBM, which is not installed: "
            "pip install 'ncp-sampler[bench]'"
        ) from error
    return lightgbm
