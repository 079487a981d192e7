"""Known costs that are user functions in Python modules."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from ncp_sampler.command_line.option_types import CostTerm
from ncp_sampler.search.known_cost import CostFunction


def load_function(term: CostTerm) -> CostFunction:
    """Return a function from a module that can be imported, also from the working directory.

    Raises:
        ValueError: There is no such function, or its module raises an error.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function = getattr(import_module(term.module), term.function)
    except Exception as error:  # a user's module can raise anything
        raise ValueError(
            f"--cost {term.module}:{term.function} cannot be imported ({type(error).__name__}: "
            f"{error}); give MODULE:FUNCTION, with an installed module or one in this folder"
        ) from error
    if not callable(function):
        raise ValueError(f"--cost {term.module}:{term.function} must be a function of params")
    return function  # type: ignore[no-any-return]
