"""Search for a network of up to six layers under a FLOPs limit, in a space with conditions.

    python -m benchmarks.conditions --seeds 5 --trials 50

The accuracy is a synthetic function. Each layer adds to it, with diminishing returns for its width.
From the fifth layer on, depth costs more than it gains. The optimum, 92.38 %, has four layers and
is at the limit. Some methods know the limit in advance. Others learn after a trial that the limit
was exceeded, from a constraint or from a pruned trial. Only trials within the limit count.
"""

from __future__ import annotations

import argparse
import logging
import math
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial

from ncp_sampler import Integer, NCPSampler, SearchSpace
from ncp_sampler.formatting import markdown_table

MOST, LIMIT = 6, 40_000  # maximum number of layers, limit of FLOPs
SPACE = SearchSpace(
    [
        Integer("n_layers", 1, MOST),
        *(Integer(f"w{i}", 8, 256, log=True) for i in range(MOST)),
    ],
    conditions={f"w{i}": ("n_layers", range(i + 1, MOST + 1)) for i in range(MOST)},
)


def flops(params: Mapping[str, Any]) -> float:
    """Return the multiplications of a network from 32 inputs to 10 outputs."""
    widths = [params[f"w{i}"] for i in range(params["n_layers"])]
    return float(sum(a * b for a, b in pairwise([32, *widths, 10])))


def accuracy(params: Mapping[str, Any]) -> float:
    """Return the synthetic accuracy, in percent."""
    depth = params["n_layers"]
    gains = [
        0.9 / (1 + 0.25 * i) * (1 - math.exp(-params[f"w{i}"] / (40 + 12 * i)))
        for i in range(depth)
    ]
    return float(100 - 60 * math.exp(-sum(gains)) - max(0, depth - 4) ** 2 - 0.5 * depth)


def constrained(trial: FrozenTrial) -> tuple[float]:
    """Return the constraint of a finished trial, at most 0 within the limit."""
    return (flops(trial.params) - LIMIT,)


SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "NCP, conditions and limit": lambda seed: NCPSampler(
        space=SPACE, costs={"flops": flops}, limits={"flops": LIMIT}, seed=seed
    ),
    "NCP, conditions, the limit as a constraint": lambda seed: NCPSampler(
        space=SPACE, constraints_func=constrained, seed=seed
    ),
    "NCP, conditions, pruned over the limit": lambda seed: NCPSampler(space=SPACE, seed=seed),
    "NCP, inferred conditions, pruned over the limit": lambda seed: NCPSampler(seed=seed),
    "TPE, the limit as a constraint": lambda seed: TPESampler(
        seed=seed, constraints_func=constrained
    ),
    "TPE with `group=True`, the limit as a constraint": lambda seed: TPESampler(
        seed=seed, constraints_func=constrained, multivariate=True, group=True
    ),
    "random": lambda seed: RandomSampler(seed=seed),
}


def best_so_far(method: str, seed: int, n_trials: int) -> list[float]:
    """Return the best accuracy within the limit after each trial of a study."""

    def objective(trial: Trial) -> float:
        for i in range(trial.suggest_int("n_layers", 1, MOST)):
            trial.suggest_int(f"w{i}", 8, 256, log=True)
        if "pruned" in method and flops(trial.params) > LIMIT:
            raise optuna.TrialPruned
        return accuracy(trial.params)

    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[method](seed))
    study.optimize(objective, n_trials=n_trials)
    within = [
        accuracy(trial.params) if flops(trial.params) <= LIMIT else -math.inf
        for trial in study.trials
    ]
    return [float(value) for value in np.maximum.accumulate(within)]


def main() -> None:
    """Print the mean of the best accuracy of each method after some numbers of trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="number of studies of each method")
    parser.add_argument("--trials", type=int, default=50, help="number of trials of each study")
    options = parser.parse_args()
    after = [n for n in (10, 20, 50) if n <= options.trials]
    rows = []
    for method in SAMPLERS:
        best = [best_so_far(method, seed, options.trials) for seed in range(options.seeds)]
        means = [float(np.mean([values[n - 1] for values in best])) for n in after]
        rows.append([method, *(f"{mean:.2f}" for mean in means)])
        print(method, [f"{values[-1]:.3f}" for values in best], flush=True)
    print(markdown_table(["method", *(f"after {n}" for n in after)], rows))


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ncp_sampler").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # Optuna's warnings about constraints_func and TPE's arguments
    main()
