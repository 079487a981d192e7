"""Deprecated names of version 0.2; they warn, and go with version 0.4."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
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
