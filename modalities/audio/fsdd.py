"""Free Spoken Digit Dataset: ten digits by six speakers, tested on a speaker who was never heard."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, DataError, Task
from modalities.audio.base import ClipModality, in_turn
from modalities.audio.clips import Clips, sounds
from modalities.folds import one_fold

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAME = re.compile(r"(\d)_(\w+?)_(\d+)\.\w+")


@datasets.register("audio/fsdd")
class Fsdd(ClipModality):
    """Single digits at 8 kHz, as they come; 32 tokens of 20 ms are .64 s, longer ones keep their loudest stretch."""

    dataset: ClassVar[str] = "fsdd"
    card: ClassVar[Card] = Card(
        title="Free Spoken Digit Dataset, leave one speaker out",
        licence="CC BY-SA 4.0",
        source="https://github.com/Jakobovski/free-spoken-digit-dataset",
        citation="Jackson et al. 2018, Free Spoken Digit Dataset, doi:10.5281/zenodo.1342401",
        unit="speaker",
        notes="Fold k tests speaker k of the six in alphabetical order, validates on the next one and trains on four. The "
        "split of the authors (every speaker on both sides) is not used: hand-made features leave nothing to learn there.",
    )
    rate: ClassVar[float] = 8000.0
    length: ClassVar[int] = 5120
    stored: ClassVar[int] = 5120
    patch: ClassVar[int] = 160
    layers = ((32, 40, 20), (64, 4, 4), (64, 2, 2))
    window: ClassVar[int] = 256
    frame: ClassVar[int] = 80
    tile: ClassVar[tuple[int, int]] = (10, 8)
    speed: ClassVar[float] = 0.15
    folds: ClassVar[int] = len(SPEAKERS)
    question: ClassVar[str] = "digit"
    tasks = (Task("digit", "class", "accuracy", DIGITS),)

    @classmethod
    def remedy(cls) -> str:
        source = "github.com/Jakobovski/free-spoken-digit-dataset"
        return f"copy the folder recordings of {source} to audio/fsdd below the data root"

    @classmethod
    def listing(cls, folder: Path) -> Sequence[Path]:
        return sounds(folder / "recordings")

    @classmethod
    def sort(cls, found: Clips, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        digit, speaker = [], []
        for path in found.path:
            match = NAME.fullmatch(path.rpartition("/")[2])
            if match is None or match[2] not in SPEAKERS:
                raise DataError(
                    f"{folder}/{path} is not named <digit>_<speaker>_<number>.wav with a speaker of {', '.join(SPEAKERS)}; "
                    f"move it away, or {cls.remedy()}"
                )
            digit.append(int(match[1]))
            speaker.append(match[2])
        unit = np.array(speaker)
        number = np.searchsorted(np.array(SPEAKERS), unit) + 1
        return in_turn(number, cls.folds, cls.fold), np.array(digit, dtype=np.int64), unit


@datasets.register_family("audio/fsdd-fold")
@functools.cache
def fsdd_fold(number: str) -> type[ClipModality]:
    """The class of ``audio/fsdd-fold<k>``: speaker k is tested."""
    return one_fold(Fsdd, number)
