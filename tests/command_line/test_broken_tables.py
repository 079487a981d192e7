"""Tables that are none: each its own line on stderr, exit status 2, no traceback."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from ncp_sampler.command_line.program import main
from tests import preloaded

HEAD, ROWS = "depth,width,accuracy\n", "2,8,70\n4,24,71\n8,16,72\n"
OPTIONS = ["--metrics", "accuracy", "--no-picture"]

# what is wrong -> content of the file, and the line that says so
BROKEN: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", r"path='.*' is empty; give a header row, then one row per code"),
    "a head only": (HEAD, r"'.*' has a header row but no other rows; give at least 2"),
    "one row": (HEAD + "2,8,70\n", r"'.*' has 1 row; give at least 2"),
    "a column twice": (
        "depth,depth,accuracy\n" + ROWS,
        r"'.*' has two columns 'depth'; names must be distinct",
    ),
    "a missing column": (
        "depth,width,top1\n" + ROWS,
        r"metrics=\['accuracy'\] must be columns of '.*': \['depth', 'width', 'top1'\]",
    ),
    "a row too short": (
        HEAD + ROWS + "2,8\n",
        r"'.*': row 4 has 2 values, but the header row has 3; give one value per column",
    ),
    "a row too long": (
        HEAD + ROWS + "2,8,70,9\n",
        r"'.*': row 4 has 4 values, but the header row has 3; give one value per column",
    ),
    "no number": (
        HEAD + ROWS + "2,8,oops\n",
        r"'.*': column 'accuracy': row 4 has 'oops', not a number; write plain numbers such as "
        "1234.5, without units, percent signs or separators, or leave the cell empty",
    ),
    "an infinite number": (
        HEAD + ROWS + "2,8,1e999\n",
        r"'.*': column 'accuracy': row 4 has 1e999, which is not finite; leave the cell empty",
    ),
    "an empty parameter": (
        HEAD + ROWS + ",8,70\n",
        r"'.*': column 'depth': row 4 has no value; only a metric may be empty: fill the cell in, "
        r"leave the row out, or leave the column out by ignore \(--ignore\)",
    ),
    "no metric measured": (
        HEAD + "2,8,\n4,8,\n",
        r".* has no value of 'accuracy' in its 2 rows; add rows with one",
    ),
    "none measured in one half": (
        HEAD + "2,8,70\n" + "4,8,\n" * 39,
        r".* has no value of 'accuracy' in its 20 rows to .*; add rows with one",
    ),
    "no code": (
        "accuracy\n70\n71\n",
        r"'.*' has no columns but \['accuracy'\]; add a column for each parameter",
    ),
    "other separators": (
        (HEAD + ROWS).replace(",", ";"),
        r"path=.*table.csv' has one column, .*; its columns must be separated by commas",
    ),
    "an open quotation mark": (
        HEAD + ROWS + '"2,8,70\n4,8,71\n',
        r"path='.*' cannot be read: unexpected end of data; .* quotation marks are closed",
    ),
    "binary": (
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        r"path='.*' cannot be read: it is not text in UTF-8 .*; save the table as CSV in UTF-8",
    ),
    "null characters": (
        HEAD + ROWS + "2,8\0,70\n",
        r"path='.*' cannot be read: it contains null characters, so it is not CSV",
    ),
}


def run(path: str) -> subprocess.CompletedProcess[str]:
    arguments = [*preloaded.python(), "-m", "ncp_sampler", "search", "--table", path, *OPTIONS]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


PATHS = {  # what stands at the path -> the line
    "a folder": r"path='.*' cannot be read: .*directory.*; give the path of a CSV file",
    "a missing path": r"path='.*' cannot be read: .*No such file.*; give the path of a CSV file",
}


def written(folder: Path, what: str) -> Path:
    """The path of what is wrong."""
    path = folder / "table.csv"
    if what == "a folder":
        path.mkdir()
    elif what in BROKEN:
        content = BROKEN[what][0]
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("what", [*BROKEN, *PATHS])
def test_each_broken_table_has_its_own_message_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    path = written(tmp_path, what)
    assert main(["search", "--table", str(path), *OPTIONS]) == 2
    answer = capsys.readouterr()
    message = PATHS[what] if what in PATHS else BROKEN[what][1]
    assert answer.out == ""
    assert re.fullmatch(rf"ncp-sampler: error: {message}\n", answer.err)
    assert path.name in answer.err
    others = [m for w, (_, m) in BROKEN.items() if w != what]
    assert not any(re.fullmatch(rf"ncp-sampler: error: {m}\n", answer.err) for m in others)


@pytest.mark.parametrize("what", ["empty", "binary", "a folder"])
def test_the_command_itself_says_so_without_a_traceback(tmp_path: Path, what: str) -> None:
    done = run(str(written(tmp_path, what)))
    message = PATHS[what] if what in PATHS else BROKEN[what][1]
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"ncp-sampler: error: {message}\n", done.stderr)


def test_a_metric_asked_for_twice_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(HEAD + ROWS)
    options = ["--metrics", "accuracy,accuracy", "--no-picture"]
    assert main(["search", "--table", str(path), *options]) == 2
    message = "ncp-sampler: error: metrics=['accuracy', 'accuracy'] must be distinct names\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("picture", ["table.csv/search.png", "folder.png"])
def test_a_picture_that_cannot_be_written_is_an_error_before_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(HEAD + ROWS)
    (tmp_path / "folder.png").mkdir()
    options = ["--metrics", "accuracy", "--picture", str(tmp_path / picture)]
    assert main(["search", "--table", str(path), *options]) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert re.fullmatch(r"ncp-sampler: error: --picture '.*' (is|must) .*\n", answer.err)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_the_old_picture(tmp_path: Path) -> None:
    """In a process of its own whose files may not grow beyond what the old picture has."""
    path, picture = tmp_path / "table.csv", tmp_path / "search.png"
    path.write_text(HEAD + ROWS)
    picture.write_bytes(b"old")
    # without --json the columns are printed before the search
    options = ["search", "--table", str(path), "--metrics", "accuracy", "--json"]
    options += ["--picture", str(picture)]
    program = (
        "import resource, signal, sys\n"
        f"signal.signal({int(signal.SIGXFSZ)}, signal.SIG_IGN)\n"
        "import matplotlib.figure, ncp_sampler.visualization\n"  # may write a cache of fonts
        "from ncp_sampler.command_line.program import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [*preloaded.python(), "-c", program, *options], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    line = r"ncp-sampler: error: \[Errno 27\] File too large: nothing was written, .*search.png'\n"
    assert re.fullmatch(line, done.stderr)
    assert picture.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["search.png", "table.csv"]
