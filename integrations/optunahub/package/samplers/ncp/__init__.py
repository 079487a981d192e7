"""NCPSampler of the package ncp_sampler, under its name in OptunaHub."""

try:
    from ncp_sampler import NCPSampler
    from ncp_sampler import SearchSpace
except ModuleNotFoundError as error:
    if error.name != "ncp_sampler":
        raise  # it is there, and something that it needs is not
    raise ModuleNotFoundError(
        "samplers/ncp is the sampler of the package ncp_sampler, which is not installed here; "
        "install it with: pip install ncp_sampler",
        name=error.name,
    ) from error


__all__ = ["NCPSampler", "SearchSpace"]
