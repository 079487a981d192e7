"""What MkDocs is told beyond ``mkdocs.yml``: pages from outside ``docs/``, links to them, formulas.

In come the repository's CONTRIBUTING.md, CHANGELOG.md and ``benchmarks/results``, as they stand;
out go pages of the site. Links are written for the repository, so that they work there too, and are
turned to where the site has what they name. LaTeX between dollars becomes MathML, which browsers
draw by themselves.
"""

from __future__ import annotations

import html
import re
from fnmatch import fnmatch
from pathlib import Path
from posixpath import dirname, relpath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_REPOSITORY = Path(__file__).resolve().parents[1]
_RESULTS = _REPOSITORY / "benchmarks" / "results"
_PLACES = {  # path in the repository -> on the site
    _REPOSITORY / "CONTRIBUTING.md": "contributing.md",
    _REPOSITORY / "CHANGELOG.md": "changelog.md",
}
_README = {_REPOSITORY / "README.md": "index.md"}  # says the same, and is no page of the site
_CODE = re.compile(r"(^(`{3,})[^\n]*\n.*?^\2`*[ \t]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>',
    re.DOTALL,
)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds what stands outside ``docs/``, and completes the navigation."""
    for path, place in (_PLACES | _results()).items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    pages = sorted(file.src_uri for file in files.documentation_pages())
    named = set(_named(config.nav))
    config.nav = _completed(config.nav, [page for page in pages if page not in named])
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links of the repository to links of the site; code stays as it is."""
    source = Path(str(page.file.abs_src_path)).parent
    places = {
        Path(file.abs_src_path).resolve(): file.src_uri for file in files if file.abs_src_path
    }
    places |= _README

    def turned(link: re.Match[str]) -> str:
        place = places.get((source / link[2]).resolve())
        target = relpath(place, dirname(page.file.src_uri) or ".") if place else link[2]
        return f"{link[1]}{target}{link[3] or ''}{link[4]}"

    parts = _CODE.split(markdown)  # text, code, its fence, text, ...
    for i in range(0, len(parts), 3):
        parts[i] = _LINK.sub(turned, parts[i])
    return "".join(part for i, part in enumerate(parts) if i % 3 != 2)  # but for the fences


def on_page_content(content: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draws formulas."""
    return _FORMULA.sub(_drawn, content)


def _drawn(formula: re.Match[str]) -> str:
    display = "block" if formula[1] == "div" else "inline"
    return str(convert(html.unescape(formula[2]).strip(), display=display))


def _results() -> dict[Path, str]:
    """Tables, pictures and rows of ``benchmarks/results``."""
    kinds = {".md", ".png", ".svg", ".csv"}
    paths = [path for path in _RESULTS.rglob("*") if path.suffix in kinds]
    return {path: f"results/{path.relative_to(_RESULTS).as_posix()}" for path in paths}


def _named(nav: Any) -> list[str]:
    """Every page and pattern of a navigation."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav or []
    return [name for part in parts for name in _named(part)]


def _completed(nav: Any, unnamed: list[str]) -> Any:
    """The navigation with the pages that a pattern matches in the pattern's place."""
    if isinstance(nav, dict):
        return {title: _completed(part, unnamed) for title, part in nav.items()}
    if not isinstance(nav, list):
        return nav
    complete: list[Any] = []
    for part in nav:
        if isinstance(part, str) and "*" in part:
            complete += [page for page in unnamed if fnmatch(page, part)]
        else:
            complete.append(_completed(part, unnamed))
    return complete
