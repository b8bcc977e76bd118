"""Atomic files: written beside the target, flushed to disk, then renamed; a killed run never leaves half a file."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

# Process numbers repeat between machines that share a folder; a draft says which one it belongs to.
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under ``path`` only when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{HOST}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic(path) as file:
        file.write(content)


def is_left_over(draft: Path) -> bool:
    """Whether the process of this machine that was writing ``draft`` is gone; drafts of other machines are theirs."""
    host, owner = ("", *draft.name.split("."))[-3:-1]
    if host != HOST or not owner.isdigit():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system allows to open a folder."""
    flags: Any = getattr(os, "O_DIRECTORY", None)
    if flags is not None:
        handle = os.open(folder, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
