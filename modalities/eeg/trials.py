"""Trials: labelled stretches cut from recordings, and the parts that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from jepakit.types import PARTS, Data, DataError, Part
from modalities.eeg.base import robust, scale
from modalities.eeg.records import Recording
from modalities.signals import add_counts


@dataclass(frozen=True)
class Trials:
    """Rows of one recording: x (n, c, t), class (n,), whose they are, the recording's name where its rows are judged
    together, and what was mended."""

    x: np.ndarray
    label: np.ndarray
    unit: str
    record: str | None
    repairs: Mapping[str, int]


def standardised(recording: Recording) -> np.ndarray:
    """The signal (c, t), every channel by its own median and robust deviation."""
    middle, spread = robust(recording.signal)
    x: np.ndarray = ((recording.signal - middle) / spread).astype(np.float32)
    return x


def after_cues(recording: Recording, cues: Mapping[str, int], samples: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(x (n, c, samples), class (n,), how many were cut off by an end) after every annotation that is a cue."""
    starts = [(round(note.onset * recording.rate), cues[note.text]) for note in recording.notes if note.text in cues]
    whole = [(start, code) for start, code in starts if 0 <= start <= recording.signal.shape[1] - samples]
    signal = standardised(recording)
    x = [signal[:, start : start + samples] for start, _ in whole]
    shape = (0, len(signal), samples)
    label = np.array([code for _, code in whole], dtype=np.int64)
    return (np.stack(x) if x else np.zeros(shape, dtype=np.float32)), label, len(starts) - len(whole)


def assemble(
    task: str, found: Mapping[Part, Sequence[Trials]], folder: Path, *, half: bool = False
) -> dict[Part, Data]:
    """The parts, scaled by train; ``half`` stores float16. Raises DataError for a part without any row."""
    for part in PARTS:
        if not sum(len(one.label) for one in found[part]):
            raise DataError(f"{folder} has no trial in the part '{part}'; copy the data set again")
    x = scale({part: np.concatenate([one.x for one in found[part]]) for part in PARTS})
    parts: dict[Part, Data] = {}
    for part in PARTS:
        each = [len(one.label) for one in found[part]]
        repairs: dict[str, int] = {}
        for one in found[part]:
            add_counts(repairs, one.repairs)
        records = [one.record for one in found[part]]
        tensor = torch.from_numpy(x[part])
        parts[part] = Data(
            tensor.half() if half else tensor,
            {task: torch.from_numpy(np.concatenate([one.label for one in found[part]]))},
            np.repeat([one.unit for one in found[part]], each),
            None if None in records else np.repeat([str(name) for name in records], each),
            repairs=repairs,
        )
    return parts
