"""Fit the surrogates that are included in the package, and evaluate them by cross-validation.

Run from the repository root, in an environment with the package's ``bench`` extra:

    python -m benchmarks.fit_surrogates --root ../shared/nas-bench-mr/data

writes one model per setting and metric into the package's ``nas_bench/data``, and the errors of
5-fold cross-validation into ``benchmarks/results/surrogates.md`` and ``.csv``. The same version of
LightGBM on the same tables writes the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import lzma
import re
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.model_selection import KFold

from ncp_sampler import Integer, MRSpace
from ncp_sampler.formatting import markdown_table
from ncp_sampler.nas_bench import SETTINGS, NASBenchMR, Table
from ncp_sampler.nas_bench.features import features
from ncp_sampler.nas_bench.surrogates import SHIPPED, rounds_of
from ncp_sampler.predictors.trees import (
    BAGS,
    fit_trees,
    predict_trees,
)

Array = NDArray[np.float64]

FOLDS = 5
N_RANDOM, N_STARTS = 100_000, 10  # numbers of random codes and of starts for hill climbing
DATA = Path("ncp_sampler/nas_bench/data")
HEADS = ["setting", "metric", "R2", "Spearman", "L1", "row_min", "row_max"]
HEADS += ["random_min", "random_max", "climbed_max", "kB"]

_SPACE = MRSpace()
# the fields of a tree that a prediction needs; counts, gains and covers are left out
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


def cross_validate(x: Array, y: Array, rounds: int) -> tuple[float, float, float]:
    """Return R2, Spearman and L1 of out-of-fold predictions."""
    predicted = np.empty(len(y))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        predicted[test] = predict_trees(fit_trees(x[train], y[train], rounds), x[test])
    r2 = 1 - float(((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return r2, float(spearmanr(y, predicted)[0]), float(np.abs(y - predicted).mean())


def merge(boosters: Sequence[lightgbm.Booster]) -> str:
    """Return one model, in LightGBM's text format, whose sum over trees is the boosters' mean."""
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


def climb(model: lightgbm.Booster, code: NDArray[np.int64]) -> float:
    """Return the model's value at the local optimum to which one code (27,) climbs."""
    best = -np.inf
    while True:
        codes = np.concatenate([code[None], *_single_changes(code)])
        values = predict_trees([model], features(codes))
        if values.max() <= best:
            return float(best)
        best, code = values.max(), codes[values.argmax()]


def _single_changes(code: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return, for each number, the codes (values, 27) with all of its values."""
    changed = []
    for column, dim in enumerate(_SPACE.dimensions):
        assert isinstance(dim, Integer)
        codes = np.tile(code, (len(range(dim.low, dim.high + 1, dim.step)), 1))
        codes[:, column] = range(dim.low, dim.high + 1, dim.step)
        changed.append(codes)
    return changed


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fit_surrogates",
        description=(__doc__ or "").split("\n\n", maxsplit=1)[0],
    )
    parser.add_argument("--root", type=Path, help="folder of the tables; default: NCP_BENCH_ROOT")
    parser.add_argument("--data", type=Path, default=DATA, help="output folder of the models")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    try:
        tables = tables_to_fit(NASBenchMR(options.root))
    except ValueError as error:
        parser.error(str(error))
    rows = []
    for table in tables:
        rows.append(_ship(table, options.data))
        print(*rows[-1], flush=True)
    _write(rows, options.out)


def tables_to_fit(bench: NASBenchMR) -> list[Table]:
    """Return the tables of all settings with surrogates, and that of 3dDet if it is available.

    Raises:
        ValueError: One of them is missing or damaged.
    """
    wanted = {*SHIPPED, *bench.settings}
    return [bench.table(setting.name) for setting in SETTINGS if setting.name in wanted]


def _ship(table: Table, folder: Path) -> list[str]:
    """Write the models of one setting, and return its row of the results."""
    x, rounds = features(table.codes), rounds_of(table.setting)
    texts, size = {}, 0
    for metric, y in table.metrics.items():
        texts[metric] = merge(fit_trees(x, y, rounds))
        packed = lzma.compress(texts[metric].encode(), preset=9)
        (folder / f"{table.setting}.{metric}.txt.xz").write_bytes(packed)
        size += len(packed)
    main_metric, y = next(iter(table.metrics.items()))
    scores = cross_validate(x, y, rounds)
    model = lightgbm.Booster(model_str=texts[main_metric])
    codes = _SPACE.sample(N_RANDOM, 0)
    values = predict_trees([model], features(codes))
    climbed = max(climb(model, codes[i]) for i in values.argsort()[-N_STARTS:])
    extremes = (y.min(), y.max(), values.min(), values.max(), climbed)
    numbers = [f"{score:.3f}" for score in scores] + [f"{extreme:.2f}" for extreme in extremes]
    return [table.setting, main_metric, *numbers, str(size // 1000)]


def _write(rows: Sequence[Sequence[str]], folder: Path) -> None:
    with (folder / "surrogates.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADS, *rows])
    introduction = f"""# The shipped surrogates

Made by `python -m benchmarks.fit_surrogates`. A surrogate's value is a prediction, not a result of
training.

Main metric of each setting, in percent. R2, Spearman and L1: {FOLDS}-fold cross-validation on the
public rows of the table (LightGBM {lightgbm.__version__}, mean of {BAGS} boosters). Then the
range of the trained rows, that of the shipped model's predictions for {N_RANDOM:,} random codes,
and the highest prediction found by hill climbing (one number at a time, to any of its values) from
the best {N_STARTS} of these. kB: all the setting's models, compressed.

"""
    text = introduction + markdown_table(HEADS, rows)
    (folder / "surrogates.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
