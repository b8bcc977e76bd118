"""Lock: two processes that want the same thing do it once; the system releases the lock of a process that died."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path, poll: float = 0.2, *, remove: bool = False) -> Iterator[bool]:
    """Hold the exclusive lock of ``path``, waiting for it; yields True when it had to wait. ``remove``: the file is
    taken away at the end, while the lock is still held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        with path.open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    waited = True
                    time.sleep(poll)
            if not _current(file, path):  # removed while we waited: others lock its successor
                continue
            try:
                yield waited
            finally:
                if remove:
                    path.unlink(missing_ok=True)
            return


def _current(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
