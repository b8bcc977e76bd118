"""Leaderboard files from planted records: values, ranks, references, stale and failed rows, reproducible bytes."""

from __future__ import annotations

import csv
import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import f1_score

from benchmark import leaderboard, record
from benchmark.board import boards
from jepakit.types import Card

FAMILY = {"random_init": "reference", "raw_features": "reference", "supervised": "supervised", "mae": "mae"}
UNITS = np.repeat(np.arange(12), 20)
LABELS = np.random.default_rng(0).integers(0, 3, len(UNITS))
# Share of right predictions by method: what the board has to find again.
SKILL = {"random_init": 0.4, "raw_features": 0.5, "ijepa": 0.8, "mae": 0.7, "lejepa": 0.6, "supervised": 0.9}


def fresh(_: Mapping[str, Any]) -> bool:
    return False


def write(
    results: Path, method: str, seed: int = 0, *, skill: float | None = None, preset: str = "quick",
    dataset: str = "simulated", status: str = "ok", overrides: dict[str, str] | None = None, data: str = "f" * 64,
    family: str | None = None, created: str = "2026-01-01T00:00:00+00:00", **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """One fake cell on disk: headline task (linear, knn) and a nuisance task, scored by scikit-learn."""
    identity = {"m": method, "s": seed, "p": preset, "d": dataset, "o": overrides, "f": data, "c": created}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    rng = np.random.default_rng([seed, len(method)])
    scores, arrays = [], {}
    failed = status not in ("ok", "collapsed")
    share = SKILL.get(method, 0.5) if skill is None else skill
    for task, probe, nuisance in (("rhythm", "linear", False), ("rhythm", "knn", False), ("noise", "linear", True)):
        guess = np.where(rng.random(len(LABELS)) < share - 0.1 * (probe == "knn"), LABELS, (LABELS + 1) % 3)
        value = float(f1_score(LABELS, guess, average="macro"))
        scores.append({
            "task": task, "kind": "class", "probe": probe, "metric": "macro_f1", "value": value, "val": value,
            "chosen": {"k": 5}, "extras": {"macro_f1_max": 0.5} if probe == "linear" and not nuisance else {},
            "headline": not nuisance, "nuisance": nuisance,
        })  # fmt: skip
        arrays |= {f"{task}.{probe}.pred": guess.astype(np.int16), f"{task}.label": LABELS.astype(np.int16),
                   f"{task}.unit": UNITS.astype(np.int32)}  # fmt: skip
    payload = {
        "schema": 1, "key": key, "identity": identity, "modality": "ecg", "dataset": dataset, "method": method,
        "family": family or FAMILY.get(method, "jepa"), "paper": "", "augmentation": "none", "preset": preset,
        "seed": seed, "overrides": overrides or {},
        "variant": " ".join(f"{k}={v}" for k, v in sorted((overrides or {}).items())),
        "status": status, "reason": None if status == "ok" else "=planted | reason", "scores": [] if failed else scores,
        "diagnostics": {} if failed else {"rankme": 10.0 + seed, "rankme_norm": 0.1, "std_min": 0.01, "std_mean": 0.1,
                                          "mean_cosine": 0.5, "collapsed": status == "collapsed", "collapse_step": None},
        "history": [],
        "cost": {"pflop": 2e-3, "gflop_encode": 0.01, "gflop_step": 0.02, "wall_s": 20.0 + seed, "step_ms_p50": 4.0,
                 "step_ms_p95": 6.0, "data_wait": 0.125, "params_trained_m": 0.5, "params_m": 0.25,
                 "pretrain_s": 10.0 + seed, "features_s": 1.0, "samples_per_s": 1000.0,
                 "peak_rss_mib": 500.0, "peak_device_mib": 0.0, "device": "cpu", "precision": "32-true"},
        "data": {"fingerprint": {"train": data}, "n_train": 100, "n_val": 50, "n_test": 240, "units_train": 10,
                 "units_val": 5, "units_test": 12},
        "training": {}, "versions": {}, "created": created, **changes,
    }  # fmt: skip
    return dict(record.save(results, payload, {} if failed else arrays))


def everything(results: Path) -> None:
    for method in SKILL:
        for seed in range(3):
            write(results, method, seed)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def board(results: Path, **wanted: str) -> list[dict[str, str]]:
    wanted = {"task": "rhythm", "probe": "linear", "metric": "macro_f1"} | wanted
    return [row for row in read(results / "leaderboard_ecg.csv") if all(row[k] == v for k, v in wanted.items())]


def only(results: Path, method: str, **wanted: str) -> dict[str, str]:
    (row,) = board(results, method=method, **wanted)
    return row


def test_board_of_a_whole_grid(tmp_path: Path):
    everything(tmp_path)
    leaderboard.rebuild(tmp_path, stale=fresh)
    rows = board(tmp_path)
    # Entrants by score, then the references, each with its mark; chance last.
    assert [(r["method"], r["rank"]) for r in rows] == [
        ("ijepa", "1"), ("mae", "2"), ("lejepa", "3"), ("supervised", ""), ("raw_features", ""), ("random_init", ""),
        ("chance", ""),
    ]  # fmt: skip
    assert [r["reference"] for r in rows] == ["no"] * 3 + ["yes"] * 4
    values = [s["value"] for r in record.load_all(tmp_path) for s in r["scores"]
              if r["method"] == "mae" and (s["task"], s["probe"]) == ("rhythm", "linear")]  # fmt: skip
    mae = rows[1]
    assert float(mae["mean"]) == pytest.approx(np.mean(values), abs=1e-4)
    assert float(mae["median"]) == pytest.approx(np.median(values), abs=1e-4)
    assert float(mae["ci95_lo"]) < float(mae["mean"]) < float(mae["ci95_hi"])
    base = [s["value"] for r in record.load_all(tmp_path) for s in r["scores"]
            if r["method"] == "random_init" and (s["task"], s["probe"]) == ("rhythm", "linear")]  # fmt: skip
    assert float(mae["d_random"]) == pytest.approx(np.mean(values) - np.mean(base), abs=2e-4)
    assert float(mae["d_random_lo"]) > 0
    assert only(tmp_path, "random_init")["d_random"] == ""
    assert (mae["n_seeds"], mae["status_counts"], mae["stale"]) == ("3", "ok:3", "no")
    assert (mae["rankme"], mae["device_s"], mae["params_m"], mae["peak_mem_mib"]) == ("11.00", "12.0", "0.2500", "500")
    names = ("pflops", "gflop_encode", "gflop_step", "wall_s", "step_ms_p50", "step_ms_p95", "data_wait",
             "params_trained_m", "device", "precision")  # fmt: skip
    assert [mae[name] for name in names] == [
        "2.0000e-03", "1.0000e-02", "2.0000e-02", "21.0", "4.00", "6.00", "0.125", "0.5000", "cpu", "32-true",
    ]  # fmt: skip
    assert float(only(tmp_path, "chance")["mean"]) == pytest.approx(1 / 3, abs=1e-4)


def test_nuisance_tasks_are_marked_unranked_and_last(tmp_path: Path):
    everything(tmp_path)
    leaderboard.rebuild(tmp_path, stale=fresh)
    rows = read(tmp_path / "leaderboard_ecg.csv")
    tasks = [row["task"] for row in rows]
    assert tasks.index("noise") == len(tasks) - tasks[::-1].index("rhythm")
    assert all(row["nuisance"] == "yes" and row["rank"] == "" for row in rows if row["task"] == "noise")


def test_extra_pooling_is_a_row_without_interval(tmp_path: Path):
    everything(tmp_path)
    leaderboard.rebuild(tmp_path, stale=fresh)
    row = only(tmp_path, "mae", metric="macro_f1_max")
    assert (row["mean"], row["ci95_lo"]) == ("0.5000", "")
    assert any(run["metric"] == "macro_f1_max" for run in read(tmp_path / "runs.csv"))


def test_the_same_records_give_the_same_bytes(tmp_path: Path):
    everything(tmp_path / "a")
    for method in reversed(SKILL):  # written in another order, at another time
        for seed in (2, 0, 1):
            write(tmp_path / "b", method, seed)
    for name in "ab":
        leaderboard.rebuild(tmp_path / name, stale=fresh)
    first = {p.name: p.read_bytes() for p in (tmp_path / "a").glob("*.*") if p.is_file()}
    assert set(first) == {"runs.csv", "leaderboard.csv", "leaderboard_ecg.csv", "leaderboard_ecg.md"}
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "b").glob("*.*") if p.is_file()}
    leaderboard.rebuild(tmp_path / "a", "ecg", stale=fresh)
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "a").glob("*.*") if p.is_file()}


def test_smoke_never_enters_a_file(tmp_path: Path):
    write(tmp_path, "mae", preset="smoke")
    leaderboard.rebuild(tmp_path, "ecg", stale=fresh)
    assert read(tmp_path / "runs.csv") == [] and read(tmp_path / "leaderboard_ecg.csv") == []
    assert "No published record" in (tmp_path / "leaderboard_ecg.md").read_text()
    write(tmp_path, "mae")
    leaderboard.rebuild(tmp_path, stale=fresh)
    for name in ("runs.csv", "leaderboard_ecg.csv", "leaderboard_ecg.md"):
        assert "smoke" not in (tmp_path / name).read_text()
    assert len(boards(record.load_all(tmp_path), tmp_path)) == 2  # the terminal may show it


def test_failed_cells_keep_their_row_with_the_reason(tmp_path: Path):
    everything(tmp_path)
    for seed in range(2):
        write(tmp_path, "dseq", seed, status="nan")
    write(tmp_path, "dmt", 0)
    write(tmp_path, "dmt", 1, status="oom")
    write(tmp_path, "sar", 0, status="collapsed", skill=0.2)
    leaderboard.rebuild(tmp_path, stale=fresh)
    gone = only(tmp_path, "dseq")
    assert (gone["mean"], gone["ci95_lo"], gone["rank"], gone["n_seeds"]) == ("", "", "", "0")
    assert gone["status_counts"] == "nan:2"
    half = only(tmp_path, "dmt")
    assert (half["n_seeds"], half["status_counts"]) == ("1", "ok:1 oom:1") and half["mean"]
    assert (only(tmp_path, "sar")["collapsed_frac"], only(tmp_path, "mae")["collapsed_frac"]) == ("1.00", "0.00")
    lost = [row for row in read(tmp_path / "runs.csv") if row["method"] == "dseq"]
    assert [(row["value"], row["task"], row["status"]) for row in lost] == [("", "", "nan")] * 2
    assert lost[0]["reason"] == "'=planted | reason"  # no formula for a spreadsheet


def test_boards_never_mix_presets_data_or_budgets(tmp_path: Path):
    write(tmp_path, "ijepa")
    write(tmp_path, "random_init")
    write(tmp_path, "mae", preset="full")
    write(tmp_path, "mae", data="e" * 64)
    write(tmp_path, "mae", overrides={"train.steps": "9"})
    write(tmp_path, "mae", dataset="ludb")
    found = boards(record.load_all(tmp_path), tmp_path, fresh)
    assert len(found) == 5
    for one in found:
        assert len({line.method for line in one.lines} & {"ijepa", "mae"}) == 1
        mae = [line for line in one.lines if line.method == "mae"]
        assert all(line.d_random is None and line.rank in (1, None) for line in mae)


def test_settings_of_one_method_are_rows_of_their_own(tmp_path: Path):
    for seed in range(2):
        write(tmp_path, "ijepa", seed, skill=0.6)
        write(tmp_path, "ijepa", seed, skill=0.8, overrides={"recipe.keep": "0.3"})
        write(tmp_path, "ijepa", seed, skill=0.6, overrides={"probe": "linear"}, created="2026-01-02T00:00:00+00:00")
    leaderboard.rebuild(tmp_path, stale=fresh)
    rows = [row for row in board(tmp_path) if row["method"] == "ijepa"]
    assert [(row["variant"], row["rank"], row["n_seeds"]) for row in rows] == [
        ("recipe.keep=0.3", "1", "2"),
        ("", "2", "2"),
    ]


def test_stale_rows_are_marked_and_give_way_to_fresh_ones(tmp_path: Path):
    for seed in range(2):
        write(tmp_path, "ijepa", seed, skill=0.9, created="2025-01-01T00:00:00+00:00")
        write(tmp_path, "mae", seed, created="2025-01-01T00:00:00+00:00")
    write(tmp_path, "ijepa", 0, skill=0.5)
    leaderboard.rebuild(tmp_path, stale=lambda one: one["created"].startswith("2025"))
    new, old = only(tmp_path, "ijepa"), only(tmp_path, "mae")
    assert (new["stale"], new["n_seeds"], new["rank"]) == ("no", "1", "1") and float(new["mean"]) < 0.6
    assert (old["stale"], old["n_seeds"], old["rank"]) == ("yes", "2", "")
    assert "(stale)" in (tmp_path / "leaderboard_ecg.md").read_text()
    assert sum(row["stale"] == "yes" for row in read(tmp_path / "runs.csv")) == 4 * 4


def test_damaged_files_are_skipped_with_a_warning_that_names_them(tmp_path: Path):
    everything(tmp_path)
    folder = tmp_path / "records" / "ecg" / "simulated"
    empty, cut = sorted((folder / "lejepa").glob("*.json"))[:2]
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:300])
    broken, missing = sorted((folder / "mae").glob("*.npz"))[:2]
    broken.write_bytes(broken.read_bytes()[:100])
    missing.unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        leaderboard.rebuild(tmp_path, stale=fresh)
    said = " ".join(str(one.message) for one in caught)
    for path in (empty, cut, broken, missing):
        assert path.name in said
    assert only(tmp_path, "lejepa")["n_seeds"] == "1"
    # The score is in the record; only its interval needs the predictions.
    assert (only(tmp_path, "mae")["n_seeds"], only(tmp_path, "mae")["ci95_lo"]) == ("3", "")
    assert only(tmp_path, "ijepa")["ci95_lo"] != ""


def test_a_record_without_the_needed_fields_is_skipped(tmp_path: Path):
    good = write(tmp_path, "mae")
    with pytest.warns(UserWarning, match="'abc' skipped"):
        found = boards([good, {"key": "abc", "modality": "ecg"}], tmp_path)
    assert {line.method for line in found[0].lines} == {"mae", "chance"}


def test_text_cannot_break_out_of_a_cell(tmp_path: Path):
    write(tmp_path, "=cmd()|a", family="jepa")
    write(tmp_path, "lejepa", overrides={"recipe.note": "x|y\nz"})
    card = Card("A [link](x) | b", "CC <b>", "there", "", "patient")
    leaderboard.rebuild(tmp_path, stale=fresh, cards={"ecg/simulated": card})
    assert only(tmp_path, "'=cmd()|a")["family"] == "jepa"
    text = (tmp_path / "leaderboard_ecg.md").read_text()
    assert "A \\[link\\](x) \\| b" in text and "CC &lt;b&gt;" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert tables
    for lines in tables:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert leaderboard.cell("mean", -0.25) == "-0.2500"  # a number stays a number
    assert leaderboard.cell("mean", -0.0) == "0.0000"
    assert leaderboard.cell("reason", "-x") == "'-x"


def test_markdown_says_what_ran(tmp_path: Path):
    everything(tmp_path)
    leaderboard.rebuild(tmp_path, stale=fresh)
    text = (tmp_path / "leaderboard_ecg.md").read_text()
    for words in ("## simulated · quick", "Seeds 0, 1, 2", "test 240 (12 units)", "### rhythm", "nuisance"):
        assert words in text
    assert "*supervised*" in text.replace("\\", "")


def test_lower_is_better_where_the_metric_says_so(tmp_path: Path):
    for method, value in (("ijepa", 2.0), ("mae", 1.0)):
        score = {"task": "age", "kind": "regression", "probe": "linear", "metric": "rmse", "value": value, "val": value,
                 "chosen": {}, "extras": {}, "headline": True, "nuisance": False}  # fmt: skip
        write(tmp_path, method, scores=[score])
    leaderboard.rebuild(tmp_path, stale=fresh)
    assert [row["method"] for row in board(tmp_path, task="age", metric="rmse")] == ["mae", "ijepa"]


def test_terminal_table_fits_and_tells_the_story(tmp_path: Path):
    everything(tmp_path)
    write(tmp_path, "a-method-with-a-very-long-name-indeed", 0, status="nan")
    write(tmp_path, "sar", 0, status="collapsed", skill=0.2)
    console = Console(width=120, record=True, force_terminal=False)
    console.print(leaderboard.table(record.load_all(tmp_path), tmp_path, stale=fresh))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 120
    text = "\n".join(lines)
    for words in ("ecg/simulated · quick", "ijepa", "±.", "✗", "nan", "rhythm"):
        assert words in text
    names = [line.split() for line in lines]
    place = {word: i for i, parts in enumerate(names) for word in parts[:2] if word in (*SKILL, "chance")}
    assert place["ijepa"] < place["mae"] < place["random_init"]
    assert max(place["ijepa"], place["lejepa"], place["mae"]) < min(place["supervised"], place["chance"])
    assert any(set(line.strip()) == {"─"} for line in lines[place["mae"] : place["supervised"]])
    assert all("…" not in line for line in lines[6:] if "a-method" not in line)  # no number is cut off


def test_table_of_nothing_and_of_several_boards(tmp_path: Path):
    console = Console(width=120, record=True)
    console.print(leaderboard.table([], tmp_path, stale=fresh))
    assert "no records" in console.export_text()
    write(tmp_path, "mae")
    write(tmp_path, "mae", dataset="ludb")
    console.print(leaderboard.table(record.load_all(tmp_path), stale=fresh))
    text = console.export_text()
    assert "ecg/ludb" in text and "ecg/simulated" in text
