"""What is predicted around a proposal, for its reasons: all of it from one batch of codes.

Rows of a batch do not depend on one another, so that one gradient of a sum has those of all rows.

Notation
    d, m, c, k   columns of a code, objectives, constraints, codes one step away
    gains        integrated gradients of the objectives (Sundararajan et al. 2017, equation 1)
                 along the line from the start to the proposal
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ncp_sampler.optimizer.acquisition import Acquisition
from ncp_sampler.predictors.predictor import FloatArray

_STEPS = 16  # of the line from the start to the proposal


@dataclass(frozen=True)
class View:
    """What is predicted of the proposal, of its start, and of codes one step away.

    Attributes:
        unit: Of the proposal, (d,).
        values: Scaled objectives of the proposal and of the start, (2, m).
        margins: Likewise of the constraints, (2, c).
        worth: The acquisition at the proposal and one step away, (1 + k,).
        rising: Its gradient at the proposal, (d,).
        gains: Integrated gradients of the scaled objectives from start to proposal, (m, d).
    """

    unit: FloatArray
    values: FloatArray
    margins: FloatArray
    worth: FloatArray
    rising: FloatArray
    gains: FloatArray

    @classmethod
    def of(cls, acquisition: Acquisition, unit: FloatArray) -> View:
        """What is to be seen of unit codes (2 + k, d): proposal, start, codes one step away."""
        x = torch.as_tensor(unit, device=acquisition.device)
        share = (torch.arange(_STEPS, device=x.device) + 0.5) / _STEPS
        way = x[0] - x[1]
        points = torch.cat([x, x[1] + share[:, None] * way]).requires_grad_(True)
        outlook = acquisition.outlook
        mean, std = outlook.predictor.posterior(points)
        values, spread = outlook.objectives(mean, std, points)
        worth = acquisition.worth(mean, std, (values, spread), points)
        margins, _ = outlook.margins(mean, std)
        sums = [worth[0], *values[len(x) :].sum(0)]
        if len(sums) > 1:
            sums[:2] = [sums[0] + sums[1]]
        slopes = [torch.autograd.grad(one, points, retain_graph=True)[0] for one in sums]
        gains = [(way * slope[len(x) :].mean(0)).nan_to_num() for slope in slopes]
        seen = (
            x[0], values[:2], margins[:2],
            torch.cat([worth[:1], worth[2 : len(x)]]), slopes[0][0],
            torch.stack(gains)[: values.shape[1]],
        )  # fmt: skip
        return cls(*(one.detach().double().cpu().numpy() for one in seen))
