"""Checkpoints of a study: files with the trained networks of a code, one network per problem."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ncp_sampler import checks
from ncp_sampler.training.problem import TrainingProblem
from ncp_sampler.training.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Trained networks of one code, one for each problem of the study.

    Attributes:
        code: The code, 27 integers.
        gflops: Total multiply-adds of all networks, in G.
        metrics: Name of each problem -> validation metric, in percent.
        states: Name of each problem -> ``state_dict`` of its network, on the CPU.

    Examples:
        >>> from ncp_sampler import MRSpace
        >>> code = tuple(int(number) for number in MRSpace().start)
        >>> Checkpoint(code=code, gflops=0.5, metrics={"digits": 98.0}, states={}).metrics
        {'digits': 98.0}
    """

    code: tuple[int, ...]
    gflops: float
    metrics: dict[str, float]
    states: dict[str, dict[str, Tensor]]

    @classmethod
    def of(
        cls,
        code: ArrayLike,
        *,
        gflops: float,
        metrics: Mapping[str, float],
        networks: Mapping[str, nn.Module],
    ) -> Checkpoint:
        """Return the checkpoint of trained networks, with copies of their tensors.

        ``metrics`` and ``networks`` have the names of the problems as keys.

        Raises:
            ValueError: An argument has the wrong type, or the cost is negative.
        """
        numbers = np.atleast_1d(checks.array("code", code))
        if numbers.ndim != 1 or not np.isfinite(numbers).all() or (numbers % 1).any():
            raise checks.refusal("code", code, "be integers of shape (d,)")
        checks.instance("metrics", metrics, Mapping, "map problems' names to metrics")
        checks.instance("networks", networks, Mapping, "map problems' names to networks")
        for name, network in networks.items():
            must = "be a torch.nn.Module"
            checks.instance(f"networks[{name!r}]", network, nn.Module, must)
        return cls(
            code=tuple(int(number) for number in numbers),
            # converted, because NumPy numbers cannot be read again with ``weights_only``
            gflops=checks.number("gflops", gflops, low=0),
            metrics={
                name: float(checks.array(f"metrics[{name!r}]", value))
                for name, value in metrics.items()
            },
            states={
                name: {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}
                for name, net in networks.items()
            },
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the checkpoint to a file of tensors and plain values, atomically, with a checksum.

        ``torch.load`` can also read the file, but does not detect damage.

        Raises:
            ValueError: The path does not name a file in an existing folder.
            OSError: The disk is full, or the folder cannot be written to.
        """
        write_tensors(path, vars(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Read a file that ``save`` wrote; tensors are on the CPU, and no code in the file runs.

        Raises:
            ValueError: The file cannot be read, is damaged, or contains something else.
        """
        given = checks.path("path", path, "a file that Checkpoint.save wrote")
        try:
            values = read_tensors(given, [field.name for field in fields(cls)])
        except ValueError as error:
            raise _refusal(path, str(error)) from error
        return cls(**{**values, "code": tuple(values["code"])})

    def network(self, problem: TrainingProblem) -> nn.Module:
        """Return the trained network of a problem, in evaluation mode.

        Raises:
            ValueError: The checkpoint has no network for the problem, or the problem builds a
                different one.
        """
        must = "be a TrainingProblem of the study"
        checks.instance("problem", problem, TrainingProblem, must)
        if problem.name not in self.states:
            raise ValueError(f"problem {problem.name!r} is not among {tuple(self.states)}")
        network = problem.build(np.array(self.code))
        try:
            network.load_state_dict(self.states[problem.name])
        except RuntimeError as error:
            raise ValueError(
                f"problem={problem.name!r} builds another network than the checkpoint's; give "
                f"the problem on which it was trained ({checks.shown(str(error))})"
            ) from error
        return network.eval()


def _refusal(path: str | os.PathLike[str], why: str) -> ValueError:
    return ValueError(
        f"path={os.fspath(path)!r} {why}; it must be a file that Checkpoint.save wrote, so copy it "
        "again, or train the code again"
    )
