"""The documentation as a site: it builds without a warning, holds every page, and fetches nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("material", reason="needs the extra 'docs': pip install -e '.[docs]'")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(made)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # of the theme, about another project
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return made


def test_every_document_is_a_page_of_the_site_and_in_its_contents(site: Path) -> None:
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "CONTRIBUTING", "CHANGELOG", "boards"}
    assert {path.stem for path in site.glob("*.html")} - {"404"} == names
    contents = set(re.findall(r'href="([\w-]+)\.html"', (site / "protocol.html").read_text("utf-8")))
    assert names <= contents
    assert not list(site.rglob("*.py"))


def test_links_between_pages_lead_somewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        if page.stem == "404":
            continue
        for address in re.findall(r'<a [^>]*href="([^":]+)"', page.read_text("utf-8")):
            path, _, anchor = address.partition("#")
            target = site / path if path else page
            assert target.exists(), (page.name, address)
            if anchor and target.suffix == ".html":
                assert f'id="{anchor}"' in target.read_text("utf-8"), (page.name, address)


def test_the_site_can_be_searched_from_the_disk(site: Path) -> None:
    """The theme's own search and index, in the frame that stands in for a worker there."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    for query, page in (("RankMe", "protocol.html"), ("submitit", "scaling.html"), ("esc10-folds", "boards.html")):
        words = [node, str(Path(__file__).with_name("site_search.cjs")), str(site), query]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert page in {address.partition("#")[0] for address in json.loads(done.stdout)}, (query, done.stdout)


def test_a_page_fetches_nothing(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text("utf-8")
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//', text)
        assert "unpkg" not in text
        assert not re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//', text)
