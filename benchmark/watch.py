"""WatchLog: losses and diagnostics of a fixed validation batch during pre-training, kept for a resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import diagnostics, features, record
from benchmark.atomic import write_bytes
from benchmark.diagnostics import Looker
from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.objective import Objective
from jepakit.types import Data

# Rows of the fixed batch that are also seen as views: a quarter of the final look's, because a watch must stay cheap.
VIEWED_ROWS = 128


class WatchLog:
    """Losses and diagnostics of a fixed validation batch during training; kept beside the checkpoint for a resume.

    Every row has ``collapsed``: the verdict on the encoder, else on what the objective's projector makes of it, else None.
    """

    def __init__(self, folder: Path, modality: Modality, val: Data, device: str) -> None:
        self.path = folder / "watch.json"
        self.looker = Looker(modality, val, device, viewed=VIEWED_ROWS)
        try:
            self.history: list[dict[str, Any]] = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            self.history = []
        self.projected: str | None = None

    def __call__(self, step: int, losses: Mapping[str, float], objective: Objective) -> None:
        row: dict[str, Any] = {"step": step, **losses}
        self.projected = None
        try:
            look = self.looker(objective.encoder())
            z = self._projections(objective, look.pooled)
        except ValueError:  # features that are not finite: the loss or the final features will say so
            row["collapsed"] = None
        else:
            row |= {name: value for name, value in diagnostics.measure(look).items() if value is not None}
            if z is not None:
                row["projected_cosine"] = diagnostics.mean_cosine(z)
                self.projected = diagnostics.projected(z)
            row["collapsed"] = diagnostics.verdict(look) or self.projected
        self.history[:] = [old for old in self.history if old["step"] < step] + [record.clean(row)]
        write_bytes(self.path, json.dumps(self.history).encode())

    def _projections(self, objective: Objective, pooled: np.ndarray) -> np.ndarray | None:
        """What the projector makes of the rows, in evaluation mode; None where the objective has none."""
        projector, backbone = getattr(objective, "projector", None), objective.backbone
        if not isinstance(projector, Projector):
            return None
        if objective.encoder() is not backbone:
            looker = self.looker
            pooled = features.extract(backbone, looker.modality, looker.rows, device=looker.device).pooled
        training = projector.training
        projector.eval()
        try:
            with torch.inference_mode():
                weight = next(projector.parameters())
                z: np.ndarray = projector(torch.from_numpy(pooled).to(weight)).float().cpu().numpy()
        finally:
            projector.train(training)
        if not np.isfinite(z).all():
            raise ValueError("non-finite projections")
        return z

    def facts(self) -> dict[str, Any]:
        """What is kept beside the encoder: since when it is collapsed, and the last verdict on the projections."""
        return {"collapse_step": self.collapse_step(), "projected": self.projected}

    def collapse_step(self) -> int | None:
        """First watched step from which on the features stayed collapsed."""
        first = None
        for row in self.history:
            first = (first or row["step"]) if row["collapsed"] else None
        return first
