"""Lazy imports of a package's public names (PEP 562).

PyTorch takes seconds to import, and commands such as ``--help`` do not need it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def has_module(name: str) -> bool:
    """Return True if a top-level module can be imported, without importing it.

    A folder of that name without an ``__init__.py`` does not count as a module.
    """
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def lazy_names(
    package: str, homes: Mapping[str, str], folders: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Create the ``__getattr__`` and ``__dir__`` functions of a package with lazy imports.

    Args:
        package: Full name of the package, its ``__name__``.
        homes: Public name -> full name of the module that defines it.
        folders: Names of submodules to import when they are accessed as attributes.
    """

    def get(name: str) -> Any:
        if name in homes:
            value = getattr(import_module(homes[name]), name)
        elif name in folders:
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)  # The next use finds it directly
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *folders})

    return get, names
