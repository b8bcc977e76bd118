"""Scores where nuisances are strong: thirds and cells by hand, a board against scikit-learn, requests that fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from benchmark import metrics
from benchmark.__main__ import main
from benchmark.robustness import Drop, along, cells, thirds

RESULTS = Path(__file__).resolve().parents[1] / "results"


def test_thirds_hold_equally_many_and_leave_out_what_is_unknown() -> None:
    assert thirds(np.array([5.0, 1, 3, np.nan, 2, 6, 4])).tolist() == [2, 0, 1, -1, 0, 2, 1]
    assert thirds(np.array([np.nan, np.nan])).tolist() == [-1, -1]


def test_cells_of_two_nuisances_and_their_corners() -> None:
    """Two rows a cell of the corners; right predictions: 2 of 2 where both are low, 1 of 2 where both are high."""
    labels, predictions = np.array([0, 1, 0, 1]), np.array([0, 1, 0, 0])
    first, second = np.array([0, 0, 2, 2]), np.array([0, 0, 2, 2])
    found = cells(metrics.get("accuracy"), labels, predictions, [first, second])
    assert found[0, 0] == 1.0 and found[2, 2] == 0.5 and np.isnan(found[0, 2]) and np.isnan(found[1, 1])
    assert along(found, [True, True]) == (1.0, 0.5)
    assert along(found, [False, False]) == (0.5, 1.0)
    assert Drop("a × b", 0.8, 0.6).drop == pytest.approx(0.25)
    assert np.isnan(Drop("a", -0.1, 0.2).drop)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    for method in ("mae", "simclr"):
        source = RESULTS / "records" / "ecg" / "simulated" / method
        target = tmp_path / "records" / "ecg" / "simulated" / method
        target.mkdir(parents=True)
        for path in source.glob("*.json"):
            if not json.loads(path.read_bytes())["variant"]:  # tuned rows are rows of their own
                shutil.copy(path, target)
                shutil.copy(path.with_suffix(".npz"), target)
    return tmp_path


def test_a_board_against_scikit_learn(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robustness", "ecg", "dataset=simulated", "--results", str(board)]) == 0
    table = pd.read_csv(board / "robustness_ecg_simulated_quick_linear.csv", keep_default_na=False)
    row = table[(table["method"] == "simclr") & (table["factor"] == "electrode_noise")].iloc[0]
    ends = []
    for path in sorted((board / "records" / "ecg" / "simulated" / "simclr").glob("*.npz")):
        with np.load(path) as stored:
            noise = stored["electrode_noise.label"].ravel()
            label, said = stored["rhythm.label"], stored["rhythm.linear.pred"]
        said = said.argmax(1) if said.ndim == 2 else said
        low, high = np.quantile(noise, [1 / 3, 2 / 3])
        ends.append([f1_score(label[one], said[one], average="macro") for one in (noise < low, noise >= high)])
    easy, hard = np.mean(ends, 0)
    assert float(row["easy"]) == pytest.approx(easy, abs=1e-4)
    assert float(row["hard"]) == pytest.approx(hard, abs=1e-4)
    assert float(row["drop"]) == pytest.approx(1 - hard / easy, abs=1e-3)
    assert set(table["factor"]) >= {"baseline_wander", "line_noise", "baseline_wander × electrode_noise"}
    shown = capsys.readouterr().out
    assert "simclr" in shown and f"{easy:.3f} → {hard:.3f}" in shown
    before = table.to_csv()
    assert main(["robustness", "ecg", "dataset=simulated", "method=mae", "--results", str(board)]) == 0
    assert "simclr" not in capsys.readouterr().out, "only the row that was asked for is shown"
    again = pd.read_csv(board / "robustness_ecg_simulated_quick_linear.csv", keep_default_na=False)
    assert again.to_csv() == before, "and no row is lost from the file"


def test_what_was_never_run_and_what_has_no_such_nuisance(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robustness", "ecg", "dataset=simulated", "preset=smoke", "--results", str(board)]) == 3
    assert "run it first: run ecg dataset=simulated preset=smoke" in " ".join(capsys.readouterr().err.split())
    shutil.copytree(RESULTS / "records" / "ecg" / "mitbih" / "mae", board / "records" / "ecg" / "mitbih" / "mae")
    assert main(["robustness", "ecg", "dataset=mitbih", "--results", str(board)]) == 3
    assert "has no nuisance that is a number" in " ".join(capsys.readouterr().err.split())


def test_the_hard_end_does_not_depend_on_the_rows(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*methods: str) -> dict[tuple[str, str], tuple[float, float]]:
        assert main(["robustness", "ecg", "dataset=simulated", "--results", str(board)]) == 0
        table = pd.read_csv(board / "robustness_ecg_simulated_quick_linear.csv", keep_default_na=False)
        kept = table[table["method"].isin(methods)]
        return {(one.method, one.factor): (one.easy, one.hard) for one in kept.itertuples()}

    both = ends("mae")
    shutil.rmtree(board / "records" / "ecg" / "simulated" / "simclr")
    assert ends("mae") == both
    monkeypatch.setattr("benchmark.robustness.MILDER", {("ecg", "line_noise")})
    easy, hard = both["mae", "line_noise"]
    assert ends("mae")["mae", "line_noise"] == (hard, easy)
