"""The site of the documentation is made of the pages that are in the checkout anyway; nothing is written twice.

README, CONTRIBUTING and CHANGELOG become pages beside those of ``docs/``, and links are turned accordingly. The page of
boards is drawn from the committed leaderboards. What the site does not hold (source files, boards) is named without a
link, since the site may be read without the checkout.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Page of the site → file of the checkout that it is.
BESIDE = {"index.md": "README.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie outside ``docs/``."""
    for page, source in BESIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    sys.path.insert(0, str(ROOT))
    from benchmark.report import gallery

    files.append(File.generated(config, "boards.md", content=gallery.page(ROOT / "results")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of a page of the checkout → links of the site."""
    at = posixpath.dirname(BESIDE.get(page.file.src_uri, f"docs/{page.file.src_uri}"))
    known = {file.src_uri for file in files}

    def turned(link: re.Match[str]) -> str:
        words, address = link.groups()
        path, _, anchor = address.partition("#")
        if "://" in address or address.startswith("mailto:") or not path:
            return link[0]
        source = posixpath.normpath(posixpath.join(at, path))
        target = next((here for here, there in BESIDE.items() if there == source), source.removeprefix("docs/"))
        if target not in known:
            return words
        return f"[{words}]({target}{'#' if anchor else ''}{anchor})"

    return LINK.sub(turned, markdown)
