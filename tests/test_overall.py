"""Across data sets: planted boards with known normalised scores, ranks and wins; Bradley-Terry stays finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from test_leaderboard import everything, fresh, read, write

from benchmark import leaderboard, record
from benchmark.board import boards
from benchmark.overall import Standing, bradley_terry, headline, overall

SKILL = {"random_init": 0.4, "ijepa": 0.8, "mae": 0.7, "supervised": 0.9}


def plant(results: Path, dataset: str, modality: str = "ecg", skill: dict[str, float] | None = None) -> None:
    for method, share in (skill or SKILL).items():
        for seed in range(3):
            write(results, method, seed, dataset=dataset, skill=share, modality=modality)


def standings(results: Path) -> dict[str, Standing]:
    found = overall(boards(record.load_all(results), results, fresh, headline))
    return {one.method: one for one in found}


def mean(results: Path, method: str, dataset: str) -> float:
    values = [s["value"] for r in record.load_all(results) for s in r["scores"]
              if (r["method"], r["dataset"], s["task"], s["probe"]) == (method, dataset, "rhythm", "linear")]  # fmt: skip
    return float(np.mean(values))


def share(results: Path, method: str, dataset: str) -> float:
    low, high = mean(results, "random_init", dataset), mean(results, "supervised", dataset)
    return (mean(results, method, dataset) - low) / (high - low)


def test_modalities_weigh_the_same(tmp_path: Path) -> None:
    plant(tmp_path, "one")
    plant(tmp_path, "two", skill=SKILL | {"ijepa": 0.5})
    plant(tmp_path, "three", "eeg", SKILL | {"ijepa": 0.6})
    found = standings(tmp_path)
    parts = [share(tmp_path, "ijepa", name) for name in ("one", "two", "three")]
    row = found["ijepa"]
    assert row.normalised == pytest.approx((parts[0] + parts[1]) / 4 + parts[2] / 2)
    assert row.normalised_present == pytest.approx(row.normalised)
    assert row.normalised_lo is not None and row.normalised_hi is not None
    assert row.normalised_lo < row.normalised < row.normalised_hi
    assert (row.worst, row.worst_dataset) == (pytest.approx(parts[1]), "ecg/two")
    assert (row.n_datasets, row.n_modalities, row.coverage) == (3, 2, 1.0)
    # first on one of two, second on the other; second on the third
    assert row.mean_rank == pytest.approx(1 / 4 + 2 / 4 + 2 / 2)
    assert row.win_rate == pytest.approx(1 / 4) and found["mae"].win_rate == pytest.approx(3 / 4)
    assert [found[name].rank for name in ("mae", "ijepa", "random_init")] == [1, 2, None]
    for name, value in (("random_init", 0.0), ("supervised", 1.0)):
        ends = found[name]
        assert (ends.normalised, ends.normalised_lo, ends.normalised_hi) == pytest.approx((value, value, value))


def test_leaving_out_a_data_set_gains_nothing(tmp_path: Path) -> None:
    plant(tmp_path, "one")
    plant(tmp_path, "two", skill={name: value for name, value in SKILL.items() if name != "ijepa"})
    row = standings(tmp_path)["ijepa"]
    own = share(tmp_path, "ijepa", "one")
    assert (row.normalised, row.normalised_present) == (pytest.approx(own / 2), pytest.approx(own))
    assert (row.coverage, row.n_datasets, row.worst, row.worst_dataset) == (0.5, 1, 0.0, "ecg/two")
    assert row.mean_rank == pytest.approx(1.5) and row.win_rate == pytest.approx(0.5)


def test_variants_budgets_and_stale_rows_are_no_methods(tmp_path: Path) -> None:
    plant(tmp_path, "one")
    for seed in range(3):
        write(tmp_path, "ijepa", seed, dataset="one", skill=0.99, overrides={"recipe.keep": "0.3"})
        write(tmp_path, "lejepa", seed, dataset="one", skill=0.99, overrides={"train.steps": "3"})
        write(tmp_path, "sar", seed, dataset="one", created="2025-01-01T00:00:00+00:00")
    found = overall(
        boards(record.load_all(tmp_path), tmp_path, lambda one: one["created"].startswith("2025"), headline)
    )
    assert {one.method for one in found} == {*SKILL, "chance"}


def test_no_scale_where_labels_did_not_help(tmp_path: Path) -> None:
    plant(tmp_path, "one", skill=SKILL | {"supervised": 0.3})
    row = standings(tmp_path)["ijepa"]
    assert (row.normalised, row.iqm, row.worst_dataset) == (None, None, "")
    assert (row.mean_rank, row.rank, row.n_datasets, row.n_scaled) == (1, 1, 1, 0)
    leaderboard.rebuild(tmp_path, stale=fresh)
    lines = read(tmp_path / "leaderboard_ecg.csv")
    assert {line["normalised"] for line in lines} == {""}


def test_columns_of_one_board(tmp_path: Path) -> None:
    everything(tmp_path)
    leaderboard.rebuild(tmp_path, stale=fresh)
    lines = {x["method"]: x for x in read(tmp_path / "leaderboard_ecg.csv")
             if (x["task"], x["probe"], x["metric"]) == ("rhythm", "linear", "macro_f1")}  # fmt: skip
    ends = [float(lines[name]["mean"]) for name in ("random_init", "supervised")]
    row = lines["ijepa"]
    assert float(row["normalised"]) == pytest.approx((float(row["mean"]) - ends[0]) / (ends[1] - ends[0]), abs=2e-3)
    assert float(row["normalised_lo"]) < float(row["normalised"]) < float(row["normalised_hi"])
    assert float(row["d_best_baseline"]) == pytest.approx(float(row["mean"]) - float(lines["mae"]["mean"]), abs=2e-4)
    assert float(row["d_best_baseline_lo"]) < float(row["d_best_baseline"]) < float(row["d_best_baseline_hi"])
    assert lines["mae"]["d_best_baseline"] == lines["mae"]["p_holm"] == ""
    assert row["p_holm"] and lines["supervised"]["d_best_baseline"] and not lines["supervised"]["p_holm"]
    assert row["tie_group"].startswith("a") and lines["lejepa"]["tie_group"] and not lines["supervised"]["tie_group"]
    # all rows cost the same here, so only the best is on the front
    assert [lines[name]["pareto"] for name in ("ijepa", "mae", "supervised")] == ["yes", "no", ""]


def test_a_cheaper_row_is_on_the_front(tmp_path: Path) -> None:
    cost = {"pflop": 1e-3}
    write(tmp_path, "ijepa", skill=0.8)
    write(tmp_path, "mae", skill=0.7, cost=cost)
    write(tmp_path, "lejepa", skill=0.6)
    write(tmp_path, "sar", skill=0.5, cost={})
    leaderboard.rebuild(tmp_path, stale=fresh)
    lines = {x["method"]: x["pareto"] for x in read(tmp_path / "leaderboard_ecg.csv")
             if (x["task"], x["probe"], x["metric"]) == ("rhythm", "linear", "macro_f1")}  # fmt: skip
    assert [lines[name] for name in ("ijepa", "mae", "lejepa", "sar")] == ["yes", "yes", "no", ""]


def test_the_file_is_the_same_for_one_modality_and_all(tmp_path: Path) -> None:
    plant(tmp_path, "one")
    plant(tmp_path, "three", "eeg")
    leaderboard.rebuild(tmp_path, stale=fresh)
    first = (tmp_path / "leaderboard.csv").read_bytes()
    leaderboard.rebuild(tmp_path, "ecg", stale=fresh)
    assert (tmp_path / "leaderboard.csv").read_bytes() == first
    rows = read(tmp_path / "leaderboard.csv")
    assert [row["method"] for row in rows[:2]] == ["ijepa", "mae"] and rows[0]["coverage"] == "1.00"


def test_bradley_terry_is_the_penalised_maximum_and_finite() -> None:
    wins = np.array([[0, 3, 4, 5], [1, 0, 3, 5], [0, 1, 0, 5], [0, 0, 0, 0]], dtype=float)  # the last never wins
    found = bradley_terry(wins)

    def loss(x: np.ndarray) -> float:
        gap = x[:, None] - x
        return float((wins * np.logaddexp(0, -gap)).sum() + (x @ x) / 2)

    assert found == pytest.approx(minimize(loss, np.zeros(4), tol=1e-12).x, abs=1e-4)
    assert np.isfinite(found).all() and list(np.argsort(-found)) == [0, 1, 2, 3]
    assert found.sum() == pytest.approx(0, abs=1e-9)
    huge = bradley_terry(np.array([[0.0, 1e6], [0.0, 0.0]]))
    assert np.isfinite(huge).all() and huge[0] > 5
    assert list(bradley_terry(np.zeros((2, 2)))) == [0, 0]
    twice = bradley_terry(2 * wins, ridge=2.0)
    assert twice == pytest.approx(found)
