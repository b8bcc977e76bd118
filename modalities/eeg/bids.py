"""BIDS: any folder of EEG in the Brain Imaging Data Structure, asked for the kind of each event (``trial_type``)."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.eeg.base import EegModality
from modalities.eeg.montage import electrode, places
from modalities.eeg.records import Cleaning, Note, Recording, header, read_recording
from modalities.eeg.trials import Trials, after_cues, assemble

SUFFIXES = (".edf", ".bdf", ".vhdr", ".set", ".fif")  # what the standard allows, and mne's own format
LEAST = 4  # electrodes that all recordings have
SEED = 12
_ABSENT = ("n/a", "", "nan")


def recordings(folder: Path) -> tuple[list[Path], int]:
    """Every ``sub-*/[ses-*/]eeg/*_eeg.*`` that has a table of events, by name, and how many have none."""
    found = [path for path in sorted(folder.glob("sub-*/**/eeg/*_eeg.*")) if path.suffix.lower() in SUFFIXES]
    told = [path for path in found if events_of(path).is_file()]
    return told, len(found) - len(told)


def events_of(path: Path) -> Path:
    """The table of events beside a recording."""
    return path.with_name(path.stem.removesuffix("_eeg") + "_events.tsv")


def table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A tab-separated table as text. Raises DataError where it cannot be read or lacks a column."""
    try:
        read = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path} cannot be read ({error}); mend or replace it") from error
    if absent := [name for name in columns if name not in read]:
        raise DataError(
            f"{path} has no column '{absent[0]}' (its columns: {', '.join(read.columns)}); add it, as BIDS says"
        )
    return read


def events(path: Path) -> tuple[Note, ...]:
    """The events beside a recording that say what they are. Raises DataError for an onset that is no number."""
    source = events_of(path)
    read = table(source, ("onset", "trial_type"))
    read = read[~read["trial_type"].isin(_ABSENT)]
    onset = pd.to_numeric(read["onset"], errors="coerce")
    if onset.isna().any():
        raise DataError(f"{source} has the onset '{read['onset'][onset.isna()].iloc[0]}', which is no number; mend it")
    return tuple(Note(float(at), 0.0, str(kind)) for at, kind in zip(onset, read["trial_type"], strict=True))


def mains(path: Path, folder: Path) -> float:
    """The power line frequency that the nearest sidecar states, from the recording's own up to the data set's; 50 Hz where
    none does."""
    task = next((piece for piece in path.stem.split("_") if piece.startswith("task-")), None)
    own, common = path.with_name(path.stem + ".json"), [] if task is None else [folder / f"{task}_eeg.json"]
    for sidecar in (own, *common, folder / "eeg.json"):
        if not sidecar.is_file():
            continue
        try:
            stated: Any = json.loads(sidecar.read_text(encoding="utf-8")).get("PowerLineFrequency")
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{sidecar} is no readable JSON object ({error}); mend it or remove it") from error
        if isinstance(stated, int | float) and not isinstance(stated, bool) and stated > 0:
            return float(stated)
    return 50.0


def parts_of(folder: Path, subjects: list[str]) -> dict[str, Part]:
    """Who is in which part: column ``split`` of participants.tsv (train, val, test) where there is one, otherwise a seeded
    fifth of the people each for validation and test. Raises DataError for people without a part."""
    source = folder / "participants.tsv"
    if source.is_file() and "split" in (read := table(source, ("participant_id",))):
        given = dict(zip(read["participant_id"], read["split"], strict=True))
        for subject in subjects:
            if given.get(subject) not in PARTS:
                raise DataError(f"{source} says split '{given.get(subject, '')}' for {subject}; say train, val or test")
        return {subject: given[subject] for subject in subjects}
    if len(subjects) < 3:
        raise DataError(
            f"{folder} has {len(subjects)} people with events; parts keep people apart, so 3 or more are needed"
        )
    order = np.random.default_rng(SEED).permutation(subjects).tolist()
    fifth = max(1, round(len(order) / 5))
    held: dict[str, Part] = {**dict.fromkeys(order[:fifth], "test"), **dict.fromkeys(order[fifth : 2 * fifth], "val")}
    return {subject: held.get(subject, "train") for subject in subjects}


@functools.lru_cache(maxsize=2)
def facts(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(electrodes that every recording has, kinds of event). Raises DataError where there are too few of either."""
    paths, _ = recordings(folder)
    if not paths:
        raise DataError(f"{folder} has no sub-*/eeg/*_eeg.* with an *_events.tsv beside it; put a BIDS data set there")
    common = set.intersection(*({electrode(name) for name in header(path).ch_names} for path in paths))
    known = tuple(name for name, _ in places().values() if name in common)
    if len(known) < LEAST:
        raise DataError(
            f"the recordings in {folder} have {len(known)} electrodes of the 10-05 system in common, {LEAST} are needed; "
            "rename the channels or leave recordings out"
        )
    kinds = sorted({note.text for path in paths for note in events(path)})
    if len(kinds) < 2:
        raise DataError(f"the events in {folder} are of {len(kinds)} kind(s); trial_type must tell two or more apart")
    return known, tuple(kinds)


class Bids(EegModality):
    """The four seconds after each event, from the electrodes that all recordings have."""

    length: ClassVar[int] = 400
    patch: ClassVar[int] = 200
    rate: ClassVar[float] = Cleaning().rate

    def __init__(self, root: Path | None = None) -> None:
        folder = self.folder(root)
        electrodes, kinds = facts(folder)
        vars(self).update(electrodes=electrodes, channels=len(electrodes))  # class facts elsewhere
        self.tasks = (Task("trial_type", "class", "balanced_accuracy", kinds),)
        super().__init__(root)

    @classmethod
    def stored(cls) -> str:
        return cls.dataset.removeprefix("bids-")

    @classmethod
    def remedy(cls) -> str:
        return "put a BIDS data set with sub-*/eeg/*_eeg.* and *_events.tsv there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        electrodes, kinds = facts(folder)
        paths, silent = recordings(folder)
        subject = [path.relative_to(folder).parts[0] for path in paths]
        part = parts_of(folder, sorted(set(subject)))
        cues = {kind: code for code, kind in enumerate(kinds)}
        found: dict[Part, list[Trials]] = {name: [] for name in PARTS}
        for path, unit in zip(paths, subject, strict=True):
            read = read_recording(path, electrodes, Cleaning(mains=mains(path, folder)))
            x, label, short = after_cues(Recording(read.signal, read.rate, events(path), {}), cues, cls.length)
            repairs = {**read.repairs, **({"trials_cut_off_dropped": short} if short else {})}
            found[part[unit]].append(Trials(x, label, unit, None, repairs))
        if silent:  # no rows, but a count that is kept in every record
            none = np.zeros((0, len(electrodes), cls.length), dtype=np.float32)
            counted = {"recordings_without_events_skipped": silent}
            found["train"].append(Trials(none, np.zeros(0, dtype=np.int64), "", None, counted))
        return assemble("trial_type", found, folder)


@datasets.register_family("eeg/bids-")
@functools.cache
def bids_data(name: str) -> type[Bids]:
    """The class of ``eeg/bids-<name>``, read from ``<root>/eeg/<name>``."""
    card = Card(
        title=f"BIDS folder '{name}'",
        licence="the owner's",
        source="the data root",
        citation="layout: Pernet et al. 2019, Scientific Data 6:103",
        unit="subject",
        notes="Parts by the column split of participants.tsv, or a seeded fifth of the people each for validation and test.",
    )
    own = {"dataset": f"bids-{name}", "card": card, "__module__": __name__, "__doc__": "EEG in BIDS."}
    return type("BidsFolder", (Bids,), own)
