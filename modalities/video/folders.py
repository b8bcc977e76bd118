"""Folders of videos, in the layouts of Kinetics, UCF101 and Something-Something: ``video/folder-<name>``.

Kinetics: {train,val,test}/<class>/<video>. UCF101: <class>/<video> and split lists trainlist01.txt, testlist01.txt.
Something-Something: <id>.<suffix> and JSON files train.json, validation.json (test.json is without labels and not read).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.image.parts import Images, stratified
from modalities.video.base import VideoModality
from modalities.video.clips import clips, videos
from modalities.video.fight import CCTV
from modalities.video.parts import assemble

LISTS = {"train": "trainlist01.txt", "test": "testlist01.txt"}
LABELS = {"train": ("train.json", "something-something-v2-train.json"),
          "val": ("validation.json", "something-something-v2-validation.json")}  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """One video: its file, part, class, and the unit that no two parts share."""

    path: Path
    part: str
    label: str
    unit: str


class FolderModality(VideoModality):
    """16 frames of 64 × 64 that span a video, in blocks of 2 × 16 × 16; the layout is told by what the folder holds.

    Without a test part the official validation is the test part; without validation it is a seeded tenth of each class of
    train, whole groups where the names tell groups (UCF101's g01 … g25).
    """

    side: ClassVar[int] = 64
    patch: ClassVar[int] = 16
    policy = CCTV
    crop_scale: ClassVar[tuple[float, float] | None] = (0.4, 1.0)

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        if not self.tasks:  # classes that only the folder knows
            found = self.listing(self.folder(self.root))
            self.tasks = (Task("label", "class", "accuracy", self.classes(found)),)

    @classmethod
    def remedy(cls) -> str:
        return (
            "put the videos there as {train,val,test}/<class>/<video>, or as <class>/<video> with trainlist01.txt and "
            "testlist01.txt, or as <id>.webm with train.json and validation.json"
        )

    @classmethod
    def classes(cls, found: Iterable[Listed]) -> tuple[str, ...]:
        """Names of the classes of train in label order."""
        return tuple(sorted({one.label for one in found if one.part == "train"}))

    @classmethod
    def listing(cls, folder: Path) -> tuple[Listed, ...]:
        """Every video of the data set, parts one after the other. Raises DataError for a folder of no known layout."""
        return _listing(folder, cls.remedy())

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        found = cls.listing(folder)
        known = cls.classes(found)
        foreign = sorted({one.label for one in found} - set(known))
        if foreign:
            raise DataError(f"{folder} has videos of a class '{foreign[0]}' that train does not have; {cls.remedy()}")
        decoded = clips(folder, cls.dataset, tuple(one.path for one in found), cls.frames, cls.side, cls.remedy())
        label = np.searchsorted(np.array(known), np.array([one.label for one in found])).astype(np.int64)
        part, unit = (np.array([getattr(one, name) for one in found]) for name in ("part", "unit"))
        parts: dict[Part, Images] = {}
        for one in PARTS:
            at = np.flatnonzero(part == one)
            # Parts lie one after the other: a slice stays on disk, a gather would copy it into memory.
            rows = slice(at[0], at[-1] + 1) if len(at) else slice(0, 0)
            parts[one] = Images(decoded.x[rows], {"label": label[rows]}, unit[rows], decoded.counted(at))
        return assemble(f"{cls.name}/{cls.dataset}", parts)


@functools.lru_cache(maxsize=4)
def _listing(folder: Path, remedy: str) -> tuple[Listed, ...]:
    if (folder / LISTS["train"]).is_file():
        found = _by_lists(folder, remedy)
    elif any((folder / name).is_file() for name in LABELS["train"]):
        found = _by_labels(folder, remedy)
    else:
        found = [
            Listed(path, path.parent.parent.name, path.parent.name, path.relative_to(folder).as_posix())
            for path in videos(folder)
            if len(path.relative_to(folder).parts) == 3 and path.relative_to(folder).parts[0] in PARTS
        ]
    found = _with_parts(found)
    if len({one.label for one in found if one.part == "train"}) < 2:
        raise DataError(f"{folder} has no videos of two or more classes to train on; {remedy}")
    return tuple(sorted(found, key=lambda one: (PARTS.index(one.part), one.path.as_posix())))


def _by_lists(folder: Path, remedy: str) -> list[Listed]:
    """UCF101: a line names ``<class>/<video>`` and may give a number; a group (``_g07_``) stays whole."""
    found = []
    for part, name in LISTS.items():
        try:
            lines = (folder / name).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{folder / name} cannot be read ({error}); {remedy}") from error
        for line in filter(None, (line.strip() for line in lines)):
            path = folder / line.split()[0].replace("\0", "")
            if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
                raise DataError(f"{folder} lacks {line.split()[0]}, which {name} lists; {remedy}")
            group = re.search(r"_g(\d+)_", path.name)
            unit = f"{path.parent.name}/g{group[1]}" if group else f"{path.parent.name}/{path.name}"
            found.append(Listed(path, part, path.parent.name, unit))
    return found


def _by_labels(folder: Path, remedy: str) -> list[Listed]:
    """Something-Something: entries {"id": …, "template": …} (or "label"); brackets of a template are left out."""
    found, files = [], {path.stem: path for path in videos(folder)}
    for part, names in LABELS.items():
        table = next((folder / name for name in names if (folder / name).is_file()), None)
        if table is None:
            raise DataError(f"{folder} has no {names[0]}; {remedy}")
        try:
            entries = [
                (str(entry["id"]), str(entry.get("template") or entry["label"]))
                for entry in json.loads(table.read_text(encoding="utf-8"))
            ]
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{table} is no list of entries with id and template ({error}); {remedy}") from error
        missing = [one for one, _ in entries if one not in files]
        if missing:
            raise DataError(
                f"{folder} lacks video {missing[0]}, which {table.name} lists ({len(missing)} of {len(entries)} missing); "
                f"{remedy}"
            )
        found += [Listed(files[one], part, re.sub(r"[\[\]]", "", name), one) for one, name in entries]
    return found


def _with_parts(found: list[Listed]) -> list[Listed]:
    """The official validation becomes the test part where there is none, and validation is drawn where there is none."""
    here = {one.part for one in found}
    if "test" not in here:
        found = [Listed(one.path, "test" if one.part == "val" else one.part, one.label, one.unit) for one in found]
        here = {one.part for one in found}
    if "val" in here:
        return found
    train = [one for one in found if one.part == "train"]
    units = {one.unit: one.label for one in train}
    names, labels = np.array(list(units)), np.array(list(units.values()))
    held = set(names[stratified(labels, 0.1)].tolist()) if len(names) else set()
    return [
        Listed(one.path, "val" if one.part == "train" and one.unit in held else one.part, one.label, one.unit)
        for one in found
    ]


@datasets.register_family("video/folder-")
@functools.cache
def folder_data(name: str) -> type[FolderModality]:
    """The class of ``video/folder-<name>``: 16 frames of 64 × 64 pixels in 8 × 4 × 4 tokens."""
    card = Card(
        title=f"Folder of videos '{name}'",
        licence="the owner's",
        source="the data root",
        citation="none",
        unit="video (UCF101's lists: group)",
    )
    facts = {"dataset": f"folder-{name}", "card": card, "__module__": __name__, "__doc__": "Videos in folders."}
    return type("Folder", (FolderModality,), facts)
