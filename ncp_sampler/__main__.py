"""Entry point of ``python -m ncp_sampler``, which runs the command ``ncp-sampler``."""

from ncp_sampler.command_line.program import main

if __name__ == "__main__":
    raise SystemExit(main())
