"""IGN: buildings in airborne LiDAR of two places, asked of every cell of half a metre; nobody trains on the second place."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, Part, Task
from modalities.lidar.base import LidarModality
from modalities.lidar.clouds import collect
from modalities.lidar.files import read_las
from modalities.lidar.raster import Raster
from modalities.lidar.views import Policy

TILE, OTHER = "St_Barth_100m.laz", "870000_6618000.subset.50mx100m.las"
SIDE = 8.0  # metres of a chip: 16 cells
BUILDING, NOISE = 6, 7  # classes of LAS points
TRAINED, VALIDATED = (
    0.6,
    0.8,
)  # train and validation lie where x is below this share of the tile; validation, y above that
BRIGHT = 99.0  # percentile of intensity that counts as full, of each tile
ANSWERS = ("other", "building")


def chips(points: np.ndarray, classes: np.ndarray, raster: Raster) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """A tile (p, 4) as clouds of SIDE × SIDE metres around their middles, z above the lowest point within; labels (n,
    cells), 1 where any echo is of a building, −1 where there is none; places (n, 2): middles as shares of the tile.

    Chips that the border of the tile cuts are kept as they are, those without a point are not.
    """
    points = points[classes != NOISE]
    classes = classes[classes != NOISE]
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    which = np.floor((points[:, :2] - low) / SIDE).astype(np.int64)
    code = which[:, 0] * 10_000 + which[:, 1]
    bright = np.percentile(points[:, 3], BRIGHT) or 1.0
    clouds, labels, places = [], [], []
    for chip in np.unique(code):
        own = code == chip
        middle = low + SIDE * (which[own][0] + 0.5)
        cloud = points[own] - np.array([*middle, points[own, 2].min(), 0.0])
        cloud[:, 3] = np.minimum(cloud[:, 3] / bright, 1.0)
        # as it will be stored, so that a label never lies a cell beside its points
        cell = raster.cells_of(*(np.round(cloud[:, axis], 2) for axis in (0, 1)))
        label = np.full(raster.count + 1, -1, dtype=np.int64)
        label[cell] = 0
        label[cell[classes[own] == BUILDING]] = 1
        clouds.append(cloud)
        labels.append(label[: raster.count])
        places.append((middle - low) / (high - low))
    return clouds, np.array(labels), np.array(places)


@datasets.register("lidar/ign_building_bev")
class IgnBuildings(LidarModality):
    """Chips of 8 m whose tokens are single cells. ``cross`` is the same question in the other place."""

    dataset: ClassVar[str] = "ign_building_bev"
    card: ClassVar[Card] = Card(
        title="Buildings in airborne LiDAR of the IGN",
        licence="Licence Ouverte 2.0",
        source="https://geoservices.ign.fr/lidarhd",
        citation="IGN, LiDAR HD; test files of lidar-prod and myria3d",
        unit="chip",
        notes="Two tiles of one hectare each. Heights are above the lowest echo within 8 m. A chip sees nothing beyond its "
        "border.",
    )
    raster: ClassVar[Raster] = Raster((-4.0, -4.0), 0.5, (16, 16), 1)
    most: ClassVar[int] = 2048
    height: ClassVar[float] = 5.0
    policy: ClassVar[Policy] = Policy(angle=180.0, jitter=0.05)
    tasks: tuple[Task, ...] = (Task("building", "dense", "miou", ANSWERS), Task("cross", "dense", "miou", ANSWERS))

    @classmethod
    def remedy(cls) -> str:
        return f"put {TILE} and {OTHER} there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        home, away = (chips(*read_las(folder / name, cls.remedy()), cls.raster) for name in (TILE, OTHER))
        west, north = home[2][:, 0] < TRAINED, home[2][:, 1] >= VALIDATED
        rows = {"train": west & ~north, "val": west & north, "test": ~west}
        parts: dict[Part, Data] = {}
        for rank, part in enumerate(PARTS):
            at = np.flatnonzero(rows[part])
            clouds, label = [home[0][k] for k in at], home[1][at]
            cross, unit = label, [f"home{k:03d}" for k in at]
            if part == "test":
                clouds += away[0]
                unit += [f"away{k:03d}" for k in range(len(away[0]))]
                cross = np.concatenate([np.full_like(label, -1), away[1]])
                label = np.concatenate([label, np.full_like(away[1], -1)])
            parts[part] = collect(clouds, cls.raster, cls.most, rank).data(
                {"building": label, "cross": cross}, np.array(unit)
            )
        return parts
