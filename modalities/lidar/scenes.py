"""Scenes: simulated streets under a spinning sensor, every cell and box known; and a second town with another sensor.

``segment`` asks of every token of some scenes what is met in it, the rarest thing first (a person, a cyclist, a car, a
structure, else the ground). ``cars`` and ``nearest`` ask of visible cars: with at least three points in the cloud.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part, Task
from modalities.lidar.base import LidarModality
from modalities.lidar.raster import Raster
from modalities.lidar.simulated import RARER_FIRST, Measured, Survey, measure
from modalities.lidar.streets import CAR, KINDS, LAYOUTS, Town

BLOCK = 8  # scenes with every layout under every sensor
SEGMENTED: dict[Part, int] = {"train": 4, "val": 2, "test": 2}  # every how many blocks have labels per token


def segment(cell_class: np.ndarray, raster: Raster) -> np.ndarray:
    """(n, tokens) int64: the rarest class among the cells of each token, −1 where nothing is known of any."""
    cells = raster.tokens_of(cell_class)
    found = np.full(cells.shape[:2], -1, dtype=np.int64)
    for kind in RARER_FIRST:
        found[(cells == kind).any(-1)] = kind
    return found


def labels(scenes: Measured, raster: Raster, part: Part) -> dict[str, np.ndarray]:
    """Every task's label of every scene; NaN where there is no visible car."""
    n = len(scenes.cell_class)
    asked = np.arange(n) // BLOCK % SEGMENTED[part] == 0
    car = scenes.boxes[..., 0] == CAR
    far = np.where(car, np.hypot(scenes.boxes[..., 1].astype(np.float64), scenes.boxes[..., 2]), np.inf).min(1)
    return {
        "segment": np.where(asked[:, None], segment(scenes.cell_class, raster), -1),
        "scene": scenes.factors["layout"],
        "cars": car.sum(1).astype(np.float32),
        "nearest": np.where(np.isfinite(far), np.round(far, 3), np.nan).astype(np.float32),
        "lost": scenes.factors["lost"].astype(np.float32),
        "sensor": scenes.factors["sensor"],
        "yaw": scenes.factors["yaw"].astype(np.float32),
    }


@datasets.register("lidar/scenes")
class Scenes(LidarModality):
    """The embedded default: needs no file. Side inputs for probes by place: ``boxes``, ``cell_class``, ``full``
    (``simulated.Measured``)."""

    dataset: ClassVar[str] = "scenes"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        title="Streets under a simulated LiDAR of 32 or 64 beams, 51 × 51 m",
        licence="Apache-2.0",
        source="modalities/lidar/scenes.py",
        citation="this repository",
        unit="street",
        notes="Every scene is a street of its own. Of the echoes, 2048 points are kept, cells giving one after the other. "
        "segment is asked of a quarter of the training scenes and half of the others, only where a beam passes.",
    )
    town: ClassVar[Town] = Town()
    survey: ClassVar[Survey] = Survey()
    sizes: ClassVar[dict[Part, int]] = {"train": 1200, "val": 240, "test": 480}
    seed: ClassVar[int] = 60
    cell_classes: ClassVar[tuple[str, ...]] = KINDS
    tasks: tuple[Task, ...] = (
        Task("segment", "dense", "miou", KINDS),
        Task("scene", "class", "accuracy", LAYOUTS),
        Task("cars", "regression", "r2"),
        Task("nearest", "regression", "r2"),
        Task("sensor", "class", "accuracy", ("32 beams", "64 beams"), nuisance=True),
        Task("lost", "regression", "r2", nuisance=True),
        Task("yaw", "regression", "r2", nuisance=True),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        asked = {task.name for task in cls.tasks}
        parts: dict[Part, Data] = {}
        for rank, (part, size) in enumerate(cls.sizes.items()):
            scenes = measure(size, cls.seed + rank, cls.town, cls.survey, cls.raster, cls.most)
            known = {name: column for name, column in labels(scenes, cls.raster, part).items() if name in asked}
            parts[part] = scenes.clouds.data(
                known,
                np.array([f"{part}{row:05d}" for row in range(size)]),
                {"boxes": scenes.boxes, "cell_class": scenes.cell_class, "full": scenes.full},
            )
        return parts


@datasets.register("lidar/scenes-town2")
class Town2(Scenes):
    """Where rows go that were trained on Scenes: narrow streets, other cars, a higher, tilted sensor that loses more."""

    dataset: ClassVar[str] = "scenes-town2"
    card: ClassVar[Card] = Card(
        title="Streets of another town under a simulated LiDAR of 64 beams, 51 × 51 m",
        licence="Apache-2.0",
        source="modalities/lidar/scenes.py",
        citation="this repository",
        unit="street",
        notes="As lidar/scenes, with streets a third narrower, smaller cars, more vans, more people, steeper ground, and "
        "another sensor.",
    )
    town: ClassVar[Town] = Town(
        road=(2.3, 3.2), pavement=(1.2, 2.6), storeys=(6.0, 20.0), car=((3.4, 4.3), (1.6, 1.8), (1.4, 1.65)), vans=0.3,
        parked=(0.3, 0.95), people=16, cyclists=10, poles=10, slope=0.03,
    )  # fmt: skip
    survey: ClassVar[Survey] = Survey(
        beams=((64, -22.0, 8.0),), columns=600, height=(2.0, 2.3), tilt=0.02, noise=(0.02, 0.05), lost=(0.15, 0.5)
    )
    sizes: ClassVar[dict[Part, int]] = {"train": 600, "val": 160, "test": 320}
    seed: ClassVar[int] = 80
    tasks: tuple[Task, ...] = tuple(task for task in Scenes.tasks if task.name != "sensor")
