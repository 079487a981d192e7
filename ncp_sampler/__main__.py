"""``python -m ncp_sampler``: the command ``ncp-sampler``, where its script is not on the path."""

from ncp_sampler.command_line.program import main

if __name__ == "__main__":
    raise SystemExit(main())
