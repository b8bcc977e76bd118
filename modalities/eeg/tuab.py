"""TUAB (TUH abnormal EEG corpus): normal or abnormal, recording by recording, in its official folders."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, DataError, Part, Task
from modalities.eeg.base import EegModality
from modalities.eeg.records import Cleaning, read_recording
from modalities.eeg.trials import Trials, assemble
from modalities.signals import add_counts

CLASSES = ("normal", "abnormal")
CLEANING = Cleaning(mains=60.0)
VALIDATION = 0.2  # of the train patients (OpenEEGBench)


@datasets.register("eeg/tuab")
class Tuab(EegModality):
    """Two minutes of each recording, after the first one; the scores of its ten-second windows are averaged.

    Folders ``edf/{train,eval}/{normal,abnormal}/**/<patient>_<session>_<token>.edf`` as published. Amplitudes are a sign of
    disease, so recordings keep theirs: the scale is that of train.
    """

    dataset: ClassVar[str] = "tuab"
    card: ClassVar[Card] = Card(
        title="TUH abnormal EEG corpus",
        licence="on request from the Neural Engineering Data Consortium; not to be passed on",
        source="https://isip.piconepress.com/projects/nedc/html/tuh_eeg/",
        citation="Obeid & Picone 2016, Front. Neurosci. 10:196; López de Diego 2017",
        unit="patient",
        notes="Scored by recording, not by window. Train patients are divided with seed 12, a fifth for validation; the "
        "official evaluation folder is the test part.",
    )
    length: ClassVar[int] = 1000
    patch: ClassVar[int] = 200
    rate: ClassVar[float] = CLEANING.rate
    skip: ClassVar[int] = 60  # seconds: electrodes settle
    keep: ClassVar[int] = 120  # seconds
    tasks = (Task("abnormal", "class", "balanced_accuracy", CLASSES),)

    @classmethod
    def remedy(cls) -> str:
        return "ask the Neural Engineering Data Consortium for it and put its folder edf there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        files = {
            (kind, label): sorted((folder / "edf" / kind / name).rglob("*.edf"))
            for kind in ("train", "eval")
            for label, name in enumerate(CLASSES)
        }
        for (kind, label), paths in files.items():
            if not paths:
                raise DataError(f"{folder / 'edf' / kind / CLASSES[label]} holds no recording; {cls.remedy()}")
        known = [
            {path.stem.split("_")[0] for label in (0, 1) for path in files[kind, label]} for kind in ("train", "eval")
        ]
        if both := sorted(known[0] & known[1]):
            raise DataError(f"{folder} has patient {both[0]} in train and in eval; copy the corpus again")
        order = np.random.default_rng(12).permutation(sorted(known[0]))
        held = set(order[: max(1, round(VALIDATION * len(order)))].tolist())
        found: dict[Part, list[Trials]] = {"train": [], "val": [], "test": []}
        for (kind, label), paths in files.items():
            for path in paths:
                one = cls._recording(path, label)
                part: Part = "test" if kind == "eval" else "val" if one.unit in held else "train"
                found[part].append(one)
        return assemble("abnormal", found, folder, half=True)

    @classmethod
    def _recording(cls, path: Path, label: int) -> Trials:
        """One row of ``keep`` seconds, or none of a recording that is too short."""
        recording = read_recording(path, cls.electrodes, CLEANING)
        start, samples = round(cls.skip * cls.rate), round(cls.keep * cls.rate)
        x = recording.signal[None, :, start : start + samples]
        repairs = dict(recording.repairs)
        if x.shape[-1] < samples:
            add_counts(repairs, {"short_recordings_dropped": 1})
            x = np.zeros((0, len(recording.signal), samples), dtype=np.float32)
        return Trials(x, np.full(len(x), label, dtype=np.int64), path.stem.split("_")[0], path.stem, repairs)
