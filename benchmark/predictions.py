"""Predictions: what records stored beside themselves, read once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.stats import Run

# A score of float16 logits may order near ties otherwise than the logits did; everything else is exact but for rounding.
EXACT, ROUNDED = 1e-6, 2e-3


def tolerance(predictions: np.ndarray) -> float:
    """How far the score of stored predictions may lie from the score in the record."""
    return ROUNDED if predictions.dtype == np.float16 else EXACT


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
