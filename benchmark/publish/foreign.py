"""Foreign: a record and its predictions as bytes of a stranger, and what has to be true before they are believed.

``submit`` asks the same of its own rows, so that what it packs is what ``merge`` takes.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from benchmark import budget, metrics, record, tuned
from benchmark.budget import STEPS
from benchmark.cell import hash_of
from benchmark.predictions import Store
from benchmark.publish.package import MEMBER, WORD, Refused, content, listed, strict_json
from benchmark.verify import scores as checked

ARRAY = re.compile(rf"({WORD})\.(?:label|unit|({WORD})\.pred)\.npy")
CODES, TABLE = 1 << 16, 1 << 30  # classes, and rows times classes: a metric makes room for what the largest label says
HEADER = 4096  # bytes of the header of an array
# Fields of ``cost``, ``diagnostics`` and ``history`` that are words; every other one is a number.
WORDS = ("device", "precision", "hardware", "positives")
SAME = ("modality", "dataset", "method", "preset", "seed")  # as the identity says, which the key is a hash of
TUNED = re.compile(r"\d{1,6}( [\w.]+=\S+)*")

Arrays = dict[str, np.ndarray]


def examine(member: str, raw: bytes, predictions: bytes | None) -> tuple[record.Record, Arrays]:
    """The record that lies at ``member`` of a package, and its arrays. Raises Refused unless the schema is kept, the key is
    the hash of the identity, names are harmless, and the predictions give every score."""
    one = strict_json(raw, member)
    try:
        record.validate(one, member)
    except record.CorruptRecord as error:
        raise Refused(str(error)) from None
    _named(member, one)
    _numbers(member, one)
    arrays = {} if predictions is None else _arrays(f"{member.removesuffix('json')}npz", predictions)
    store = Store(None, {one["key"]: one})
    store.files[one["key"]] = arrays
    try:
        wrong = [check for check in checked(store, one) if not check.match]
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise Refused(f"{member}: no score can be computed from its predictions ({type(error).__name__})") from None
    if wrong:
        raise Refused(f"a score is not what its predictions give ({wrong[0]})")
    return one, arrays


def _named(member: str, one: record.Record) -> None:
    """Names, and that the record is the one that its place and its key say."""
    place = MEMBER.fullmatch(member)
    if place is None or place.groups() != (one["modality"], one["dataset"], one["method"], one["key"]):
        raise Refused(f"{member} holds the record of another place; a name has letters, digits and ._+- alone")
    if unknown := sorted(set(one) - record.FIELDS):
        raise Refused(f"{member} has the unknown field {unknown[0]!r:.80}")
    identity = one["identity"]
    if hash_of(identity) != one["key"]:
        raise Refused(f"{member}: its key is not the hash of its identity")
    if any(identity.get(name) != one[name] for name in SAME) or identity.get("data") != one["data"].get("fingerprint"):
        raise Refused(f"{member} says other things than its identity")
    if one["preset"] not in budget.PRESETS or not budget.PRESETS[one["preset"]].published:
        raise Refused(f"{member}: rows of the preset {one['preset']!r:.80} are never published")
    words = one["overrides"]
    if not all(isinstance(text, str) and re.fullmatch(WORD, key) for key, text in words.items()):
        raise Refused(f"{member} has overrides that no command line gives")
    if tuned.WORD in words and not TUNED.fullmatch(words[tuned.WORD]):
        raise Refused(f"{member} does not say how it was tuned")
    if one["variant"] != tuned.shown({key: text for key, text in words.items() if key != STEPS}):
        raise Refused(f"{member}: its variant is not what its overrides say")
    seen = set()
    for score in one["scores"]:
        name = (score["task"], score["probe"], score["metric"])
        if score["metric"] not in metrics.METRICS or name in seen or not all(re.fullmatch(WORD, text) for text in name):
            raise Refused(f"{member} has a score that no board could show: {' '.join(name)!r:.80}")
        seen.add(name)


def _numbers(member: str, one: record.Record) -> None:
    """Every fact that a board computes with is a number, or nothing."""
    blocks = [one["diagnostics"], one["cost"], *one["history"], *(score.get("extras") or {} for score in one["scores"])]
    for block in blocks:
        for name, value in block.items() if isinstance(block, Mapping) else [("?", "?")]:
            number = value is None or isinstance(value, int | float)
            if not (isinstance(value, str | None) if name in WORDS else number):
                raise Refused(f"{member} has no number where one should be: {name!r:.80}")
    try:
        datetime.fromisoformat(one["created"])
    except ValueError:
        raise Refused(f"{member} does not say when it was made") from None


def _arrays(name: str, raw: bytes) -> Arrays:
    """The arrays of an npz, each with a header that tells the truth about its size; nothing is unpickled."""
    found: Arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for inner, info in listed(archive, lambda one: bool(ARRAY.fullmatch(one))).items():
                found[inner.removesuffix(".npy")] = _array(inner, content(archive, info))
    except zipfile.BadZipFile:
        raise Refused(f"{name} is damaged") from None
    except Refused as error:
        raise Refused(f"{name}: {error}") from None
    return found


def _array(name: str, raw: bytes) -> np.ndarray:
    file = io.BytesIO(raw)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = readers[np.lib.format.read_magic(file)](file, max_header_size=HEADER)
    except (ValueError, KeyError) as error:
        raise Refused(f"{name} has no header of an array ({type(error).__name__})") from None
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.itemsize > 8 or not 1 <= len(shape) <= 3:
        raise Refused(f"{name} holds {str(dtype)!r:.40} and not plain numbers; pickles are never read")
    if math.prod(shape) * dtype.itemsize != len(raw) - file.tell() or min(shape) < 0:
        raise Refused(f"{name} says another size than it has")
    file.seek(0)
    array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=HEADER)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Refused(f"{name} holds numbers that are not finite")
    if array.dtype.kind in "iu" and not name.endswith(".unit.npy") and array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= CODES or (high + 1) * array.size > TABLE:
            raise Refused(f"{name} holds classes below 0, or more than a board can count")
    return array


def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two records say the same, wherever they came from."""
    return record.canonical(_own(a)) == record.canonical(_own(b))


def _own(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != record.MERGED}
