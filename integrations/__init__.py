"""Optuna and Ray adapters for the optimizer, installed as ``ncp_sampler.integrations``."""

if __name__ != "ncp_sampler.integrations":
    raise ImportError(
        f"this package was imported as {__name__!r}; import ncp_sampler.integrations instead"
    )
