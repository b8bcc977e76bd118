"""Sweeps: any folder of plain point files, as nuScenes (.pcd.bin, five numbers a point) and ONCE (.bin, four) have them."""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.lidar.base import LidarModality
from modalities.lidar.clouds import collect
from modalities.lidar.files import read_points

MOUNT = 1.8  # metres of a sensor on a roof above the ground
FULL = 255.0  # intensity above 1 is taken for levels


class Sweeps(LidarModality):
    """``{train,val,test}/*.bin`` and labels.csv (file, class), file being a path below the folder. Without labels the parts
    have no task: for pre-training alone."""

    most: ClassVar[int] = 4096

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        folder = self.folder(self.root)
        if not self.tasks and (folder / "labels.csv").is_file():
            names = tuple(sorted(set(read_labels(folder).values())))
            if len(names) < 2:
                raise DataError(f"{folder / 'labels.csv'} has fewer than two classes; complete it or leave it out")
            self.tasks = (Task("class", "class", "accuracy", names),)

    @classmethod
    def remedy(cls) -> str:
        return "put the sweeps there as {train,val,test}/<file>.bin (four float32 a point; five in .pcd.bin)"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        known = read_labels(folder) if (folder / "labels.csv").is_file() else {}
        classes = sorted(set(known.values()))
        parts: dict[Part, Data] = {}
        for rank, part in enumerate(PARTS):
            paths = sorted((folder / part).glob("*.bin"))
            if not paths:
                raise DataError(f"{folder / part} has no .bin file; {cls.remedy()}")
            names = [path.relative_to(folder).as_posix() for path in paths]
            labels = {}
            if known:
                labels["class"] = np.array([classes.index(known[name]) if name in known else -1 for name in names])
            found = collect([_levelled(read_points(path, cls.remedy())) for path in paths], cls.raster, cls.most, rank)
            parts[part] = found.data(labels, np.array(names))
        present = {unit for data in parts.values() for unit in data.unit}
        lost = sorted(set(known) - present)
        if lost:
            raise DataError(f"{folder / 'labels.csv'} names {lost[0]}, which is not there; {cls.remedy()}")
        return parts


def read_labels(folder: Path) -> dict[str, str]:
    """Class by file of labels.csv. Raises DataError when a column is missing or the file is no text."""
    path = folder / "labels.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = {row["file"]: row["class"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise DataError(f"{path} has no readable columns 'file' and 'class' ({error}); write it again") from error
    if None in found or None in found.values():  # a row that is shorter than the first
        raise DataError(f"{path} has a row without a file or a class; write it again")
    return found


def _levelled(points: np.ndarray) -> np.ndarray:
    points[:, 2] += MOUNT
    if (points[:, 3] > 1).any():
        points[:, 3] /= FULL
    return points


@datasets.register_family("lidar/folder-")
@functools.cache
def folder_data(name: str) -> type[Sweeps]:
    """The class of ``lidar/folder-<name>``: 51 × 51 m around the sensor."""
    card = Card(
        title=f"Folder of sweeps '{name}'",
        licence="the owner's",
        source="the data root",
        citation="none",
        unit="file",
        notes="The sensor is taken to stand 1.8 m above the ground, x forward.",
    )
    facts = {"dataset": f"folder-{name}", "card": card, "__module__": __name__, "__doc__": "Sweeps in a folder."}
    return type("Folder", (Sweeps,), facts)
