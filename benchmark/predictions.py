"""Predictions: what records stored beside themselves, read once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.metrics import Metric, one_hot
from benchmark.stats import Run

EXACT = 1e-6  # of a score of size 1: sums in another order
ROUNDED = 0.02  # the most that rounding may explain; beyond, equal logits would prove any AUROC


def tolerance(metric: Metric, run: Run) -> float:
    """How far the score of stored predictions may lie from the score before they were rounded for storing.

    Ranks: float16 makes equal what was not, and ties count one half, so the score lay between the one where every tie is
    won and the one where it is lost. Values: half a unit in the last place of each, towards the label or away from it.
    """
    labels, predictions, _ = run
    slack = EXACT * max(1.0, abs(metric(labels, predictions)))
    if predictions.dtype.kind != "f" or predictions.size == 0:
        return slack
    if predictions.ndim == 2:
        ranks = np.unique(predictions, return_inverse=True)[1].reshape(predictions.shape)
        won = np.where(one_hot(labels, predictions.shape[1]), 0.25, -0.25)
        ends = [metric(labels, ranks + way * won) for way in (1, -1)]
    else:
        wide = predictions.astype(np.float64)
        half = (np.spacing(np.abs(predictions)) + np.spacing(np.abs(labels).astype(np.float32))) / 2.0
        away = np.where(wide < labels, -1.0, 1.0)
        ends = [metric(labels, wide + way * half * away) for way in (1, -1)]
    return slack + min(ROUNDED, abs(ends[0] - ends[1]))


class Store:
    """Test predictions of records by key; an unreadable file is a warning and an empty answer.

    files: what was read, or handed in by the caller (arrays of a package that lie in no folder yet).
    """

    def __init__(self, results: Path | None, records: Mapping[str, Mapping[str, Any]]) -> None:
        self.results, self.records = results, records
        self.files: dict[str, dict[str, np.ndarray]] = {}

    def run(self, key: str, task: str, probe: str) -> Run | None:
        """Labels, predictions and unit codes, rows in test order; None where they are not stored."""
        arrays = self._read(key)
        try:
            label, unit, pred = arrays[f"{task}.label"], arrays[f"{task}.unit"], arrays[f"{task}.{probe}.pred"]
        except KeyError:
            return None
        return (label, pred, unit) if len(label) == len(pred) == len(unit) else None

    def _read(self, key: str) -> dict[str, np.ndarray]:
        if key not in self.files:
            if self.results is None:
                return {}
            record = self.records[key]
            folder = self.results / "records" / record["modality"] / record["dataset"] / record["method"]
            try:
                with np.load(folder / f"{key}.npz", allow_pickle=False) as file:
                    self.files[key] = {name: file[name] for name in file.files}
            except Exception as error:  # a damaged zip raises many things, and none may stop a board
                reason = f"{type(error).__name__}, run the cell again for its interval"
                warnings.warn(f"predictions {record['method']}/{key}.npz are not readable ({reason})", stacklevel=2)
                self.files[key] = {}
        return self.files[key]
