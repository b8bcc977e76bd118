"""Bands: a score far better or worse than ever before is flagged on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark import bands
from jepakit.types import UsageError

PLACE = {"dataset": "ecg/simulated", "method": "ijepa", "task": "rhythm", "probe": "linear"}


def lines(values: list[float], metric: str = "macro_f1", **place: str) -> pd.DataFrame:
    """A line per seed."""
    return pd.DataFrame([{**PLACE, **place, "metric": metric, "seed": i, "value": v} for i, v in enumerate(values)])


def test_a_band_is_the_prediction_interval_of_one_new_run() -> None:
    values = [0.5, 0.52, 0.48, 0.51, 0.49]
    two = pd.concat([lines(values), lines(values, task="rate")])
    band = bands.bands(two).iloc[0]
    half = stats.t.ppf(1 - 0.05 / 4, 4) * np.std(values, ddof=1) * np.sqrt(1.2)  # two scores share the 5 %
    assert (band["low"], band["high"]) == pytest.approx((0.5 - half, 0.5 + half))


def test_rows_of_a_score_share_their_spread_and_a_still_row_has_none() -> None:
    left, right = [0.5, 0.52, 0.48, 0.51, 0.49], [0.3, 0.38, 0.22, 0.34, 0.26]
    rows = pd.concat([lines(left), lines(right, method="mae"), lines([0.4] * 5, method="raw_features")])
    found = bands.bands(rows).set_index("method")
    sd = np.sqrt((np.var(left, ddof=1) + np.var(right, ddof=1)) / 2)
    half = stats.t.ppf(1 - 0.05 / 6, 8) * sd * np.sqrt(1.2)
    for method, mean in (("ijepa", 0.5), ("mae", 0.3)):
        assert (found["low"][method], found["high"][method]) == pytest.approx((mean - half, mean + half))
    assert found["low"]["raw_features"] == found["high"]["raw_features"] == pytest.approx(0.4)


def test_a_new_run_lies_outside_as_rarely_as_said() -> None:
    rng = np.random.default_rng(0)
    outside = 0
    for _ in range(200):
        band = bands.bands(lines(list(rng.normal(0.5, 0.02, 5))))
        outside += bool(bands.judged(lines([rng.normal(0.5, 0.02)]), band)["out_of_band"].iloc[0])
    assert outside / 200 == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize(
    ("metric", "high", "low"), [("macro_f1", "too good", "too bad"), ("rmse", "too bad", "too good")]
)
def test_scores_outside_of_their_band_are_flagged_on_both_sides(metric: str, high: str, low: str) -> None:
    band = bands.bands(lines([0.5, 0.52, 0.48, 0.51, 0.49], metric))
    said = [bands.judged(lines([value], metric), band)["out_of_band"].iloc[0] for value in (0.9, 0.5, 0.1)]
    assert said == [high, "", low]


def test_a_row_that_draws_nothing_is_held_to_its_value() -> None:
    band = bands.bands(lines([0.5] * 5))
    said = [bands.judged(lines([value]), band)["out_of_band"].iloc[0] for value in (0.5, 0.51)]
    assert said == ["", "too good"]


def test_a_grid_that_was_changed_is_said_and_two_runs_make_no_band() -> None:
    band = bands.bands(lines([0.5, 0.52, 0.48]))
    with pytest.raises(UsageError, match=r"benchmark\.bands store"):
        bands.judged(lines([0.5], task="other"), band)
    with pytest.raises(UsageError, match="three runs"):
        bands.bands(lines([0.5, 0.52]))


def test_a_cell_without_a_score_is_no_band() -> None:
    with pytest.raises(UsageError, match="mae seed 1 has no score"):
        bands.scores([{"status": "nan", "reason": "x", "method": "mae", "seed": 1}])


@pytest.mark.slow
def test_the_grid_of_today_lies_in_its_bands(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bands.main(["--results", str(checkout / "results"), "--jobs", "1"]) == 0, capsys.readouterr().out
