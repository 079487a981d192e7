"""Cell of NAS-Bench-201 (Dong & Yang 2020) as six categoricals; its code has 30 one-hot columns.

A cell has four nodes; node 0 is the input and node 3 is the output. Edge ``e3_1`` leads from node 1
to node 3. The edges are in the order of the benchmark's architecture strings:

    |e1_0~0|+|e2_0~0|e2_1~1|+|e3_0~0|e3_1~1|e3_2~2|

The meaning of the 30 columns was inferred from the table of NAS-Bench-MR (15,625 rows):

- In 15,475 rows, FLOPs are 7.79 M + 35.39 M per edge with the fifth operator + 3.93 M per edge
  with the fourth. Therefore, these operators are the 3x3 and the 1x1 convolution. The other 150
  rows differ from this formula by one such operator.
- The second operator is ``none``. With ``none`` on all edges, accuracy is at chance level, 1/120 =
  0.83 %. The same holds for rows in which every path from node 0 to node 3 contains ``none``. This
  determines the order of the edges, up to the cell's mirror image.
- The third operator is ``skip_connect``, and the first is ``avg_pool_3x3``. A single 3x3
  convolution on ``e3_1`` behind the third operator on ``e1_0`` gives an accuracy of 39.4 %, like
  one directly on ``e3_0`` (39.6 %); behind the first operator, it gives 17.6 %. ``skip_connect`` on
  all edges gives 16.7 % (16.3 % is reported for DARTS, whose search ends at that cell).
- The mirror image (e1_0 swapped with e3_2, and e2_0 with e3_1) has the same paths, so the table
  cannot distinguish the two. The benchmark's own order is used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler.space.dimensions import Categorical
from ncp_sampler.space.search_space import SearchSpace

# The benchmark's names of the operators, in the order of the table's columns
OPERATORS = ("avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
N_NODES = 4


class NB201Space(SearchSpace):
    """Space of six categorical edges with five operators each: the 15,625 cells of the table.

    Examples:
        >>> space = NB201Space()
        >>> cell = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
        >>> code = space.from_string(cell)
        >>> code.shape, int(code.sum())
        ((30,), 6)
        >>> space.to_string(code) == cell
        True
    """

    def __init__(self) -> None:
        super().__init__(
            [
                Categorical(f"e{node}_{source}", OPERATORS)
                for node in range(1, N_NODES)
                for source in range(node)
            ],
            units={"Acc": "%", "flops": "M", "params": "M"},
        )

    def to_string(self, code: ArrayLike) -> str:
        """Return the benchmark's architecture string of one code.

        Raises:
            ValueError: The code has the wrong length or an invalid number.
        """
        params = self.to_params(np.asarray(code).reshape(-1))
        nodes = [
            "".join(f"|{params[f'e{node}_{source}']}~{source}" for source in range(node)) + "|"
            for node in range(1, N_NODES)
        ]
        return "+".join(nodes)

    def from_string(self, text: str) -> NDArray[np.int64]:
        """Return the code (30,) of an architecture string.

        Raises:
            ValueError: The string has the wrong form or an unknown operator.
        """
        operators = [part.split("~")[0] for part in str(text).split("|") if "~" in part]
        if len(operators) == len(self.names):
            code = self.to_code(dict(zip(self.names, operators, strict=True)))
            if self.to_string(code) == text:
                return code
        example = self.to_string(self.round(np.zeros(len(self.columns))))
        raise ValueError(
            f"text={text!r} is not an architecture string; it must look like {example}"
        )
