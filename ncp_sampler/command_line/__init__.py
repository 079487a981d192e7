"""Programs: ``ncp-sampler`` searches tables, and the training examples run studies."""
