"""Surrogates: models of NAS-Bench-MR, shipped with the package, that predict the metrics of codes.

Each surrogate was fitted to 2,007 trained architectures. Its predictions hardly leave the range of
the measured values. A surrogate is a step function, so neighboring codes may have equal values.
`benchmarks/results/surrogates.md` lists the cross-validated errors.

There is one file per setting and metric, `data/SETTING.METRIC.txt.xz`, in LightGBM's text format,
compressed with xz. The inputs of the models are `features.features`, not codes.
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
from ncp_sampler.nas_bench.features import features, valid_codes
from ncp_sampler.nas_bench.settings import SETTINGS, Setting, find_setting
from ncp_sampler.predictors.trees import import_lightgbm, predict_trees

if TYPE_CHECKING:
    from lightgbm import Booster

FloatArray = NDArray[np.float64]

# Number of boosting rounds; models of settings with noisy training overfit earlier
_ROUNDS = {"cls-10-1000": 200, "video": 400, "video-p": 400}
_DEFAULT_ROUNDS = 600

_DATA = resources.files("ncp_sampler.nas_bench") / "data"

# 3dDet is shipped only if a user has fitted its surrogate to the public table, by
# `benchmarks.fit_surrogates`
SHIPPED: tuple[str, ...] = tuple(
    s.name for s in SETTINGS if s.name != "3ddet" or (_DATA / f"{s.name}.{s.main}.txt.xz").is_file()
)


class Surrogate:
    """Model that predicts the metrics of one setting; ``surrogate`` returns it.

    Attributes:
        setting: Folder name of the setting.
        metrics: Names of the predicted metrics, with the main metric first.
        space: Search space of the codes.

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
        """Return predicted metrics in percent.

        Args:
            codes: Valid codes (n, 27), or one code (27,), for which n is 1.
            metrics: Metrics to predict; None for all.

        Returns:
            Name of each metric -> array (n,).

        Raises:
            ValueError: If a code has the wrong length, a NaN or an invalid number, a metric is
                unknown, or a shipped file is missing or damaged.
            ImportError: If LightGBM is not installed.
        """
        wanted = self.metrics if metrics is None else checks.texts("metrics", metrics)
        unknown = [name for name in wanted if name not in self.metrics]
        if unknown:
            raise ValueError(f"{self.setting} has no metric {unknown}; it has {self.metrics}")
        numbers = valid_codes(codes)
        if not len(numbers):
            return {name: np.zeros(0) for name in wanted}
        x = features(numbers)
        return {name: predict_trees([_booster(self.setting, name)], x) for name in wanted}


def surrogate(setting: str) -> Surrogate:
    """Return the surrogate of a setting, given its folder name or short name (``"cls-a"``).

    Raises:
        ValueError: If there is no such setting, or if it has no surrogate (``"3ddet"``).
        ImportError: If LightGBM is not installed.
    """
    known = find_setting(setting)
    if known.name not in SHIPPED:
        raise ValueError(
            f"no surrogate is shipped for {setting!r}; those shipped are {list(SHIPPED)}. A search "
            "can use the table of the setting if root has it"
        )
    import_lightgbm()
    return Surrogate(known)


def rounds_of(setting: str) -> int:
    """Return the number of boosting rounds for the surrogates and evaluators of a setting."""
    return _ROUNDS.get(setting, _DEFAULT_ROUNDS)


@functools.cache
def _booster(setting: str, metric: str) -> Booster:
    path = _DATA / f"{setting}.{metric}.txt.xz"
    lightgbm = import_lightgbm()
    try:
        text = lzma.decompress(path.read_bytes(), lzma.FORMAT_XZ).decode()  # also checks the CRC
        booster: Booster = lightgbm.Booster(model_str=text)
    except (
        OSError,
        EOFError,
        UnicodeDecodeError,
        lzma.LZMAError,
        lightgbm.basic.LightGBMError,
    ) as e:
        raise ValueError(
            f"the shipped surrogate {path} is missing or damaged ({e}); reinstall ncp_sampler"
        ) from e
    return booster
