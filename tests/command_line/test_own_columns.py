"""A table as a newcomer brings it: roles of columns, limits, costs, starts and several tasks."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncp_sampler.command_line.program import _parse, main
from ncp_sampler.command_line.search import _sources, _starts
from ncp_sampler.command_line.search_options import search_options
from ncp_sampler.command_line.search_targets import search_targets
from ncp_sampler.command_line.sources import SearchSource
from ncp_sampler.propagation.targets import Target

HEAD = ["arch_id", "w1", "w2", "d1", "kernel", "op", "top1", "gflops", "date"]
ROLES = "--metrics top1:max,gflops:min --id arch_id --ignore date"
OPS = {"conv": (1.0, 2.0), "mb": (0.5, 1.2), "sep": (0.3, 0.0)}  # factor of cost, gain in top-1


def gflops(params: dict[str, Any]) -> float:
    size = (params["w1"] ** 2 + params["w2"] ** 2 / 4) * params["d1"] * params["kernel"] ** 2
    return float(size * OPS[params["op"]][0] / 1e6)


def newcomer_table(folder: Path, n: int = 36, name: str = "runs.csv") -> Path:
    """Architectures of four numbers and a category, with an id and a date."""
    rng = np.random.default_rng(0)
    path = folder / name
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEAD)
        for i in range(n):
            widths, depth = 16 * rng.integers(1, 9, 2), rng.integers(1, 5)
            params: dict[str, Any] = {"w1": int(widths[0]), "w2": int(widths[1]), "d1": int(depth)}
            params |= {"kernel": int(rng.choice([3, 5, 7])), "op": str(rng.choice([*OPS]))}
            top1 = 70 + np.log2(widths).sum() + depth**0.5 + OPS[params["op"]][1]
            date = f"2024-01-{i // 2 + 1:02d}"
            rows.writerow(
                [f"arch_{i}", *params.values(), f"{top1:.2f}", f"{gflops(params):.4f}", date]
            )
    return path


def read(arguments: str) -> tuple[list[SearchSource], list[Target]]:
    """Sources and targets of a search, with nothing fitted."""
    given = _parse(["search", *arguments.split(), "--no-picture"])
    del given["command"]
    options = search_options(given)
    sources = _sources(options)
    return sources, search_targets(sources, options)


def facts(targets: Sequence[Target]) -> list[tuple[str, str, float, float | None]]:
    return [(t.metric, t.direction, t.weight, t.bound) for t in targets]


def test_one_command_gives_a_real_architecture_within_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = newcomer_table(tmp_path)
    options = ["--table", str(table), *ROLES.split(), "--bound", "gflops<=0.5", "--no-picture"]
    assert main(["search", *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    params = result["params"]
    assert list(params) == HEAD[1:6]
    assert params["w1"] in range(16, 129, 16)
    assert params["kernel"] in (3, 5, 7)
    assert params["op"] in OPS
    assert result["bounds_hold"]
    assert gflops(params) <= 0.5
    assert result["predicted"]["gflops"] == pytest.approx(gflops(params), rel=0.5)
    (best,) = result["best_rows"]
    assert best["id"] == f"arch_{best['row'] - 1}"
    assert best["metrics"]["gflops"] <= 0.5
    # the answer is a new architecture, or that row beside what to train next
    assert result["is_new"] == (result["measured_rows"] == [])
    assert result["is_new"] or len(result["next_trainings"]) > 0
    assert result["is_new"] or result["measured_rows"][0]["row"] == best["row"]
    assert (result["probability"] > 0) == result["is_new"]
    kinds = {column["column"]: column["kind"] for column in result["columns"]}
    assert (kinds["arch_id"], kinds["date"], kinds["op"]) == ("id", "left out", "categorical")


def test_columns_are_printed_before_anything_is_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise ValueError("learning begins")

    monkeypatch.setattr("ncp_sampler.command_line.search.SearchProblem", interrupted)
    options = ["--table", str(newcomer_table(tmp_path)), *ROLES.split(), "--bound", "gflops<=0.5"]
    assert main(["search", *options, "--no-picture"]) == 2
    output = capsys.readouterr()
    assert "learning begins" in output.err
    for part in (
        "16 to 128, steps of 16",
        "conv, mb, sep",
        "left out",
        "of 36 rows satisfy gflops<=0.5",
    ):
        assert part in output.out


def test_directions_limits_and_weights(tmp_path: Path) -> None:
    table = newcomer_table(tmp_path)
    sources, targets = read(
        f"--table {table} {ROLES} --lambda 0.2 --bound gflops<=0.5 --bound gflops>=0.1 "
        "--bound kernel<=5 --params w1,w2,d1,kernel,op --ignore date"
    )
    assert sources[0].logged == {"gflops"}
    assert facts(targets) == [
        ("top1", "maximize", 1.0, None),
        ("gflops", "minimize", 0.2, None),
        ("gflops", "minimize", 1.0, np.log(0.5)),
        ("gflops", "maximize", 1.0, np.log(0.1)),
        ("kernel", "minimize", 1.0, 5),
    ]


def test_a_bounded_column_that_no_option_names_is_measured(tmp_path: Path) -> None:
    table = newcomer_table(tmp_path)
    options = f"--table {table} --metrics top1 --id arch_id --ignore date"
    sources, targets = read(f"{options} --bound gflops<=0.5")
    assert "gflops" not in sources[0].records.space.names
    assert facts(targets)[1:] == [("gflops", "minimize", 1.0, np.log(0.5))]


def test_minimize_is_the_same_as_min(tmp_path: Path) -> None:
    table = f"--table {newcomer_table(tmp_path)} --id arch_id --ignore date"
    _, old = read(f"{table} --metrics top1,gflops --minimize gflops")
    _, new = read(f"{table} --metrics top1:max,gflops:min")
    _, twice = read(f"{table} --metrics top1 --metrics gflops:min")
    assert facts(old) == facts(new) == facts(twice)


def test_costs_of_a_function_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the table's column of that name."""
    monkeypatch.chdir(tmp_path)
    table = newcomer_table(tmp_path)
    here = "tests.command_line.test_own_columns:gflops"
    sources, targets = read(f"--table {table} {ROLES} --cost {here} --bound gflops<=0.5")
    assert [*sources[0].records.metrics] == ["top1"]
    assert facts(targets)[1:] == [
        ("gflops", "minimize", 0.5, None),
        ("gflops", "minimize", 1.0, 0.5),
    ]
    rows = sources[0].table
    codes = torch.as_tensor(rows.codes).requires_grad_(True)
    assert targets[1].cost is not None
    values = targets[1].cost(codes)
    expected = [gflops(params) for params in rows.space.to_params(rows.codes.tolist())]
    np.testing.assert_allclose(values.detach().numpy(), expected)
    values.sum().backward()
    w1 = rows.space.column_slice("w1").start
    next_width = rows.codes[0].copy()
    next_width[w1] += 16
    at_next = rows.space.round(next_width)
    if at_next[w1] > rows.codes[0, w1]:
        assert codes.grad is not None
        rise = gflops(rows.space.to_params(at_next)) - expected[0]
        assert codes.grad[0, w1].item() == pytest.approx(rise / 16)


def test_several_tables_are_tasks_of_one_architecture(tmp_path: Path) -> None:
    a, b = newcomer_table(tmp_path), newcomer_table(tmp_path, 20, "other.csv")
    b.write_text(b.read_text().replace("top1", "miou"))
    sources, targets = read(
        f"--table {a} --table {b} --metrics top1 --metrics miou --objective-weights 1,0.5 "
        "--id arch_id --ignore date --bound gflops<=0.5"
    )
    assert [source.name for source in sources] == ["runs.csv", "other.csv"]
    assert sources[0].records.space == sources[1].records.space
    assert [(t.metric, t.predictor, t.weight, t.bound) for t in targets] == [
        ("top1", 0, 1.0, None),
        ("miou", 1, 0.5, None),
        ("gflops", 0, 1.0, np.log(0.5)),
        ("gflops", 1, 1.0, np.log(0.5)),
    ]


def test_starts_by_name_or_by_params(tmp_path: Path) -> None:
    sources, _ = read(f"--table {newcomer_table(tmp_path)} {ROLES}")
    space = sources[0].records.space
    given = {"w1": 16, "w2": 32, "d1": 2, "kernel": 5, "op": "mb"}
    starts = ["arch_3", ", ".join(f"{name}={value}" for name, value in given.items())]
    codes = _starts(starts, sources, space)
    assert codes is not None
    np.testing.assert_array_equal(codes[0], sources[0].table.codes[3])
    assert space.to_params(codes[1].tolist()) == given
    assert _starts([], sources, space) is None


def test_spreadsheets_write_marks_line_ends_and_spaces(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, a space in a column's name, and empty rows."""
    table = newcomer_table(tmp_path)
    text = table.read_text().replace("w1,", "width 1,", 1).replace("\n", "\r\n")
    table.write_bytes(b"\xef\xbb\xbf" + text.encode() + b",,,,,,,,\r\n")
    sources, _ = read(f"--table {table} {ROLES}")
    assert sources[0].records.space.names == ("width 1", *HEAD[2:6])
    assert sources[0].table.ids is not None
    assert sources[0].table.ids == tuple(f"arch_{i}" for i in range(36))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--metrics top1:max,gflops:min", "Give --id 'arch_id' --ignore 'date' (for read_csv"),
        ("--metrics topl", "metrics=['topl'] must be columns of"),
        ("--metrics top1:up --params w1", "metrics=['top1:up'] must be columns of"),
        (f"{ROLES} --bound gflops<0.5", "must be NAME<=NUMBER or NAME>=NUMBER"),
        (f"{ROLES} --bound gflops=0.5", "must be NAME<=NUMBER or NAME>=NUMBER"),
        (f"{ROLES} --bound gflops<=50%", "must be NAME<=NUMBER or NAME>=NUMBER"),
        (f"{ROLES} --bound flops<=0.5", "--bound 'flops<=0.5' must name a column of"),
        (f"{ROLES} --bound date<=3", "'date' is left out by --ignore or --id; take it out there"),
        (
            "--metrics top1 --id arch_id --ignore date",
            "--bound 'gflops<=..' instead of --metrics sets only a limit",
        ),
        (f"{ROLES} --max-gflops 0.3", "of your own, give --bound 'gflops<=0.3'"),
        (f"{ROLES} --bound gflops<=0.0001", "is satisfied by no row; the nearest row has"),
        (f"{ROLES} --bound kernel<=5", "is 'kernel' measured, or a parameter? Name it"),
        ("--metrics top1 --params w1,op --bound op<=5", "'op' is a categorical, not a number"),
        ("--metrics top1 --params w1,op --bound w1<=8", "is satisfied by no row; the nearest row"),
        (f"{ROLES} --cost nowhere:gflops", "cannot be imported (ModuleNotFoundError"),
        (f"{ROLES} --cost gflops", "must be [NAME=]MODULE:FUNCTION"),
        (f"{ROLES} --cost ms=math:floor", "costs['ms'] raises TypeError"),
        (f"{ROLES} --cost price=tests.command_line.test_own_columns:gflops", "is not used; give"),
        (f"{ROLES} --start w1=16", "or NAME=VALUE,.. of all parameters ['w1', 'w2'"),
        (f"{ROLES} --start arch_99", "must be a name in the --id column"),
        (f"{ROLES} --front --start arch_3", "--start goes without --front"),
        (f"{ROLES} --weights 1,2", "--objective-weights is given 2 times for 1 tables"),
        ("--metrics one --params w1", "'one' is 3 in all rows"),
        (f"{ROLES} --lambda 0 --min-metric 71", "nothing is left to improve"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_anything_is_learnt(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    message: str,
) -> None:
    def learning(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be fitted")

    monkeypatch.setattr("ncp_sampler.command_line.search.SearchProblem", learning)
    table = newcomer_table(tmp_path, 12)
    if "metrics one" in arguments:
        table.write_text("w1,one\n16,3\n32,3\n")
    try:
        code: object = main(["search", "--table", str(table), *arguments.split()])
    except SystemExit as error:  # argparse's own
        code = error.code
    output = capsys.readouterr()
    assert (code, output.out) == (2, "")
    assert message in output.err
    assert output.err.count("\n") == 1


def answer_of(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["search", *options, "--no-picture", "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def sized_table(folder: Path) -> Path:
    """Depth and width; accuracy grows with both, and milliseconds with their product."""
    path = folder / "sizes.csv"
    rng = np.random.default_rng(0)
    rows = [(d, w) for d in range(1, 11) for w in (8, 16, 32, 64)]
    lines = [
        f"{d},{w},{70 + d + w / 10 + rng.normal(0, 0.1):.3f},{d * w * 1.37:.3f}" for d, w in rows
    ]
    path.write_text("\n".join(["d,w,acc,ms", *lines[::2], *lines[1::4]]))
    return path


def half_trained_table(folder: Path) -> Path:
    """Depth, width and milliseconds of 50 networks; the accuracy of the deep ones is missing."""
    path = folder / "half.csv"
    sizes = [(d, w) for d in range(1, 11) for w in (8, 16, 32, 64, 128)]
    lines = [f"{d},{w},{'' if d > 7 else 70 + d + w / 16},{d * w}" for d, w in sizes]
    path.write_text("\n".join(["d,w,acc,ms", *lines]))
    return path


def test_rows_without_the_optimized_metric_are_not_called_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = half_trained_table(tmp_path)
    options = ["--table", str(table), "--metrics", "acc", "--params", "d,w", "--ignore", "ms"]
    result = answer_of(capsys, *options, "--beta", "0.5")
    assert result["params"]["d"] > 7
    assert result["is_new"]
    assert result["measured_rows"] == []
    [row] = result["unmeasured_rows"]
    assert row["metrics"] == {"acc": None}
    assert main(["search", *options, "--beta", "0.5", "--no-picture"]) == 0
    text = capsys.readouterr().out
    found = f"row {row['row']} of half.csv: acc missing"
    assert f"this architecture is in the table, but not measured: {found}" in text
    assert "this architecture is measured" not in text
    assert main(["search", *options, "--n", "2", "--no-picture"]) == 0
    assert "of half.csv: acc missing)" in capsys.readouterr().out


def test_with_beta_0_a_limit_is_compared_with_a_predicted_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ["--table", str(half_trained_table(tmp_path)), "--metrics", "acc", "--params", "d,w"]
    options = [*table, "--bound", "ms>=900", "--beta", "0"]
    result = answer_of(capsys, *options)
    [limit] = result["limits"]
    assert result["is_new"]
    assert not limit["exact"]
    assert main(["search", *options, "--no-picture"]) == 0
    text = f"limit ms>=900: satisfied; the predicted value is {limit['mean']:.4g}"
    assert text in capsys.readouterr().out


def test_the_answer_of_a_part_of_the_rows_is_compared_with_this_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new code of the search may be measured in a row that the search did not learn from."""
    table = tmp_path / "all.csv"
    sizes = [(d, w) for d in range(1, 11) for w in (8, 16, 32, 64, 128)]
    table.write_text("\n".join(["d,w,acc", *(f"{d},{w},{70 + d + w / 16}" for d, w in sizes)]))
    options = ["--table", str(table), "--metrics", "acc", "--beta", "0.5", "--rows", "20"]
    options += ["--no-refit", "--seed", "3"]
    result = answer_of(capsys, *options)
    assert not result["is_best_row"]
    assert result["probability"] > 0
    assert len(result["measured_rows"]) == 1
    assert not result["is_new"]
    assert result["compared_rows"] == [{"source": "all.csv", "rows": 20, "of": 50}]
    assert main(["search", *options, "--no-picture"]) == 0
    text = capsys.readouterr().out
    assert "better than the best measured row among the 20 of 50 rows that were learned" in text
    assert "best measured within the limits among the 20 of 50 rows" in text
    assert "the answer is the best measured row" not in text


def test_an_improvement_of_a_logged_metric_is_in_its_own_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fewest milliseconds with at least 76 %: the row shown is the one that is compared with."""
    table = str(sized_table(tmp_path))
    options = ["--metrics", "acc,ms:min", "--min-metric", "76", "--params", "d,w"]
    result = answer_of(capsys, "--table", table, *options)
    (best,) = result["best_rows"]
    assert best["metrics"]["acc"] >= 76
    for answer in [result, *result["next_trainings"]]:
        gain = best["metrics"]["ms"] - answer["predicted"]["ms"]
        assert gain / 2 <= answer["expected_improvement"] <= best["metrics"]["ms"]
    assert any(
        answer["predicted"]["ms"] < best["metrics"]["ms"] for answer in result["next_trainings"]
    )


def test_an_infinite_cost_keeps_no_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep_costs.py").write_text(
        "def deep(p):\n    return float('inf') if p['d'] > 6 else float(p['d'])\n"
        "def never(p):\n    return float('inf')\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--table", str(sized_table(tmp_path)), "--metrics", "acc", "--params", "d,w"]
    options += ["--ignore", "ms"]
    result = answer_of(capsys, *options, "--cost", "deep_costs:deep", "--bound", "deep<=50")
    assert result["params"]["d"] <= 6
    refused = [*options, "--cost", "deep_costs:never", "--bound", "never<=50", "--no-picture"]
    assert main(["search", *refused]) == 2
    assert (
        "satisfied by no row; the nearest row has inf; relax the bound" in capsys.readouterr().err
    )
    shown = [*options[:2], "--metrics", "acc,never:min", *options[4:]]
    shown += ["--cost", "deep_costs:never"]
    result = answer_of(capsys, *shown)
    assert result["predicted"]["never"] == result["best_rows"][0]["metrics"]["never"] == "inf"
    assert main(["search", *shown, "--no-picture"]) == 0
    assert "exact: never inf" in capsys.readouterr().out


def test_a_bound_needs_no_other_option_where_all_parameters_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.csv"
    rows = [f"{d},{w},{70 + d + w},{d}" for d in range(1, 7) for w in range(1, 7)]
    path.write_text("\n".join(["d,w,acc,size", *rows]))
    result = answer_of(
        capsys, "--table", str(path), "--metrics", "acc", "--params", "d,w", "--bound", "size<=3"
    )
    assert result["params"] == {"d": 3, "w": 6}
    assert not result["is_new"]
    several = ["--metrics", "acc", "--params", "d,w", "--ignore", "size", "--n", "5"]
    left = answer_of(capsys, "--table", str(path), *several)
    assert left["answers"] == []
    assert any("only 0 of the 5 requested architectures" in note for note in left["notes"])
