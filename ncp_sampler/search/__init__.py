"""Search for the best code: objectives, limits, acquisition functions and their maximization."""
