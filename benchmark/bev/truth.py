"""What is known of every cell of a plan, and the frozen token features that have to tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark import features
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.types import Batch, Data, UsageError

NEEDED = ("cell_class", "full", "boxes", "occupied")


class Plan(Protocol):
    """The ground plan. low: its corner of smallest x and y, metres; cell: side, metres; grid: tokens along x and y;
    patch: cells along the side of a token."""

    @property
    def low(self) -> tuple[float, float]: ...
    @property
    def cell(self) -> float: ...
    @property
    def grid(self) -> tuple[int, int]: ...
    @property
    def patch(self) -> int: ...


def sides(plan: Plan) -> tuple[int, int]:
    """Cells along x and y."""
    return plan.grid[0] * plan.patch, plan.grid[1] * plan.patch


def middles(plan: Plan) -> np.ndarray:
    """(m, 2): x and y of the middle of every cell, row-major."""
    axes = [plan.low[k] + plan.cell * (np.arange(side) + 0.5) for k, side in enumerate(sides(plan))]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def ranges(plan: Plan) -> np.ndarray:
    """(m,): distance of every cell from the sensor, metres."""
    distance: np.ndarray = np.hypot(*middles(plan).T)
    return distance


@dataclass(frozen=True)
class Truth:
    """cell_class (n, m), −1 where nothing is known; full (n, m): cells that things stand in, seen or hidden; boxes (n,
    M, 8): class, x, y, z, l, w, h, yaw, class −1 behind the last; occupied (n, tokens); unit (n,) bootstrap unit."""

    cell_class: np.ndarray
    full: np.ndarray
    boxes: np.ndarray
    occupied: np.ndarray
    unit: np.ndarray

    def __len__(self) -> int:
        return len(self.full)


@dataclass(frozen=True)
class Part:
    """Token features (n, tokens, d) of the scenes of one part, and their truth."""

    x: np.ndarray
    truth: Truth

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> Part:
        t = self.truth
        kept = Truth(t.cell_class[rows], t.full[rows], t.boxes[rows], t.occupied[rows], t.unit[rows])
        return Part(self.x[rows], kept)


def plan_of(modality: Modality) -> Plan:
    """The plan of a data set with the truth about its cells. Raises UsageError for any other."""
    missing = [name for name in NEEDED if name not in modality.data("train").extra]
    plan: Any = getattr(modality, "raster", None)
    if plan is None or missing:
        what = f"the side inputs {', '.join(missing)}" if missing else "a ground plan"
        raise UsageError(
            f"{modality.name}/{modality.dataset} has not {what}, which these probes ask about; take a simulated data set of "
            "scenes"
        )
    found: Plan = plan
    return found


def truth(data: Data) -> Truth:
    """The truth of every row of a part."""
    found = {name: data.extra[name].cpu().numpy() for name in NEEDED}
    return Truth(
        found["cell_class"].astype(np.int64), found["full"].astype(bool), found["boxes"], found["occupied"], data.unit
    )


def seen(encoder: Embedder, modality: Modality, data: Data, device: str) -> Part:
    """The part as ``encoder`` sees it."""
    found = features.extract(encoder, modality, data, device=device, tokens=True, dense=True)
    if found.tokens is None:
        raise ValueError("features of a dense task were extracted without tokens")
    return Part(found.tokens, truth(data))


def handmade(modality: Modality, data: Data) -> Part:
    """The part with the hand-made statistics of a token's cells in place of features: the control without any
    network."""
    cells: Callable[[Batch], Float[Tensor, "b r c f"]] = modality.cells  # type: ignore[attr-defined]
    plan = plan_of(modality)

    def tokens(batch: Batch) -> np.ndarray:
        found = cells(batch).float()
        found = torch.cat([found, found[..., :1].clamp_min(0).log1p()], -1)
        rows, columns = plan.grid
        split = found.unflatten(2, (columns, plan.patch)).unflatten(1, (rows, plan.patch)).transpose(2, 3)
        return split.flatten(3).flatten(1, 2).numpy()

    pieces = [tokens(data.batch(rows)) for rows in torch.arange(len(data)).split(256)]
    return Part(np.concatenate(pieces), truth(data))
