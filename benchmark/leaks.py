"""Leaks: rows of one part that another part has seen, value by value or through their unit."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from jepakit.types import Data


def copies(seen: Data, asked: Data) -> np.ndarray:
    """(n,) True for the rows of ``asked`` that are, value by value, in ``seen``."""
    known = set(_digests(seen))
    return np.array([digest in known for digest in _digests(asked)], dtype=bool)


def shared_units(seen: Data, asked: Data) -> list[str]:
    """Units (patients, recordings …) of ``asked`` that ``seen`` has rows of, in order."""
    return sorted(set(seen.unit.tolist()) & set(asked.unit.tolist()))


def rows_seen(seen: Data, asked: Data) -> int:
    """How many rows of ``asked`` are copies of rows of ``seen`` or of a unit of it."""
    return int((copies(seen, asked) | np.isin(asked.unit, shared_units(seen, asked))).sum())


def _digests(data: Data) -> list[bytes]:
    rows = data.x.flatten(1) if data.x.ndim > 1 else data.x[:, None]
    plain = rows.contiguous().view(torch.uint8).numpy()  # numpy knows no bfloat16
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in plain]
