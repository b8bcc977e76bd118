"""KITTI's object data: velodyne, label_2 and calib of the training tree, as far as the left colour camera sees.

Tokens and cells are labelled where points are: by the box that holds them, else as background. Vans, trucks and other
foreign things are no class (−1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.lidar.base import LidarModality
from modalities.lidar.clouds import collect, metres
from modalities.lidar.files import read_points
from modalities.lidar.raster import Raster
from modalities.lidar.simulated import MOST_BOXES, SEEN, within

CLASSES = ("background", "car", "pedestrian", "cyclist")
CODE = {"car": 1, "pedestrian": 2, "cyclist": 3}
FOREIGN = 0  # the class of boxes of other things, which are not handed on
MOUNT = 1.73  # metres of the sensor above the ground (Geiger et al. 2012)
FLAT = 1e-6  # determinant of a matrix that cannot be inverted
REMEDY = "copy the training tree (velodyne, label_2, calib) again"


@dataclass(frozen=True)
class Calibration:
    """rotation (3, 3), shift (3,): from the sensor's frame to the rectified camera; camera: its projection (3, 4) or
    None."""

    rotation: np.ndarray
    shift: np.ndarray
    camera: np.ndarray | None

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """(p, 3) from the sensor's frame."""
        return (points[:, None] * self.rotation).sum(2) + self.shift

    def to_sensor(self, points: np.ndarray) -> np.ndarray:
        """(p, 3) from the camera's frame; calibrations are rotations only up to rounding, so they are inverted in full."""
        return ((points - self.shift)[:, None] * np.linalg.inv(self.rotation)).sum(2)

    def seen(self, points: np.ndarray) -> np.ndarray:
        """(p,): in front of the camera and within its image, whose middle is the principal point; all without a camera."""
        if self.camera is None:
            return np.ones(len(points), dtype=bool)
        place = self.to_camera(points)
        u, v, depth = ((place[:, None] * self.camera[:, :3]).sum(2) + self.camera[:, 3]).T
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = u / depth, v / depth
        size = 2 * self.camera[:2, 2]
        kept: np.ndarray = (depth > 0) & (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1])
        return kept


def read_calibration(path: Path) -> Calibration:
    """A calib file. Raises DataError when it is missing, damaged or lacks R0_rect or Tr_velo_to_cam."""
    found: dict[str, np.ndarray] = {}
    for line in _lines(path):
        key, _, numbers = line.partition(":")
        try:
            found[key.strip()] = np.array([float(word) for word in numbers.split()])
        except ValueError as error:
            raise DataError(f"{path} has no numbers behind '{key}'; {REMEDY}") from error
    for key, length in (("R0_rect", 9), ("Tr_velo_to_cam", 12)):
        if len(found.get(key, ())) != length:
            raise DataError(f"{path} lacks {key} with its {length} numbers; {REMEDY}")
    rectify, move = found["R0_rect"].reshape(3, 3), found["Tr_velo_to_cam"].reshape(3, 4)
    with np.errstate(all="ignore"):
        whole = (rectify[:, :, None] * move[None]).sum(1)
        turns = np.isfinite(whole).all() and abs(np.linalg.det(whole[:, :3])) > FLAT
    if not turns:
        raise DataError(f"{path} has a R0_rect or Tr_velo_to_cam that is no rotation; {REMEDY}")
    camera = found.get("P2")
    usable = camera is not None and len(camera) == 12 and camera.any()
    return Calibration(whole[:, :3], whole[:, 3], camera.reshape(3, 4) if usable and camera is not None else None)


def read_boxes(path: Path, calibration: Calibration) -> np.ndarray:
    """A label file as boxes (n, 8) in the sensor's frame: class (FOREIGN for other things), centre x, y, z, l, w, h, yaw.

    ``DontCare`` regions are left out: they have no place in space. Raises DataError for lines that are no labels.
    """
    rows = []
    for number, line in enumerate(_lines(path), 1):
        name, *words = line.split()
        if name == "DontCare":
            continue
        try:
            h, w, l, x, y, z, turn = (float(word) for word in words[7:14])  # noqa: E741
        except ValueError as error:
            raise DataError(f"line {number} of {path} is no label of fifteen fields; {REMEDY}") from error
        if not np.isfinite((h, w, l, x, y, z, turn)).all():
            raise DataError(f"line {number} of {path} has a number that is none; {REMEDY}")
        place = calibration.to_sensor(np.array([[x, y - h / 2, z]]))[0]
        ahead = calibration.to_sensor(np.array([[x + np.cos(turn), y - h / 2, z - np.sin(turn)]]))[0] - place
        rows.append((CODE.get(name.lower(), FOREIGN), *place, l, w, h, np.arctan2(ahead[1], ahead[0])))
    return np.array(rows, dtype=np.float64).reshape(-1, 8)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise DataError(f"{path} is missing beside its cloud ({error.strerror}); {REMEDY}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text; {REMEDY}") from error
    return [line for line in text.splitlines() if line.strip()]


def read_frame(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """One frame of a training folder: the points (p, 4) that the camera sees and all boxes (n, 8), z above the ground."""
    points = read_points(folder / "velodyne" / f"{name}.bin", REMEDY, 4)
    calibration = read_calibration(folder / "calib" / f"{name}.txt")
    boxes = read_boxes(folder / "label_2" / f"{name}.txt", calibration)
    with np.errstate(invalid="ignore"):  # points that are no numbers are counted later
        points = points[calibration.seen(points[:, :3]) | ~np.isfinite(points).all(1)]
    points[:, 2] += MOUNT
    boxes[:, 3] += MOUNT
    return points, boxes


def frames(folder: Path) -> dict[Part, list[str]]:
    """Names of the frames by part: the lists in ImageSets if there are (test is the official val, as test labels are not
    public; the last tenth of train validates), else blocks of neighbours, 80 / 10 / 10 %."""
    known = sorted(path.stem for path in (folder / "training" / "velodyne").glob("*.bin"))
    labelled = sorted(path.stem for path in (folder / "training" / "label_2").glob("*.txt"))
    lonely = sorted(set(labelled) - set(known))
    if lonely:
        raise DataError(f"{folder} has a label file {lonely[0]}.txt without its cloud; {REMEDY}")
    if len(known) < 3:
        raise DataError(
            f"{folder / 'training' / 'velodyne'} has {len(known)} clouds, too few for three parts; {REMEDY}"
        )
    lists = folder / "ImageSets"
    if (lists / "train.txt").is_file() and (lists / "val.txt").is_file():
        train, test = (_lines(lists / f"{part}.txt") for part in ("train", "val"))
        missing = sorted({*train, *test} - set(known))
        if missing:
            raise DataError(f"{lists} lists frame {missing[0]}, which has no cloud; {REMEDY}")
        cut = len(train) - max(1, len(train) // 10)
        return {"train": train[:cut], "val": train[cut:], "test": test}
    tenth = max(1, len(known) // 10)
    return {"train": known[: -2 * tenth], "val": known[-2 * tenth : -tenth], "test": known[-tenth:]}


def by_boxes(points: np.ndarray, boxes: np.ndarray, raster: Raster) -> np.ndarray:
    """(m,) int8: of each cell the class of the smallest box that holds a point in it, 0 with other points, −1 without."""
    cell = raster.cells_of(points[:, 0], points[:, 1])
    found = np.full(raster.count + 1, -1, dtype=np.int8)
    found[cell] = 0
    for box in boxes[np.argsort(-boxes[:, 4] * boxes[:, 5], kind="stable")]:
        found[cell[within(points, box)]] = -1 if box[0] == FOREIGN else box[0]
    return found[: raster.count]


def token_class(cells: np.ndarray, raster: Raster) -> np.ndarray:
    """(n, tokens) int64: the rarest class of a token's cells (the largest code but cars last), −1 where none is known."""
    grouped = raster.tokens_of(cells)
    found = np.full(grouped.shape[:2], -1, dtype=np.int64)
    for code in (0, 1, 3, 2):
        found[(grouped == code).any(-1)] = code
    return found


@datasets.register("lidar/kitti")
class Kitti(LidarModality):
    """The square of 51 m in front of the sensor."""

    dataset: ClassVar[str] = "kitti"
    card: ClassVar[Card] = Card(
        title="KITTI 3D object detection",
        licence="CC BY-NC-SA 3.0",
        source="https://www.cvlibs.net/datasets/kitti/eval_object.php?obj_benchmark=3d",
        citation="Geiger et al. 2012, CVPR",
        unit="frame",
        notes="Frames are not grouped by drive in the object data, so neighbours of one drive may be on both sides.",
    )
    raster: ClassVar[Raster] = Raster((0.0, -25.6), 0.8, (16, 16), 4)
    most: ClassVar[int] = 4096
    cell_classes: ClassVar[tuple[str, ...]] = CLASSES
    tasks: tuple[Task, ...] = (
        Task("segment", "dense", "miou", CLASSES),
        Task("cars", "regression", "r2"),
        Task("nearest", "regression", "r2"),
    )

    @classmethod
    def remedy(cls) -> str:
        return "put training/{velodyne,label_2,calib} (and ImageSets) there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        names = frames(folder)
        return {
            part: cls.part([read_frame(folder / "training", name) for name in names[part]], names[part], rank)
            for rank, part in enumerate(PARTS)
        }

    @classmethod
    def part(cls, read: Sequence[tuple[np.ndarray, np.ndarray]], names: Sequence[str], seed: int) -> Data:
        """One part from its frames; boxes off the plan (behind the sensor, too far) and those hardly hit are counted."""
        clouds = collect([points for points, _ in read], cls.raster, cls.most, seed)
        kept = np.full((len(read), MOST_BOXES, 8), -1, dtype=np.float32)
        cells = np.empty((len(read), cls.raster.count), dtype=np.int8)
        outside = hidden = 0
        for row, (_, boxes) in enumerate(read):
            points = metres(clouds.x[row])
            cells[row] = by_boxes(points, boxes, cls.raster)
            own = boxes[boxes[:, 0] != FOREIGN]
            near = own[cls.raster.cells_of(own[:, 1], own[:, 2]) < cls.raster.count]
            seen = near[np.array([within(points, box).sum() >= SEEN for box in near], dtype=bool)]
            outside, hidden = outside + len(own) - len(near), hidden + len(near) - len(seen)
            seen = np.round(seen[np.argsort(np.hypot(seen[:, 1], seen[:, 2]), kind="stable")][:MOST_BOXES], 3)
            kept[row, : len(seen)] = seen
        counts = {"boxes_outside_dropped": outside, "boxes_hardly_hit_dropped": hidden}
        clouds.repairs |= {kind: count for kind, count in counts.items() if count}
        car = kept[..., 0] == CODE["car"]
        far = np.where(car, np.hypot(kept[..., 1], kept[..., 2]), np.inf).min(1)
        labels = {
            "segment": token_class(cells, cls.raster),
            "cars": car.sum(1).astype(np.float32),
            "nearest": np.where(np.isfinite(far), far, np.nan).astype(np.float32),
        }
        return clouds.data(labels, np.array(names), {"boxes": kept, "cell_class": cells})
