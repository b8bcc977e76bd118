"""Rows go round: run, submit, merge elsewhere, verify; what may not be published is refused with its reason."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packages import COMMIT, ROOT, arrays, clean_tree, cli, members, npz, pack, run, signed, tree
from toybox import TOY, toys

from benchmark import record
from benchmark.publish import checkout
from jepakit.types import UsageError


@pytest.fixture(scope="module", autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of two methods with two seeds, and a row that failed for good."""
    results = tmp_path_factory.mktemp("here") / "results"
    assert run(results, "method=toy-ae,toy-still", "seeds=2") == 0
    assert run(results, "method=toy-nan", "seeds=1") == 2
    return results


@pytest.fixture
def here(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "here")
    return tmp_path / "here"


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert cli(*words) == 3
    return capsys.readouterr().err


def test_a_package_rebuilds_the_same_board_elsewhere(here: Path, tmp_path: Path) -> None:
    package, there = tmp_path / "a.zip", tmp_path / "there"
    assert cli("submit", "toy", "--results", here, "--out", package) == 0
    assert cli("merge", package, "--into", there) == 0
    mine, theirs = tree(here), tree(there)
    for name in ("runs.csv", "leaderboard_toy.csv", "leaderboard_toy.md", "leaderboard.csv"):
        assert theirs[name] == mine[name]
    assert {name for name in mine if name.startswith("records/")} == {n for n in theirs if n.startswith("records/")}
    assert cli("verify", "toy-ae/toy", "--results", there) == 0
    with (there / "leaderboard_toy.csv").open(newline="") as file:
        verdict = {row["method"]: row["verified"] for row in csv.DictReader(file)}
    assert verdict == {"toy-ae": "yes", "toy-still": "yes", "toy-nan": "", "chance": ""}
    for one in record.load_all(there):
        assert one["merged"]["commit"] == COMMIT
        old = record.load(here / "records" / "toy" / "toy" / one["method"] / f"{one['key']}.json")
        assert one["merged"]["record"] == old["sha256"]
        assert {k: v for k, v in one.items() if k not in ("merged", "sha256")} == {
            k: v for k, v in old.items() if k != "sha256"
        }


def test_the_same_rows_give_the_same_bytes_and_say_how_to_run_them_again(here: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        assert cli("submit", "toy", "method=toy-ae", "--results", here, "--out", tmp_path / name) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    held = members(tmp_path / "a.zip")
    manifest = json.loads(held.pop("manifest.json"))
    assert manifest["commit"] == COMMIT and manifest["versions"]["jepakit"] and set(manifest["files"]) == set(held)
    (command,) = manifest["commands"]
    assert command.startswith("python -m benchmark run toy dataset=toy method=toy-ae preset=quick seed=0,1 ")
    assert "train.steps=10" in command
    assert len(held) == 4  # two records, each with its predictions
    assert not list(tmp_path.glob(".*"))


def test_merging_again_changes_nothing_and_a_package_extends_what_is_there(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, part, there = tmp_path / "whole.zip", tmp_path / "part.zip", tmp_path / "there"
    assert cli("submit", "--results", here, "--out", whole) == 0
    assert cli("submit", "toy", "method=toy-ae", "--results", here, "--out", part) == 0
    assert cli("merge", part, "--into", there) == 0
    assert cli("merge", whole, part, "--into", there) == 0
    assert "3 records added, 4 known already" in capsys.readouterr().out
    before = tree(there)
    assert cli("merge", whole, "--into", there) == 0
    assert tree(there) == before
    assert cli("submit", "--results", there, "--out", tmp_path / "again.zip") == 0, "merged rows can be passed on"


def test_a_row_run_twice_with_other_scores_is_an_error_that_names_both(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Predictions and score agree with each other, so only the comparison can tell."""
    package = tmp_path / "a.zip"
    assert cli("submit", "toy", "method=toy-ae", "seed=0", "--results", here, "--out", package) == 0
    held = members(package)
    (name,) = (name for name in held if name.startswith("records/") and name.endswith(".json"))
    beside = name.replace(".json", ".npz")
    found = arrays(held[beside])
    scores: list[dict[str, Any]] = json.loads(held[name])["scores"]
    (score, *_) = (score for score in scores if score["metric"] == "macro_f1")
    found[f"{score['task']}.{score['probe']}.pred"] = found[f"{score['task']}.label"].astype("u1")
    score["value"] = 1.0  # as good as can be
    held |= {name: signed(held[name], {"scores": scores}), beside: npz(found)}
    forged = pack(tmp_path / "forged.zip", held)
    before = tree(here)
    text = refused(capsys, "merge", forged, "--into", here)
    assert f"{score['task']} {score['probe']} macro_f1 is 1 in {name} of forged.zip" in text
    assert f"in the record {Path(name).stem}" in text and "same identity" in text
    assert tree(here) == before
    text = refused(capsys, "merge", package, forged, "--into", tmp_path / "there")
    assert "of a.zip" in text and "of forged.zip" in text
    assert not (tmp_path / "there").exists()


def test_labels_that_differ_from_those_of_other_rows_are_made_up(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "a.zip"
    assert cli("submit", "toy", "method=toy-ae", "seed=0", "--results", here, "--out", package) == 0
    held = members(package)
    (beside,) = (name for name in held if name.endswith(".npz"))
    found = arrays(held[beside])
    for task in {name.partition(".")[0] for name in found}:
        for array in [name for name in found if name.startswith(f"{task}.")]:
            found[array] = found[array][::-1]  # every score stays what it was
    forged = pack(tmp_path / "forged.zip", {**held, beside: npz(found)})
    shutil.rmtree(here / "records" / "toy" / "toy" / "toy-ae")  # the row itself is not known here
    text = refused(capsys, "merge", forged, "--into", here)
    assert "was tested on other labels or units of" in text and "than the record" in text


def test_a_failure_of_the_surroundings_never_replaces_a_result(here: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "oom", "method=toy-oom", "seeds=1") == 2
    assert cli("submit", "--results", tmp_path / "oom", "--out", tmp_path / "oom.zip") == 0
    assert cli("merge", tmp_path / "oom.zip", "--into", here) == 0
    assert "out of memory" in (here / "runs.csv").read_text()
    before = tree(here)
    assert cli("merge", tmp_path / "oom.zip", "--into", here) == 0
    assert tree(here) == before


def test_rows_of_other_code_are_taken_in_and_shown_unranked(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package, there = tmp_path / "a.zip", tmp_path / "there"
    assert cli("submit", "--results", here, "--out", package) == 0
    monkeypatch.setattr("benchmark.cell.SUITE", 2)
    assert cli("merge", package, "--into", there) == 0
    assert "5 of them were made by other code" in capsys.readouterr().out
    text = refused(capsys, "submit", "--results", there, "--out", tmp_path / "b.zip")
    assert "toy/toy toy-ae seed 0" in text and "made by older code (changed: pretraining)" in text


def test_what_may_not_be_published(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.zip"

    def why(*words: str) -> str:
        text = refused(capsys, "submit", *words, "--results", here, "--out", out)
        assert text.startswith("error: nothing was packed") and not out.exists()
        return text

    assert "did you mean 'toy-ae'" in refused(capsys, "submit", "method=toy-ea", "--results", here, "--out", out)
    assert run(here, "method=toy-still", "seeds=1", "preset=smoke") == 0
    assert "toy/toy toy-still seed 0: the preset smoke is never quoted" in why()
    first, *_ = sorted((here / "records" / "toy" / "toy" / "toy-ae").glob("*.npz"))
    whole = first.read_bytes()
    first.unlink()
    assert "toy-ae seed" in (text := why("preset=quick")) and "its predictions are not stored" in text
    first.write_bytes(npz({name: array[::-1] for name, array in arrays(whole).items() if not name.endswith("unit")}))
    assert "a score is not what its predictions give" in why("preset=quick")
    first.write_bytes(whole)
    path = first.with_suffix(".json")
    path.write_bytes(path.read_bytes()[:-40])
    assert "is not JSON" in why("preset=quick")
    path.unlink()
    assert cli("submit", "preset=quick", "--results", here, "--out", out) == 0


def test_tuning_is_equal_or_not_published(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(here, "method=toy-ae", "seeds=1", "train.lr=1e-3") == 0
    text = refused(capsys, "submit", "--results", here, "--out", tmp_path / "a.zip")
    assert "toy/toy quick: unequal tuning: train.lr=1e-3 for some methods, not for toy-nan" in text
    assert cli("submit", "method=toy-ae", "--results", here, "--out", tmp_path / "a.zip") == 0, (
        "nothing to be unequal to"
    )


def test_a_file_that_is_in_no_commit_is_nobody_elses(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "files", lambda: frozenset(set(ROOT.rglob("*.py")) - {TOY}))
    assert "the file of its method is in no commit" in refused(
        capsys, "submit", "--results", here, "--out", tmp_path / "a.zip"
    )


def test_code_without_a_commit_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(checkout, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="git knows no commit of this checkout"):
        checkout.commit()

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "jepakit").mkdir()
    (tmp_path / "jepakit" / "a.py").write_text("x = 1\n")
    (tmp_path / "results").mkdir()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    (tmp_path / "results" / "new.json").write_text("{}")  # new rows are ahead of every commit
    assert checkout.commit() == git("rev-parse", "HEAD").strip()
    (tmp_path / "mine.py").write_text("x = 1\n")  # a plugin that lies in the checkout is not in the commit
    assert checkout.files() == {tmp_path / "jepakit" / "a.py"}
    (tmp_path / "jepakit" / "a.py").write_text("x = 2\n")
    with pytest.raises(UsageError, match=r"code that is in no commit \(jepakit/a.py\); commit it"):
        checkout.commit()
    assert not checkout.files()
    git("checkout", "-q", ".")
    (tmp_path / "jepakit" / "b.py").write_text("x = 2\n")
    with pytest.raises(UsageError, match=r"jepakit/b.py"):
        checkout.commit()


def test_a_full_disk_leaves_nothing_of_a_package(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package, there = tmp_path / "a.zip", tmp_path / "there"
    assert cli("submit", "--results", here, "--out", package) == 0
    save, calls = record.save, []

    def filling(*words: Any) -> record.Record:
        calls.append(words)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return save(*words)

    monkeypatch.setattr("benchmark.publish.merge.record.save", filling)
    assert "could not be written (No space left on device)" in refused(capsys, "merge", package, "--into", there)
    assert tree(there) == {}
