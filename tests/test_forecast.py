"""Forecasts of a run: from this row's records, else from a few steps, else from other rows; sums by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark import announce, estimate, forecast, plan, plugin, request
from benchmark.cell import Cell

plugin.everything()
HERE, THERE = "this processor", "another one"
RATE = forecast.Rate(step_s=0.1, rest_s=5.0, memory_mib=700.0, parameters=1_000_000)


def cell(method: str = "ijepa", seed: int = 0) -> Cell:
    asked = request.parse(["ecg", f"method={method}", "preset=smoke", f"seed={seed}"])
    return plan.plan(asked, None, Path("none"), remember=False).cells[0]


def finished(of: Cell, wall: float, peak: float, hardware: str = HERE) -> dict[str, Any]:
    size = {"dim": of.size.dim, "depth": of.size.depth}
    training = {"steps": of.training.steps, "batch_size": of.training.batch_size}
    return {
        "modality": "ecg", "dataset": of.dataset, "method": of.method, "preset": of.preset, "variant": of.variant,
        "status": "ok", "family": "jepa", "key": of.key, "identity": {"training": training, "size": size},
        "cost": {"wall_s": wall, "peak_rss_mib": peak, "params_m": 0.5, "hardware": hardware},
    }  # fmt: skip


def test_the_longest_cells_come_first_and_the_last_one_ends_the_run() -> None:
    assert forecast.together([], 2) == 0
    assert forecast.together([5, 4, 3, 3], 2) == 8  # 5 + 3 and 4 + 3
    assert forecast.together([5, 1], 4) == 5


def test_a_row_that_ran_here_is_forecast_from_its_own_records(tmp_path: Path) -> None:
    known = [finished(cell(), wall=20, peak=900), finished(cell(seed=2), wall=99, peak=800, hardware=THERE)]
    found = forecast.forecast(cell(seed=1), known, tmp_path, hardware=HERE)
    assert (found.seconds, found.how, found.memory_mib) == (20, "measured", 900)
    assert forecast.unseen([cell(seed=1), cell("mae")], known, HERE) == [cell("mae")]


def test_a_row_that_ran_on_another_processor_alone_says_so_until_steps_are_taken(tmp_path: Path) -> None:
    known = [finished(cell(), wall=99, peak=800, hardware=THERE), finished(cell("mae"), wall=20, peak=900)]
    assert forecast.unseen([cell(seed=1)], known, HERE) == [cell(seed=1)]
    found = forecast.forecast(cell(seed=1), known, tmp_path, hardware=HERE)
    assert (found.seconds, found.how, found.memory_mib) == (99, "elsewhere", 800)
    found = forecast.forecast(cell(seed=1), known, tmp_path, RATE, HERE)
    assert (found.seconds, found.how, found.memory_mib) == (pytest.approx(6.5), "calibrated", 800)


def test_a_row_that_never_ran_is_forecast_from_a_few_steps(tmp_path: Path) -> None:
    """15 steps of 0.1 s, and 5 s beside training; 4 MB of weights."""
    other = finished(cell("mae"), wall=20, peak=900)
    found = forecast.forecast(cell(), [other], tmp_path, RATE, HERE)
    assert (found.seconds, found.how, found.memory_mib) == (pytest.approx(6.5), "calibrated", 700)
    assert found.disk_mib == pytest.approx(4e6 / 2**20)


def test_without_steps_it_is_scaled_and_without_anything_unknown(tmp_path: Path) -> None:
    other = finished(cell("mae"), wall=20, peak=900)
    for hardware in (None, HERE, THERE):
        found = forecast.forecast(cell(), [other], tmp_path, hardware=hardware)
        assert (found.seconds, found.how) == (pytest.approx(20), "scaled")  # equal steps of an equal encoder
    assert forecast.forecast(cell(), [], tmp_path) == forecast.Forecast(None, "unknown", None, None)


def test_records_and_predictions_on_disk_are_counted(tmp_path: Path) -> None:
    one = finished(cell(), wall=20, peak=900)
    folder = tmp_path / "records" / "ecg" / cell().dataset / "ijepa"
    folder.mkdir(parents=True)
    (folder / f"{one['key']}.json").write_bytes(bytes(2**20))
    (folder / f"{one['key']}.npz").write_bytes(bytes(2**20))
    found = forecast.forecast(cell(seed=1), [one], tmp_path)
    assert found.disk_mib == pytest.approx(2 + 4 * 0.5e6 / 2**20)


def test_calibration_takes_steps_of_every_row_once_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planned = plan.plan(
        request.parse(["ecg", "method=random_init,mae,lejepa", "preset=smoke", "seeds=2"]),
        None,
        tmp_path,
        remember=False,
    )
    told: list[str] = []
    rates = forecast.calibrate(planned.cells, planned.modalities, "cpu", told.append)
    assert len(told) == len(rates) == 3 and [text.endswith("probes") for text in told] == [True, True, False]
    assert list(tmp_path.iterdir()) == []
    untrained, *trained = (rates[estimate.row(one)] for one in planned.cells[:3])
    assert all(rate.rest_s > 0 and rate.memory_mib > 0 and rate.parameters > 1000 for rate in rates.values())
    assert untrained.step_s == 0 and all(rate.step_s > 0 for rate in trained)
    assert trained[0].rest_s == trained[1].rest_s != untrained.rest_s  # belongs to the data set; learning is looked at


def test_what_a_run_needs_is_said_in_three_lines() -> None:
    found = [forecast.Forecast(60, "measured", 1024, 2), forecast.Forecast(90, "calibrated", 2048, 3),
             forecast.Forecast(None, "unknown", None, None)]  # fmt: skip
    time, memory, disk = announce._needs(found, 2)
    assert time.startswith("estimated time: 1 min 30 s and 1 cells of unknown length") and "2 jobs" in time
    assert "3.0 GiB" in memory and "5 MiB" in disk
