"""The program ``ncp-sampler``, which searches tables and summarizes studies; training studies."""
