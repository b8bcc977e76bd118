"""Boards of folds: one board, the mean over all folds or no score, and an interval that knows folds, seeds and units."""

from __future__ import annotations

import csv
import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score
from toybox import TINY, TOY, toys

from benchmark import fingerprint, leaderboard, plugin, record, request
from benchmark.__main__ import main
from benchmark.board import Board, boards
from benchmark.lines import Line, coverage
from benchmark.overall import overall
from benchmark.report import page, series
from benchmark.verify import verify
from jepakit.registry import datasets
from jepakit.types import UsageError

FOLDED = TOY.with_name("folded.py")
PLUGINS = ("--plugin", str(TOY), "--plugin", str(FOLDED))
K = 4
SIZES = (2, 4, 4, 8)  # test rows of the planted folds, each row a unit
# Right predictions in each planted fold by method and seed.
RIGHT = {
    "mae": [(2, 2, 3, 2), (1, 2, 1, 6)],
    "ijepa": [(2, 3, 3, 5), (2, 3, 2, 7)],
    "random_init": [(1, 2, 2, 2), (1, 1, 2, 4)],
    "supervised": [(2, 4, 4, 7), (2, 3, 4, 8)],
}
FAMILY = {"random_init": "reference", "supervised": "supervised", "mae": "mae"}


def fresh(_: Mapping[str, Any]) -> bool:
    return False


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        plugin.load(FOLDED)
        yield


def plant(
    results: Path, method: str, seed: int, fold: int, right: int | None = None, *, dataset: str | None = None,
    data: str = "", status: str = "ok", created: str = "2026-01-01",
) -> dict[str, Any]:  # fmt: skip
    """One fake cell of a fold of toy/ring, scored by scikit-learn; its fold decides how long it took."""
    name = dataset or f"ring-fold{fold}"
    n = SIZES[fold - 1]
    labels = np.arange(n) % 2
    pred = np.where(np.arange(n) < (RIGHT[method][seed][fold - 1] if right is None else right), labels, 1 - labels)
    score = {
        "task": "kind", "kind": "class", "probe": "linear", "metric": "accuracy", "value": accuracy_score(labels, pred),
        "val": 0.5, "chosen": {}, "extras": {}, "headline": True, "nuisance": False,
    }  # fmt: skip
    key = hashlib.sha256(repr((method, seed, name, data, status, created)).encode()).hexdigest()[:16]
    payload = {
        "schema": 1, "key": key, "identity": {}, "modality": "toy", "dataset": name, "method": method,
        "family": FAMILY.get(method, "jepa"), "paper": "", "augmentation": "none", "preset": "quick", "seed": seed,
        "overrides": {}, "variant": "", "status": status, "reason": None, "scores": [score] if status == "ok" else [],
        "diagnostics": {"rankme": 4.0 * fold}, "history": [],
        "cost": {"pretrain_s": 10.0 * fold, "features_s": 1.0, "pflop": 1e-3},
        "data": {"fingerprint": {"test": f"{name} {data}"}, "n_train": 40 - n, "units_train": 40 - n, "n_test": n,
                 "units_test": n},
        "training": {}, "versions": {}, "created": created,
    }  # fmt: skip
    arrays = {"kind.linear.pred": pred.astype(np.int16), "kind.label": labels.astype(np.int16),
              "kind.unit": np.arange(n).astype(np.int32)}  # fmt: skip
    return dict(record.save(results, payload, arrays if status == "ok" else {}))


def whole(results: Path, *methods: str) -> None:
    for method in methods or RIGHT:
        for seed in range(2):
            for fold in range(1, K + 1):
                plant(results, method, seed, fold)


def only(results: Path, stale: Any = fresh) -> Board:
    (board,) = boards(record.load_all(results), results, stale)
    return board


def line(board: Board, method: str) -> Line:
    (found,) = [one for one in board.lines if one.method == method]
    return found


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- the score -------------------------------------------------------------------------------------------------------


def test_a_score_is_the_mean_over_seeds_of_the_mean_over_folds(tmp_path: Path) -> None:
    """By hand: mae has 1, .5, .75, .25 → .625 and .5, .5, .25, .75 → .5. All rows together would give 9/18 and 10/18."""
    whole(tmp_path)
    board = only(tmp_path)
    assert (board.dataset, board.folds, len(board.measures)) == ("ring-folds", K, 1)
    mae = line(board, "mae")
    assert (mae.mean, mae.median, mae.n_seeds) == (0.5625, 0.5625, 2)
    assert series.seeds(board, board.measures[0])["mae", ""] == {0: 0.625, 1: 0.5}
    assert (mae.rank, line(board, "ijepa").rank) == (2, 1)
    # random_init: .5, .5, .5, .25 → .4375 and .5, .25, .5, .5 → .4375; supervised: .96875 and .9375.
    assert mae.d_random == pytest.approx(0.125)
    assert mae.normalised == pytest.approx((0.5625 - 0.4375) / (0.953125 - 0.4375))
    assert mae.ci95_lo is not None and mae.d_random_lo is not None and mae.ci95_lo < 0.5625
    # Costs and diagnostics are of one fold: seconds 11, 21, 31, 41.
    assert (mae.device_s, mae.rankme, mae.pflops, mae.status_counts) == (26.0, 10.0, 1e-3, "ok:8")
    # Chance is the best guess of each fold, averaged: every fold has as many of both classes.
    assert line(board, "chance").mean == 0.5


def test_a_fold_that_is_missing_leaves_no_score(tmp_path: Path) -> None:
    whole(tmp_path, "mae", "random_init")
    for fold in range(1, K + 1):
        plant(tmp_path, "ijepa", 0, fold, SIZES[fold - 1])  # the best row, if it counted
    gone = tmp_path / "records" / "toy" / "ring-fold2" / "ijepa"
    for path in gone.iterdir():
        path.unlink()
    plant(tmp_path, "lejepa", 0, 1, 2)
    plant(tmp_path, "lejepa", 0, 2, status="nan", right=0)
    plant(tmp_path, "dmt", 0, 2, status="nan", right=0)
    leaderboard.rebuild(tmp_path, stale=fresh)
    board = only(tmp_path)
    short = line(board, "ijepa")
    assert (short.mean, short.ci95_lo, short.rank, short.normalised, short.d_random) == (None,) * 5
    assert (short.n_seeds, short.status_counts, coverage(short)) == (0, "folds:3/4 ok:3", "3/4 folds")
    assert line(board, "lejepa").status_counts == "folds:1/4 nan:1 ok:1"
    assert (line(board, "dmt").status_counts, coverage(line(board, "dmt"))) == ("nan:1", "")
    assert (line(board, "mae").rank, coverage(line(board, "mae"))) == (1, "")
    console = Console(width=120, record=True)
    console.print(leaderboard.table(record.load_all(tmp_path), tmp_path, stale=fresh))
    shown = console.export_text()
    assert "3/4 folds" in shown and "mean over 4 folds" in shown
    assert "3/4 folds" in (tmp_path / "leaderboard_toy.md").read_text("utf-8")
    assert b"3/4 folds" in page.render(tmp_path, stale=fresh)
    assert ("ijepa", "") not in series.seeds(board, board.measures[0])


def test_a_seed_that_lacks_a_fold_is_left_out_and_named(tmp_path: Path) -> None:
    whole(tmp_path, "mae")
    for fold in (1, 2, 4):
        plant(tmp_path, "mae", 2, fold, 0)
    found = line(only(tmp_path), "mae")
    assert (found.mean, found.n_seeds, found.status_counts) == (0.5625, 2, "ok:11 seed2:3/4")
    # Seeds that lie in different folds make no whole seed, though every fold has a score.
    other = tmp_path / "other"
    for seed, fold in ((0, 1), (0, 2), (1, 3), (1, 4)):
        plant(other, "mae", seed, fold)
    found = line(only(other), "mae")
    assert (found.mean, found.status_counts) == (None, "folds:2/4 ok:4")


def test_older_code_in_one_fold_does_not_mix_with_newer(tmp_path: Path) -> None:
    whole(tmp_path, "mae")

    def old(one: Mapping[str, Any]) -> bool:
        return bool(one["dataset"] == "ring-fold3")

    found = line(only(tmp_path, old), "mae")
    assert (found.mean, found.stale, coverage(found)) == (None, False, "3/4 folds")
    found = line(only(tmp_path, lambda one: True), "mae")
    assert (found.mean, found.stale, found.rank) == (0.5625, True, None)


def test_of_two_versions_of_a_folds_data_todays_counts(tmp_path: Path) -> None:
    whole(tmp_path, "mae")
    before = only(tmp_path)
    plant(tmp_path, "mae", 0, 2, 4, data="mended")
    with pytest.warns(UserWarning, match="1 records of other data of ring-fold2"):
        assert line(only(tmp_path), "mae").mean == 0.5625
    plant(tmp_path, "mae", 1, 2, 4, data="mended", created="2026-01-02")
    with pytest.warns(UserWarning, match="2 records of other data of ring-fold2"):
        after = only(tmp_path)
    assert line(after, "mae").mean == pytest.approx((1 + 1 + 0.75 + 0.25 + 0.5 + 1 + 0.25 + 0.75) / 8)
    assert after.data != before.data


def test_files_have_one_board_of_all_folds(tmp_path: Path) -> None:
    whole(tmp_path)
    cards = {name: datasets[name].make.card for name in datasets}
    leaderboard.rebuild(tmp_path, stale=fresh, cards=cards)
    assert {row["dataset"] for row in read(tmp_path / "leaderboard_toy.csv")} == {"ring-folds"}
    assert {row["dataset"] for row in read(tmp_path / "runs.csv")} == {f"ring-fold{k}" for k in range(1, K + 1)}
    text = (tmp_path / "leaderboard_toy.md").read_text("utf-8")
    for words in ("## ring-folds · quick", "means over 4 folds", "train 32–38", "test 2–8 (2–8 units)", "Ring of toys"):
        assert words in text
    said = page.render(tmp_path, stale=fresh).decode()
    assert "fold 4, test" in said and said.count("Ring of toys") == 2  # in the index and in its own part, not per fold
    console = Console(width=120, record=True)  # one fold by itself is still to be seen
    console.print(leaderboard.table(record.load_all(tmp_path), tmp_path, stale=fresh, dataset="ring-fold4"))
    assert "toy/ring-fold4" in console.export_text()


def test_across_data_sets_folds_and_single_split_count_once(tmp_path: Path) -> None:
    whole(tmp_path)
    for method in RIGHT:
        for seed in range(2):
            plant(tmp_path, method, seed, 1, dataset="ring")
    found = overall(boards(record.load_all(tmp_path), tmp_path, fresh))
    mae = next(one for one in found if one.method == "mae")
    assert (mae.n_datasets, mae.coverage, mae.worst_dataset, mae.mean_rank) == (1, 1.0, "toy/ring-folds", 2.0)
    plant(tmp_path, "lejepa", 0, 1, 2, dataset="ring")  # now the single split has more rows, and there mae is last
    found = overall(boards(record.load_all(tmp_path), tmp_path, fresh))
    mae = next(one for one in found if one.method == "mae")
    assert (mae.n_datasets, mae.coverage, mae.mean_rank) == (1, 1.0, 3.0)


# --- commands --------------------------------------------------------------------------------------------------------


def cli(results: Path, *words: str) -> list[str]:
    return [*words, *TINY, "--results", str(results), *PLUGINS, "--jobs", "1"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of four folds, one method, two seeds."""
    results = tmp_path_factory.mktemp("ran")
    with toys():
        plugin.load(FOLDED)
        assert main(cli(results, "run", "toy", "dataset=ring-folds", "method=toy-ae", "probe=linear", "seeds=2")) == 0
    return results


def test_running_all_folds_makes_one_board(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = cli(ran, "run", "toy", "dataset=ring-folds", "method=toy-ae", "probe=linear", "seeds=2")
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "toy/ring-folds (4 folds): Ring of toys" in out and "8 finished before" in out
    assert "toy/ring-folds · quick" in out and "toy/ring-fold1 · quick" not in out
    # The time of a fold that never ran is known from the others.
    words = cli(ran, "run", "toy", "dataset=ring-fold2", "method=toy-ae", "probe=linear", "seeds=3", "--dry-run")
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "1 to run" in out and "unknown" not in out
    assert main(["ls", *PLUGINS]) == 0
    assert "ring-folds" in capsys.readouterr().out


def test_scores_of_folds_and_people_are_shown(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["folds", "toy", "dataset=ring-folds", "--results", str(ran), *PLUGINS]) == 0
    out = capsys.readouterr().out
    found = record.load_all(ran)
    for k in range(1, K + 1):
        values = [one["scores"][0]["value"] for one in found if one["dataset"] == f"ring-fold{k}"]
        assert len(values) == 2 and f"{np.mean(values):.3f}" in out
    assert f"{np.mean([one['scores'][0]['value'] for one in found]):.3f}" in out
    # One person by an own reading of the stored predictions; the data say who it is.
    from sklearn.metrics import f1_score

    name, own = "person 05", []
    for one in found:
        if one["dataset"] == "ring-fold2":
            with np.load(ran / "records" / "toy" / "ring-fold2" / "toy-ae" / f"{one['key']}.npz") as file:
                mine = file["kind.unit"] == 1
                own.append(f1_score(file["kind.label"][mine], file["kind.linear.pred"][mine], average="macro"))
    (told,) = [text for text in out.splitlines() if name in text]
    assert told.split()[2:] == ["2", "15", f"{np.mean(own):.3f}"]
    assert main(["folds", "toy", "dataset=ring-fold2", "--results", str(ran), *PLUGINS, "--units", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("person 0") == 2 and "2 easier ones not shown" in " ".join(out.split())
    assert main(["folds", "toy", "dataset=ring", "--results", str(ran), *PLUGINS]) == 3
    assert "run it first: run toy dataset=ring" in capsys.readouterr().err


def test_without_the_data_people_are_numbers(ran: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import shutil

    results = tmp_path / "r"
    shutil.copytree(ran, results)
    for path in (results / "records").rglob("*.json"):
        one = record.load(path)
        one["data"]["fingerprint"]["test"] = "0" * 64
        with np.load(path.with_suffix(".npz")) as file:
            arrays = {name: file[name] for name in file.files}
        record.save(results, one, arrays)
    from benchmark import breakdown

    asked = request.parse(["toy", "dataset=ring-folds"])
    console = Console(width=120, record=True)
    for table in breakdown.tables(record.load_all(results), results, asked, None):
        console.print(table)
    text = console.export_text()
    assert "fold" in text and "person 0" not in text


def test_verify_computes_the_board_of_folds_again(ran: Path) -> None:
    checks = verify(ran, ["toy-ae/ring-folds"])
    assert all(check.match for check in checks)
    # eight records with the tasks kind and size; mean, interval and rank of both
    assert len(checks) == 8 * 2 + 2 * 4
    some = verify(ran, ["toy-ae/ring-fold2"])
    assert all(check.match for check in some) and len(some) == 2 * 2 + 2 * 4


def test_verify_finds_a_fold_that_was_changed(tmp_path: Path) -> None:
    whole(tmp_path)
    leaderboard.rebuild(tmp_path, stale=fresh)
    assert not [check for check in verify(tmp_path, ["mae/ring-folds"], fresh) if not check.match]
    path = next((tmp_path / "records" / "toy" / "ring-fold4" / "mae").glob("*.npz"))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(path, **{**arrays, "kind.linear.pred": arrays["kind.label"]})
    wrong = [check.what for check in verify(tmp_path, ["mae/ring-folds"], fresh) if not check.match]
    assert any("ring-fold4" in what for what in wrong) and any(what.endswith("mean") for what in wrong)


def test_stale_folds_are_one_row_and_one_command(
    ran: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmark.cell.SUITE", 99)
    words = ["board", "--stale", "--results", str(ran), *PLUGINS]
    assert main(words) == 0
    lines = [text for text in capsys.readouterr().out.splitlines() if text.startswith("python -m benchmark run")]
    assert len(lines) == 1
    command = shlex.split(lines[0])
    assert {"dataset=ring-folds", "seed=0,1", "method=toy-ae"} <= set(command)
    from benchmark import stale

    part = [one for one in record.load_all(ran) if one["dataset"] in ("ring-fold1", "ring-fold3")]
    (found,) = stale.rows(part, ran, stale.Stages())
    assert (found.dataset, found.seeds) == ("ring-fold1,ring-fold3", (0, 1))


def test_folds_are_compared_as_one_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole(tmp_path)
    where = ["--results", str(tmp_path), *PLUGINS]
    for name in ("ring-folds", "ring-fold2"):
        assert main(["compare", "mae", "ijepa", "toy", f"dataset={name}", *where]) == 0
        assert f"toy/{name} quick" in capsys.readouterr().out
    assert main(["compare", "mae", "ijepa", "toy", "dataset=ring-fold7", *where]) == 3


def test_a_fold_of_changed_files_is_read_again(tmp_path: Path) -> None:
    """Folds keep no files of their own: those of the data set decide whether a fingerprint is still true."""
    (tmp_path / "toy" / "ring").mkdir(parents=True)
    before = fingerprint.request("toy/ring-fold2", tmp_path)
    (tmp_path / "toy" / "ring" / "rows.dat").write_text("more")
    assert fingerprint.request("toy/ring-fold2", tmp_path) != before


def test_an_unknown_member_is_an_error_not_a_crash() -> None:
    with pytest.raises(UsageError, match="has folds 1 to 4"):
        datasets["toy/ring-fold9"]
