"""Fitted models of NAS-Bench-MR, shipped with the package: the metrics of any code, at once.

A surrogate's value is a prediction, learned from 2,007 trained architectures; nothing was
trained to get it. It never leaves the range of the trained values by much, and it is a step
function: neighboring codes may share a value. `benchmarks/results/surrogates.md` has the
cross-validated errors.

One file per setting and metric, `data/SETTING.METRIC.txt.xz`: LightGBM's own text format,
compressed. The models see `features.features`, not the bare code.
"""

from __future__ import annotations

import functools
import lzma
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncp_sampler import checks
from ncp_sampler.multi_resolution.space import MRSpace
from ncp_sampler.nas_bench.features import features, legal_codes
from ncp_sampler.nas_bench.settings import SETTINGS, Setting, find_setting
from ncp_sampler.predictors.trees import import_lightgbm, predict_trees

if TYPE_CHECKING:
    from lightgbm import Booster

FloatArray = NDArray[np.float64]

# trees of each booster; settings whose training is noisy overfit earlier
_ROUNDS = {"cls-10-1000": 200, "video": 400, "video-p": 400}
_DEFAULT_ROUNDS = 600

_DATA = resources.files("ncp_sampler.nas_bench") / "data"

# 3dDet's table is public, too; its surrogate is there once `benchmarks.fit_surrogates` was given it
SHIPPED: tuple[str, ...] = tuple(
    s.name for s in SETTINGS if s.name != "3ddet" or (_DATA / f"{s.name}.{s.main}.txt.xz").is_file()
)


class Surrogate:
    """The fitted model of one setting; use `surrogate` to get it.

    Attributes:
        setting: Name of the setting, as the tables' folder.
        metrics: Names of the metrics that it predicts, the main one first.
        space: The space of its codes.

    Examples:
        >>> from ncp_sampler import MRSpace, nas_bench
        >>> model = nas_bench.surrogate("seg")
        >>> model.predict(MRSpace().start, metrics=["mIoU"])["mIoU"].shape
        (1,)
    """

    def __init__(self, setting: Setting) -> None:
        checks.instance("setting", setting, Setting, "be a Setting; surrogate(name) takes names")
        self.setting = setting.name
        self.metrics = setting.metrics
        self.space = MRSpace()

    def __repr__(self) -> str:
        return f"Surrogate({self.setting!r}, metrics={self.metrics})"

    def predict(
        self, codes: ArrayLike, *, metrics: Sequence[str] | None = None
    ) -> dict[str, FloatArray]:
        """Predicted metrics in percent.

        Args:
            codes: Legal codes, shape (n, 27); one code of shape (27,) counts as n = 1.
            metrics: Those to predict; all by default.

        Returns:
            Metric name -> array of shape (n,).

        Raises:
            ValueError: A code of another length, with a NaN or an illegal number; an unknown
                metric; or a shipped file that is missing or damaged.
            ImportError: LightGBM is not installed.
        """
        wanted = self.metrics if metrics is None else checks.texts("metrics", metrics)
        unknown = [name for name in wanted if name not in self.metrics]
        if unknown:
            raise ValueError(f"{self.setting} has no metric {unknown}; it has {self.metrics}")
        numbers = legal_codes(codes)
        if not len(numbers):
            return {name: np.zeros(0) for name in wanted}
        x = features(numbers)
        return {name: predict_trees([_booster(self.setting, name)], x) for name in wanted}


def surrogate(setting: str) -> Surrogate:
    """Fitted model of a setting, by folder name or short name (``"seg"``, ``"cls-a"``, ...).

    Raises:
        ValueError: No such setting, or one without a shipped surrogate (``"3ddet"``).
        ImportError: LightGBM is not installed.
    """
    found = find_setting(setting)
    if found.name not in SHIPPED:
        raise ValueError(
            f"no surrogate is shipped for {setting!r}; those shipped are {list(SHIPPED)}. A search "
            "learns from its table, where root has it"
        )
    import_lightgbm()
    return Surrogate(found)


def rounds_of(setting: str) -> int:
    """Trees of each booster of a setting's surrogates, and of its judges."""
    return _ROUNDS.get(setting, _DEFAULT_ROUNDS)


@functools.cache
def _booster(setting: str, metric: str) -> Booster:
    path = _DATA / f"{setting}.{metric}.txt.xz"
    lightgbm = import_lightgbm()
    try:
        text = lzma.decompress(path.read_bytes(), lzma.FORMAT_XZ).decode()  # checks its CRC
        booster: Booster = lightgbm.Booster(model_str=text)
    except (
        OSError,
        EOFError,
        UnicodeDecodeError,
        lzma.LZMAError,
        lightgbm.basic.LightGBMError,
    ) as e:
        raise ValueError(
            f"the shipped surrogate {path} is missing or damaged ({e}); install ncp-sampler anew"
        ) from e
    return booster
