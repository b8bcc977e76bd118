"""Package: a zip of records, their predictions and a manifest; written so that the same rows give the same bytes, read as
a file of a stranger.

A reader believes nothing: member by member it checks name, kind, size, ratio and count before a byte is unpacked, then the
checksum that the manifest states. Nothing is ever extracted to a path that a package names.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from benchmark.atomic import atomic
from jepakit.types import UsageError

SCHEMA = 1
MANIFEST = "manifest.json"
WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"  # no path, no formula, no markup
MEMBER = re.compile(rf"records/({WORD})/({WORD})/({WORD})/([0-9a-f]{{16}})\.(?:json|npz)")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can name: bytes tell no time

MEMBERS = 20_000
BYTES = 64 << 20  # of one member, unpacked
TOTAL = 4 << 30  # of all of them
RATIO = 200  # unpacked over packed; honest predictions stay below 50
JSON_BYTES = 8 << 20
DEPTH = 16
TEXT = 2000  # characters of one string
UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)


class Refused(UsageError):
    """A package, or something in it, that is not taken; the message says what is wrong."""


@dataclass(frozen=True)
class Package:
    """An open package whose list of members was checked. sha256: of the whole file; facts: its manifest without the
    checksums; files: the checksum of every other member by name."""

    name: str
    sha256: str
    facts: Mapping[str, Any]
    files: Mapping[str, str]
    unpack: Callable[[str], bytes]

    def read(self, member: str) -> bytes:
        """The bytes of a member. Raises Refused unless they have the checksum of the manifest."""
        content = self.unpack(member)
        if hashlib.sha256(content).hexdigest() != self.files[member]:
            raise Refused(f"{member} does not match the checksum in its manifest")
        return content

    @property
    def records(self) -> list[str]:
        """The members that are records, sorted."""
        return sorted(name for name in self.files if name.endswith(".json"))


def write(path: Path, files: Mapping[str, Path], facts: Mapping[str, Any]) -> None:
    """Write ``files`` (by member name) and the manifest, atomically; the same input gives the same bytes."""
    sums: dict[str, str] = {}
    with atomic(path) as file, zipfile.ZipFile(file, "w") as made:
        for name in sorted(files):
            content = files[name].read_bytes()
            sums[name] = hashlib.sha256(content).hexdigest()
            _add(made, name, content)
        manifest = {**facts, "schema": SCHEMA, "files": sums}
        _add(made, MANIFEST, (json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode())


def _add(made: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, EARLIEST)
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED  # npz is packed already
    made.writestr(info, content)


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Whatever is Refused inside the block is said of the package ``name``; so is a zip that cannot be read."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{name} was refused, nothing was merged: {error}") from None
    except UNREADABLE as error:
        raise Refused(f"{name} was refused, nothing was merged: not a sound zip ({type(error).__name__})") from None


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """The package at ``path``. Raises Refused where it is none, or where its members or manifest are not as they should."""
    if not path.is_file():
        raise Refused(f"there is no package {path}")
    with path.open("rb") as file:
        with refusing(path.name):
            package = _package(path.name, file)
        yield package


def _package(name: str, file: BufferedReader) -> Package:
    total = hashlib.file_digest(file, "sha256").hexdigest()
    archive = zipfile.ZipFile(file)
    members = listed(archive, lambda member: member == MANIFEST or bool(MEMBER.fullmatch(member)))
    if MANIFEST not in members:
        raise Refused(f"it has no {MANIFEST}: not made by `python -m benchmark submit`")
    facts, files = _manifest(content(archive, members[MANIFEST]), members)
    return Package(name, total, facts, files, lambda member: content(archive, members[member]))


def listed(archive: zipfile.ZipFile, named: Callable[[str], bool]) -> dict[str, zipfile.ZipInfo]:
    """The members by name. Raises Refused before anything is unpacked: links, folders, devices, other names than ``named``
    allows, twice the same name, encryption, members inside each other, and more bytes than are allowed."""
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise Refused(f"it has {len(infos)} members, more than {MEMBERS}")
    found: dict[str, zipfile.ZipInfo] = {}
    lower: set[str] = set()
    for info in infos:
        shown = f"member {info.orig_filename!r:.100}"
        if info.orig_filename != info.filename or not named(info.filename):
            raise Refused(f"{shown} has a name that no package has")
        if info.filename.lower() in lower:  # some systems tell no capitals from small letters
            raise Refused(f"{shown} is there twice")
        lower.add(info.filename.lower())
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise Refused(f"{shown} is a link or a device")
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"{shown} is encrypted or packed in an unknown way")
        if info.file_size > BYTES:
            raise Refused(f"{shown} has {info.file_size >> 20} MiB, more than {BYTES >> 20}")
        found[info.filename] = info
    size, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    if size > TOTAL or size > RATIO * packed:
        raise Refused(
            f"it unpacks to {size} bytes from {packed}: more than {TOTAL >> 30} GiB, or {RATIO} times as much"
        )
    ends = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.header_offset < ends:
            raise Refused("members lie inside each other")
        ends = info.header_offset + info.compress_size
    return found


def content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, never more than it says it has. Raises Refused where it is damaged."""
    try:
        with archive.open(info) as file:
            found = file.read(info.file_size + 1)
    except (*UNREADABLE, NotImplementedError) as error:
        raise Refused(f"{info.filename} is damaged ({type(error).__name__})") from None
    if len(found) != info.file_size:
        raise Refused(f"{info.filename} is shorter than it says")
    return found


def _manifest(raw: bytes, members: Iterable[str]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """(facts, checksums by member)."""
    facts = strict_json(raw, MANIFEST)
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise Refused(f"{MANIFEST} is none of schema {SCHEMA}; pack the rows with this version")
    files = facts.pop("files", None)
    if not isinstance(files, dict) or set(files) != set(members) - {MANIFEST}:
        raise Refused(f"{MANIFEST} does not name exactly the members that are there")
    if not isinstance(facts.get("commit"), str) or not COMMIT.fullmatch(facts["commit"]):
        raise Refused(f"{MANIFEST} names no commit")
    return facts, files


def strict_json(raw: bytes, name: str) -> Any:
    """JSON without what parsers disagree on or a terminal would obey: no NaN, no key twice, no control or direction
    characters, no number or text beyond bounds. Raises Refused."""
    if len(raw) > JSON_BYTES:
        raise Refused(f"{name} has more than {JSON_BYTES >> 20} MiB")

    def no_constant(text: str) -> NoReturn:
        raise ValueError(text)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=no_constant, object_pairs_hook=once)
        _plain(found, DEPTH)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name} is not JSON as records have it ({' '.join(str(error).split())[:100]!r})") from None
    return found


def _plain(value: Any, depth: int) -> None:
    """Raise ValueError for what no record holds."""
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            _plain(key, depth - 1)
            _plain(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _plain(item, depth - 1)
    elif isinstance(value, str):
        if len(value) > TEXT or not value.isprintable():
            raise ValueError("a text that is too long or does not print")
    elif isinstance(value, int | float) and not abs(value) < 1e300:
        raise ValueError("a number out of bounds")
