"""Blocks of the documentation's pages; and their outputs and pictures, made by running them.

``python -m tests.pages`` runs the tutorials and the gallery as the tests do, each in a folder of
its own. It writes what a block prints below the block, and replaces the pictures that a page shows.
``python -m tests.pages docs/tutorials/ray.md`` does so for the pages that it names.

The gallery reads the published tables, in ``NCP_BENCH_ROOT`` or ``../shared/nas-bench-mr/data``.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from ncp_sampler.command_line.options import make_parser

REPOSITORY = Path(__file__).resolve().parents[1]
GALLERY = "docs/gallery.md"
TUTORIALS = sorted(
    str(path.relative_to(REPOSITORY))
    for path in (REPOSITORY / "docs/tutorials").glob("*.md")
    if path.name != "index.md"
)
RUN = ("python", "sh")
SHOWN = ("", "text", "csv", "yaml", "toml", "json", "mermaid", "latex")
BLOCK = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (.*) -->$")
_OUTPUT = re.compile(r"\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]+\]\((\S+\.png)\)")
_COLORS = 256  # Size of a picture's palette, which halves the file


class Block(NamedTuple):
    """A block of a page that is run.

    Attributes:
        language: "python" or "sh".
        title: Its title, or empty.
        reason: Why it is not run; None if it is run.
        code: Its lines.
        line: Line of its fence in the page, from 1.
        end: Position of the first character behind it in the page.
        output: Text of the block of text directly below it, which shows what it prints; or None.
    """

    language: str
    title: str
    reason: str | None
    code: str
    line: int
    end: int
    output: str | None


def blocks(page: str) -> list[Block]:
    """Return the blocks of Python and shell of a page, in order."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    blocks_of_page = []
    for match in BLOCK.finditer(text):
        indent, language, head, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        title = re.search(r'title="([^"]*)"', head)
        code = "".join(part.removeprefix(indent) for part in code.splitlines(keepends=True))
        before = text[: match.start()].rstrip()
        marked = before.endswith(("<!-- main -->", "<!-- tests -->"))
        reason = _NOT_RUN.search(before)
        why = reason[1] if reason else None
        output = _OUTPUT.match(text, match.end())
        if language in RUN and not marked:  # .ci/run runs the one, test_examples.py the other
            blocks_of_page.append(
                Block(
                    language, title[1] if title else "", why, code, line, match.end(),
                    output[1] if output else None,
                )
            )  # fmt: skip
    return blocks_of_page


def runnable(page: str) -> list[Block]:
    """Return the blocks of a page that the tests run, in order."""
    return [block for block in blocks(page) if block.reason is None]


def shown_pictures(page: str) -> list[str]:
    """Return the paths of the pictures of a page, relative to it, without those of other folders.

    They have the names under which the page's code saves them.
    """
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [path for path in _PICTURE.findall(text) if not path.startswith("..")]


def run(block: Block, page: str, namespace: dict[str, Any]) -> str:
    """Run a block of Python in the current folder, and return what it prints.

    The lines of a traceback are those of the page.
    """
    code = compile("\n" * block.line + block.code, str(REPOSITORY / page), "exec")
    with redirect_stdout(io.StringIO()) as stream:
        exec(code, namespace)
    return stream.getvalue()


def refresh(page: str, folder: Path) -> None:
    """Run a page in an empty folder, and write its outputs and pictures into the documentation."""
    pictures = shown_pictures(page)
    for name in pictures:
        (folder / name).parent.mkdir(exist_ok=True)
    namespace: dict[str, Any] = {"__name__": "__main__"}  # as a script
    blocks_of_page = [block for block in runnable(page) if block.language == "python"]
    os.chdir(folder)
    printed = [(block, run(block, page, namespace)) for block in blocks_of_page]
    path = REPOSITORY / page
    text = path.read_text(encoding="utf-8")
    for block, output in reversed(printed):
        shown = _OUTPUT.match(text, block.end)
        lines = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
        if lines:
            end = shown.end() if shown else block.end
            text = f"{text[: block.end]}\n\n```text\n{lines}```{text[end:]}"
    path.write_text(text, encoding="utf-8")
    for name in pictures:
        _copy_picture(folder / name, path.parent / name)


def main(arguments: Sequence[str]) -> None:
    """Refresh the named pages; without a name, the tutorials and the gallery."""
    parser = make_parser(__doc__, prog="python -m tests.pages")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as docs/gallery.md")
    pages = parser.parse_args(arguments).pages
    missing = [page for page in pages if not (REPOSITORY / page).is_file()]
    if missing:
        parser.error(f"{missing} are not files of the repository; give paths from its root")
    os.environ["COLUMNS"] = "80"  # for rich: as wide as the code of the pages
    import optuna
    import torch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)  # as the tests
    default = REPOSITORY.parent / "shared/nas-bench-mr/data"
    tables = Path(os.environ.get("NCP_BENCH_ROOT") or default).resolve()
    for page in pages or (*TUTORIALS, GALLERY):
        if "from ray import" in (REPOSITORY / page).read_text(encoding="utf-8"):
            from tests import ray_examples

            ray_examples.start()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "nas-bench-mr").mkdir()
            (Path(folder) / "nas-bench-mr/data").symlink_to(tables)
            refresh(page, Path(folder))
            os.chdir(REPOSITORY)
        print(page)


def _copy_picture(drawn: Path, shown: Path) -> None:
    """Save a picture with a palette."""
    from PIL import Image

    with Image.open(drawn) as picture:
        small = picture.convert("RGB").quantize(_COLORS, method=Image.Quantize.MAXCOVERAGE)
        small.save(shown, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
