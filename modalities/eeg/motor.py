"""PhysioNet motor imagery (eegmmidb): which movement 106 people imagine, between people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, Part, Task
from modalities.eeg.base import EegModality
from modalities.eeg.records import Cleaning, read_recording
from modalities.eeg.trials import Trials, after_cues, assemble

CLASSES = ("left fist", "right fist", "both fists", "both feet")
FISTS, BOTH = {"T1": 0, "T2": 1}, {"T1": 2, "T2": 3}
CUES = {4: FISTS, 6: BOTH, 8: FISTS, 10: BOTH, 12: FISTS, 14: BOTH}  # by run
DAMAGED = (88, 92, 100)  # at another rate, with annotations that do not fit
CLEANING = Cleaning(mains=60.0)


@datasets.register("eeg/physionet-mi")
class PhysionetMi(EegModality):
    """The four seconds after each cue of the imagery runs, 19 of the 64 electrodes; folders S001 … S109 as published."""

    dataset: ClassVar[str] = "physionet-mi"
    card: ClassVar[Card] = Card(
        title="EEG motor movement/imagery data set, imagery runs",
        licence="ODC-By 1.0",
        source="https://physionet.org/content/eegmmidb/1.0.0/",
        citation="Schalk et al. 2004, IEEE TBME 51(6):1034-1043; Goldberger et al. 2000; split: OpenEEGBench",
        unit="subject",
        notes="People 1-70 / 71-89 / 90-109 without 88, 92 and 100. Trials cut off by the end of a run are dropped "
        "and counted.",
    )
    length: ClassVar[int] = 400
    patch: ClassVar[int] = 200
    rate: ClassVar[float] = CLEANING.rate
    subjects: ClassVar[dict[Part, Sequence[int]]] = {
        "train": range(1, 71),
        "val": range(71, 90),
        "test": range(90, 110),
    }
    tasks = (Task("movement", "class", "balanced_accuracy", CLASSES),)

    @classmethod
    def remedy(cls) -> str:
        return "run `make data MODALITY=eeg DATASET=physionet-mi` or put S001/S001R01.edf … there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        found: dict[Part, list[Trials]] = {part: [] for part in PARTS}
        for part in PARTS:
            for subject in cls.subjects[part]:
                if subject not in DAMAGED:
                    name = f"S{subject:03d}"
                    found[part] += [cls._run(folder / name / f"{name}R{run:02d}.edf", run, name) for run in CUES]
        return assemble("movement", found, folder)

    @classmethod
    def _run(cls, path: Path, run: int, unit: str) -> Trials:
        recording = read_recording(path, cls.electrodes, CLEANING)
        x, label, short = after_cues(recording, CUES[run], cls.length)
        repairs = {**recording.repairs, **({"trials_cut_off_dropped": short} if short else {})}
        return Trials(x, label, unit, None, repairs)
