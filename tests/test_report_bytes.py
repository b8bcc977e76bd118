"""The page of the committed records is the same bytes on every run and in every checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.report import page

ROOT = Path(__file__).resolve().parents[1]


def tracked(folder: Path) -> None:
    """The committed files of the checkout, as a fresh clone has them: none that is not tracked, none newer than another."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True, timeout=300)


def rendered(checkout: Path, seed: str) -> str:
    """The digest of the page that a process of its own writes there; hashes of strings begin with ``seed``."""
    words = [sys.executable, "-m", "benchmark", "report", "--results", "results"]
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(checkout)}
    done = subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr
    return hashlib.sha256((checkout / "results" / page.PAGE).read_bytes()).hexdigest()


@pytest.mark.slow
def test_two_clones_and_two_runs_write_the_same_page(tmp_path: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    one, two = tmp_path / "one", tmp_path / "a longer place" / "two"
    tracked(one)
    tracked(two)
    first = rendered(one, "1")
    assert rendered(one, "2") == first, "a second run in the same place"
    assert rendered(two, "3") == first, "another checkout"
    content = (one / "results" / page.PAGE).read_bytes()
    assert len(content) < page.MOST and str(tmp_path).encode() not in content
