"""Estimate: how long a cell will take, from what earlier records took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmark import folds
from benchmark.cell import Cell
from jepakit.registry import methods

Estimate = tuple[float, str]
Row = tuple[str, str, str, str]  # board, method, preset, variant
REFERENCE_SHARE = 0.1  # of a trained cell's time, for rows that take no step


def seconds(cell: Cell, records: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """(seconds, "measured" | "scaled") or None when nothing comparable was run.

    Measured: the median of the same method, data set (or another fold of it), preset and variant. Scaled: from other
    records of the modality by the work of their training (steps · batch · depth · width²).
    """
    done = finished(cell, records)
    same = alike(cell, done)
    if same:
        return float(median(one["cost"]["wall_s"] for one in same)), "measured"
    trained = [r for r in done if r["family"] != "reference"]
    rates = [r["cost"]["wall_s"] / _work(r["identity"]["training"], r["identity"]["size"]) for r in trained]
    if not rates:
        return None
    return float(median(rates)) * weight(cell), "scaled"


def finished(cell: Cell, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records of the cell's modality that came to their end."""
    return [one for one in records if one["status"] in ("ok", "collapsed") and one["modality"] == cell.modality]


def row(cell: Cell) -> Row:
    """What the cells of one row share: all but the seed; folds of a data set are alike."""
    return folds.board(cell.modality, cell.dataset), cell.method, cell.preset, cell.variant


def alike(cell: Cell, done: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the ``finished`` records that are of the cell's row."""
    names = ("method", "preset", "variant")
    return [
        one for one in done if (folds.board(cell.modality, one["dataset"]), *(one[name] for name in names)) == row(cell)
    ]


def weight(cell: Cell) -> float:
    """Relative work of a cell, for a progress bar that knows no seconds."""
    share = REFERENCE_SHARE if methods[cell.method].info.get("family") == "reference" else 1.0
    size = {"dim": cell.size.dim, "depth": cell.size.depth}
    return share * _work({"steps": cell.training.steps, "batch_size": cell.training.batch_size}, size)


def _work(training: Mapping[str, Any], size: Mapping[str, Any]) -> float:
    return float(training["steps"] * training["batch_size"] * size["depth"] * size["dim"] ** 2)


def clock(duration: float | None) -> str:
    """Seconds as a person reads them: 42 s, 3 min 20 s, 2 h 05 min; unknown for None."""
    if duration is None:
        return "unknown"
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
