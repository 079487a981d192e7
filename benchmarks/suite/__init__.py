"""Comparison of samplers that users would consider, on every class of problem."""
