"""Search spaces that the tests of spaces share."""

from __future__ import annotations

from ncp_sampler import (
    Categorical,
    Float,
    Integer,
    SearchSpace,
)

MIXED = SearchSpace(
    [
        Integer("units", 4, 64, step=4),
        Integer("batch", 1, 512, log=True),
        Float("dropout", 0, 1, step=0.1),
        Float("rate", 1e-5, 1, log=True),
        Float("shift", -1, 1),
        Categorical("act", ("relu", None, True, 1)),
    ]
)
PARAMS = {"units": 8, "batch": 3, "dropout": 0.3, "rate": 0.01, "shift": -0.5, "act": True}
CODE = [8.0, 3.0, 0.3, 0.01, -0.5, 0.0, 0.0, 1.0, 0.0]
SMALL = SearchSpace([Integer("n", 1, 3), Categorical("c", ("a", "b")), Float("x", 0, 0.5, 0.25)])
