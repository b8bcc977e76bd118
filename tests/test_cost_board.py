"""Cost on boards: what a row cost is a column, and the front is of score and FLOPs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_leaderboard import board, everything, fresh, only, read, write

from benchmark import leaderboard, record
from benchmark.terminal import WIDTH


def priced(results: Path, method: str, skill: float, **cost: Any) -> None:
    base = {"pflop": 1e-3, "pretrain_s": 5.0, "features_s": 1.0, "device": "cpu", "precision": "32-true"}
    write(results, method, skill=skill, cost={**base, **cost})


def test_the_front_is_of_score_and_flops_not_of_seconds(tmp_path: Path) -> None:
    priced(tmp_path, "best", 0.9, pflop=4e-3, pretrain_s=1.0)
    priced(tmp_path, "middle", 0.7, pflop=2e-3, pretrain_s=50.0)
    priced(tmp_path, "beaten", 0.5, pflop=3e-3, pretrain_s=0.5)  # quick, but worse for more than the row above
    priced(tmp_path, "thrifty", 0.3, pflop=1e-3)
    priced(tmp_path, "unknown", 0.8, pflop=None)
    leaderboard.rebuild(tmp_path, stale=fresh)
    assert {row["method"]: row["pareto"] for row in board(tmp_path) if row["rank"]} == {
        "best": "yes", "unknown": "", "middle": "yes", "beaten": "no", "thrifty": "yes",
    }  # fmt: skip
    text = (tmp_path / "leaderboard_ecg.md").read_text()
    assert "| 4 ◆ |" in text and "| 3 |" in text


def test_seeds_of_several_machines_are_all_named(tmp_path: Path) -> None:
    for seed, device in enumerate(("cuda", "cpu", "cpu")):
        cost = {"device": device, "precision": "32-true", "peak_device_mib": 64.0 * (device == "cuda"),
                "peak_rss_mib": 500.0, "samples_per_s": 0.0}  # fmt: skip
        write(tmp_path, "mae", seed, cost=cost)
    leaderboard.rebuild(tmp_path, stale=fresh)
    row = only(tmp_path, "mae")
    assert (row["device"], row["precision"]) == ("cpu cuda", "32-true")
    assert float(row["peak_mem_mib"]) == pytest.approx((64 + 500 + 500) / 3, abs=0.5)
    assert (row["pflops"], row["samples_per_s"], row["pareto"]) == ("", "", "")  # not known is empty, never 0
    runs = [run for run in read(tmp_path / "runs.csv") if (run["task"], run["probe"]) == ("rhythm", "knn")]
    assert [(run["peak_rss_mib"], run["peak_device_mib"], run["device"]) for run in runs] == [
        ("500", "64", "cuda"), ("500", "0", "cpu"), ("500", "0", "cpu"),
    ]  # fmt: skip


def test_the_terminal_shows_flops_within_its_width(tmp_path: Path) -> None:
    everything(tmp_path)
    for task in range(12):  # more tasks than fit
        score = {"task": f"task-{task}", "kind": "class", "probe": "linear", "metric": "macro_f1", "value": 0.5,
                 "val": 0.5, "chosen": {}, "extras": {}, "headline": task == 0, "nuisance": False}  # fmt: skip
        write(tmp_path, "wide", task, scores=[score])
    console = Console(width=132, record=True, force_terminal=False)
    console.print(leaderboard.table(record.load_all(tmp_path), tmp_path, stale=fresh))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= WIDTH <= 132
    assert any(line.split()[-2:] == ["TFLOP", "s"] for line in lines)
    (mae,) = [line.split() for line in lines if " mae " in line]
    assert mae[-2:] == ["2", "12.0"]  # 0.002 PFLOP; ten to twelve seconds of training and one of features


def test_every_cost_of_a_board_has_its_format(tmp_path: Path) -> None:
    """No digit of a small number is lost, none of a large one is made up."""
    priced(tmp_path, "small", 0.5, pflop=1.25e-9, gflop_encode=3.5e-6, gflop_step=12345.678, data_wait=0.01234)
    leaderboard.rebuild(tmp_path, stale=fresh)
    with (tmp_path / "leaderboard_ecg.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["method"] == "small")
    assert (row["pflops"], row["gflop_encode"], row["gflop_step"], row["data_wait"]) == (
        "1.2500e-09", "3.5000e-06", "1.2346e+04", "0.012",
    )  # fmt: skip
