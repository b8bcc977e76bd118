"""Spec: one cell as a JSON text that another process or machine can run: what was asked for, the data it was planned on, and
the key of the record that must come out. No code, no pickle, no path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.cell import Cell, again
from jepakit.types import UsageError

SCHEMA = 1
LARGEST = 1 << 20  # bytes
FIELDS = {"schema": int, "key": str, "modality": str, "dataset": str, "method": str, "preset": str, "seed": int}


def text(cell: Cell) -> str:
    """The spec of a cell."""
    said = {
        "schema": SCHEMA, "key": cell.key, "modality": cell.modality, "dataset": cell.dataset, "method": cell.method,
        "preset": cell.preset, "seed": cell.seed, "overrides": dict(cell.overrides), "identity": {"data": dict(cell.data)},
    }  # fmt: skip
    return json.dumps(said, sort_keys=True, indent=1)


def parse(said: str, where: str = "the spec") -> Cell:
    """The cell of a spec, as the code that is here makes it.

    Raises UsageError for a text that is no spec, names that are not registered here, and where this code makes another
    cell of the same words.
    """
    if len(said) > LARGEST:
        raise UsageError(f"{where} is larger than {LARGEST} bytes; it is no spec of a cell")
    try:
        found: Any = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no JSON ({error}); write it again with `plan`") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UsageError(f"{where} is no spec of schema {SCHEMA}; write it again with `plan` of this version")
    data = (found.get("identity") or {}).get("data") if isinstance(found.get("identity"), dict) else None
    wrong = [name for name, kind in FIELDS.items() if type(found.get(name)) is not kind]
    wrong += [name for name, one in (("overrides", found.get("overrides")), ("identity.data", data)) if not _words(one)]
    if wrong:
        raise UsageError(f"{where} lacks {wrong[0]} or has another kind of it; write it again with `plan`")
    cell = again(found)
    if cell.key != found["key"]:
        raise UsageError(
            f"{where}: this code makes cell {cell.key} of the words that were cell {found['key']} where it was planned; use "
            "the same commit, plugins and versions in both places"
        )
    return cell


def _words(one: Any) -> bool:
    return isinstance(one, dict) and all(isinstance(key, str) and isinstance(word, str) for key, word in one.items())


def read(path: Path) -> Cell:
    """The cell of the file ``path``. Raises UsageError."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is larger than {LARGEST} bytes; it is no spec of a cell")
        said = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}); write it again with `plan`") from None
    return parse(said, str(path))
