"""OptunaHub entry of ``NCPSampler``, which the package ``ncp_sampler`` provides."""

try:
    from ncp_sampler import NCPSampler
    from ncp_sampler import SearchSpace
except ModuleNotFoundError as error:
    if error.name != "ncp_sampler":
        raise  # the package is installed, but one of its dependencies is not
    raise ModuleNotFoundError(
        "samplers/ncp is the sampler of the package ncp_sampler, which is not installed here; "
        "install it with: pip install ncp_sampler",
        name=error.name,
    ) from error


__all__ = ["NCPSampler", "SearchSpace"]
