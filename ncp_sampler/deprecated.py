"""Deprecated names of version 0.2: they warn, and go with version 0.4."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

ClassT = TypeVar("ClassT", bound=type)


def warn(old: str, new: str) -> None:
    """Warn that a name is deprecated, at its caller's caller."""
    message = f"{old} is deprecated and will be removed in version 0.4; use {new}"
    warnings.warn(message, FutureWarning, stacklevel=3)


def renamed_arguments(**new_names: str) -> Callable[[ClassT], ClassT]:
    """Let a class take arguments by their old names, too, with a warning.

    Args:
        **new_names: Old name -> new name.
    """

    def decorate(cls: ClassT) -> ClassT:
        init: Callable[..., None] = cls.__init__  # type: ignore[misc]

        @functools.wraps(init)
        def renaming(self: Any, *args: Any, **kwargs: Any) -> None:
            for old, new in new_names.items():
                if old in kwargs:
                    warn(f"{cls.__name__}({old}=)", f"{new}=")
                    kwargs[new] = kwargs.pop(old)
            init(self, *args, **kwargs)

        cls.__init__ = renaming  # type: ignore[misc]
        return cls

    return decorate


def renamed_attributes(**new_names: str) -> Callable[[ClassT], ClassT]:
    """Give a class its attributes by their old names, too, with a warning.

    Args:
        **new_names: Old name -> new name.
    """

    def decorate(cls: ClassT) -> ClassT:
        for old, new in new_names.items():

            def get(self: Any, old: str = old, new: str = new) -> Any:
                warn(f"{cls.__name__}.{old}", new)
                return getattr(self, new)

            setattr(cls, old, property(get, doc=f"Deprecated name of ``{new}``."))
        return cls

    return decorate


def predictors_name(name: str) -> Any:
    """Return what stands for a predictor of version 0.2, a function of its arguments.

    Raises:
        AttributeError: Version 0.2 had no predictor of that name.
    """
    if name not in _PREDICTORS:
        raise AttributeError(f"module 'ncp_sampler.predictors' has no attribute {name!r}")
    warn(name, _PREDICTORS[name][0])
    return _PREDICTORS[name][1]


def _predictors() -> Any:
    return import_module("ncp_sampler.predictors")


def _process(kernel: Any, steps: int, capacity: int) -> Any:
    return _predictors().GaussianProcess(kernel, steps=steps, max_rows=capacity)


def _infinite_mlp(*, steps: int = 15, capacity: int = 400, device: Any = "cpu") -> Any:
    del device  # exact processes compute on the CPU
    return _process(_predictors().NNGP(), steps, capacity)


def _bayesian_mlp(
    *, width: int = 512, seed: int = 0, steps: int = 15, capacity: int = 400, device: Any = "cpu"
) -> Any:
    del device
    return _process(_predictors().RandomReLU(width, seed), steps, capacity)


def _selected(members: Sequence[Any]) -> Any:
    return _predictors().GaussianProcess(_predictors().Sum(*(one.kernel for one in members)))


_PREDICTORS: dict[str, tuple[str, Callable[..., Any]]] = {
    "InfiniteMLP": ("GaussianProcess(NNGP())", _infinite_mlp),
    "BayesianMLP": ("GaussianProcess(RandomReLU())", _bayesian_mlp),
    "Selected": ("GaussianProcess(), whose kernel is a sum", _selected),
    "Committee": ("Mixture", lambda members: _predictors().Mixture(members)),
    "Featured": (
        "FeaturePredictor",
        lambda *args, **kw: _predictors().FeaturePredictor(*args, **kw),
    ),
}
