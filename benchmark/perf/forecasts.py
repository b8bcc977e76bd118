"""Forecasts: what ``--calibrate`` foretells of small grids, and what they then take, on a machine that does nothing else."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import estimate, forecast, grid, plan, record, request
from benchmark.grid import Options

FILE = "perf_forecast.csv"
# Rows of several kinds on embedded data of four modalities, an odd number of seeds: a process waits at the end.
GRIDS = (
    ("ecg", "method=ecgjepa,mae,lejepa"),
    ("eeg", "dataset=simulated", "method=eeg-jepa,mae,simclr"),
    ("image", "dataset=speckle", "method=ijepa,sar,vicreg"),
    ("tabular", "dataset=made_linear", "method=tjepa,column-mae,scarf"),
)


def measure(words: Sequence[str], preset: str, seeds: int, workers: int, root: Path | None) -> dict[str, Any]:
    """One line: seconds foretold and taken, in an empty results folder. ``error``: how far the forecast was off, as a
    share of the time taken, positive where it was too long. Raises UsageError for words that ask for nothing known."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(results=Path(folder), root=root, threads=1, device="cpu")
        record.preflight(options.results)
        asked = request.parse([*words, f"preset={preset}", f"seeds={seeds}"])
        planned = plan.plan(asked, root, options.results)
        began = time.perf_counter()
        rates = forecast.calibrate(planned.cells, planned.modalities, "cpu", lambda _: None)
        calibrated = time.perf_counter() - began
        found = [forecast.forecast(c, [], options.results, rates.get(estimate.row(c))) for c in planned.cells]
        seconds = [one.seconds or 0.0 for one in found]
        foretold = forecast.together(sorted(seconds, reverse=True), workers)
        failed: list[str] = []
        began = time.perf_counter()
        cells = grid.ordered(list(enumerate(planned.cells)), seconds)
        grid.run_grid(cells, options, workers, _quiet, lambda _, one: _note(one, failed))
        taken = time.perf_counter() - began
    return {
        "dataset": planned.cells[0].name, "methods": ",".join(dict.fromkeys(c.method for c in planned.cells)),
        "preset": preset, "cells": len(found), "workers": workers, "failed": len(failed),
        "unknown": sum(one.seconds is None for one in found), "calibration_s": calibrated, "forecast_s": foretold,
        "wall_s": taken, "error": foretold / taken - 1,
    }  # fmt: skip


def _note(one: record.Record, failed: list[str]) -> None:
    failed.extend([] if one["status"] in ("ok", "collapsed") else [str(one["reason"])])


def _quiet(number: int, stage: str, fraction: float, detail: str) -> None:
    """Nothing is shown while the clock runs."""
