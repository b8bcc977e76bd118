"""Plugins: a method in a file outside the repository runs on the board; a bad file ends in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from toybox import TINY, TOY, toys

from benchmark import plugin, record
from benchmark.__main__ import main
from benchmark.cell import is_stale
from jepakit.registry import methods
from jepakit.types import UsageError

METHOD = '''"""A reference row of one's own (2026)."""
from jepakit.objective import Reference
from jepakit.registry import methods


@methods.register("mine", family="reference", paper="me", augmentation="none")
def mine(modality, size, *, scale: float = 1.0):
    objective = methods["toy-ae"].make(modality, size)
    return Reference(objective.backbone)
'''


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_plugin_runs_and_goes_stale_when_it_changes(tmp_path: Path) -> None:
    mine = write(tmp_path / "my method.py", METHOD)
    results = tmp_path / "results"
    command = ["run", "toy", "method=mine,toy-still", "seeds=1", *TINY, "--results", str(results), "--jobs", "1"]
    command += ["--plugin", str(TOY), "--plugin", str(mine)]
    assert main(command) == 0
    records = {one["method"]: one for one in record.load_all(results)}
    assert records["mine"]["status"] == "ok"
    assert records["mine"]["paper"] == "me"
    assert not any(is_stale(one) for one in records.values())
    write(mine, METHOD.replace("scale: float = 1.0", "scale: float = 2.0"))
    assert is_stale(records["mine"])
    assert not is_stale(records["toy-still"])
    assert main(command) == 0
    again = {one["method"]: one for one in record.load_all(results)}
    assert len(again) == 2
    assert again["mine"]["key"] != records["mine"]["key"]
    assert again["toy-still"] == records["toy-still"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\n", "registers nothing"),
        ("def broken(:\n", "does not import .*SyntaxError"),
        ("import no_such_module_anywhere\n", "does not import .*no_such_module_anywhere"),
        ("raise SystemExit(0)\n", "does not import .*SystemExit"),
        (
            "from jepakit.registry import methods\n@methods.register('../../x')\ndef f(m, s): ...\n",
            "a name holds letters",
        ),
        ("from jepakit.registry import methods\n@methods.register('mae')\ndef f(m, s): ...\n", "already defined"),
    ],
)
def test_a_bad_plugin_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    path = write(tmp_path / "bad.py", text)
    with pytest.raises(UsageError, match=sentence):
        plugin.load(path)
    assert main(["run", "ecg", "--plugin", str(path), "--results", str(tmp_path / "results")]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["missing.py", "data.csv", "folder.py"])
def test_a_plugin_that_is_no_python_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / "data.csv", "a,b\n")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UsageError, match="not a python file"):
        plugin.load(tmp_path / name)


def test_the_same_plugin_twice_is_one_plugin(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", METHOD)
    assert plugin.load(path) == ["mine"]
    assert plugin.load(path) == ["mine"]
    assert list(methods).count("mine") == 1


def test_installed_entry_points_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a_package_of_mine.py", METHOD)
    folder = tmp_path / "mine-1.0.dist-info"
    folder.mkdir()
    write(folder / "METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    write(folder / "entry_points.txt", "[jepakit.plugins]\nmine = a_package_of_mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin.everything()
    assert "mine" in methods
    write(folder / "entry_points.txt", "[jepakit.plugins]\nmine = not_there_at_all\n")
    with pytest.raises(UsageError, match="installed plugin 'mine' does not import"):
        plugin.everything()
