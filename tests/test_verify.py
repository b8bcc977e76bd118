"""Verify finds what was tampered with, and nothing where nothing was."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from test_leaderboard import LABELS, everything, fresh, read, write

from benchmark import leaderboard, metrics, record
from benchmark.predictions import ROUNDED, tolerance
from benchmark.verify import Check, verify
from jepakit.types import UsageError


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    everything(results)
    leaderboard.rebuild(results, stale=fresh)
    return results


@pytest.fixture
def results(kept: Path, tmp_path: Path) -> Path:
    shutil.copytree(kept, tmp_path / "r")
    return tmp_path / "r"


def wrong(results: Path, *words: str) -> list[Check]:
    return [check for check in verify(results, words, fresh) if not check.match]


def board(results: Path) -> list[dict[str, str]]:
    return read(results / "leaderboard_ecg.csv")


def page(results: Path) -> str:
    return (results / "leaderboard_ecg.md").read_text(encoding="utf-8")


def files(results: Path, method: str) -> list[Path]:
    return sorted((results / "records" / "ecg" / "simulated" / method).glob("*.json"))


def rewrite(path: Path, change: dict[str, Any]) -> None:
    """A record with other content and a checksum that is right again."""
    one = json.loads(path.read_bytes()) | change
    one["sha256"] = hashlib.sha256(record.canonical(one)).hexdigest()
    path.write_text(json.dumps(one), encoding="utf-8")


def test_an_honest_row_matches_in_every_number(results: Path) -> None:
    checks = verify(results, ["mae/simulated"], fresh)
    assert all(check.match for check in checks)
    said = "\n".join(map(str, checks))
    # three records with three scores each; mean, interval and rank of three measures
    assert len(checks) == 3 * 3 + 3 * 4
    for words in ("seed 2 rhythm knn macro_f1", "rhythm linear macro_f1: mean", "ci95_lo", "rank"):
        assert words in said
    assert not wrong(results, "mae/simulated/quick", "supervised/simulated", "random_init/simulated")


def test_a_key_or_its_beginning_names_one_record(results: Path) -> None:
    key = files(results, "ijepa")[1].stem
    for word in (key, key[:8]):
        scores = [check for check in verify(results, [word], fresh) if key in check.what]
        assert len(scores) == 3 and all(check.match for check in scores)


def test_a_changed_score_is_found(results: Path) -> None:
    path = files(results, "mae")[0]
    scores = json.loads(path.read_bytes())["scores"]
    scores[0]["value"] += 0.002
    rewrite(path, {"scores": scores})
    (found,) = wrong(results, "mae/simulated")
    assert path.stem in found.what and "rhythm linear" in found.what
    assert found.written == pytest.approx((found.computed or 0) + 0.002)
    leaderboard.rebuild(results, stale=fresh)  # the lie reaches the board: its mean is found, too
    assert any("mean" in check.what for check in wrong(results, "mae/simulated"))
    verdict = {(row["method"], row["task"], row["probe"], row["metric"]): row["verified"] for row in board(results)}
    assert verdict["mae", "rhythm", "linear", "macro_f1"] == "no" and "≠ its predictions" in page(results)
    assert verdict["mae", "rhythm", "knn", "macro_f1"] == verdict["lejepa", "rhythm", "linear", "macro_f1"] == "yes"
    assert verdict["mae", "rhythm", "linear", "macro_f1_max"] == verdict["chance", "rhythm", "linear", "macro_f1"] == ""
    path.with_suffix(".npz").unlink()  # of one seed of three: there is nothing to verify the row by
    with pytest.warns(UserWarning, match="not readable"):
        leaderboard.rebuild(results, stale=fresh)
    assert {row["verified"] for row in board(results) if row["method"] == "mae"} == {""}


def test_changed_predictions_are_found(results: Path) -> None:
    path = files(results, "mae")[0].with_suffix(".npz")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["rhythm.linear.pred"] = LABELS.astype(np.int16)
    np.savez_compressed(path, **arrays)
    what = [check.what for check in wrong(results, "mae/simulated")]
    assert any(path.stem in words for words in what) and any(words.endswith("mean") for words in what)
    # perfect predictions of one seed do not lift the mean over the first row's; a third row sees no change
    assert not wrong(results, "lejepa/simulated")


@pytest.mark.parametrize("column", ["mean", "ci95_lo", "ci95_hi", "rank"])
def test_a_changed_board_is_found(results: Path, column: str) -> None:
    path = results / "leaderboard_ecg.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index(column)
    i = next(i for i, line in enumerate(lines) if ",mae," in line)
    cells = lines[i].split(",")
    cells[place] = str(float(cells[place]) + (1 if column == "rank" else 0.001))
    path.write_text("\n".join([*lines[:i], ",".join(cells), *lines[i + 1 :]]) + "\n", encoding="utf-8")
    (found,) = wrong(results, "mae/simulated")
    assert found.what.endswith(column)


def test_lost_and_damaged_files_are_found(results: Path) -> None:
    first, second, _ = files(results, "mae")
    first.with_suffix(".npz").unlink()
    second.write_bytes(second.read_bytes().replace(b'"macro_f1"', b'"accuracy"', 1))
    with pytest.warns(UserWarning):
        found = wrong(results, "mae/simulated")
    assert any(first.stem in check.what and check.computed is None for check in found)
    assert any("checksum" in check.what for check in found)
    second.unlink()
    (results / "leaderboard_ecg.csv").unlink()
    assert any("line of the leaderboard" in check.what for check in wrong(results, "lejepa/simulated"))


def test_a_budget_of_its_own_is_another_line(results: Path) -> None:
    for seed in range(2):
        write(results, "mae", seed, skill=0.95, overrides={"train.steps": "9"})
    leaderboard.rebuild(results, stale=fresh)
    assert not wrong(results, "mae/simulated")


def test_unknown_rows_and_exit_codes(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmark import __main__ as cli

    for word in ("nothing/simulated", "mae/nothing", "mae/simulated/full", "abc", "a/b/c/d"):
        with pytest.raises(UsageError, match="is called"):
            verify(results, [word], fresh)
    # these records were made by no registered code: stale, so their written ranks are not what is computed
    assert cli.main(["verify", "nothing/simulated", "--results", str(results)]) == 3
    leaderboard.rebuild(results)
    capsys.readouterr()
    assert cli.main(["verify", "mae/simulated", "--results", str(results)]) == 0
    assert "21 of 21 numbers match" in capsys.readouterr().out
    path = files(results, "mae")[0]
    scores = json.loads(path.read_bytes())["scores"]
    scores[1]["value"] = 0.9
    rewrite(path, {"scores": scores})
    assert cli.main(["verify", path.stem, "--results", str(results)]) == 2
    out = capsys.readouterr().out
    assert "MISMATCH" in out and "1 do not" in out


def rounded(logits: np.ndarray) -> np.ndarray:
    return metrics.compact(metrics.get("macro_auroc"), np.zeros(len(logits), dtype=int), logits)


def test_ties_that_storing_made_are_allowed_for_exactly() -> None:
    """Sixteen test rows whose logits differ by less than float16 can say: half of the pairs of one class are ties."""
    auroc = metrics.get("macro_auroc")
    label = np.tile([0, 1], 8)
    logit = np.where(np.arange(16) < 8, 0.5 + 1e-5 * (label + np.arange(16) / 100), np.arange(16.0))
    logits = np.stack([-logit, logit], 1).astype(np.float32)
    run = label, rounded(logits), np.arange(16)
    assert run[1].dtype == np.float16
    before = roc_auc_score(label, logit)
    ties = 4 * 4 / 64  # of the 64 pairs of a positive and a negative, those within the first eight rows
    assert auroc(label, run[1]) == pytest.approx(before - ties / 2)
    assert tolerance(auroc, run) == pytest.approx(ROUNDED, rel=1e-3), (
        "but never more than this, or ties would prove all"
    )
    few = label, rounded(np.where(np.arange(16)[:, None] < 3, logits, np.arange(16.0)[:, None] * [[-1, 1]])), run[2]
    two = 2 / 64  # rows 0 and 2 are negatives, row 1 a positive
    assert tolerance(auroc, few) == pytest.approx(min(two, ROUNDED), rel=1e-3)
    apart = label, np.stack([-np.arange(16.0), np.arange(16.0)], 1).astype(np.float16), run[2]
    assert tolerance(auroc, apart) < 2e-6


def test_values_may_differ_in_their_last_place() -> None:
    rmse = metrics.get("rmse")
    rng = np.random.default_rng(0)
    label = rng.normal(150, 60, 400)
    guess = label + rng.normal(0, 60, 400)
    run = label.astype(np.float32), guess.astype(np.float32), np.arange(400)
    gap = abs(rmse(label, guess) - rmse(*run[:2]))
    assert 1e-7 < gap < tolerance(rmse, run) < 1e-3
