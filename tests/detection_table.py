"""Folders of tables: some rows of the published ones, and a made-up 3dDet, which is not shipped."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ncp_sampler.multi_resolution import costs

FILE = "trainval.pkl"


def write_detection_table(folder: Path, codes: NDArray[np.int64]) -> None:
    """Write ``3ddet/trainval.pkl`` of codes (n, 27); AP rises with FLOPs, and with noise."""
    flops, params = costs.flops(codes).numpy(), costs.params(codes).numpy()
    noise = np.random.default_rng(0).normal(0, 1, len(codes))
    moderate = 76 + 3 * np.log(flops) - 0.02 * codes[:, 26] + noise
    rows = [
        {
            "moderate": round(float(ap), 3),
            "flops": float(gflops),
            "params": float(millions),
            "embedding": [int(number) for number in code],
            "input_channel": [int(number) for number in code[:2]],
            "last_channel": int(code[26]),
        }
        for code, ap, gflops, millions in zip(codes, moderate, flops, params, strict=True)
    ]
    (folder / "3ddet").mkdir(parents=True)
    (folder / "3ddet" / FILE).write_bytes(pickle.dumps(rows))


def with_rows(root: Path, folder: Path, rows: slice) -> Path:
    """Return a folder of all tables of ``root``, with some of their rows."""
    for table in root.glob(f"*/{FILE}"):
        content = pickle.loads(table.read_bytes())
        (folder / table.parent.name).mkdir()
        (folder / table.parent.name / FILE).write_bytes(pickle.dumps(content[rows]))
    return folder


def with_detection(root: Path, folder: Path, codes: NDArray[np.int64]) -> Path:
    """Return a folder of all tables of ``root`` and of a made-up one of 3dDet."""
    for table in root.glob(f"*/{FILE}"):
        if table.parent.name != "3ddet":
            (folder / table.parent.name).symlink_to(table.parent, target_is_directory=True)
    write_detection_table(folder, codes)
    return folder
