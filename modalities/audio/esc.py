"""ESC-10 and ESC-50 (Piczak 2015): five seconds of environmental sound, official folds by Freesound clip."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, DataError, Task
from modalities.audio.base import ClipModality, in_turn
from modalities.audio.clips import Clips, sounds
from modalities.folds import one_fold

CITATION = "Piczak 2015, ACM MM, doi:10.1145/2733373.2806390"
NOTES = (
    "Fold k tests the official fold k, validates on the next one and trains on three. Tails of digital silence are cut off "
    "and the sound is repeated to 5.12 s. Scores of the windows of a clip are averaged."
)
ESC10 = (
    "Dog bark", "Rain", "Sea waves", "Baby cry", "Clock tick", "Person sneeze", "Helicopter", "Chainsaw", "Rooster",
    "Fire crackling",
)  # fmt: skip
ESC50 = (  # in the order of the column target
    "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow", "rain", "sea_waves",
    "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind", "pouring_water", "toilet_flush",
    "thunderstorm", "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing",
    "brushing_teeth", "snoring", "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing",
    "door_wood_creaks", "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick",
    "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells", "airplane",
    "fireworks", "hand_saw",
)  # fmt: skip


class Esc(ClipModality):
    """Clips of 5 s at 16 kHz; the model input is 1.024 s: 32 tokens of 32 ms."""

    rate: ClassVar[float] = 16_000.0
    length: ClassVar[int] = 16_384
    stored: ClassVar[int] = 81_920
    patch: ClassVar[int] = 512
    layers = ((32, 32, 16), (64, 4, 4), (64, 4, 4), (64, 2, 2))
    window: ClassVar[int] = 640
    frame: ClassVar[int] = 256
    tile: ClassVar[tuple[int, int]] = (10, 8)
    speed: ClassVar[float] = 0.15
    fill = "repeat"
    folds: ClassVar[int] = 5
    question: ClassVar[str] = "sound"


@datasets.register("audio/esc10")
class Esc10(Esc):
    """400 clips in folders ``<number> - <class>``, files ``<fold>-<Freesound id>-<take>.ogg``."""

    dataset: ClassVar[str] = "esc10"
    card: ClassVar[Card] = Card(
        title="ESC-10",
        licence="CC BY 3.0",
        source="https://github.com/karolpiczak/ESC-10",
        citation=CITATION,
        unit="Freesound clip",
        notes=NOTES,
    )
    tasks = (Task("sound", "class", "accuracy", ESC10),)

    @classmethod
    def remedy(cls) -> str:
        return "copy the ten class folders of github.com/karolpiczak/ESC-10 to audio/esc10 below the data root"

    @classmethod
    def sort(cls, found: Clips, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        fold, label, unit = [], [], []
        for path in found.path:
            match = re.fullmatch(r"\d+ - ([^/]+)/([1-5])-(\d+)-\w+\.\w+", path)
            if match is None or match[1] not in ESC10:
                raise DataError(
                    f"{folder}/{path} is not named as in ESC-10 (001 - Dog bark/1-100032-A.ogg); move it away, "
                    f"or {cls.remedy()}"
                )
            label.append(ESC10.index(match[1]))
            fold.append(int(match[2]))
            unit.append(match[3])
        return in_turn(np.array(fold), cls.folds, cls.fold), np.array(label, dtype=np.int64), np.array(unit)


@datasets.register("audio/esc50")
class Esc50(Esc):
    """2,000 clips in ``audio/``, their folds and classes in ``meta/esc50.csv``."""

    dataset: ClassVar[str] = "esc50"
    card: ClassVar[Card] = Card(
        title="ESC-50",
        licence="CC BY-NC 3.0",
        source="https://github.com/karolpiczak/ESC-50",
        citation=CITATION,
        unit="Freesound clip",
        notes=NOTES,
    )
    tasks = (Task("sound", "class", "accuracy", ESC50),)

    @classmethod
    def remedy(cls) -> str:
        return "copy the folders audio and meta of github.com/karolpiczak/ESC-50 to audio/esc50 below the data root"

    @classmethod
    def listing(cls, folder: Path) -> Sequence[Path]:
        return sounds(folder / "audio")

    @classmethod
    def sort(cls, found: Clips, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = folder / "meta" / "esc50.csv"
        try:
            with table.open(encoding="utf-8", newline="") as file:
                known = {row["filename"]: _entry(row) for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
            raise DataError(f"{table} is not the table of ESC-50 ({error}); {cls.remedy()}") from error
        names = [path.rpartition("/")[2] for path in found.path]
        foreign = [name for name in names if name not in known]
        missing = sorted(known.keys() - set(names))
        if foreign or missing:
            which = f"{table} does not list {foreign[0]}" if foreign else f"{folder}/audio lacks {missing[0]}"
            raise DataError(f"{which}; {cls.remedy()}")
        fold, label, unit = zip(*(known[name] for name in names))
        if not all(1 <= one <= cls.folds for one in fold) or not all(0 <= one < 50 for one in label):
            raise DataError(f"{table} has a fold outside 1 to 5 or a target outside 0 to 49; {cls.remedy()}")
        return in_turn(np.array(fold), cls.folds, cls.fold), np.array(label, dtype=np.int64), np.array(unit)


def _entry(row: Mapping[str, str | None]) -> tuple[int, int, str]:
    """(fold, target, Freesound clip) of a line of the table. Raises KeyError, TypeError or ValueError for a broken one."""
    fold, target, clip = row["fold"], row["target"], row["src_file"]
    if fold is None or target is None or not clip:
        raise ValueError(f"the line of {row['filename']} is too short")
    return int(fold), int(target), clip


@datasets.register_family("audio/esc10-fold")
@functools.cache
def esc10_fold(number: str) -> type[ClipModality]:
    """The class of ``audio/esc10-fold<k>``: the official fold k is tested."""
    return one_fold(Esc10, number)


@datasets.register_family("audio/esc50-fold")
@functools.cache
def esc50_fold(number: str) -> type[ClipModality]:
    """The class of ``audio/esc50-fold<k>``: the official fold k is tested."""
    return one_fold(Esc50, number)
