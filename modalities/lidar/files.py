"""Files: clouds on disk: plain float32 records (KITTI, nuScenes, ONCE) and LAS/LAZ; every damage is named."""

from __future__ import annotations

from pathlib import Path

import laspy
import numpy as np

from jepakit.types import DataError

WIDTH = {".pcd.bin": 5, ".bin": 4}  # numbers of a point by the end of the name: nuScenes adds the ring


def width_of(path: Path) -> int:
    """Numbers of a point in a plain file, by its name."""
    return next(width for suffix, width in WIDTH.items() if path.name.endswith(suffix))


def read_points(path: Path, remedy: str, width: int | None = None) -> np.ndarray:
    """A plain file of float32 as (p, 4): x, y, z and intensity as stored. ``width``: numbers of a point (None: by the name).

    Raises DataError for a file that is missing, empty or no whole number of points.
    """
    width = width or width_of(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the cloud {path} cannot be read ({error.strerror}); {remedy}") from error
    if not content:
        raise DataError(f"the cloud {path} is an empty file; {remedy}")
    if len(content) % (4 * width):
        raise DataError(
            f"{path} ends too early: {len(content)} bytes are no whole number of points of {4 * width} bytes; {remedy}"
        )
    return np.frombuffer(content, dtype="<f4").reshape(-1, width)[:, :4].astype(np.float64)


def read_las(path: Path, remedy: str) -> tuple[np.ndarray, np.ndarray]:
    """A LAS or LAZ file as points (p, 4), x, y, z in metres of its grid and intensity as stored, and classes (p,)."""
    try:
        cloud = laspy.read(path)
        points = np.stack([np.asarray(cloud.x), np.asarray(cloud.y), np.asarray(cloud.z), cloud.intensity], 1)
        classes = np.asarray(cloud.classification)
    except FileNotFoundError as error:
        raise DataError(f"the cloud {path} is missing; {remedy}") from error
    except Exception as error:  # laspy and its decoders raise many kinds, from struct.error to Rust's
        raise DataError(f"{path} cannot be read as LAS ({error}); {remedy}") from error
    if not len(points):
        raise DataError(f"{path} has no point; {remedy}")
    return points.astype(np.float64), classes.astype(np.int64)
