"""The made-up network of ``benchmarks.conditions``, and its table."""

from __future__ import annotations

import pytest

from benchmarks import conditions
from benchmarks.conditions import LIMIT, SPACE, accuracy, best_so_far, flops, main


def test_the_optimum_is_at_the_limit() -> None:
    best = {"n_layers": 4, "w0": 114, "w1": 107, "w2": 87, "w3": 153}
    assert 0 <= LIMIT - flops(best) < 10
    near = [SPACE.to_params(code) for code in SPACE.neighbors(SPACE.to_code(best))]
    allowed = [params for params in near if flops(params) <= LIMIT]
    assert max(map(accuracy, allowed)) < accuracy(best) == pytest.approx(92.377, abs=1e-3)
    over = [params for params in near if flops(params) > LIMIT]
    assert max(map(accuracy, over)) > accuracy(best)  # it is the limit that stops it


def test_only_trials_within_the_limit_count() -> None:
    best = best_so_far("random", 0, 12)
    assert best == sorted(best)
    assert best[-1] < 92.377


def test_the_table_has_a_row_for_each_method(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = {name: conditions.SAMPLERS[name] for name in ("random", "NCP, conditions and limit")}
    monkeypatch.setattr(conditions, "SAMPLERS", methods)
    monkeypatch.setattr("sys.argv", ["conditions", "--seeds", "1", "--trials", "10"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert "| method | after 10 |" in lines
    assert len([line for line in lines if line.startswith(("| random", "| NCP"))]) == 2
