"""Checks an installed ncp_sampler from outside the repository; no optional dependency is there."""

from importlib import metadata, resources
from pathlib import Path

import ncp_sampler
from ncp_sampler import integrations, nas_bench

repository = Path(__file__).resolve().parents[1]
for module in (ncp_sampler, nas_bench, integrations):
    assert module.__file__ is not None
    assert repository not in Path(module.__file__).resolve().parents, module.__file__
for name in ncp_sampler.__all__:
    assert getattr(ncp_sampler, name) is not None, name
message = ""
try:
    ncp_sampler.NCPSearch  # noqa: B018
except ImportError as error:  # Ray is an extra, and its name is not in __all__ without it
    message = str(error)
assert "pip install 'ray[tune]>=2.60'" in message, message

files = [str(file) for file in metadata.files("ncp_sampler") or []]
for wanted in ("/LICENSE", "/NOTICE", "/py.typed"):
    assert any(file.endswith(wanted) for file in files), f"{wanted} is not in the wheel"
shipped = sorted(file.name for file in (resources.files(nas_bench) / "data").iterdir())
in_repository = sorted(file.name for file in (repository / "ncp_sampler/nas_bench/data").iterdir())
assert shipped == in_repository, (shipped, in_repository)
print(f"ncp_sampler {ncp_sampler.__version__} from {ncp_sampler.__file__}; data: {shipped}")
