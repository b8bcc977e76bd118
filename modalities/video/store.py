"""Store: decoded clips as one file of raw bytes in the user's cache folder, mapped into memory: it may be larger than that.

$JEPAKIT_CACHE names another folder. Clips are written one by one while they are decoded, and the file gets its name when
it is complete; its checksum stands beside it and is verified when the file is opened. What is damaged, out of date or not
writable is decoded anew. Nothing is written beside the data or the code.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pooch

VERSION = 1  # raise it when the decoder changes
BLOCK = 2**24  # bytes hashed at once

Decode = Callable[[int, np.ndarray], list[int]]


def stored(
    name: str, sources: Sequence[Path], shape: tuple[int, ...], columns: int, decode: Decode
) -> tuple[np.ndarray, np.ndarray]:
    """(clips (n, *shape) uint8, counts (n, columns) int64) of ``sources``, from the cache where these have not changed.

    ``decode(row, into)`` fills the clip of one source and gives its counts. ``name`` (a file name stem) tells data sets
    apart; a source has changed when its name, size or time did.
    """
    listing = hashlib.sha256(f"{VERSION}{shape}{columns}".encode())
    for path in sources:
        stat = path.stat()
        listing.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    folder = Path(os.environ.get("JEPAKIT_CACHE") or pooch.os_cache("jepakit"))
    file = folder / f"{name}-{listing.hexdigest()[:20]}.clips"
    found = _opened(file, (len(sources), *shape), columns)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _write(file, len(sources), shape, decode):
            raise OSError("another process or a full disk spoiled the file")
    except OSError:  # no room, or not allowed: everything is decoded into memory, and again the next time
        x = np.empty((len(sources), *shape), dtype=np.uint8)
        return x, np.array([decode(row, x[row]) for row in range(len(sources))], dtype=np.int64).reshape(-1, columns)
    for old in folder.glob(f"{name}-{'?' * 20}.clips*"):  # of sources that have changed
        if not old.name.startswith(file.name):
            old.unlink(missing_ok=True)
    found = _opened(file, (len(sources), *shape), columns)
    assert found is not None
    return found


def _beside(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def _sum(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _opened(file: Path, shape: tuple[int, ...], columns: int) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        told = json.loads(_beside(file).read_text(encoding="utf-8"))
        counts = np.array(told["counts"], dtype=np.int64).reshape(shape[0], columns)
        if file.stat().st_size != int(np.prod(shape)) or told["sum"] != _sum(file):
            return None
        # A private map: a row that is written to changes in memory only.
        return np.memmap(file, dtype=np.uint8, mode="c", shape=shape), counts
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(file: Path, n: int, shape: tuple[int, ...], decode: Decode) -> bool:
    """All clips, one after the other, into a file that is renamed at the end; whether it holds what was written."""
    counts, size = [], int(np.prod(shape))
    row = np.empty(shape, dtype=np.uint8)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            for number in range(n):
                counts.append(decode(number, row))
                part.write(row.tobytes())
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    told = {"counts": counts, "sum": _sum(Path(part.name))}
    os.replace(part.name, file)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".part", delete=False, encoding="utf-8") as beside:
        json.dump(told, beside)
    os.replace(beside.name, _beside(file))
    return file.stat().st_size == n * size
