"""Programs: ``ncp-sampler`` searches tables and sums up studies; training examples run studies."""
