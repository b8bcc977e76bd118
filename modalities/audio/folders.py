"""Folders of sound files, one folder a class: Speech Commands with its official lists, and folder-<name> for any other."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, DataError, Task
from modalities.audio.base import ClipModality
from modalities.audio.clips import Clips, sounds
from modalities.image.parts import stratified


class FolderModality(ClipModality):
    """Clips of one second at 16 kHz: 32 tokens of 32 ms; classes are the folders, by name."""

    rate: ClassVar[float] = 16_000.0
    length: ClassVar[int] = 16_384
    stored: ClassVar[int] = 16_384
    patch: ClassVar[int] = 512
    layers = ((32, 32, 16), (64, 4, 4), (64, 4, 4), (64, 2, 2))
    window: ClassVar[int] = 640
    frame: ClassVar[int] = 256
    tile: ClassVar[tuple[int, int]] = (10, 8)

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        if not self.tasks:  # classes that only the folder knows
            folder = self.folder(self.root)
            self.tasks = (Task(self.question, "class", "accuracy", self.classes(folder)),)

    @classmethod
    def base(cls, folder: Path) -> Path:
        """The folder that holds the class folders."""
        return folder / "train" if (folder / "train").is_dir() else folder

    @classmethod
    def classes(cls, folder: Path) -> tuple[str, ...]:
        """Names of the class folders that hold sound, in label order. Raises DataError for fewer than two."""
        base = cls.base(folder)
        inner = [path for path in sorted(base.iterdir()) if path.is_dir() and not path.name.startswith(("_", "."))]
        names = tuple(path.name for path in inner if sounds(path))
        if len(names) < 2:
            raise DataError(f"{base} has no sound files in folders of two or more classes; {cls.remedy()}")
        return names

    @classmethod
    def remedy(cls) -> str:
        return "put the sounds there as {train,val,test}/<class>/<file>, or as <class>/<file> to have the parts drawn"

    @classmethod
    def listing(cls, folder: Path) -> Sequence[Path]:
        deep = 3 if cls.base(folder) != folder else 2
        return [path for path in sounds(folder) if cls._counts(path.relative_to(folder).parts, deep)]

    @classmethod
    def _counts(cls, parts: tuple[str, ...], deep: int) -> bool:
        official = deep == 2 or parts[0] in PARTS
        return len(parts) == deep and official and not parts[-2].startswith(("_", "."))

    @classmethod
    def sort(cls, found: Clips, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pieces = [path.split("/") for path in found.path]
        label = cls.labels([piece[-2] for piece in pieces], folder)
        if cls.base(folder) != folder:
            part = np.array([piece[0] for piece in pieces])
            if not (part == "val").any():  # a seeded tenth of each class of train
                rows = np.flatnonzero(part == "train")
                part[rows[stratified(label[rows], 0.1)]] = "val"
            return part, label, found.path
        part = np.full(len(label), "train", dtype="<U5")
        held = stratified(label, 0.4)
        part[held] = "val"
        part[held[stratified(label[held], 0.5)]] = "test"
        return part, label, found.path

    @classmethod
    def labels(cls, names: Sequence[str], folder: Path) -> np.ndarray:
        known = cls.classes(folder)
        foreign = sorted(set(names) - set(known))
        if foreign:
            raise DataError(f"{folder} has sounds of a class '{foreign[0]}' that train does not have; {cls.remedy()}")
        return np.searchsorted(np.array(known), np.array(names)).astype(np.int64)


@datasets.register("audio/speech-commands")
class SpeechCommands(FolderModality):
    """Single words in ``<word>/<speaker>_nohash_<n>.wav``, parts by the official lists, which keep speakers apart."""

    dataset: ClassVar[str] = "speech-commands"
    card: ClassVar[Card] = Card(
        title="Speech Commands",
        licence="CC BY 4.0",
        source="https://www.tensorflow.org/datasets/catalog/speech_commands",
        citation="Warden 2018, arXiv 1804.03209",
        unit="speaker",
        notes="Words are the folders that are there (35 in version 0.02); background noise is no class.",
    )
    question: ClassVar[str] = "word"
    speed: ClassVar[float] = 0.15

    @classmethod
    def remedy(cls) -> str:
        return "unpack speech_commands_v0.02.tar.gz to audio/speech-commands below the data root"

    @classmethod
    def sort(cls, found: Clips, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        place = {path: row for row, path in enumerate(found.path)}
        part = np.full(len(place), "train", dtype="<U5")
        for name, file in (("val", "validation_list.txt"), ("test", "testing_list.txt")):
            try:
                listed = (folder / file).read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{folder / file} cannot be read ({error}); {cls.remedy()}") from error
            missing = [path for path in listed if path not in place]
            if missing:
                raise DataError(f"{folder} lacks {missing[0]}, which {file} lists; {cls.remedy()}")
            part[[place[path] for path in listed]] = name
        unit = np.array([path.rpartition("/")[2].partition("_nohash_")[0] for path in found.path])
        crossing = np.intersect1d(unit[part == "test"], unit[part != "test"])
        if len(crossing):
            raise DataError(f"the lists in {folder} put speaker {crossing[0]} into test and elsewhere; {cls.remedy()}")
        return part, cls.labels([path.split("/")[-2] for path in found.path], folder), unit


@datasets.register_family("audio/folder-")
@functools.cache
def folder_data(name: str) -> type[FolderModality]:
    """The class of ``audio/folder-<name>``: one second of sound in 32 tokens."""
    card = Card(
        title=f"Folder of sounds '{name}'",
        licence="the owner's",
        source="the data root",
        citation="none",
        unit="file",
        notes="Drawn parts separate files, not speakers or recordings: give train, val and test where files belong "
        "together.",
    )
    facts = {"dataset": f"folder-{name}", "card": card, "__module__": __name__, "__doc__": "Sounds in folders."}
    return type("Folder", (FolderModality,), facts)
