"""The pages say what is so: their commands run, their plugins run, their links lead somewhere, what is generated is current.

A comment before a fenced block says how it is checked:

    <!-- test: make -->         every line is a make command whose targets exist; what bench is given can be parsed
    <!-- test: dry -->          every line is run with --dry-run
    <!-- test: read -->         every line is run on a copy of the committed records of its modality
    <!-- test: publish -->      the lines are run one after another beside such a copy, as from a checkout without changes
    <!-- test: save NAME.py --> the text is written to NAME.py
    <!-- test: run -->          every line is run beside examples/ and the saved files (``run with ecg/mine``: and data)

A bash or python block without such a comment is an error, so that nothing is shown which nobody tried.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmark import fidelity
from benchmark.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "results" / "README.md"]
HANDWRITTEN = [page for page in PAGES if page.name not in {"fidelity.md", "CHANGELOG.md"}]
BLOCK = re.compile(
    r"(?:<!-- test: (?P<how>[^>]+?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    page: Path
    how: str
    kind: str
    text: str

    @property
    def lines(self) -> list[list[str]]:
        return [words for line in self.text.splitlines() if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(page, block["how"] or "", block["kind"], block["text"]) for block in found]


def label(value: object) -> str:
    return value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)


def having(how: str) -> list[Block]:
    return [block for page in HANDWRITTEN for block in blocks(page) if block.how.split(" ")[0] == how]


def name_of(block: Block) -> str:
    return f"{label(block.page)}:{block.how}:{block.text.splitlines()[0][:40]}"


def here(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """A documented command that brings no code of its own, in this process, as a start of another takes seconds."""
    assert words[:3] == [".venv/bin/python", "-m", "benchmark"], f"not a command of the suite: {words}"
    assert "--plugin" not in words, "what it registers would stay"
    monkeypatch.chdir(folder)
    return main([*words[3:], *more])


def benchmark(words: list[str], folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A documented command, run by this interpreter in ``folder``, with results there."""
    assert words[:3] == [".venv/bin/python", "-m", "benchmark"], f"not a command of the suite: {words}"
    return subprocess.run(
        [sys.executable, *words[1:], "--results", str(folder / "results"), *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("page", HANDWRITTEN, ids=label)
def test_every_shown_command_and_file_is_tried(page: Path) -> None:
    for block in blocks(page):
        if block.kind in {"bash", "sh", "python"}:
            how = block.how.split(" ")[0]
            assert how in {"make", "dry", "read", "publish", "run", "save"}, f"no way to test it: {block.text}"
            assert (how == "save") == (block.kind == "python")


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        generated = target.parent == ROOT / "results" and target.name.startswith("leaderboard_")
        assert target.exists() or generated, f"{label(page)} links to {link}, which does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, link


@pytest.mark.parametrize("block", having("make"), ids=name_of)
def test_make_commands_exist(block: Block) -> None:
    from benchmark import plugin, request

    plugin.everything()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    for words in block.lines:
        assert words[0] == "make", words
        asked = [word for word in words[1:] if "=" not in word and word != "…"]
        assert set(asked) <= targets, f"no such target: {words}"
        # with an environment in place (this interpreter's stands for it), what would be typed beneath make
        # (a make above this one, `make test`, must not be inherited: it would announce folders on standard output)
        clean = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
        shown = subprocess.run(
            [*words, "-n"], cwd=ROOT, env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert shown.returncode == 0, shown.stderr
        command = shown.stdout.replace("\\\n", " ").split("-m benchmark run ")
        if "bench" in asked:
            request.parse([word for word in shlex.split(command[1]) if not word.startswith("--")])


@pytest.mark.parametrize("block", having("dry"), ids=name_of)
def test_dry_commands_plan_cells(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in block.lines:
        assert here(words, tmp_path, monkeypatch, "--dry-run") == 0, words


def marked(block: Block) -> object:
    """A suite over all tables takes minutes; test_results.py computes its committed table again in any case."""
    return pytest.param(block, marks=pytest.mark.slow if " suite " in block.text else (), id=name_of(block))


@pytest.mark.parametrize("block", [marked(block) for block in having("read")])
def test_commands_that_read_committed_rows(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in block.lines:
        known = [word for word in words if (ROOT / "results" / "records" / word).is_dir()]
        if not known:
            pytest.skip("no committed row of this modality")
        target = tmp_path / "results" / "records" / known[0]
        if not target.exists():
            shutil.copytree(ROOT / "results" / "records" / known[0], target)
        assert here(words, tmp_path, monkeypatch) == 0, words


@pytest.mark.parametrize("block", having("publish"), ids=name_of)
def test_commands_that_publish_committed_rows(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from packages import clean_tree

    clean_tree(monkeypatch)
    records = Path("results", "records", "ecg", "ludb")
    shutil.copytree(ROOT / records, tmp_path / records)
    for words in block.lines:
        assert here(words, tmp_path, monkeypatch) == 0, words


# The README's own file runs with every `make test`, the further examples with `make test-slow`.
RUNS = [
    pytest.param(block, id=name_of(block), marks=[] if block.page.name == "README.md" else pytest.mark.slow)
    for block in having("run")
]


@pytest.mark.parametrize("block", RUNS)
def test_shown_files_run(block: Block, tmp_path: Path) -> None:
    for other in blocks(block.page):
        if other.how.startswith("save "):
            assert len(other.text.splitlines()) <= 45, "an example that does not fit on a screen"
            (tmp_path / other.how.removeprefix("save ")).write_text(other.text, encoding="utf-8")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    if block.how == "run with ecg/mine":
        write_mine(tmp_path / "data" / "ecg" / "mine")
    for words in block.lines:
        runs = words[3] == "run"
        done = benchmark(words, tmp_path, *(["--jobs", "1"] if runs else []))
        assert done.returncode == 0, done.stdout + done.stderr
        if not runs:
            continue
        (asked,) = [word.removeprefix("method=").split(",") for word in words if word.startswith("method=")]
        records = [
            json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "results/records").rglob("*.json")
        ]
        assert {record["method"] for record in records} == set(asked)
        assert all(record["status"] == "ok" and record["scores"] for record in records), records
        assert all(method in done.stdout for method in asked)


def write_mine(folder: Path) -> None:
    """The data set of docs/adding.md: two rates of a spike train in noise, ten recordings of each patient."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, part in enumerate(("train", "val", "test")):
        label = rng.integers(0, 2, 60)
        x = rng.normal(0, 0.05, (60, 12, 1000)).astype(np.float32)
        for row, period in zip(x, np.where(label, 60, 95)):
            row[:, ::period] += 1
        np.savez(folder / f"{part}.npz", x=x, label=label, patient=np.arange(60) // 10 + 10 * number)


def test_readme_plugin_is_short() -> None:
    (plugin,) = [block for block in blocks(ROOT / "README.md") if block.how.startswith("save ")]
    assert len(plugin.text.splitlines()) <= 40


def test_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in ("jepakit", "benchmark"):
        for path in (ROOT / folder).glob("[a-z]*.py"):
            assert path.name in text, f"docs/architecture.md does not show {label(path)}"


def test_fidelity_page_is_current() -> None:
    assert fidelity.PAGE.read_text(encoding="utf-8") == fidelity.page(), "run python -m benchmark.fidelity"


def test_fidelity_reads_what_a_docstring_says() -> None:
    first, fields = fidelity.parse(
        "A (B 2020): an\nidea.\n\nSource: x 1.\nKept: this,\nand that.\nDiffers: nothing.\n\nNot a field."
    )
    assert first == "A (B 2020): an idea."
    assert fields == {"Source": "x 1.", "Kept": "this, and that.", "Differs": "nothing."}


def test_every_method_is_on_the_fidelity_page() -> None:
    from jepakit.registry import methods

    text = fidelity.page()
    own = [name for name in methods if methods[name].source.is_relative_to(ROOT / "jepakit")]
    assert own and all(f"`{name}`" in text for name in own)
