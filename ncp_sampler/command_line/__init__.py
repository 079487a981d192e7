"""Program ``ncp-sampler``, which searches tables and summarizes studies; training of codes."""
