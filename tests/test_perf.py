"""Speed tables: their arithmetic by hand, and that the timed loops are those that train; no test depends on a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark import plugin
from benchmark.perf import engines, forecasts, loops, scaling, steps
from benchmark.perf.__main__ import main
from jepakit.types import UsageError

plugin.everything()
CPU = loops.Where("cpu", "32-true")


def test_the_peak_counts_two_operations_per_product() -> None:
    """Eight products of 512 × 512 matrices: 8 · 2 · 512³ = 2.147 GFLOP, in 10 ms 214.7 GFLOP/s."""
    assert loops.peak_gflops(10.0, CPU) == pytest.approx(214.748, abs=1e-3)
    assert loops.kernel(CPU)() > 0


def test_an_exponent_is_the_slope_of_the_logarithms() -> None:
    slope, low, high = scaling.exponent([1, 2, 4, 8], [3, 6, 12, 24])
    assert slope == pytest.approx(1) and low == pytest.approx(1) and high == pytest.approx(1)
    slope, low, high = scaling.exponent([1, 2, 4], [1, 4.4, 15])
    assert low < slope < high and slope == pytest.approx(1.953, abs=1e-3)  # log₂(15) / 2


def test_overhead_is_the_idle_share_of_the_workers() -> None:
    """Two workers, four cells of one second. Back to back: none. With a second lost by one worker: 6 s for 4 s of work."""
    assert engines.overhead([1, 1, 2, 2], [1, 1, 1, 1], 2) == 0
    assert engines.overhead([1, 1, 2, 3], [1, 1, 1, 1], 2) == pytest.approx(0.5)


def test_only_rows_that_take_steps_are_timed() -> None:
    names = [cell.method for cell, _ in steps.rows("ecg", None, "smoke")]
    assert {"ijepa", "lejepa", "mae", "simclr", "supervised"} <= set(names)
    assert not {"random_init", "raw_features", "chance"} & set(names)
    with pytest.raises(UsageError, match="did you mean 'ijepa'"):
        steps.rows("ecg", ["ijep"], "smoke")


def test_a_line_holds_what_both_loops_did() -> None:
    ((cell, data),) = steps.rows("ecg", ["mae"], "smoke")
    line = steps.measure(cell, data, CPU, 2, loops.kernel(CPU))
    assert (line["dataset"], line["method"], line["batch"], line["tokens"]) == ("ecg/simulated", "mae", 32, 25)
    assert loops.FEWEST <= line["steps"] <= loops.MOST
    assert line["samples_per_s"] == pytest.approx(32e3 / line["suite_ms"])
    assert line["gflops"] == pytest.approx(line["gflop_per_sample"] * line["samples_per_s"])
    parts = sum(line[f"{part}_ms"] for part in ("data", "forward", "backward", "update"))
    assert parts > 0 and line["mfu"] > 0 and 0 <= line["data_wait"] <= 1


def test_the_bare_loop_trains_as_the_suite_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see the same batches in the same order."""
    ((cell, data),) = steps.rows("ecg", ["mae"], "smoke")
    cell = replace(cell, training=replace(cell.training, steps=3))
    seen: list[float] = []
    crop = data.crop

    def spy(batch):  # type: ignore[no-untyped-def]
        seen.append(float(batch.x.sum()))
        return crop(batch)

    monkeypatch.setattr(data, "crop", spy)
    loops.bare(cell, data, CPU)
    loops.suite(cell, data, CPU)
    assert len(seen) == 6 and seen[:3] == seen[3:] and len(set(seen)) == 3


def test_a_slower_step_is_told_apart_from_a_slower_machine() -> None:
    one = {"dataset": "ecg/simulated", "preset": "quick", "device": "cpu", "threads": 1, "hardware": "x"}
    then = pd.DataFrame([{**one, "method": "mae", "ratio": 1.0}, {**one, "method": "ijepa", "ratio": 2.0}])
    now = pd.DataFrame([{**one, "method": "mae", "ratio": 1.2}, {**one, "method": "ijepa", "ratio": 2.6}])
    found = steps.regressions(now, then)
    assert found["slower"].tolist() == [False, True]
    with pytest.raises(UsageError, match="make bench-perf"):
        steps.regressions(now.assign(hardware="another"), then)


def test_the_guard_needs_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--results", str(tmp_path)]) == 3
    assert "run `make bench-perf` first" in capsys.readouterr().err


@pytest.mark.slow
def test_values_of_a_factor_differ_in_nothing_else() -> None:
    finer = scaling.points("tokens", "mae")
    assert [point.modality.grid for point in finer] == [(25,), (50,), (125,)]
    assert len({len(point.modality.data("train")) for point in finer}) == 1
    rows = scaling.points("rows", "mae")
    assert [len(point.modality.data("train")) for point in rows] == [128, 256, 512, 1024]


@pytest.mark.slow
def test_an_engine_is_timed_over_cells_that_all_succeed() -> None:
    line = engines.measure("local", engines.cells(4), 2)
    assert (line["failed"], line["cells"]) == (0, 4)
    assert line["overhead"] > -0.5 and line["startup_s"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("words", forecasts.GRIDS, ids=lambda words: words[0])
def test_a_forecast_is_compared_with_a_grid_that_runs_whole(words: tuple[str, ...]) -> None:
    line = forecasts.measure(words, "smoke", seeds=1, workers=2, root=None)
    assert (line["cells"], line["failed"], line["unknown"]) == (3, 0, 0)
    assert line["error"] == pytest.approx(line["forecast_s"] / line["wall_s"] - 1) and line["calibration_s"] > 0
