"""Files: clouds on disk: plain float32 records (KITTI, nuScenes, ONCE) and LAS/LAZ; every damage is named."""

from __future__ import annotations

import struct
from pathlib import Path

import laspy
import numpy as np

from jepakit.types import DataError

DENSEST = 64  # points in a byte of a LAZ file: far beyond what real clouds reach
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
        _plausible(path, remedy)
        cloud = laspy.read(path)
        points = np.stack([np.asarray(cloud.x), np.asarray(cloud.y), np.asarray(cloud.z), cloud.intensity], 1)
        classes = np.asarray(cloud.classification)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"the cloud {path} is missing; {remedy}") from error
    except Exception as error:  # laspy and its decoders raise many kinds, from struct.error to Rust's
        raise DataError(f"{path} cannot be read as LAS ({error}); {remedy}") from error
    if not len(points):
        raise DataError(f"{path} has no point; {remedy}")
    if not np.isfinite(points).all():
        raise DataError(f"{path} has points that are no numbers; {remedy}")
    return points.astype(np.float64), classes.astype(np.int64)


def _plausible(path: Path, remedy: str) -> None:
    """Whether the counts in the header fit the file: laspy reserves memory for what a header claims, and reads on.

    Raises DataError. Places of the fields: LAS 1.4 R15, section 2.4, which earlier versions share up to byte 227.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(375)
    if len(head) < 227 or head[:4] != b"LASF":
        raise DataError(f"{path} does not begin as a LAS file; {remedy}")
    own, start, variables, kind, width, points = struct.unpack_from("<HIIBHI", head, 94)
    if head[25] >= 4 and len(head) == 375:
        extended, extras, points = struct.unpack_from("<QIQ", head, 235)
        if extras and not start <= extended <= size - 60 * extras:
            raise DataError(f"the header of {path} claims {extras} extended records, more than it holds; {remedy}")
    if not 227 <= own <= start <= size or own + 54 * variables > start:
        raise DataError(f"the header of {path} claims {variables} records and points from byte {start} on; {remedy}")
    most = (size - start) * DENSEST if kind & 0x80 else (size - start) // max(1, width)
    if points > most:
        raise DataError(f"the header of {path} claims {points} points, more than its {size} bytes can hold; {remedy}")
    if kind & 0x80:
        _whole_chunks(path, start, size, remedy)
    if not all(np.isfinite(struct.unpack_from("<6d", head, 131))):
        raise DataError(f"the header of {path} has scales or offsets that are no numbers; {remedy}")


def _whole_chunks(path: Path, start: int, size: int, remedy: str) -> None:
    """Whether the table of compressed chunks lies in the file and is no longer than it: the decoder trusts both."""
    with path.open("rb") as file:
        file.seek(start)
        (at,) = struct.unpack("<q", file.read(8).ljust(8, b"\0"))
        if at == -1:  # written by a stream: its place stands at the end
            file.seek(size - 8)
            (at,) = struct.unpack("<q", file.read(8))
        chunks = None
        if start + 8 <= at <= size - 8:
            file.seek(at + 4)
            (chunks,) = struct.unpack("<I", file.read(4))
    if chunks is None or chunks > size:
        raise DataError(f"{path} has no sound table of its compressed chunks; {remedy}")
