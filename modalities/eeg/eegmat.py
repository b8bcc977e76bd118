"""EEGMAT: 36 people at rest and during mental subtraction; one split and six subject-wise folds."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.eeg.base import EegModality, robust, scale
from modalities.eeg.montage import TEN_TWENTY
from modalities.eeg.records import Cleaning, read_recording
from modalities.folds import one_fold
from modalities.signals import add_counts

SUBJECTS, FOLDS = 36, 6
CONDITIONS = ("rest", "subtraction")
CLEANING = Cleaning()
LONGEST = round(120 * CLEANING.rate)  # samples: of a longer rest, the middle two minutes


def split(fold: int) -> dict[Part, tuple[int, ...]]:
    """Subjects by part: fold k tests the k-th six people, the six before them (cyclically) validate, the rest train.

    Fold 6 is the single split: 0-23 / 24-29 / 30-35.
    """
    each = SUBJECTS // FOLDS
    blocks = [tuple(range(each * k, each * (k + 1))) for k in range(FOLDS)]
    test, val = fold - 1, (fold - 2) % FOLDS
    train = tuple(subject for k, block in enumerate(blocks) if k not in (test, val) for subject in block)
    return {"train": train, "val": blocks[val], "test": blocks[test]}


@functools.lru_cache(maxsize=1)
def _recordings(files: tuple[tuple[Path, int, int], ...]) -> tuple[list[np.ndarray], list[dict[str, int]]]:
    """Signals and repairs of all files, which are told apart by path, size and time: all folds of a process share them.

    Each channel of each recording has median 0 and robust deviation 1: rest and task are one stretch each, so gel and cap
    would tell them apart.
    """
    signals, repairs = [], []
    for path, _, _ in files:
        recording = read_recording(path, TEN_TWENTY, CLEANING)
        spare = max(0, recording.signal.shape[1] - LONGEST) // 2
        signal = recording.signal[:, spare : spare + LONGEST]
        middle, spread = robust(signal)
        signals.append(((signal - middle) / spread).astype(np.float32))
        repairs.append(recording.repairs)
    return signals, repairs


@datasets.register("eeg/eegmat")
class EegMat(EegModality):
    """Windows of four seconds, each judged alone; stored as stretches of eight, from which training batches are cropped."""

    dataset: ClassVar[str] = "eegmat"
    card: ClassVar[Card] = Card(
        title="EEG during mental arithmetic tasks",
        licence="ODC-By 1.0",
        source="https://physionet.org/content/eegmat/1.0.0/",
        citation="Zyma et al. 2019, Data 4(1):14; Goldberger et al. 2000",
        unit="subject",
        notes="Rest and task are two stretches of one session, so slow drift is confounded with the label: every channel of "
        "every recording is standardised by itself, and the row `moments` sees nothing but means and variances. Rest is "
        "twice as long as the task.",
    )
    length: ClassVar[int] = 400
    patch: ClassVar[int] = 200
    rate: ClassVar[float] = CLEANING.rate
    stretch: ClassVar[int] = 800  # samples of a stored row
    folds: ClassVar[int] = FOLDS
    fold: ClassVar[int] = FOLDS  # which six people are tested: those of the single split
    tasks = (Task("condition", "class", "balanced_accuracy", CONDITIONS),)

    @classmethod
    def stored(cls) -> str:
        return "eegmat"

    @classmethod
    def remedy(cls) -> str:
        return "run `make data MODALITY=eeg` or put Subject00_1.edf … Subject35_2.edf there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        paths = [folder / f"Subject{subject:02d}_{kind}.edf" for subject in range(SUBJECTS) for kind in (1, 2)]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise DataError(f"{folder} has no {missing[0]} ({len(missing)} of {len(paths)} missing); {cls.remedy()}")
        stats = [path.stat() for path in paths]
        signals, repairs = _recordings(
            tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in zip(paths, stats, strict=True))
        )
        rows = {
            part: [2 * subject + kind for subject in subjects for kind in (0, 1)]
            for part, subjects in split(cls.fold).items()
        }
        cut = {part: [cls._cut(signals[row], paths[row]) for row in rows[part]] for part in PARTS}
        x = scale({part: np.concatenate(cut[part]) for part in PARTS})
        parts: dict[Part, Data] = {}
        for part in PARTS:
            each = [len(one) for one in cut[part]]
            mended: dict[str, int] = {}
            for row in rows[part]:
                add_counts(mended, repairs[row])
            parts[part] = Data(
                torch.from_numpy(x[part]),
                {"condition": torch.from_numpy(np.repeat([row % 2 for row in rows[part]], each))},
                np.repeat([f"s{row // 2:02d}" for row in rows[part]], each),
                repairs=mended,
            )
        return parts

    @classmethod
    def _cut(cls, signal: np.ndarray, path: Path) -> np.ndarray:
        """(stretches, c, samples) side by side; the rest at the end is dropped."""
        count = signal.shape[1] // cls.stretch
        if not count:
            raise DataError(f"{path} lasts {signal.shape[1] / cls.rate:g} s, shorter than a stretch; copy it again")
        whole = signal[:, : count * cls.stretch]
        return whole.reshape(len(signal), count, cls.stretch).transpose(1, 0, 2)


@datasets.register_family("eeg/eegmat-fold")
@functools.cache
def eegmat_fold(number: str) -> type[EegMat]:
    """The class of ``eeg/eegmat-fold<k>``: the k-th six people are tested."""
    return one_fold(EegMat, number)
