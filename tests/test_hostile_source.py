"""What the source may not do with what it reads: each finding names file and line. And versions that close known holes."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("jepakit", "modalities", "baselines", "benchmark")
# Tests write the payloads that readers must refuse.
PAYLOADS = {"tests/test_image_readers.py", "tests/readers_signals.py", "tests/test_hostile_files.py"}
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {
    "eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle",
    "pandas.read_pickle", "torch.jit.load", "torch.hub.load", "pickle.load", "pickle.loads", "pty.spawn",
}  # fmt: skip
METHODS = {"load_from_checkpoint", "extractall", "unpack_archive", "read_pickle", "to_pickle"}
KEYWORDS = {"trust_remote_code", "allow_pickle", "shell", "trust"}  # may only be given as False


def findings(text: str) -> Iterator[tuple[int, str]]:
    """(line, what) of everything banned."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((node.lineno, f"imports {name}") for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name in CALLS or name.rpartition(".")[2] in METHODS:
                yield node.lineno, f"calls {name}"
            if name in ("torch.load", "load") and "torch" in name and keywords.get("weights_only") != "True":
                yield node.lineno, "calls torch.load without weights_only=True"
            for word in KEYWORDS & keywords.keys():
                if keywords[word] != "False":
                    yield node.lineno, f"gives {word}={keywords[word]}"
            if any(isinstance(one, ast.Constant) and one.value == "trust_remote_code" for one in node.args):
                yield node.lineno, "names trust_remote_code"
        elif isinstance(node, ast.Constant) and node.value in ("_target_", "_class_path", "_instantiator"):
            yield node.lineno, f"has the key {node.value}"


def files() -> list[Path]:
    found = [path for folder in (*FOLDERS, "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [
        path for path in found if path.relative_to(ROOT).as_posix() not in PAYLOADS | {"tests/test_hostile_source.py"}
    ]


def test_nothing_read_is_executed() -> None:
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line} {what}"
        for path in files()
        for line, what in findings(path.read_text(encoding="utf-8"))
    ]
    assert not found, "; ".join(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import pickle", "imports pickle"),
        ("from joblib import load", "imports joblib"),
        ("x = 1\neval('x')", "calls eval"),
        ("exec('x')", "calls exec"),
        ("yaml.load(f)", "calls yaml.load"),
        ("torch.load(f)", "without weights_only"),
        ("torch.load(f, weights_only=False)", "without weights_only"),
        ("Model.load_from_checkpoint(f)", "calls Model.load_from_checkpoint"),
        ("load(x, trust_remote_code=True)", "gives trust_remote_code=True"),
        ("np.load(f, allow_pickle=True)", "gives allow_pickle=True"),
        ("subprocess.run(c, shell=True)", "gives shell=True"),
        ("tarfile.open(f).extractall()", "extractall"),
        ("zipfile.ZipFile(f).extractall('x')", "extractall"),
        ("x = {'_target_': 'os.system'}", "has the key _target_"),
        ("os.system('x')", "calls os.system"),
    ],
)
def test_the_rule_can_fail(text: str, said: str) -> None:
    ((line, what),) = findings(text)
    assert line == len(text.splitlines()) and said in what


def test_what_is_allowed_is_not_found() -> None:
    text = (
        "torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)\nyaml.safe_load(f)\nm.eval()\nf(shell=False)"
    )
    assert not list(findings(text))


@pytest.mark.parametrize(
    ("package", "first", "before"), [("pytorch-lightning", "2.6.6", "2.6.5"), ("torch", "2.10", "2.9.1")]
)
def test_versions_with_known_holes_are_not_installed(package: str, first: str, before: str) -> None:
    """Lightning calls names in a checkpoint, and torch is overrun by weights_only files (CVE-2026-24747)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [r for r in map(Requirement, project["dependencies"]) if r.name == package]
    assert wanted.specifier.contains(first) and not wanted.specifier.contains(before)
    pins = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line.startswith(f"{package}==")
    ]
    assert len(pins) == 1 and all(wanted.specifier.contains(next(iter(pin.specifier)).version) for pin in pins)
