"""A guard for tests of hostile input: what is written, started or connected to outside of one folder is noticed."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PLACES = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
STARTS = {"os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect"}
MEMORY = (
    3 << 30
)  # bytes that one input may ask for beyond what the process has: a lying header is told from a large file

_watching: list[tuple[tuple[str, ...], list[str]]] = []


def _inside(path: Any, roots: tuple[str, ...]) -> bool:
    if isinstance(path, int) or path is None:  # a file that is open already
        return True
    text = os.path.realpath(os.fsdecode(path))
    return text == "/dev/null" or any(text == root or text.startswith(root + os.sep) for root in roots)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    roots, seen = _watching[-1]
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITES and not _inside(path, roots):
            seen.append(f"open {path!r} to write")
    elif event in PLACES:
        paths = [one for one in arguments if isinstance(one, str | bytes | os.PathLike)]
        seen.extend(f"{event} {path!r}" for path in paths if not _inside(path, roots))
    elif event in STARTS:
        seen.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_hook)  # once: a hook cannot be taken away, and this one sleeps while nothing is watched


@contextmanager
def watched(*roots: Path) -> Iterator[list[str]]:
    """The list of what was done outside ``roots`` (and the system's folder of temporary files named after them)."""
    seen: list[str] = []
    _watching.append((tuple(os.path.realpath(root) for root in roots), seen))
    try:
        yield seen
    finally:
        _watching.pop()


def limit_memory(more: int = MEMORY) -> None:
    """From now on this process may take ``more`` bytes of address space beyond what it has; more is a MemoryError."""
    table = Path("/proc/self/statm")
    if table.is_file():
        own = int(table.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (own + more, resource.getrlimit(resource.RLIMIT_AS)[1]))
