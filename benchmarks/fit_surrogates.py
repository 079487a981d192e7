"""Fits the surrogates that the package ships, and measures them by cross-validation.

Run from the repository root, in an environment with the package's ``bench`` extra:

    python -m benchmarks.fit_surrogates --root ../shared/nas-bench-mr/data

writes one model per setting and metric into the package's ``benchmark/data``, and the errors of
5-fold cross-validation into ``benchmarks/results/surrogates.md`` and ``.csv``.
"""

from __future__ import annotations

import argparse
import csv
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.model_selection import KFold

from ncp_sampler import MRSpace
from ncp_sampler.benchmark import NASBenchMR, surrogate
from ncp_sampler.benchmark.features import features
from ncp_sampler.benchmark.surrogates import SHIPPED

Array = NDArray[np.float64]

PARAMETERS: dict[str, Any] = {
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
BAGS = 4  # boosters averaged, of other seeds
# trees per booster; settings whose training is noisy overfit earlier
ROUNDS = {"cls-10-1000": 200, "video": 400, "video-p": 400}
DEFAULT_ROUNDS = 600
FOLDS = 5
DATA = Path("ncp_sampler/benchmark/data")
# all that a prediction needs of a tree; counts, gains and covers are left out
_KEPT = [
    "num_leaves",
    "num_cat",
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "shrinkage",
]


def fit(x: Array, y: Array, rounds: int) -> list[lightgbm.Booster]:
    """Boosters of the features x (n, f), to be averaged."""
    return [
        lightgbm.train({**PARAMETERS, "seed": seed}, lightgbm.Dataset(x, y), rounds)
        for seed in range(BAGS)
    ]


def predict(boosters: Sequence[lightgbm.Booster], x: Array) -> Array:
    """Their mean, (n,)."""
    mean: Array = np.mean([booster.predict(x, num_threads=1) for booster in boosters], axis=0)
    return mean


def cross_validate(x: Array, y: Array, rounds: int) -> tuple[float, float, float]:
    """R2, Spearman and L1 of out-of-fold predictions."""
    predicted = np.empty(len(y))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        predicted[test] = predict(fit(x[train], y[train], rounds), x[test])
    r2 = 1 - float(((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return r2, float(spearmanr(y, predicted)[0]), float(np.abs(y - predicted).mean())


def merge(boosters: Sequence[lightgbm.Booster]) -> str:
    """One model, in LightGBM's text format, whose sum over trees is the boosters' mean."""
    head, trees = "", list[str]()
    for booster in boosters:
        first, rest = booster.model_to_string().split("\nTree=0\n", 1)
        head = head or re.sub(r"\ntree_sizes=.*", "", first)
        for tree in ("Tree=0\n" + rest).split("\nend of trees")[0].split("\n\n"):
            if tree.strip():
                fields = dict(line.split("=", 1) for line in tree.strip().split("\n"))
                lines = [f"Tree={len(trees)}"]
                lines += [f"{key}={_shorten(key, fields[key])}" for key in _KEPT]
                trees.append("\n".join(lines))
    separator = "\n\n\n"
    return f"{head}\n\n{separator.join(trees)}{separator}end of trees\n"


def _shorten(key: str, value: str) -> str:
    if key == "leaf_value":
        return " ".join(f"{float(number) / BAGS:.5g}" for number in value.split())
    if key == "threshold":
        return " ".join(f"{float(number):.9g}" for number in value.split())
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--root", type=Path, help="folder of the tables, else NCP_BENCH_ROOT")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    bench = NASBenchMR(options.root)
    anywhere = MRSpace().sample(100_000, 0)
    rows: list[list[str]] = []
    for setting in SHIPPED:
        table = bench.table(setting)
        x, rounds = features(table.codes), ROUNDS.get(setting, DEFAULT_ROUNDS)
        sizes = []
        for metric, y in table.metrics.items():
            packed = lzma.compress(merge(fit(x, y, rounds)).encode(), preset=9)
            (DATA / f"{setting}.{metric}.txt.xz").write_bytes(packed)
            sizes.append(len(packed))
        main_metric, y = next(iter(table.metrics.items()))
        scores = [f"{score:.3f}" for score in cross_validate(x, y, rounds)]
        predicted = surrogate(setting).predict(anywhere, metrics=[main_metric])[main_metric]
        extremes = [y.min(), y.max(), predicted.min(), predicted.max()]
        row = [setting, main_metric, *scores, *(f"{e:.2f}" for e in extremes)]
        rows.append([*row, str(sum(sizes) // 1000)])
        print(*rows[-1], flush=True)
    heads = [
        "setting",
        "metric",
        "R2",
        "Spearman",
        "L1",
        "row_min",
        "row_max",
        "random_min",
        "random_max",
        "kB",
    ]
    with (options.out / "surrogates.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([heads, *rows])
    lines = [f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows]]
    (options.out / "surrogates.md").write_text(
        "# The shipped surrogates\n\n"
        f"Main metric of each setting, in percent: {FOLDS}-fold cross-validation on the 2,007 "
        f"public rows\n(LightGBM {lightgbm.__version__}, mean of {BAGS} boosters), then the "
        "range of the rows, and that of the\npredictions of the shipped model for 100,000 random "
        "codes. kB: size of all the setting's models.\nA surrogate's value is a prediction, not a "
        "result of training. Made by\n`python -m benchmarks.fit_surrogates`.\n\n"
        + "\n".join(lines)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
