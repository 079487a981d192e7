"""Network Coding Propagation (NCP) as a sampler for Optuna and a searcher for Ray Tune."""
