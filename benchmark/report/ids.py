"""Ids: anchors of the page, made from names that may hold anything."""

from __future__ import annotations

import hashlib
import re


def anchor(*words: str) -> str:
    """``method-ecgjepa``: lower-case letters, digits and dashes. Names that need changing get six hex digits of the
    original, so that no two share an anchor."""
    raw = "-".join(words)
    if re.fullmatch(r"[a-z][a-z0-9-]*", raw):
        return raw
    made = re.sub(r"[^a-z0-9]+", "-", raw.lower()).strip("-")
    return f"{made[:60]}-{hashlib.sha256(raw.encode('utf-8', 'replace')).hexdigest()[:6]}"
