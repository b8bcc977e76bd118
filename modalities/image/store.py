"""Store: decoded images kept as uint8 arrays in the user's cache folder, so that an archive is unpacked once.

$JEPAKIT_CACHE names another folder. A file there is an uncompressed npz, whose checksums are verified on reading;
whatever is damaged, out of date or not writable is decoded anew. Nothing is written beside the data or the code.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pooch

VERSION = 1  # raise it when a decoder changes


def decoded(name: str, sources: Sequence[Path], decode: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays that ``decode`` makes of ``sources``, from the cache where the sources have not changed since.

    ``name`` (a file name stem) tells data sets apart; a source has changed when its name, size or time did.
    """
    listing = hashlib.sha256(f"{VERSION}".encode())
    for path in sources:
        stat = path.stat()
        listing.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    folder = Path(os.environ.get("JEPAKIT_CACHE") or pooch.os_cache("jepakit"))
    file = folder / f"{name}-{listing.hexdigest()[:20]}.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        pass
    arrays = decode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
            try:
                np.savez(part, **arrays)  # type: ignore[arg-type]
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
        os.replace(part.name, file)
        for old in folder.glob(f"{name}-{'?' * 20}.npz"):  # of sources that have changed
            if old != file:
                old.unlink(missing_ok=True)
    except OSError:  # no room, or not allowed: it only costs time the next time
        pass
    return arrays
