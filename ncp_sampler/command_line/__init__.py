"""Command ``ncp-sampler``, which searches tables and summarizes studies, and training studies."""
