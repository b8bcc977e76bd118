"""Honest packages of toy rows, and packages taken apart and put together otherwise."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toybox import TINY, TOY

from benchmark import record
from benchmark.__main__ import main
from benchmark.publish import checkout

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "c0ffee" + "0" * 34
Members = dict[str, bytes]


def clean_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout of the tests may be in the middle of a change; what git says is tested by itself."""
    monkeypatch.setattr(checkout, "commit", lambda: COMMIT)
    monkeypatch.setattr(checkout, "files", lambda: frozenset(ROOT.rglob("*.py")))


def run(results: Path, *words: str) -> int:
    return main(["run", "toy", *words, *TINY, "--results", str(results), "--plugin", str(TOY), "--jobs", "1"])


def cli(*words: str | Path) -> int:
    return main([*map(str, words), "--plugin", str(TOY)])


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, held: Mapping[str, bytes], *, manifest: bool = True, links: tuple[str, ...] = ()) -> Path:
    """A zip of these members, with checksums that are right again (unless ``manifest`` is off)."""
    held = dict(held)
    if manifest:
        facts = json.loads(held["manifest.json"])
        facts["files"] = {n: hashlib.sha256(c).hexdigest() for n, c in held.items() if n != "manifest.json"}
        held["manifest.json"] = json.dumps(facts).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = ((stat.S_IFLNK if name in links else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, content)
    return path


def signed(raw: bytes, change: Mapping[str, Any]) -> bytes:
    """A record with other content and a checksum that is right again."""
    one = json.loads(raw) | dict(change)
    one["sha256"] = hashlib.sha256(record.canonical(one)).hexdigest()
    return json.dumps(one).encode()


def arrays(raw: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(raw)) as file:
        return {name: file[name] for name in file.files}


def npz(held: Mapping[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **held)  # type: ignore[arg-type]
    return file.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that may be committed (caches are not), by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
