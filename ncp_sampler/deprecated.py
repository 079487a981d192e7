"""Deprecated names of version 0.2, whose use causes a warning; version 0.4 will remove them."""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

ClassT = TypeVar("ClassT", bound=type)


def warn(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that a name is deprecated; by default, the warning points to the caller's caller."""
    message = f"{old} is deprecated and will be removed in version 0.4; use {new}"
    warnings.warn(message, FutureWarning, stacklevel=stacklevel)


def with_old_names(cls: ClassT) -> ClassT:
    """Decorate a class so that it accepts the argument and attribute names of version 0.2."""
    _rename_arguments(cls, _ARGUMENTS.get(cls.__name__, {}))
    for old, new in _ATTRIBUTES.get(cls.__name__, {}).items():

        def get(self: Any, old: str = old, new: str = new) -> Any:
            warn(f"{cls.__name__}.{old}", new)
            return getattr(self, new)

        setattr(cls, old, property(get, doc=f"Deprecated name of ``{new}``."))
    return cls


def _rename_arguments(cls: type, new_names: Mapping[str, str]) -> None:
    if not new_names:
        return
    init: Callable[..., None] = cls.__init__  # type: ignore[misc]

    @functools.wraps(init)
    def renaming(self: Any, *args: Any, **kwargs: Any) -> None:
        for old, new in new_names.items():
            if old in kwargs:
                if old == "weights" and callable(kwargs[old]):  # as in Optuna's TPESampler
                    raise ValueError(
                        f"weights={kwargs[old]!r} is an argument of TPESampler, which weights past "
                        f"trials; {cls.__name__} has no equivalent, as its model needs none: leave "
                        "it out. To weight objectives, give objective_weights={name: number}"
                    )
                warn(f"{cls.__name__}({old}=)", f"{new}=")
                value = kwargs.pop(old)
                if kwargs.get(new) is not None and value is not None:
                    raise ValueError(f"{old}= is the old name of {new}=; give {new}= alone")
                kwargs[new] = kwargs.get(new) if value is None else value
        init(self, *args, **kwargs)

    cls.__init__ = renaming  # type: ignore[misc]


def old_name(module: str, name: str) -> Any:
    """Return the replacement for a name that a module had in version 0.2.

    Raises:
        AttributeError: If the module had no such name.
    """
    if name not in _NAMES.get(module, {}):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    new, value = _NAMES[module][name]
    warn(f"{module}.{name}", new, stacklevel=4)  # a module's __getattr__ lies between
    return value(import_module(module))


def _infinite_mlp(predictors: Any) -> Callable[..., Any]:
    def make(*, steps: int = 15, capacity: int = 400, device: Any = "cpu") -> Any:
        del device  # Exact processes compute on the CPU
        return predictors.GaussianProcess(predictors.NNGP(), steps=steps, max_rows=capacity)

    return make


def _bayesian_mlp(predictors: Any) -> Callable[..., Any]:
    def make(*, width: int = 512, seed: int = 0, steps: int = 15, capacity: int = 400) -> Any:
        kernel = predictors.RandomReLU(width, seed)
        return predictors.GaussianProcess(kernel, steps=steps, max_rows=capacity)

    return make


def _selected(predictors: Any) -> Callable[..., Any]:
    def make(members: Sequence[Any]) -> Any:
        return predictors.GaussianProcess(predictors.Sum(*(member.kernel for member in members)))

    return make


def _choose_caution(offline: Any) -> Callable[..., Any]:
    def choose(*args: Any, cautions: Sequence[float] | None = None, **kwargs: Any) -> Any:
        return offline.choose_beta(
            *args, **kwargs, **({} if cautions is None else {"betas": cautions})
        )

    return choose


# Old name of a figure -> its name since 0.3, for Matplotlib and Plotly
_FIGURES = {
    "architecture_figure": "plot_architectures",
    "correlation_figure": "plot_correlations",
    "descent_figure": "plot_descent",
    "explain_figure": "plot_gradient",
    "params_figure": "plot_params",
    "ranking_figure": "plot_ranks",
    "trace_figure": "plot_trace",
    "trade_off_figure": "plot_trade_offs",
    "walk_figure": "plot_walk",
}

# Module -> old name -> new name and a function from the module to the replacement
_NAMES: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "ncp_sampler.predictors": {
        "InfiniteMLP": ("GaussianProcess(NNGP())", _infinite_mlp),
        "BayesianMLP": ("GaussianProcess(RandomReLU())", _bayesian_mlp),
        "Selected": ("GaussianProcess(), whose kernel is a sum", _selected),
        "Committee": ("Mixture", lambda predictors: predictors.Mixture),
        "Featured": ("FeaturePredictor", lambda predictors: predictors.FeaturePredictor),
    },
    "ncp_sampler.offline": {
        "CAUTION": ("BETA", lambda offline: offline.BETA),
        "CautionChoice": ("BetaChoice", lambda offline: offline.BetaChoice),
        "Found": ("Solution", lambda offline: offline.Solution),
        "choose_caution": ("choose_beta", _choose_caution),
    },
    "ncp_sampler.nas_bench": {
        "Judge": ("HeldOutEvaluator", lambda nas_bench: nas_bench.HeldOutEvaluator)
    },
    **{
        module: {old: (new, operator.attrgetter(new)) for old, new in _FIGURES.items()}
        for module in ("ncp_sampler.visualization", "ncp_sampler.visualization.plotly")
    },
}

# Class -> old name -> new name
_ARGUMENTS = {
    "GaussianProcess": {"capacity": "max_rows"},
    "NCPOptimizer": {"weights": "objective_weights"},
    "NCPSampler": {"weights": "objective_weights"},
    "NCPSearch": {"weights": "objective_weights"},
    "Target": {"caution": "beta"},
}
_ATTRIBUTES = {
    "BetaChoice": {"caution": "beta", "cautions": "betas", "judged": "scores"},
    "Model": {"capacity": "max_rows"},
    "NCPOptimizer": {"n_told": "n_observations", "told_names": "metric_names"},
    "SearchProblem": {"lacks": "violation"},
    "SearchSpace": {"neighbours": "neighbors"},
}
