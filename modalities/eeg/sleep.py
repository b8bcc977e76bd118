"""Sleep-EDF (expanded), cassette study: the sleep stage of every thirty seconds of two nights of 78 people."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import mne
import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.eeg.base import EegModality
from modalities.eeg.records import AGAIN, Cleaning, Note, read_recording
from modalities.eeg.trials import Trials, assemble, standardised

STAGES = ("wake", "N1", "N2", "N3", "REM")
# Rechtschaffen & Kales as scored; their stages 3 and 4 are N3 since 2007.
CODES = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4}
UNSCORED = ("Sleep stage ?", "Movement time")
EPOCH = 30  # seconds
AROUND = 60  # epochs of wake that are kept before and after sleep: the tapes ran through the day
CLEANING = Cleaning(reference=False)  # two bipolar derivations have no average
_NAME = re.compile(r"^(SC4(\d\d)\d).*-PSG\.edf$")


def part_of(subject: int) -> Part:
    """Of five successive people the fourth validates and the fifth is tested; both nights of a person stay together."""
    held: dict[int, Part] = {3: "val", 4: "test"}
    return held.get(subject % 5, "train")


def epochs(notes: Sequence[Note]) -> tuple[np.ndarray, np.ndarray, int]:
    """(start in seconds, stage) of the scored epochs from ``AROUND`` before the first sleep to as many after the last, and
    how many unscored ones lay between."""
    start: list[float] = []
    stage: list[int] = []
    for note in notes:
        count = round(note.duration / EPOCH)
        code = -1 if note.text in UNSCORED else CODES[note.text.removeprefix("Sleep stage ")]
        start += [note.onset + EPOCH * k for k in range(count)]
        stage += [code] * count
    at, what = np.array(start, dtype=np.float64), np.array(stage, dtype=np.int64)
    asleep = np.flatnonzero(what > 0)
    if not len(asleep):
        return at[:0], what[:0], 0
    night = slice(max(0, asleep[0] - AROUND), asleep[-1] + AROUND + 1)
    at, what = at[night], what[night]
    return at[what >= 0], what[what >= 0], int((what < 0).sum())


def hypnogram(path: Path) -> list[Note]:
    """The scored stretches of a hypnogram file. Raises DataError for an unreadable or empty file and for no stage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mne warns of the stretch that is left open at the end of the tape
            said = mne.read_annotations(path)
    except Exception as error:  # the readers raise whatever the broken file made them stumble over
        raise DataError(f"{path} cannot be read ({type(error).__name__}: {error}); {AGAIN}") from error
    notes = [Note(float(a), float(b), str(c)) for a, b, c in zip(said.onset, said.duration, said.description)]
    for note in notes:
        if note.text not in UNSCORED and note.text.removeprefix("Sleep stage ") not in CODES:
            raise DataError(f"{path} has an annotation '{note.text}', which is no sleep stage; {AGAIN}")
    if not notes:
        raise DataError(f"{path} holds no sleep stage; {AGAIN}")
    return sorted(notes, key=lambda note: note.onset)


@datasets.register("eeg/sleep-edf")
class SleepEdf(EegModality):
    """Epochs of half a minute in 2 × 15 tokens; files SC4ssNxx-PSG.edf and SC4ssNyy-Hypnogram.edf in one folder, as
    published below ``sleep-cassette``."""

    dataset: ClassVar[str] = "sleep-edf"
    card: ClassVar[Card] = Card(
        title="Sleep-EDF expanded, cassette study",
        licence="ODC-By 1.0",
        source="https://physionet.org/content/sleep-edfx/1.0.0/",
        citation="Kemp et al. 2000, IEEE TBME 47(9):1185-1194; Goldberger et al. 2000",
        unit="subject",
        notes="Every fifth person is tested and the one before validates: there is no official split. Half an hour of wake "
        "before and after sleep is kept; unscored epochs are dropped and counted.",
    )
    electrodes: ClassVar[tuple[str, ...]] = ("Fpz-Cz", "Pz-Oz")
    channels: ClassVar[int] = 2
    length: ClassVar[int] = 3000
    patch: ClassVar[int] = 200
    rate: ClassVar[float] = CLEANING.rate
    tasks = (Task("stage", "class", "balanced_accuracy", STAGES),)

    @classmethod
    def remedy(cls) -> str:
        return "put the files of sleep-cassette (SC4001E0-PSG.edf, SC4001EC-Hypnogram.edf …) there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        nights = [(path, name) for path in sorted(folder.rglob("*-PSG.edf")) if (name := _NAME.match(path.name))]
        if not nights:
            raise DataError(f"{folder} holds no recording SC4…-PSG.edf; {cls.remedy()}")
        found: dict[Part, list[Trials]] = {part: [] for part in PARTS}
        for path, name in nights:
            scored = sorted(path.parent.glob(f"{name[1]}*-Hypnogram.edf"))
            if len(scored) != 1:
                raise DataError(
                    f"{path} has {len(scored)} hypnograms {name[1]}…-Hypnogram.edf beside it; {cls.remedy()}"
                )
            found[part_of(int(name[2]))].append(cls._night(path, scored[0], f"SC4{name[2]}"))
        return assemble("stage", found, folder, half=True)

    @classmethod
    def _night(cls, path: Path, scored: Path, unit: str) -> Trials:
        recording = read_recording(path, cls.electrodes, CLEANING)
        seconds, stage, unscored = epochs(hypnogram(scored))
        signal, first = standardised(recording), np.round(seconds * cls.rate).astype(np.int64)
        whole = first + cls.length <= signal.shape[1]
        dropped = {"unscored_epochs_dropped": unscored, "epochs_cut_off_dropped": int((~whole).sum())}
        rows = first[whole, None] + np.arange(cls.length)
        repairs = {**recording.repairs, **{name: count for name, count in dropped.items() if count}}
        return Trials(signal[:, rows].transpose(1, 0, 2), stage[whole], unit, None, repairs)
