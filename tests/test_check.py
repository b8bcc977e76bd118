"""benchmark check and benchmark new: every contract can fail, with its remedy; what new writes passes and runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import planted_files as planted
import pytest
from toybox import TINY, registries

from benchmark import plugin, record
from benchmark.__main__ import main
from benchmark.contracts import asking, grids, start
from benchmark.contracts.toys.waves import Waves
from benchmark.contracts.verdict import Verdict
from jepakit.types import UsageError


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    plugin.everything()
    monkeypatch.chdir(tmp_path)
    with registries():
        yield


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One short grid: what is planted does not depend on it."""
    for name in ("2d", "3d"):
        monkeypatch.delitem(grids.GRIDS, name)
    monkeypatch.setitem(grids.GRIDS, "1d", lambda: Waves(grid=(16,)))


def write(text: str, changes: list[tuple[str, str]], folder: Path) -> Path:
    for old, new in changes:
        assert old in text, f"nothing to exchange: {old}"
        text = text.replace(old, new)
    path = folder / "mine.py"
    path.write_text(text)
    return path


def verdicts(path: Path) -> list[Verdict]:
    return list(asking.verdicts(asking.registered(path), path.parent))


def sound(text: str, folder: Path) -> None:
    found = verdicts(write(text, [], folder))
    assert found
    assert {one.state for one in found} <= {"pass", "skip"}, found


def caught(text: str, changes: list[tuple[str, str]], checks: set[str], remedy: str, folder: Path) -> None:
    """Exactly these checks fail, and one of them with this remedy, in one sentence."""
    failed = [one for one in verdicts(write(text, changes, folder)) if one.state == "fail"]
    assert len(failed) == len(checks), failed
    assert all(any(check in one.check for one in failed) for check in checks), failed
    assert any(remedy in one.said for one in failed), failed
    assert all("\n" not in one.said and len(one.said) > 30 for one in failed)


def test_the_sound_method_keeps_every_contract(tmp_path: Path, small: None) -> None:
    sound(planted.METHOD, tmp_path)


@pytest.mark.parametrize("defect", planted.METHODS)
def test_a_planted_defect_of_a_method_is_found(defect: str, tmp_path: Path, small: None) -> None:
    caught(planted.METHOD, *planted.METHODS[defect], tmp_path)


def test_the_sound_data_set_keeps_every_contract(tmp_path: Path) -> None:
    sound(planted.DATA, tmp_path)


@pytest.mark.parametrize("defect", planted.DATASETS)
def test_a_planted_defect_of_a_data_set_is_found(defect: str, tmp_path: Path) -> None:
    caught(planted.DATA, *planted.DATASETS[defect], tmp_path)


def test_the_sound_probe_keeps_every_contract(tmp_path: Path) -> None:
    sound(planted.PROBE, tmp_path)


@pytest.mark.parametrize("defect", planted.PROBES)
def test_a_planted_defect_of_a_probe_is_found(defect: str, tmp_path: Path) -> None:
    caught(planted.PROBE, *planted.PROBES[defect], tmp_path)


def test_an_answer_among_the_features_is_a_warning(tmp_path: Path) -> None:
    change = planted.data("data.x[:, 0] = data.labels['wave'] * 2.0 - 1\nreturn data")
    warned = [one for one in verdicts(write(planted.DATA, [change], tmp_path)) if one.state != "pass"]
    assert [one.state for one in warned] == ["warn"]
    assert "feature 0 alone tells 'wave'" in warned[0].said


@pytest.mark.parametrize(
    ("old", "said"), [("Source: this test.\n", "has no Source:"), ("Mine (2026)", "does not begin")]
)
def test_a_docstring_of_ones_own_is_a_warning(old: str, said: str, tmp_path: Path, small: None) -> None:
    change = (old, "") if "Source" in old else (planted.METHOD.split('"""')[1], "Mine.")
    warned = [one for one in verdicts(write(planted.METHOD, [change], tmp_path)) if one.state in ("warn", "fail")]
    assert [one.state for one in warned] == ["warn"]
    assert said in warned[0].said


# The command line -----------------------------------------------------------------------------------------------------


def test_one_line_per_check_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(planted.PROBE, [], tmp_path)
    assert main(["check", str(good)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "mine.py: 7 checks pass"
    assert all(re.match(r"pass  probe mine · \w", line) for line in lines[:-1])
    assert main(["check", str(write(planted.PROBE, planted.PROBES["a score of its own"][0], tmp_path))]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "mine.py: 6 checks pass, 1 to mend"
    assert next(line for line in lines if line.startswith("FAIL")).startswith("FAIL  probe mine · its validation score")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\n", "registers nothing"),
        ("def broken(:\n", "does not import .*SyntaxError"),
        ("import no_such_module_anywhere\n", "does not import .*no_such_module_anywhere"),
    ],
)
def test_files_that_cannot_be_asked(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(planted.PROBE, [], tmp_path)
    bad = tmp_path / "bad.py"
    bad.write_text(text)
    assert main(["check", str(good), str(bad)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""  # nothing is checked before every file was read
    assert re.fullmatch(f"error: .*{sentence}.*\n", captured.err)
    assert main(["check", str(tmp_path / "absent.py")]) == 3
    assert main(["check", str(good), str(good)]) == 3
    assert main(["check"]) == 3


@pytest.mark.parametrize("kind", start.KINDS)
def test_what_new_writes_keeps_every_contract_and_runs(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", kind, "first-try"]) == 0
    path = tmp_path / "first_try.py"
    assert all(own not in path.read_text() for own in start.OWN[kind])
    assert "--plugin first_try.py" in capsys.readouterr().out
    assert main(["check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "warn" not in shown
    assert "FAIL" not in shown
    words = start.words(kind, "first-try").split()
    if kind != "dataset":  # a small one will do
        words = ["run", "tabular", "dataset=made_linear", *words[2:]]
    results = tmp_path / "results"
    assert main([*words, *TINY, "limit=100", "--plugin", str(path), "--results", str(results), "--jobs", "1"]) == 0
    records = record.load_all(results)
    assert len(records) == (1 if kind == "probe" else 2)
    assert all(one["status"] == "ok" and one["scores"] for one in records)
    if kind == "probe":
        assert "first-try" in {score["probe"] for score in records[0]["scores"]}


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("method", "../x", "cannot be a name"),
        ("method", "1a", "cannot be a name"),
        ("method", "", "cannot be a name"),
        ("method", "Mine", "cannot be a name"),
        ("method", "x" * 65, "cannot be a name"),
        ("method", "a/b", "cannot be a name"),
        ("method", "mine-", "cannot be a name"),
        ("method", "all", "a meaning of its own"),
        ("method", "class", "a meaning of its own"),
        ("dataset", "mine-folds", "a meaning of its own"),
        ("dataset", "mine-fold3", "a meaning of its own"),
        ("method", "mae", "exists already"),
        ("dataset", "made_linear", "exists already"),
        ("dataset", "class-mine", "exists already"),
        ("probe", "linear", "exists already"),
    ],
)
def test_names_that_are_refused(
    kind: str, name: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", kind, name]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert sentence in error
    assert not list(tmp_path.iterdir())


def test_places_that_are_refused(tmp_path: Path) -> None:
    there = tmp_path / "there.py"
    there.write_text("mine\n")
    with pytest.raises(UsageError, match="exists; name another file"):
        start.write("method", "mine", there)
    assert there.read_text() == "mine\n"
    with pytest.raises(UsageError, match=r"end --out in \.py"):
        start.write("method", "mine", tmp_path / "mine.txt")
    with pytest.raises(UsageError, match="cannot be written"):
        start.write("method", "mine", tmp_path / "no" / "folder.py")
    assert main(["new", "tool", "mine"]) == 3


def test_starting_files_fit_on_a_screen() -> None:
    for path in start.STARTS.glob("[a-z]*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name
