"""IDTReeS 2020: tree crowns in airborne LiDAR of two forests (NEON MLBS and OSBS): genus and height; five folds by plot."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.path import Path as Outline

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.folds import one_fold
from modalities.lidar.base import LidarModality
from modalities.lidar.clouds import collect
from modalities.lidar.files import read_las
from modalities.lidar.raster import Raster
from modalities.lidar.views import Policy

FOLDS = 5
GENERA = ("Acer", "Pinus", "Quercus", "other")
SITES = {"MLBS": ("Acer", "Quercus", "other"), "OSBS": ("Pinus", "Quercus")}
GROUND, NOISE = 2, 7  # classes of LAS points
BRIGHT = 1000.0  # stored intensity that counts as full: above nearly all echoes of both sites
FIELDS = ("site", "plot", "genus4", "height", "fold", "crown_xy")
REMEDY = "copy crowns.csv and LAS/ again"


def read_crowns(folder: Path) -> list[dict[str, str]]:
    """Rows of crowns.csv. Raises DataError when it is missing or lacks a column."""
    path = folder / "crowns.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); {REMEDY}") from error
    missing = [name for name in FIELDS if not rows or name not in rows[0]]
    if missing:
        raise DataError(f"{path} has no crown or no column '{missing[0]}'; {REMEDY}")
    for number, row in enumerate(rows, 2):
        try:
            sound = (
                len(outline_of(row)) > 2 and 0 <= int(row["fold"]) < FOLDS and np.isfinite(float(row["height"] or 0))
            )
        except (ValueError, TypeError, AttributeError):  # a short line has None for what it lacks
            sound = False
        if not sound or not row["plot"] or "/" in row["plot"] or row["site"] not in SITES or not row["genus4"]:
            raise DataError(f"line {number} of {path} is no crown with an outline, a fold and a height; {REMEDY}")
    return rows


def outline_of(row: Mapping[str, str]) -> np.ndarray:
    """The outline (k, 2) of a crown in metres. Raises ValueError for other text."""
    found = np.array([[float(word) for word in pair.split()] for pair in row["crown_xy"].split(";")])
    if found.ndim != 2 or found.shape[1] != 2 or not np.isfinite(found).all():
        raise ValueError
    return found


def clip(points: np.ndarray, classes: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """The points within an outline (k, 2), around the middle of its extent, z above the ground next to it, intensity 0 to 1.

    The ground is the mean of the five ground points nearest to the middle, or the lowest point of a plot without any.
    """
    middle = (outline.min(0) + outline.max(0)) / 2
    ground = points[classes == GROUND]
    level = points[:, 2].min()
    if len(ground):
        near = np.argsort(np.hypot(*(ground[:, :2] - middle).T), kind="stable")[:5]
        level = ground[near, 2].mean()
    inside = Outline(outline - middle).contains_points(points[:, :2] - middle, radius=1e-6) & (classes != NOISE)
    found = points[inside] - np.array([*middle, level, 0.0])
    found[:, 3] = np.minimum(found[:, 3] / BRIGHT, 1.0)
    return found


@functools.lru_cache(maxsize=1)
def _crowns(folder: Path) -> tuple[list[dict[str, str]], list[np.ndarray]]:
    rows, clouds = read_crowns(folder), []
    plots: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for row in rows:
        if row["plot"] not in plots:
            plots[row["plot"]] = read_las(folder / "LAS" / f"{row['plot']}.las", REMEDY)
        clouds.append(clip(*plots[row["plot"]], outline_of(row)))
    return rows, clouds


@datasets.register("lidar/idtrees_neon")
class Neon(LidarModality):
    """Crowns on 12.8 m of ground, tokens of 1.6 m."""

    dataset: ClassVar[str] = "idtrees_neon"
    card: ClassVar[Card] = Card(
        title="IDTReeS 2020 (NEON airborne LiDAR, MLBS and OSBS)",
        licence="CC BY 4.0",
        source="https://zenodo.org/records/3934932",
        citation="Graves et al. 2023, PeerJ 11:e16578",
        unit="plot",
        notes="Pines stand at one site, maples at the other: the tasks mlbs and osbs ask within a site.",
    )
    raster: ClassVar[Raster] = Raster((-6.4, -6.4), 0.4, (8, 8), 4)
    most: ClassVar[int] = 1024
    height: ClassVar[float] = 10.0
    policy: ClassVar[Policy] = Policy(angle=180.0, scale=0.05, jitter=0.05)
    folds: ClassVar[int] = FOLDS
    fold: ClassVar[int] = 1  # the published split
    tasks: tuple[Task, ...] = (
        Task("genus4", "class", "macro_f1", GENERA),
        Task("height", "regression", "r2"),
        Task("mlbs", "class", "macro_f1", SITES["MLBS"]),
        Task("osbs", "class", "macro_f1", SITES["OSBS"]),
    )

    @classmethod
    def stored(cls) -> str:
        return "idtrees_neon"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        """Fold k tests the crowns of fold k − 1 of crowns.csv, validates on the next, trains on the rest."""
        rows, clouds = _crowns(cls.folder(root))
        fold = np.array([int(row["fold"]) for row in rows])
        held = {"test": cls.fold - 1, "val": cls.fold % FOLDS}
        parts: dict[Part, Data] = {}
        for rank, part in enumerate(PARTS):
            at = np.flatnonzero(fold == held[part] if part in held else ~np.isin(fold, list(held.values())))
            own = [rows[k] for k in at]
            genus = np.array([row["genus4"] for row in own])
            site = np.array([row["site"] for row in own])
            labels = {"genus4": _codes(genus, GENERA)}
            labels["height"] = np.array([float(row["height"] or "nan") for row in own], dtype=np.float32)
            for name, classes in SITES.items():
                labels[name.lower()] = np.where(site == name, _codes(genus, classes), -1)
            found = collect([clouds[k] for k in at], cls.raster, cls.most, rank)
            parts[part] = found.data(labels, np.array([row["plot"] for row in own]))
        return parts


def _codes(names: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """(n,) int64 class of each name, −1 for others."""
    found = np.full(len(names), -1, dtype=np.int64)
    for code, name in enumerate(classes):
        found[names == name] = code
    return found


@datasets.register_family("lidar/idtrees_neon-fold")
@functools.cache
def neon_fold(number: str) -> type[Neon]:
    """The class of ``lidar/idtrees_neon-fold<k>``."""
    return one_fold(Neon, number)
