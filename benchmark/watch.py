"""WatchLog: losses and diagnostics of a fixed validation batch during pre-training, kept for a resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import diagnostics, features, record
from benchmark.atomic import write_bytes
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.types import Data

WATCHED_ROWS = 512  # rows of the fixed validation batch


class WatchLog:
    """Losses and diagnostics of a fixed validation batch during training; kept beside the checkpoint for a resume."""

    def __init__(self, folder: Path, modality: Modality, val: Data, device: str) -> None:
        self.path = folder / "watch.json"
        self.modality, self.device = modality, device
        self.rows = val.take(np.arange(0, len(val), max(1, -(-len(val) // WATCHED_ROWS))))
        try:
            self.history: list[dict[str, Any]] = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            self.history = []

    def __call__(self, step: int, losses: Mapping[str, float], objective: Objective) -> None:
        row: dict[str, Any] = {"step": step, **losses}
        try:
            pooled = features.extract(objective.encoder(), self.modality, self.rows, device=self.device).pooled
        except ValueError:  # features that are not finite: the loss or the final features will say so
            row["collapsed"] = None
        else:
            row |= diagnostics.measure(pooled) | {"collapsed": diagnostics.verdict(pooled)}
        self.history[:] = [old for old in self.history if old["step"] < step] + [record.clean(row)]
        write_bytes(self.path, json.dumps(self.history).encode())

    def collapse_step(self) -> int | None:
        """First watched step from which on the features stayed collapsed."""
        first = None
        for row in self.history:
            first = (first or row["step"]) if row["collapsed"] else None
        return first
