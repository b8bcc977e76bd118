"""Forecast: seconds, memory and disk of cells that have not run, from earlier records or from a few steps taken now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmark import cost, estimate, folds
from benchmark.cell import Cell
from benchmark.estimate import Row
from benchmark.subset import limited
from jepakit.modality import Modality
from jepakit.pretrain import build, fit

Record = Mapping[str, Any]
STEPS = 12  # of a calibration: the median of their times leaves out the first, slow ones
WEIGHT_BYTES = 4


@dataclass(frozen=True)
class Forecast:
    """What a cell will take, None where nothing is known. how: "measured" (this row ran before), "calibrated" (a few steps
    were taken now), "scaled" (from other rows of the modality), "unknown"."""

    seconds: float | None
    how: str
    memory_mib: float | None
    disk_mib: float | None


@dataclass(frozen=True)
class Rate:
    """What a few steps of a row showed: seconds of one, peak memory in MiB of the process, parameters of the encoder."""

    step_s: float
    memory_mib: float
    parameters: int


def calibrate(
    cells: Sequence[Cell], modalities: Mapping[str, Modality], device: str, say: Callable[[str], None]
) -> dict[Row, Rate]:
    """STEPS steps of one cell of every row; nothing is written. A row that cannot take them is left out."""
    found: dict[Row, Rate] = {}
    for cell in cells:
        if estimate.row(cell) in found:
            continue
        say(f"{STEPS} steps of {cell.method} on {cell.name}")
        modality = limited(modalities[cell.name], cell.limit)
        try:
            objective = build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
            cost.reset_peak_rss()
            taken = fit(objective, modality, replace(cell.training, steps=STEPS), seed=cell.seed, device=device)
        except Exception:
            continue
        count = sum(weight.numel() for weight in objective.encoder().parameters())
        memory = taken.peak_device_mib or cost.peak_rss_mib()
        found[estimate.row(cell)] = Rate(taken.step_ms[0] / 1e3, memory, count)
    return found


def forecast(cell: Cell, records: Sequence[Record], results: Path, rate: Rate | None = None) -> Forecast:
    """Of one cell. A row that ran here before is measured, whatever ``rate`` says."""
    alike = estimate.alike(cell, estimate.finished(cell, records))
    guess, memory = estimate.seconds(cell, records), _peak(alike)
    seconds, how = guess or (None, "unknown")
    if rate is not None and how != "measured":
        seconds, how = rate.step_s * cell.training.steps + _rest(cell, records), "calibrated"
        memory = memory or rate.memory_mib
    return Forecast(seconds, how, memory or _peak([one for one in records if one["modality"] == cell.modality]),
                    _disk(cell, alike, records, results, rate))  # fmt: skip


def together(seconds: Sequence[float], jobs: int) -> float:
    """Seconds until the last of ``jobs`` processes is done that take cells in this order."""
    ends = [0.0] * jobs
    for one in seconds:
        first = min(range(jobs), key=ends.__getitem__)
        ends[first] += one
    return max(ends)


def _rest(cell: Cell, records: Sequence[Record]) -> float:
    """Seconds that cells of the same data set, else of the modality, spent on everything but training."""
    known = estimate.finished(cell, records)
    board = folds.board(cell.modality, cell.dataset)
    here = [one for one in known if folds.board(cell.modality, one["dataset"]) == board]
    times = [one["cost"]["wall_s"] - (one["cost"].get("pretrain_s") or 0.0) for one in here or known]
    return float(median(times)) if times else 0.0


def _peak(records: Sequence[Record]) -> float | None:
    peaks = [max(one["cost"].get("peak_rss_mib") or 0.0, one["cost"].get("peak_device_mib") or 0.0) for one in records]
    return max(peaks) if peaks else None


def _disk(
    cell: Cell, alike: Sequence[Record], records: Sequence[Record], results: Path, rate: Rate | None
) -> float | None:
    """MiB of a record with its predictions (as of earlier ones of the modality) and of the stored encoder."""
    sizes = [size for one in alike or [one for one in records if one["modality"] == cell.modality]
             if (size := _stored(one, results))]  # fmt: skip
    weights = [one["cost"]["params_m"] * 1e6 for one in alike if one["cost"].get("params_m")]
    count = rate.parameters if rate else median(weights) if weights else None
    if not sizes and count is None:
        return None
    return ((median(sizes) if sizes else 0) + WEIGHT_BYTES * (count or 0)) / 2**20


def _stored(one: Record, results: Path) -> int:
    stem = results / "records" / one["modality"] / one["dataset"] / one["method"] / one["key"]
    return sum(path.stat().st_size for path in (stem.with_suffix(".json"), stem.with_suffix(".npz")) if path.is_file())
