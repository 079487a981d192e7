"""3dDet: its table is public, but not shipped; all that takes a setting takes it where it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_surrogates import tables_to_fit
from ncp_sampler import MRSpace
from ncp_sampler.command_line.program import main
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench import SETTINGS, HeldOutEvaluator, NASBenchMR, halves
from tests.detection_table import with_detection, with_rows, write_detection_table

CODES = MRSpace().sample(120, 0).astype(np.int64)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_detection_table(tmp_path, CODES)
    return tmp_path


def test_the_table_has_its_metric_and_costs(root: Path) -> None:
    bench = NASBenchMR(root)
    assert bench.settings == ("3ddet",)
    table = bench.table("3ddet")
    assert table.main == "moderate"
    np.testing.assert_allclose(table.flops, costs.flops(CODES).numpy())
    searched, evaluated = halves(len(CODES), 0)
    evaluator = HeldOutEvaluator(table, evaluated)
    assert evaluator.errors["mean"] < table.metrics["moderate"][searched].std()


def test_the_command_searches_it(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)  # the picture is written there
    options = [
        "--setting",
        "3ddet",
        "--root",
        str(root),
        "--max-gflops",
        "1",
        "--no-refit",
        "--json",
    ]
    assert main(["search", *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "moderate" in json.dumps(answer)


def test_surrogates_are_fitted_to_every_table_given(bench_root: Path, tmp_path: Path) -> None:
    (tmp_path / "eight").mkdir()
    eight = with_rows(bench_root, tmp_path / "eight", slice(20))
    nine = NASBenchMR(with_detection(eight, tmp_path, CODES))
    names = [setting.name for setting in SETTINGS]
    assert [table.setting for table in tables_to_fit(nine)] == names
    assert [table.setting for table in tables_to_fit(NASBenchMR(eight))] == [
        name for name in names if name != "3ddet"
    ]
