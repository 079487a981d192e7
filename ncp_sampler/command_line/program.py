"""The command ``ncp-sampler``: options are read here, and ``search`` is imported for a search.

``--help`` and what is wrong with options are said without PyTorch, in a fraction of a second.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from ncp_sampler.command_line.search_options import parse_search


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for a wrong argument.

    Args:
        arguments: In place of the command line's.
    """
    try:
        options = parse_search(arguments)
        from ncp_sampler.command_line.search import run_search

        result = run_search(options)
        if options.json:
            print(json.dumps(result, indent=2, allow_nan=False))
        else:
            from ncp_sampler.command_line.answer import print_found

            print_found(result)
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed: pip install 'ncp_sampler[bench]'")
    except (ImportError, OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"ncp-sampler: error: {' '.join(message.split())}", file=sys.stderr)
    return 2
