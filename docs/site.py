"""Hooks of MkDocs: pages from outside ``docs/``, links to them, formulas.

CONTRIBUTING.md, CHANGELOG.md and ``benchmarks/results`` become pages of the site. Links are written
for the repository, so that they also work there, and are rewritten for the site. LaTeX between
dollar signs becomes MathML, which browsers render.
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
_PLACES = {  # Path in the repository -> on the site
    _REPOSITORY / "CONTRIBUTING.md": "contributing.md",
    _REPOSITORY / "CHANGELOG.md": "changelog.md",
}
_README = {
    _REPOSITORY / "README.md": "index.md"
}  # The index page replaces the README
_CODE = re.compile(
    r"(^(`{3,})[^\n]*\n.*?^\2`*[ \t]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>',
    re.DOTALL,
)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add pages from outside ``docs/``, and complete the navigation."""
    for path, place in (_PLACES | _results()).items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    pages = sorted(file.src_uri for file in files.documentation_pages())
    named = set(_named(config.nav))
    config.nav = _completed(
        config.nav, [page for page in pages if page not in named]
    )
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Rewrite links of the repository to links of the site, except in code."""
    source = Path(str(page.file.abs_src_path)).parent
    places = {
        Path(file.abs_src_path).resolve(): file.src_uri
        for file in files
        if file.abs_src_path
    }
    places |= _README

    def turned(link: re.Match[str]) -> str:
        place = places.get((source / link[2]).resolve())
        target = (
            relpath(place, dirname(page.file.src_uri) or ".")
            if place
            else link[2]
        )
        return f"{link[1]}{target}{link[3] or ''}{link[4]}"

    parts = _CODE.split(markdown)  # Text, code, its fence, text, ...
    for i in range(0, len(parts), 3):
        parts[i] = _LINK.sub(turned, parts[i])
    return "".join(
        part for i, part in enumerate(parts) if i % 3 != 2
    )  # Without the fences


def on_page_content(
    content: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Render formulas as MathML."""
    return _FORMULA.sub(_drawn, content)


def _drawn(formula: re.Match[str]) -> str:
    display = "block" if formula[1] == "div" else "inline"
    return str(convert(html.unescape(formula[2]).strip(), display=display))


def _results() -> dict[Path, str]:
    """Return the tables, pictures and CSV files of ``benchmarks/results``."""
    kinds = {".md", ".png", ".svg", ".csv", ".gz"}
    paths = [path for path in _RESULTS.rglob("*") if path.suffix in kinds]
    return {
        path: f"results/{path.relative_to(_RESULTS).as_posix()}"
        for path in paths
    }


def _named(nav: Any) -> list[str]:
    """Return every page and pattern of a navigation."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav or []
    return [name for part in parts for name in _named(part)]


def _completed(nav: Any, unnamed: list[str]) -> Any:
    """Return the navigation with each pattern replaced by the pages that it matches."""
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
