"""What a study keeps of a code: its trained networks, one for each problem, in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ncp_sampler import checks
from ncp_sampler.training.problem import TrainingProblem


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The trained networks of one code, one for each problem of the study.

    Attributes:
        code: 27 integers.
        gflops: Multiply-adds of all its networks together, in G.
        metrics: Problem's name -> validation metric, in percent.
        states: Problem's name -> ``state_dict`` of its network, on the CPU.
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
        """The checkpoint of trained networks, by problem's name; its tensors are copies.

        Raises:
            ValueError: An argument of another type, or a cost below 0.
        """
        checks.instance("metrics", metrics, Mapping, "map problems' names to metrics")
        checks.instance("networks", networks, Mapping, "map problems' names to networks")
        return cls(
            code=tuple(int(number) for number in np.asarray(code)),
            # NumPy's numbers would be written, but not read again with ``weights_only``
            gflops=checks.real("gflops", gflops, low=0),
            metrics={name: float(value) for name, value in metrics.items()},
            states={
                name: {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}
                for name, net in networks.items()
            },
        )

    def save(self, path: Path) -> None:
        """Writes a file of tensors and plain values."""
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Reads what ``save`` wrote; ``weights_only``, so that a foreign file runs no code.

        Raises:
            ValueError: The file holds something else.
        """
        checks.path("path", path, "a file that Checkpoint.save wrote")
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise  # a missing file says so itself
        except Exception:  # a foreign file can raise nearly anything
            kept = None
        if not isinstance(kept, dict) or set(kept) != {field.name for field in fields(cls)}:
            raise checks.refusal("path", str(path), "be a file that Checkpoint.save wrote")
        return cls(
            code=tuple(kept["code"]),
            gflops=kept["gflops"],
            metrics=kept["metrics"],
            states=kept["states"],
        )

    def network(self, problem: TrainingProblem) -> nn.Module:
        """The trained network of a problem, in evaluation mode.

        Raises:
            ValueError: The checkpoint has none of that name.
        """
        must = "be a TrainingProblem of the study"
        checks.instance("problem", problem, TrainingProblem, must)
        if problem.name not in self.states:
            raise ValueError(f"problem {problem.name!r} is not among {tuple(self.states)}")
        network = problem.build(np.array(self.code))
        network.load_state_dict(self.states[problem.name])
        return network.eval()
