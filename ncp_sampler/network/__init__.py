"""The network behind a code, its heads, and what the four tasks need beside it."""
