"""Tables, surrogates and objectives: what they give, and what they refuse."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import optuna
import pytest

from benchmarks import fit_surrogates
from ncp_sampler import MRSpace, nas_bench
from ncp_sampler.multi_resolution import costs
from ncp_sampler.nas_bench import NASBenchMR
from ncp_sampler.nas_bench.features import features
from ncp_sampler.nas_bench.surrogates import rounds_of
from ncp_sampler.predictors import trees
from tests import preloaded

SPACE = MRSpace()
COSTS = {"flops": costs.flops(SPACE.start).item(), "params": costs.params(SPACE.start).item()}
SHIPPED = [setting.name for setting in nas_bench.SETTINGS if setting.name != "3ddet"]


def _row(**changes: Any) -> dict[str, Any]:
    row = {"mIoU": 70.0, "mAcc": 80.0, "aAcc": 90.0, **COSTS}
    return {**row, "embedding": SPACE.start.tolist(), **changes}


def _write(folder: Path, content: bytes) -> NASBenchMR:
    (folder / "seg").mkdir()
    (folder / "seg" / "trainval.pkl").write_bytes(content)
    return NASBenchMR(folder)


@pytest.mark.parametrize("setting", SHIPPED)
def test_reads_every_published_table(bench: NASBenchMR, setting: str) -> None:
    table = bench.table(setting)
    assert setting in bench.settings
    assert table.codes.shape == (2007, 27)
    assert next(iter(table.metrics)) == nas_bench.surrogate(setting).metrics[0]
    np.testing.assert_allclose(costs.flops(table.codes), table.flops, atol=5e-10)


def test_reads_nas_bench_201(bench: NASBenchMR) -> None:
    table = bench.table("nas-bench-201")
    assert table.codes.shape == (15625, 30)
    assert table.metrics["Acc"].max() == pytest.approx(47.333, abs=1e-3)


def test_queries_by_code_params_and_string(bench_root: Path) -> None:
    bench = NASBenchMR(bench_root.parent)  # the folder above `data` will do
    table = bench.table("seg")
    code = table.codes[5]
    expected = {name: column[5] for name, column in table.metrics.items()}
    expected |= {"flops": table.flops[5], "params": table.params[5]}
    for form in (code, SPACE.to_params(code), SPACE.to_string(code)):
        assert bench.query(form, setting="seg") == expected
    with pytest.raises(ValueError, match=r"not among the 2007 .*surrogate predicts any"):
        bench.query(SPACE.sample(1, 0)[0], setting="seg")
    nb201 = bench.table("nas-bench-201")
    assert bench.query(nb201.codes[0], setting="nas-bench-201")["Acc"] == nb201.metrics["Acc"][0]


def test_root_comes_from_the_environment(bench_root: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("NCP_BENCH_ROOT", str(bench_root))
    assert NASBenchMR().root == bench_root
    monkeypatch.delenv("NCP_BENCH_ROOT")
    with pytest.raises(ValueError, match=r"root is missing.*NCP_BENCH_ROOT"):
        NASBenchMR()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (SPACE.start[:5], r"code has shape \(5,\); one code of 'seg' has \(27,\)"),
        (np.full(27, np.nan), "not among the 1 architectures"),
        ([1e300] * 27, "not among the 1 architectures"),
        (["x"] * 27, "must be 27 numbers, params or a code string"),
        ("64_64", "not a code string"),
        ({"i1": 8}, "params do not fit"),
    ],
)
def test_queries_of_no_architecture_are_refused(code: Any, message: str, tmp_path: Path) -> None:
    bench = _write(tmp_path, pickle.dumps([_row()]))
    assert bench.query(SPACE.start, setting="seg")["mIoU"] == 70
    with pytest.raises(ValueError, match=message):
        bench.query(code, setting="seg")


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _write(tmp_path, pickle.dumps([_row()]))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"cannot read the table .*trainval.pkl: Permission"):
        bench.table("seg")


def test_3d_detection_is_read_where_a_user_has_it(tmp_path: Path) -> None:
    (tmp_path / "3ddet").mkdir()
    content = pickle.dumps([_row(moderate=76.0)])
    (tmp_path / "3ddet" / "trainval.pkl").write_bytes(content)
    assert NASBenchMR(tmp_path).query(SPACE.start, setting="3ddet") == {
        "moderate": 76.0,
        **COSTS,
    }


class _Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hacked",)


class _Eval:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('hacked', 'w')",)


class _Getattr:
    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, ("", "upper")


@pytest.mark.parametrize("attack", [_Command(), _Eval(), _Getattr(), np.array([_Command()])])
def test_a_malicious_pickle_runs_nothing(
    attack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = _write(tmp_path, pickle.dumps([_row(embedding=attack)]))
    with pytest.raises(ValueError, match="is not plain data"):
        bench.table("seg")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([_row()] * 50)[:200], "damaged or not a table"),
        (b"not a pickle", "damaged or not a table"),
        (pickle.dumps({"a": 1}), "list of dictionaries"),
        (pickle.dumps([{"mIoU": 1.0}]), "row 0 lacks"),
        (pickle.dumps([_row(embedding=[1, 2])]), "27 numbers each"),
        (pickle.dumps([_row(embedding=["x"] * 27)]), "values that are not numbers"),
        (pickle.dumps([_row(embedding=[9] * 27)]), "outside the search space"),
        (pickle.dumps([_row(embedding=[float("nan")] * 27)]), "outside the search space"),
        (pickle.dumps([_row(embedding=[10**400] * 27)]), "values that are not numbers"),
        (pickle.dumps([_row(mIoU=float("nan"))]), "'mIoU' is not one finite number"),
        (pickle.dumps([_row(mIoU=[70.0])]), "'mIoU' is not one finite number"),
        (pickle.dumps([_row(mIoU=170.0)]), "not a percentage"),
        (pickle.dumps([_row(flops=-1.0)]), "a cost is negative"),
    ],
)
def test_a_foreign_or_broken_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    bench = _write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        bench.table("seg")
    assert "trainval.pkl" in str(error.value)
    assert "upstream repository" in str(error.value)


def test_missing_files_and_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not contain SETTING/trainval.pkl"):
        NASBenchMR(tmp_path)
    bench = _write(tmp_path, pickle.dumps([_row()]))
    assert bench.settings == ("seg",)
    assert bench.table("SEG").main == "mIoU"
    with pytest.raises(ValueError, match=r"video.trainval.pkl is missing; .* contains \['seg'\]"):
        bench.table("video")
    with pytest.raises(ValueError, match="unknown setting 'segg'"):
        bench.table("segg")


@pytest.mark.parametrize("setting", SHIPPED)
def test_surrogates_know_their_tables_and_any_code(bench: NASBenchMR, setting: str) -> None:
    table = bench.table(setting)
    model = nas_bench.surrogate(setting)
    metric = model.metrics[0]
    fitted = model.predict(table.codes)[metric]
    truth = table.metrics[metric]
    assert np.corrcoef(fitted, truth)[0, 1] > 0.7  # it was fitted on these rows; Cls-C is noisy
    anywhere = model.predict(SPACE.sample(2000, 0))[metric]
    spread = np.ptp(truth)
    assert anywhere.min() > truth.min() - 0.1 * spread
    assert anywhere.max() < truth.max() + 0.1 * spread


def test_surrogates_refuse_what_they_do_not_know() -> None:
    model = nas_bench.surrogate("seg")
    code = SPACE.start
    with pytest.raises(ValueError, match="27 columns"):
        model.predict(code[:5])
    with pytest.raises(ValueError, match=r"codes has shape \(1, 1, 27\)"):
        model.predict(code[None, None])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.where(np.arange(27) == 3, np.nan, code))
    with pytest.raises(ValueError, match="i1=65 is invalid"):
        model.predict(np.where(np.arange(27) == 0, 65, code))
    with pytest.raises(ValueError, match="no metric"):
        model.predict(code, metrics=["top1"])
    with pytest.raises(ValueError, match="no surrogate is shipped for '3ddet'"):
        nas_bench.surrogate("3ddet")


def test_objective_optimizes_predictions_and_exact_costs() -> None:
    objective = nas_bench.objective("seg", metrics=("mIoU", "flops", "params"))
    assert objective.directions == ["maximize", "minimize", "minimize"]
    study = optuna.create_study(
        directions=list(objective.directions), sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=3)
    codes = SPACE.to_code([trial.params for trial in study.trials])
    values = np.array([trial.values for trial in study.trials])
    np.testing.assert_array_equal(values, objective.evaluate(codes))
    np.testing.assert_array_equal(values[:, 1], costs.flops(codes))
    np.testing.assert_array_equal(values[:, 0], nas_bench.surrogate("seg").predict(codes)["mIoU"])
    copy = pickle.loads(pickle.dumps(objective))
    np.testing.assert_array_equal(copy.evaluate(codes), values)


def test_missing_lightgbm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match="pip install lightgbm"):
        nas_bench.objective("seg")


def test_a_pickled_objective_works_in_a_new_process() -> None:
    objective = nas_bench.objective("seg")
    content = pickle.dumps(objective)
    assert len(content) < 10_000  # the fitted model is not in it
    program = (
        "import pickle, sys; objective = pickle.load(sys.stdin.buffer); "
        "print(objective.evaluate(objective.space.start)[0, 0])"
    )
    done = subprocess.run(
        [*preloaded.python(), "-c", program], input=content, capture_output=True, check=True
    )
    assert float(done.stdout) == objective.evaluate(SPACE.start)[0, 0]


def test_the_shipped_file_is_the_mean_of_its_boosters() -> None:
    codes = SPACE.sample(400, 0)
    x, y = features(codes), costs.params(codes).numpy()
    boosters = trees.fit_trees(x, y, rounds=20)
    merged = lightgbm.Booster(model_str=fit_surrogates.merge(boosters))
    assert merged.num_trees() == 20 * trees.BAGS
    expected = trees.predict_trees(boosters, x)
    np.testing.assert_allclose(trees.predict_trees([merged], x), expected, rtol=1e-4)


@pytest.mark.slow
def test_the_script_makes_the_shipped_models(bench: NASBenchMR) -> None:
    setting = "cls-10-1000"
    table = bench.table(setting)
    boosters = trees.fit_trees(features(table.codes), table.metrics["top1"], rounds_of(setting))
    codes = SPACE.sample(1000, 0)
    shipped = nas_bench.surrogate(setting).predict(codes)["top1"]
    expected = trees.predict_trees(boosters, features(codes))
    np.testing.assert_allclose(shipped, expected, atol=0.02)  # five digits a leaf


def test_objective_of_one_metric_is_a_number() -> None:
    objective = nas_bench.objective("cls-a")
    assert objective.metrics == ("top1",)
    value = objective(optuna.trial.FixedTrial(SPACE.to_params(SPACE.start)))
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("setting", "metrics", "message"),
    [
        ("seg", ["top1"], r"has no metric \['top1'\]; it has \('mIoU'"),
        ("seg", [], "must be some of"),
        ("seg", "mIoU", "metrics='mIoU' must be a sequence of names"),
        ("seg", ["mIoU", "mIoU"], "each once"),
        ("mars", None, "unknown setting 'mars'; the settings are"),
    ],
)
def test_objectives_that_do_not_exist_are_refused(setting: str, metrics: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nas_bench.objective(setting, metrics=metrics)
