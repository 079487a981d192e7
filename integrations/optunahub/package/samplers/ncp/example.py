"""Minimize a function of a float, an integer and a categorical."""

import optuna
import optunahub


CURVES = {"narrow": 4.0, "wide": 1.0}


def objective(trial: optuna.Trial) -> float:
    """Return a value whose minimum is 0 at x = 2, n = 3 with the wide curve."""
    x = trial.suggest_float("x", -10, 10)
    n = trial.suggest_int("n", 0, 10)
    curve = trial.suggest_categorical("curve", list(CURVES))
    return CURVES[curve] * (x - 2) ** 2 + (n - 3) ** 2 + CURVES[curve] - 1


def main(n_trials: int = 40) -> optuna.Study:
    """Run the study."""
    module = optunahub.load_module(package="samplers/ncp")
    study = optuna.create_study(sampler=module.NCPSampler(seed=0))
    study.optimize(objective, n_trials=n_trials)
    print(study.best_params, study.best_value)
    return study


if __name__ == "__main__":
    main()
