"""Across the data sets of a modality: planted boards with known wins, the anchor's Elo, gaps filled by the anchor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_leaderboard import fresh, write

from benchmark import plugin, record, request, suite
from benchmark.budget import SUITES
from jepakit.types import UsageError

SKILL = {"raw_features": 0.6, "ijepa": 0.9, "mae": 0.62, "random_init": 0.35}
plugin.everything([])


def plant(results: Path, dataset: str, skill: dict[str, float]) -> None:
    for method, share in skill.items():
        for seed in range(3):
            write(results, method, seed, dataset=dataset, skill=share)


def found(results: Path, names: list[str] | None = None) -> pd.DataFrame:
    made = suite.collect(record.load_all(results), results, "ecg", "quick", names, fresh)
    return suite.standings(made).set_index(["method", "probe"])


def mean(results: Path, method: str, dataset: str, probe: str) -> float:
    values = [s["value"] for r in record.load_all(results) for s in r["scores"]
              if (r["method"], r["dataset"], s["task"], s["probe"]) == (method, dataset, "rhythm", probe)]  # fmt: skip
    return float(np.mean(values))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for dataset in ("one", "two"):
        plant(tmp_path, dataset, SKILL)
    plant(tmp_path, "three", SKILL | {"ijepa": 0.3})
    return tmp_path


def test_wins_ranks_and_verdicts_against_the_anchor(results: Path) -> None:
    made = found(results)
    assert made.loc["raw_features", "linear"]["elo"] == 1000.0
    entries = list(made.index)
    assert len(entries) == 2 * len(SKILL), "a row with each of its probes"
    for entry in entries:
        beaten, ranks = [], []
        for dataset in ("one", "two", "three"):
            own = mean(results, entry[0], dataset, entry[1])
            others = [mean(results, other[0], dataset, other[1]) for other in entries if other != entry]
            beaten.append(np.mean([(own > x) + (own == x) / 2 for x in others]))
            ranks.append(1 + sum(x > own for x in others) + sum(x == own for x in others) / 2)
        line = made.loc[entry]
        assert line["win_rate"] == pytest.approx(np.mean(beaten), abs=1e-6)
        assert line["mean_rank"] == pytest.approx(np.mean(ranks), abs=1e-6)
        assert line["win_rate_lo"] <= line["win_rate"] <= line["win_rate_hi"]
        assert line["elo_lo"] <= line["elo"] <= line["elo_hi"]
    order = made["elo"].to_numpy()
    assert (np.diff(order) <= 0).all() and (made["coverage"] == 1).all()
    best = made.loc["ijepa", "linear"]
    assert (best["better"], best["worse"], best["untold"], best["untested"]) == (2, 1, 0, 0)
    assert made.loc["raw_features", "linear"]["untold"] == 3, "nothing differs from itself"
    assert made.loc["mae", "linear"]["untold"] == 3, "two points of skill are not told apart on 240 rows"
    text = suite.claim(made.reset_index())
    assert "better than the columns with a linear head on 2 of 3 data sets, worse on 1" in text
    assert text.endswith("above them on a majority.")


def test_a_missing_score_is_the_anchors_and_too_many_are_no_entry(results: Path) -> None:
    plant(results, "four", {"raw_features": 0.6, "ijepa": 0.9})
    plant(results, "five", {"raw_features": 0.6, "ijepa": 0.9})
    made = found(results)
    assert made.loc["mae", "linear"]["coverage"] == pytest.approx(3 / 5)
    assert made.loc["mae", "linear"]["untested"] == 2
    plant(results, "six", {"raw_features": 0.6, "ijepa": 0.9})
    plant(results, "seven", {"raw_features": 0.6, "ijepa": 0.9})
    assert "mae" not in {method for method, _ in found(results).index}, "three of seven"
    assert len(found(results, ["one", "two"]).iloc[0]["datasets"].split()) == 2


def test_data_made_for_a_claim_joins_only_where_it_is_named(results: Path) -> None:
    plant(results, "views-crop", {"mae": 0.9})
    assert found(results).iloc[0]["datasets"].split() == ["one", "three", "two"]
    with pytest.raises(UsageError, match=r"ecg/views-crop lacks .* method=raw_features"):
        found(results, ["one", "views-crop"])


def test_errors_are_never_below_zero_and_a_lone_data_set_is_no_suite(tmp_path: Path) -> None:
    plant(tmp_path, "one", SKILL)
    with pytest.raises(UsageError, match="a suite needs two"):
        found(tmp_path)
    plant(tmp_path, "two", {"ijepa": 0.9})
    with pytest.raises(UsageError, match=r"ecg/two lacks .* method=raw_features"):
        found(tmp_path)
    with pytest.raises(UsageError, match="a suite needs two"):
        found(tmp_path, ["elsewhere"])


def test_the_words_of_a_suite() -> None:
    asked = request.parse(["tabular"])
    assert asked.datasets == SUITES["tabular"] and len(asked.datasets) == 8
    assert request.parse(["tabular", "dataset=suite,adult"]).datasets == (*SUITES["tabular"], "adult")
    with pytest.raises(UsageError, match="suite"):
        request.parse(["ecg", "dataset=suite"])
