"""Lock: two processes that want the same cell run it once; the system releases the lock of a process that died."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, poll: float = 0.2) -> Iterator[bool]:
    """Hold the exclusive lock of ``path``, waiting for it; yields True when it had to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = True
                time.sleep(poll)
        yield waited
