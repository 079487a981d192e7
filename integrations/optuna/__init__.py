"""Optuna integration: ``NCPSampler``, multi-task studies, and conversion of search spaces."""

from ncp_sampler.integrations.optuna.conversion import to_distributions as to_distributions
from ncp_sampler.integrations.optuna.conversion import to_space as to_space
from ncp_sampler.integrations.optuna.sampler import NCPSampler as NCPSampler
from ncp_sampler.integrations.optuna.tasks import compromise as compromise
from ncp_sampler.integrations.optuna.tasks import next_task as next_task
from ncp_sampler.integrations.optuna.tasks import report_task as report_task
from ncp_sampler.integrations.optuna.tasks import task_values as task_values

__all__ = [
    "NCPSampler",
    "compromise",
    "next_task",
    "report_task",
    "task_values",
    "to_distributions",
    "to_space",
]
