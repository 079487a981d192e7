"""Every class of problem, every sampler that users would take instead, in one comparison."""
