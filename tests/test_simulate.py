"""Boards of known truth: false wins stay below 5 %, power grows with gap and seeds, the page says what the file says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark import metrics, simulate, stats
from benchmark.simulate import Setting


def test_simulated_accuracy_and_spread_are_as_asked() -> None:
    boards = [simulate.board(Setting(6, 3, 300, 2.0, 5.0), np.random.default_rng(i)) for i in range(20)]
    means = np.mean([[row.values.mean() for row in rows] for rows in boards], axis=0)
    assert means == pytest.approx([0.80, 0.75, 0.75], abs=0.02)
    assert means[0] - means[1] == pytest.approx(0.05, abs=0.01)
    spread = np.sqrt(np.mean([[row.values.var(ddof=1) for row in rows[1:]] for rows in boards]))
    assert spread == pytest.approx(0.02, rel=0.35)


def test_the_short_way_is_the_bootstrap_of_a_board() -> None:
    right, units = np.random.default_rng(0).random((3, 80)) < 0.7, np.repeat(np.arange(20), 4)
    runs = [(np.ones(80, int), row.astype(int), units) for row in right]
    wanted = stats.resample(runs, metrics.get("accuracy"), resamples=50)
    found = simulate.resampled(right, units, stats.draw_units(20, 50, 0))
    assert found.values == pytest.approx(wanted.values)
    assert found.replicates == pytest.approx(wanted.replicates)


def test_equal_rows_rarely_win() -> None:
    found = simulate.rates(Setting(3, 4, 60, 1.0), 60)
    assert found.baseline <= 0.05 and found.separated <= 0.1


def test_power_grows_with_the_gap_and_is_not_zero() -> None:
    setting = Setting(5, 3, 200, 0.5)
    small, large = (simulate.rates(replace(setting, gap=gap), 15).baseline for gap in (0.5, 8.0))
    assert small < large and large >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("unstable", [1.0, 5.0])
@pytest.mark.parametrize(("seeds", "rows"), [(3, 2), (3, 4), (3, 8), (5, 8)])
def test_false_wins_stay_below_five_percent(seeds: int, rows: int, unstable: float) -> None:
    """At least 200 boards of equal rows; two standard errors of the simulation are allowed."""
    found = simulate.rates(Setting(seeds, rows, 100, 1.0, unstable=unstable), 300, seed=1)
    assert found.baseline <= 0.05
    assert found.separated <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.slow
def test_the_file_is_what_the_code_computes() -> None:
    """The first lines again, digit for digit."""
    for (setting, boards), (kept, rates) in list(zip(simulate.settings(), simulate.read(), strict=True))[:2]:
        assert kept == setting
        assert rates == simulate.Rates(boards, *(round(x, 3) for x in _numbers(setting, boards)))


def _numbers(setting: Setting, boards: int) -> tuple[float, float]:
    found = simulate.rates(setting, boards)
    return found.baseline, found.separated


def test_the_page_says_what_the_file_says() -> None:
    text = simulate.PAGE.read_text(encoding="utf-8")
    assert simulate.page(text) == text, "run python -m benchmark.simulate --page"
    assert "1-point gap needs" in text


def test_the_file_covers_what_was_promised() -> None:
    found = simulate.read()
    assert [setting for setting, _ in found] == [setting for setting, _ in simulate.settings()]
    for setting, rates in found:
        if not setting.gap:
            assert rates.boards >= 200 and rates.baseline <= 0.05
    assert {setting.seeds for setting, _ in found if setting.gap == 1} >= {3, 5, 10}


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    text = simulate.FILE.read_text(encoding="utf-8")
    head, _, last = text.rstrip("\n").rpartition(",")
    (tmp_path / "power.csv").write_text(f"{head},{0.123 if last != '0.123' else 0.5}\n", encoding="utf-8")
    page = simulate.PAGE.read_text(encoding="utf-8")
    assert simulate.page(page, tmp_path / "power.csv") != page
    with pytest.raises(ValueError, match="no marks"):
        simulate.page("nothing here")
