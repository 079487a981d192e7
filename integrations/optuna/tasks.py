"""Several tasks in one study: partial reports, choice of the next task, and best compromise.

A task is an objective of the study. The objective function of a trial that has trained all tasks
returns their values. A trial that has trained only some tasks stores their values with
``report_task`` and ends as pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import optuna
from optuna.samplers import PartialFixedSampler
from optuna.study import Study
from optuna.trial import Trial

from ncp_sampler import checks
from ncp_sampler.integrations.optuna import conversion
from ncp_sampler.integrations.optuna.sampler import NCPSampler
from ncp_sampler.optimizer.compromise import ANSWERS, Compromise
from ncp_sampler.search.preference import COMPROMISE, Preference, Weight, check_weights


def report_task(trial: Trial, task: str | int, value: float) -> None:
    """Store the value of one task of a running trial, as a user attribute.

    If the trial then ends with ``raise optuna.TrialPruned``, it does not count as failed: the
    sampler learns from the reported tasks, whose values also improve the predictions of the other
    tasks.

    Args:
        trial: A running trial of a study with several objectives.
        task: Name of an objective (``Study.set_metric_names``), or its index.
        value: Finite value of the task.

    Raises:
        ValueError: The study has a single objective or no such objective, or the value is not
            finite.

    Examples:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(directions=["maximize", "minimize"], sampler=NCPSampler())
        >>> trial = study.ask()
        >>> width = trial.suggest_int("width", 8, 64)
        >>> report_task(trial, 1, 1 / width)
        >>> study.tell(trial, state=optuna.trial.TrialState.PRUNED).state.name
        'PRUNED'
    """
    names = _names(trial)
    number = value.item() if hasattr(value, "item") else value  # NumPy and PyTorch scalars
    index = names.index(_task_name(names, task))
    conversion.store_task(trial, index, checks.number("value", number))


def task_values(trial: Trial) -> list[float]:
    """Return the reported values of all tasks, which the objective function returns in turn.

    A task that is a known cost of the study's ``NCPSampler`` is computed if it was not reported.

    Raises:
        optuna.TrialPruned: A task was not reported. The trial ends as pruned, with the values that
            were reported.
        ValueError: ``trial`` does not belong to a study.
    """
    names = _names(trial)
    values = conversion.reported_tasks(trial, names)
    sampler = _own_sampler(trial.study)
    if sampler is not None:
        values = {**sampler.known_costs(trial.study, trial.params), **values}
    missing = [name for name in names if name not in values]
    if missing:
        raise optuna.TrialPruned(f"not reported: {missing}")
    return [values[name] for name in names]


def next_task(trial: Trial, *, costs: Mapping[str | int, float] | None = None) -> str | None:
    """Return the task to train next in a running trial; None if no other task is worth its cost.

    After the startup trials, the result may be None before every task has been trained. This
    happens if, given the reported values, the expected improvement per unit cost is smaller for
    this trial than for a new one. Known costs are not trained. With samplers other than
    ``NCPSampler``, every task is trained, in order.

    Args:
        trial: The running trial. All of its params must have been suggested.
        costs: Task name or index -> cost of training the task, in any unit; by default 1.

    Raises:
        ValueError: A task does not exist, or a cost is not positive.

    Examples:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> sampler = NCPSampler(objective_weights="compromise", seed=0)
        >>> study = optuna.create_study(directions=["maximize"] * 2, sampler=sampler)
        >>> def objective(trial):
        ...     x = trial.suggest_float("x", 0, 1)
        ...     while (task := next_task(trial, costs={0: 1, 1: 10})) is not None:
        ...         report_task(trial, task, x if task == "value_0" else 1 - x * x)
        ...     return task_values(trial)
        >>> study.optimize(objective, n_trials=20)
        >>> 0.3 < compromise(study).params["x"] < 0.8
        True
    """
    names, must = _names(trial), "map tasks to costs"
    study = trial.study
    given = checks.instance("costs", {} if costs is None else costs, Mapping, must)
    prices: dict[str, float] = {}
    for task, cost in given.items():
        name = _task_name(names, task)
        if name in prices:
            raise ValueError(f"costs={given} has {name!r} twice, by name and by index; give one")
        prices[name] = checks.number(f"costs[{name!r}]", cost, above=0)
    reported = conversion.reported_tasks(trial, names)
    sampler = _own_sampler(study)
    if sampler is None:
        return next((name for name in names if name not in reported), None)
    with sampler.observing(study) as history:
        own = None if history is None else history.all_params(trial.params, may_lack=True)
        if history is not None and own is not None:
            return history.optimizer.next_task(own, reported, prices)
        if history is not None and not history.inferred:
            missing = history.missing(trial.params)
            raise ValueError(f"trial has no {missing} yet; suggest all params before next_task")
        # without predictions (first trial, or a trial that lacks a parameter): the cheapest task
        done = {*reported, *sampler.known_costs(study, trial.params)}
        left = [name for name in names if name not in done]
        return min(left, key=lambda name: prices.get(name, 1.0), default=None)


def compromise(
    study: Study, objective_weights: Mapping[str | int, Weight] | str = COMPROMISE
) -> Compromise:
    """Return the best compromise among the trials of a study with several objectives.

    ``study.best_trials`` is the whole Pareto front; the compromise is a single trial. The study may
    use any sampler. A task that a trial has not reported is predicted from all reported values, and
    its value is taken as one standard deviation worse than the posterior mean.

    Args:
        study: The study.
        objective_weights: "compromise" for the trial whose largest relative regret in any objective
            is smallest; "knee" for the Pareto-optimal trial with the smallest sum of regrets; or
            weights as for ``NCPSampler``.

    Returns:
        The trial's number, params, values and regrets; ``print`` shows them.

    Raises:
        ValueError: The weights are invalid, or no feasible trial has a value.
    """
    checks.instance("study", study, Study, "be an Optuna study")
    names = conversion.metric_names(study)
    weights = objective_weights
    if weights is None:
        must = f"map objectives to weights, or be one of {ANSWERS}"
        raise checks.refusal("objective_weights", weights, must)
    check_weights(weights, ANSWERS)
    named = conversion.named_goals({"objective_weights": weights}, names)
    weights = named["objective_weights"] or weights
    by_name: Any = weights
    Preference.of(by_name, dict.fromkeys(names, ""))  # checked before anything is predicted
    sampler = _own_sampler(study) or NCPSampler(warn_independent_sampling=False)
    with sampler.observing(study) as history:
        if history is None:
            raise ValueError("the study has no finished trial with a parameter to search")
        answer = history.optimizer.compromise(by_name)
        number = history.numbers[answer.number]
    # the params as suggested: the optimizer stores only searched parameters, at valid values
    trial = study.get_trials(deepcopy=False)[number]
    return replace(answer, number=number, params=dict(trial.params))


def _own_sampler(study: Study) -> NCPSampler | None:
    sampler = study.sampler
    while isinstance(sampler, PartialFixedSampler):
        sampler = sampler._base_sampler
    return sampler if isinstance(sampler, NCPSampler) else None


def _names(trial: Trial) -> list[str]:
    checks.instance("trial", trial, Trial, "be a running Optuna trial")
    return conversion.metric_names(trial.study)


def _task_name(names: Sequence[str], task: str | int) -> str:
    """Return the name of a task in a study with several objectives."""
    if len(names) < 2:
        raise ValueError("the study has one objective; tasks need a study with several objectives")
    if isinstance(task, Integral) and not isinstance(task, bool) and 0 <= task < len(names):
        return names[int(task)]
    if not isinstance(task, str) or task not in names:
        raise checks.refusal("task", task, f"be one of {list(names)}, or an index")
    return task
