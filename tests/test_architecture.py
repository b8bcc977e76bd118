"""The house rules of docs/architecture.md, read off the source: who imports whom, what a method may know, what is banned."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import baselines
import jepakit.methods
from benchmark.contracts.text import asks
from jepakit.registry import methods

ROOT = Path(__file__).resolve().parents[1]
OURS = ("jepakit", "modalities", "baselines", "benchmark")
MAY_IMPORT = {
    "jepakit": {"jepakit"},
    "modalities": {"jepakit", "modalities"},
    "baselines": {"jepakit", "baselines"},
    "benchmark": set(OURS),
}
METHOD_FOLDERS = (Path(*jepakit.methods.__path__), Path(*baselines.__path__))
# The one module that may seed torch's own generators: everything random is a function of (seed, step) through it.
SEEDS = ROOT / "jepakit" / "randomness.py"


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def method_files() -> list[Path]:
    return sorted(path for folder in METHOD_FOLDERS for path in folder.glob("*.py") if path.name != "__init__.py")


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """Top-level package of every import in the file, also of those inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield path.relative_to(ROOT).parts[0] if node.level else str(node.module).split(".")[0]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name as written, node) of every call in the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("folder", OURS)
def test_imports_point_one_way(folder: str) -> None:
    files = sources(folder)
    assert files, f"{folder}/ has no source"
    for path in files:
        foreign = set(imports(path)) & set(OURS) - MAY_IMPORT[folder]
        assert not foreign, f"{label(path)} imports {sorted(foreign)}; {folder} may import {sorted(MAY_IMPORT[folder])}"


def test_the_import_rule_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_architecture.ROOT", tmp_path)
    path = tmp_path / "jepakit" / "wrong.py"
    path.parent.mkdir()
    path.write_text("def f():\n    from benchmark import run\n    import modalities.ecg as ecg\n")
    assert set(imports(path)) == {"benchmark", "modalities"}


@pytest.mark.parametrize("path", method_files(), ids=label)
def test_a_method_never_knows_its_modality(path: Path) -> None:
    found = [f"{label(path)}:{line} {what}" for line, what in asks(path.read_text(encoding="utf-8"))]
    assert not found


@pytest.mark.parametrize("path", method_files(), ids=label)
def test_a_method_file_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 100


@pytest.mark.parametrize("folder", [*OURS, "tests"])
def test_no_file_outgrows_a_sitting(folder: str) -> None:
    long = {label(p): n for p in sources(folder) if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


@pytest.mark.parametrize("name", methods.names())
def test_a_method_says_what_it_is_and_how_it_differs(name: str) -> None:
    module = inspect.getmodule(methods[name].make)
    lines = (inspect.getdoc(module) or "").splitlines()
    assert lines and len(lines[0]) > 20, f"{name}: the first line of its file says the paper and its idea"
    assert any(line.startswith("Differs:") for line in lines), (
        f"{name}: a 'Differs:' line says what the paper does otherwise"
    )


@pytest.mark.parametrize("name", methods.names())
def test_a_method_is_traced_to_its_own_file(name: str) -> None:
    """The hash of this file is part of a result's identity."""
    assert methods[name].source.parent in METHOD_FOLDERS


@pytest.mark.parametrize("folder", ["jepakit", "baselines", "modalities"])
def test_global_generators_are_seeded_in_one_place(folder: str) -> None:
    banned = {
        "torch.manual_seed",
        "torch.seed",
        "np.random.seed",
        "numpy.random.seed",
        "random.seed",
        "pl.seed_everything",
    }
    for path in sources(folder):
        found = {name for name, _ in calls(path)} & banned
        assert path == SEEDS or not found, f"{label(path)} calls {sorted(found)}; draw from jepakit.randomness instead"


@pytest.mark.parametrize("folder", OURS)
def test_nothing_executes_what_it_reads(folder: str) -> None:
    for path in sources(folder):
        assert not set(imports(path)) & {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}, label(path)
        for name, call in calls(path):
            where = f"{label(path)}:{call.lineno}"
            keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
            assert name not in {"eval", "exec", "yaml.load", "os.system"}, f"{where} calls {name}"
            assert name != "torch.load" or keywords.get("weights_only") == "True", (
                f"{where}: torch.load without weights_only"
            )
            assert keywords.get("allow_pickle", "False") == "False", f"{where} allows pickle"
            assert keywords.get("shell", "False") == "False", f"{where} goes through a shell"


@pytest.mark.parametrize("folder", OURS)
def test_no_machine_path_is_written_down(folder: str) -> None:
    home = re.compile(r"[\"'](/(home|root|Users|work|mnt|data)/|[A-Z]:\\\\)")
    for path in sources(folder):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not home.search(line), f"{label(path)}:{number} names a machine's path"
