"""The command line: each kind of source, what it prints, and its errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncp_sampler.command_line.program import _parse, main
from ncp_sampler.command_line.search_options import search_options
from ncp_sampler.command_line.sources import SearchSource, setting_records
from ncp_sampler.command_line.tables import MIN_SPLIT_ROWS, table_records
from ncp_sampler.multi_resolution import costs
from tests.search_examples import SPACE, truth


@pytest.fixture(autouse=True)
def _no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NCP_BENCH_ROOT", raising=False)


def own_table(folder: Path, n: int) -> str:
    """Accuracy grows with depth, milliseconds with depth and width."""
    rng = np.random.default_rng(0)
    rows = [
        [*code, f"{70 + 3 * np.log2(code[0]):.3f}", f"{code[0] * code[1] / 8:.3f}"]
        for code in zip(rng.integers(1, 9, n), 8 * rng.integers(1, 5, n), strict=True)
    ]
    path = folder / "runs.csv"
    lines = [["depth", "width", "accuracy", "ms"], *rows]
    path.write_text("\n".join(",".join(map(str, line)) for line in lines))
    return str(path)


def mr_table(folder: Path, n: int) -> str:
    """Codes of MRSpace, their columns in any order, and one column that is none of them."""
    names = ["note", *reversed(SPACE.names), "accuracy"]
    lines = [",".join(names)]
    codes = SPACE.sample(n, 0)
    for code, accuracy in zip(codes, truth(codes.astype(np.float64), 0.7), strict=True):
        params = SPACE.to_params(code)
        numbers = [str(params[name]) for name in reversed(SPACE.names)]
        lines.append(",".join(["mine", *numbers, f"{accuracy:.4f}"]))
    path = folder / "codes.csv"
    path.write_text("\n".join(lines))
    return str(path)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["search", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def read(*arguments: str) -> SearchSource:
    """The source of a search, with nothing fitted."""
    given = _parse(["search", *arguments, "--no-picture"])
    del given["command"]
    return table_records(search_options(given))[0]


def test_own_table_is_evaluated_on_its_other_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, picture = own_table(tmp_path, MIN_SPLIT_ROWS), tmp_path / "search.svg"
    options = ["--metrics", "accuracy,ms", "--minimize", "ms", "--lambda", "0.1"]
    result = answer(capsys, "--table", path, *options, "--picture", str(picture))
    assert result["params"]["depth"] > 4
    assert result["params"]["width"] == 8
    accuracy, ms = result["metrics"]
    assert (accuracy["metric"], ms["metric"]) == ("accuracy", "ms")
    truth = 70 + 3 * np.log2(result["params"]["depth"])
    assert abs(accuracy["held_out_score"] - truth) < 2
    assert 0 < accuracy["evaluator_error"] < 2
    assert "learned from 20 of 40 rows" in result["notes"][0]
    assert result["picture"] == str(picture)
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize("strategy", [["continuous"], ["winner_takes_all", "--no-refit"]])
def test_table_with_the_27_columns_has_codes_of_mr_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], strategy: list[str]
) -> None:
    options = ["--metrics", "accuracy", "--max-gflops", "0.8", "--strategy", *strategy]
    result = answer(capsys, "--table", mr_table(tmp_path, 60), *options, "--no-picture")
    assert list(result["params"]) == list(SPACE.names)
    code = SPACE.from_string(result["code"])
    assert SPACE.to_params(code) == result["params"]
    assert result["costs"]["gflops"] == pytest.approx(costs.flops(code).item())
    assert result["bounds_hold"] == (result["costs"]["gflops"] <= 0.8)
    assert "learned from 30 of 60 rows" in result["notes"][0]


def test_table_in_which_one_of_the_27_columns_is_a_metric(tmp_path: Path) -> None:
    """The other columns are no code of MRSpace, so that the space is inferred from the values."""
    source = read("--table", mr_table(tmp_path, 10), "--metrics", "accuracy,i1")
    names = ["note", *(name for name in reversed(SPACE.names) if name != "i1")]
    assert list(source.records.space.names) == names


def test_a_small_table_has_no_evaluator_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_table(tmp_path, MIN_SPLIT_ROWS - 1)
    options = ["--metrics", "accuracy", "--ignore", "ms", "--no-picture"]
    assert main(["search", "--table", path, *options]) == 0
    text = capsys.readouterr().out
    assert "the figures are the search's own predictions" in text
    assert "too few for a held-out evaluator" in text
    assert "depth" in text
    assert "picture" not in text


def test_without_tables_surrogates_stand_in_and_it_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = ["--setting", "seg", "--setting", "cls-a", "--rows", "60", "--max-gflops", "1"]
    result = answer(capsys, *both, "--no-picture")
    code = SPACE.from_string(result["code"])
    assert SPACE.to_params(code) == result["params"]
    assert result["costs"]["gflops"] == pytest.approx(costs.flops(code).item())
    assert result["costs"]["gflops"] <= 1
    assert result["bounds_hold"]
    assert result["picture"] is None
    assert [row["source"] for row in result["metrics"]] == ["seg", "cls-50-1000"]
    assert [row["evaluator_error"] for row in result["metrics"]] == [None, None]
    assert all(note.startswith("no tables: ") for note in result["notes"])


def test_published_table_prints_architecture_score_and_costs(
    bench_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(tmp_path / "trace.png")
    source = ["--setting", "seg", "--root", str(bench_root), "--rows", "60"]
    assert main(["search", *source, "--min-metric", "99", "--picture", picture]) == 0
    text = capsys.readouterr().out
    for part in (
        "learned from 60 of 2007 trained architectures",
        "no architecture is predicted to satisfy the limits",
        "stage 4",
        "evaluator's error",
        "G multiply-adds",
        picture,
    ):
        assert part in text
    assert Path(picture).stat().st_size > 10_000


def test_the_answer_is_learned_from_all_rows_after_its_evaluation(
    bench_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search of rows that the held-out evaluator has seen, too, would be flattered by it."""
    source = ["--setting", "seg", "--root", str(bench_root), "--rows", "80", "--no-picture"]
    refit = answer(capsys, *source, "--max-gflops", "2")
    half = answer(capsys, *source, "--max-gflops", "2", "--no-refit")
    assert refit["metrics"][0]["held_out_score"] == half["metrics"][0]["held_out_score"]
    assert "learned from all 80 rows" in refit["notes"][1]
    assert len(half["notes"]) == 1
    assert refit["code"] != half["code"]
    assert refit["costs"]["gflops"] <= 2
    assert refit["metrics"][0]["noise"] > 0
    assert len(refit["answers"]) == 1
    assert refit["answers"][0]["params"] == refit["params"]


def test_repeated_measurements_of_the_best_row_are_shown_with_their_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(width, 70 + width) for width in range(1, 13)] + [(12, 84)]
    path = tmp_path / "twice.csv"
    path.write_text("\n".join(["width,accuracy", *(f"{w},{a}" for w, a in rows)]))
    arguments = ["--table", str(path), "--metrics", "accuracy", "--params", "width", "--no-picture"]
    [best] = answer(capsys, *arguments)["best_rows"]
    assert best["rows"] == [12, 13]
    assert best["metrics"] == {"accuracy": 83.0}
    assert main(["search", *arguments]) == 0
    assert "rows 12, 13 of twice.csv, on average: accuracy 83" in capsys.readouterr().out


def test_several_answers_and_fronts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ["--table", mr_table(tmp_path, 39), "--metrics", "accuracy", "--no-picture"]
    answers = answer(capsys, *table, "--max-gflops", "2", "--n", "3")["answers"]
    codes = [SPACE.from_string(each["code"]) for each in answers]
    assert len(codes) == 3
    for i, code in enumerate(codes):
        assert all((code != earlier).sum() >= 5 for earlier in codes[:i])
    front = answer(capsys, *table, "--front", "--n", "4")
    sizes = [each["costs"]["gflops"] for each in front["answers"]]
    assert sizes == sorted(sizes)
    assert front["code"] in [each["code"] for each in front["answers"]]
    assert main(["search", *table, "--front", "--n", "3"]) == 0
    assert "answers" in capsys.readouterr().out


def test_the_old_name_of_beta_warns() -> None:
    with pytest.warns(FutureWarning, match="--caution is deprecated .* use --beta"):
        given = _parse(["search", "--setting", "seg", "--caution", "2"])
    assert given["beta"] == 2
    assert "caution" not in given
    assert _parse(["search", "--setting", "seg"])["beta"] == 3


@pytest.mark.slow
def test_beta_is_chosen_where_the_rows_suffice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ["--metrics", "accuracy", "--no-picture", "--beta", "auto"]
    result = answer(capsys, "--table", mr_table(tmp_path, 84), *table)
    assert f"beta {result['beta']:g} by cross-validation" in result["notes"][1]
    few = answer(capsys, "--table", mr_table(tmp_path, 30), *table)
    assert "too few rows to choose it" in few["notes"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("search", "--setting --table is required"),
        ("search --setting seg --lambda -1", "--lambda: -1 must be at least 0"),
        ("search --setting seg --beta abc", "--beta: 'abc' must be auto, or a number of at least"),
        ("search --setting seg --beta -1", "--beta: -1 must be at least 0"),
        ("search --setting seg --rows 1", "--rows: 1 must be at least 2"),
        ("search --setting seg --strategy greedy", "--strategy: invalid choice"),
        ("search --setting seg --table TABLE", "not allowed with argument --setting"),
        ("search --setting foo", "unknown setting 'foo'"),
        ("search --setting 3ddet", "no surrogate is shipped"),
        ("search --setting seg --setting seg", "more than once"),
        ("search --setting seg --root /nowhere", "does not contain SETTING/trainval.pkl"),
        ("search --setting seg --metrics top1", "go with --table"),
        ("search --setting seg --picture a.txt", "must end in one of"),
        ("search --setting seg --picture /nowhere/a.png", "in a folder that does not exist"),
        ("search --setting seg --rows 4 --min-metric 70 --lambda 0", "nothing is left to improve"),
        ("search --setting seg --rows 4 --min-metric 7 --min-metric 8", "2 times for 1 settings"),
        ("search --setting seg --rows 4 --front --lambda 0", "--front needs two targets without"),
        (
            "search --table TABLE --metrics accuracy --ignore ms --front",
            "such as --metrics accuracy,ms:min",
        ),
        ("search --table TABLE", "--metrics is missing"),
        ("search --table TABLE --metrics top1", "must be columns"),
        ("search --table TABLE --metrics ms --minimize depth", "must be among metrics"),
        ("search --table TABLE --metrics ms,accuracy --max-gflops 1", "27 columns of MRSpace"),
        ("search --table /nowhere.csv --metrics ms", "cannot be read"),
        ("search --table TABLE --metrics ms --rows 0", "--rows: 0 must be at least 2"),
        ("search --table TABLE --metrics ms --seed -1", "--seed: -1 must be at least 0"),
        (
            "search --table TABLE --table TABLE --table TABLE --metrics ms --metrics ms",
            "--metrics is given 2 times for 3 tables",
        ),
    ],
)
def test_errors_are_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    path = own_table(tmp_path, 10)
    try:
        code: object = main([path if word == "TABLE" else word for word in arguments.split()])
    except SystemExit as error:  # argparse's own
        code = error.code
    output = capsys.readouterr()
    assert code == 2
    assert output.out == ""
    assert message in output.err
    assert output.err.count("\n") == 1


def test_help_names_every_option_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["search", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for part in ("--beta", "--max-gflops", "NCP_BENCH_ROOT", "--table runs.csv", "cls-a"):
        assert part in text


def test_rows_limits_what_is_learnt(tmp_path: Path) -> None:
    options = ["--metrics", "accuracy", "--ignore", "ms", "--rows", "4", "--seed", "1"]
    source = read("--table", own_table(tmp_path, 10), *options)
    assert (len(source.records), source.main, source.evaluator) == (4, "accuracy", None)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: setting_records("seg"), "settings='seg' must be a sequence of names"),
        (lambda: setting_records([]), r"settings=\[\] must name one or more"),
        (lambda: setting_records(["seg"], rows=0), "rows=0 must be at least 1"),
        (lambda: setting_records(["seg"], seed=-1), "seed=-1 must be at least 0"),
    ],
)
def test_bad_argument(read: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read()
