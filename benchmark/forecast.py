"""Forecast: seconds, memory and disk of cells that have not run, from earlier records or from a few steps taken now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmark import cost, estimate, folds
from benchmark.cell import Cell
from benchmark.estimate import Row
from benchmark.ranks import WATCHES
from benchmark.run import run_cell
from benchmark.subset import limited
from jepakit.modality import Modality
from jepakit.pretrain import build, fit
from jepakit.registry import methods

Record = Mapping[str, Any]
STEPS = 2 * WATCHES  # of a calibration: as many looks as in a whole run; the median leaves out the first, slow ones
WEIGHT_BYTES = 4


@dataclass(frozen=True)
class Forecast:
    """What a cell will take, None where nothing is known. how: "measured" (this row ran before), "calibrated" (a few steps
    were taken now), "elsewhere" (this row ran on another processor or GPU), "scaled" (from other rows of the modality),
    "unknown"."""

    seconds: float | None
    how: str
    memory_mib: float | None
    disk_mib: float | None


@dataclass(frozen=True)
class Rate:
    """What a few steps of a row showed: seconds of one and of all that is not a step, peak memory in MiB of the process,
    parameters of the encoder."""

    step_s: float
    rest_s: float
    memory_mib: float
    parameters: int


def calibrate(
    cells: Sequence[Cell], modalities: Mapping[str, Modality], device: str, say: Callable[[str], None]
) -> dict[Row, Rate]:
    """STEPS steps of one cell of every row; what is not a step (data, features, probes) is taken from a whole cell of the
    first row of every data set that learns, and of every row that does not. Nothing is written. A row that cannot take
    them is left out.
    """
    found: dict[Row, Rate] = {}
    rests: dict[object, float] = {}
    for cell in cells:
        row, alike = estimate.row(cell), (folds.board(cell.modality, cell.dataset), cell.size, cell.probes, cell.limit)
        if row in found:
            continue
        whole = alike not in rests or methods[cell.method].info.get("family") == "reference"
        short = replace(cell, training=replace(cell.training, steps=STEPS))
        say(f"{STEPS} steps of {cell.method} on {cell.name}{', with its probes' if whole else ''}")
        try:
            modality = modalities[cell.name]
            rate = _whole(short, modality, device) if whole else _steps(short, modality, device, rests[alike])
        except Exception:
            continue
        found[row] = rate
        if rate.step_s > 0:
            rests.setdefault(alike, rate.rest_s)
    return found


def _whole(cell: Cell, modality: Modality, device: str) -> Rate:
    """Of a cell from its data to its scores."""
    with TemporaryDirectory() as folder:
        taken = run_cell(cell, modality, Path(folder), device=device)["cost"]
    step = (taken.get("step_ms_p50") or 0.0) / 1e3
    memory = taken.get("peak_device_mib") or taken["peak_rss_mib"]
    return Rate(step, taken["wall_s"] - cell.training.steps * step, memory, round(taken["params_m"] * 1e6))


def _steps(cell: Cell, modality: Modality, device: str, rest: float) -> Rate:
    """Of the steps of a cell alone."""
    modality = limited(modality, cell.limit)
    objective = build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
    cost.reset_peak_rss()
    taken = fit(objective, modality, cell.training, seed=cell.seed, device=device)
    memory = taken.peak_device_mib or cost.peak_rss_mib()
    return Rate(
        taken.step_ms[0] / 1e3, rest, memory, sum(weight.numel() for weight in objective.encoder().parameters())
    )


def unseen(cells: Sequence[Cell], records: Sequence[Record], hardware: str) -> list[Cell]:
    """Those whose row never ran on this processor or GPU."""
    here = on(records, hardware)
    return [cell for cell in cells if not estimate.alike(cell, estimate.finished(cell, here))]


def on(records: Sequence[Record], hardware: str) -> list[Record]:
    """The records that were made there."""
    return [one for one in records if one["cost"].get("hardware") == hardware]


def forecast(
    cell: Cell, records: Sequence[Record], results: Path, rate: Rate | None = None, hardware: str | None = None
) -> Forecast:
    """Of one cell: from its row's records on ``hardware`` (None: on any), else from ``rate``, else from other records."""
    alike = estimate.alike(cell, estimate.finished(cell, records))
    here = records if hardware is None else on(records, hardware)
    guess, memory = estimate.seconds(cell, here), _peak(alike)
    seconds, how = guess or (None, "unknown")
    if how != "measured":
        if rate is not None:
            seconds, how = rate.step_s * cell.training.steps + rate.rest_s, "calibrated"
            memory = memory or rate.memory_mib
        elif alike or guess is None:
            seconds, how = estimate.seconds(cell, records) or (None, "unknown")
            how = "elsewhere" if how == "measured" else how
    return Forecast(seconds, how, memory or _peak([one for one in records if one["modality"] == cell.modality]),
                    _disk(cell, alike, records, results, rate))  # fmt: skip


def together(seconds: Sequence[float], jobs: int) -> float:
    """Seconds until the last of ``jobs`` processes is done that take cells in this order."""
    ends = [0.0] * jobs
    for one in seconds:
        first = min(range(jobs), key=ends.__getitem__)
        ends[first] += one
    return max(ends)


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
