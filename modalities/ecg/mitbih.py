"""MIT-BIH Arrhythmia Database: AAMI beat classes between patients (DS1 → DS2), two leads, one second around each R peak."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Batch, Card, Data, Part, Task
from modalities.ecg.base import EcgModality
from modalities.ecg.features import single_beat
from modalities.ecg.records import ordered, read_annotations, read_record
from modalities.signals import add_counts, mend, standardise

CLASSES = ("N", "S", "V", "F")
AAMI = {symbol: k for k, symbols in enumerate(("NLRej", "AaJS", "VE", "F")) for symbol in symbols}
UNCLASSED = "/fQ"  # paced, fusion of paced, unclassifiable: beats for the RR intervals, never samples

# de Chazal et al. 2004, table IV. The paced records 102, 104, 107 and 217 are in neither list. 202 (DS2) is left out:
# it is the same man as 201 (DS1), so keeping both would leak a patient. Validation: four DS1 patients among whom every
# class occurs, while the two that carry most F (208) and S (209) beats stay in train.
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
VALIDATION = (109, 124, 215, 223)


def split() -> dict[Part, tuple[int, ...]]:
    """Record numbers by part."""
    return {"train": tuple(r for r in DS1 if r not in VALIDATION), "val": VALIDATION, "test": DS2}


def intervals(beats: np.ndarray, rate: float, around: int = 10) -> np.ndarray:
    """RR before, RR after and mean RR of up to ``around`` beats on either side, in seconds: (k, 3) for k ≥ 2 beats.

    The first beat has no RR before and the last none after: they take the one they have.
    """
    gaps = np.diff(beats) / rate
    before = np.concatenate([gaps[:1], gaps])
    after = np.concatenate([gaps, gaps[-1:]])
    total = np.concatenate([[0.0], np.cumsum(gaps)])
    index = np.arange(len(beats))
    low, high = np.maximum(index - around, 0), np.minimum(index + around, len(gaps))
    return np.stack([before, after, (total[high] - total[low]) / (high - low)], 1)


@datasets.register("ecg/mitbih")
class MitBih(EcgModality):
    """Beats of 43 patients; works on the original 30-minute records and on shortened copies of them."""

    dataset: ClassVar[str] = "mitbih"
    card: ClassVar[Card] = Card(
        title="MIT-BIH Arrhythmia Database, AAMI beats, inter-patient",
        licence="ODC-By 1.0",
        source="https://physionet.org/content/mitdb/1.0.0/",
        citation="Moody & Mark 2001, IEEE EMB Mag 20(3):45-50; split: de Chazal et al. 2004, IEEE TBME 51(7):1196-1206",
        unit="record (= patient)",
        notes="Q beats, paced records and record 202 are dropped; a beat closer than half a second to an end is dropped. "
        "Lead 1 is MLII wherever it was recorded (114 stores it second); lead 2 is whatever chest lead is there.",
    )
    channels: ClassVar[int] = 2
    length: ClassVar[int] = 360
    patch: ClassVar[int] = 18
    rate: ClassVar[float] = 360.0
    tasks = (Task("beat", "class", "macro_f1", CLASSES),)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """RR before, after and local mean with their ratios, the beat's waveform without its median, band powers."""
        return single_beat(batch.x, batch.extra["rr"], self.rate)

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        read = {part: [cls._beats(folder / str(number)) for number in records] for part, records in split().items()}
        x = standardise({part: np.concatenate([beats for beats, *_ in rows]) for part, rows in read.items()})
        parts: dict[Part, Data] = {}
        for part, records in split().items():
            repairs: dict[str, int] = {}
            for *_, more in read[part]:
                add_counts(repairs, more)
            label = np.concatenate([label for _, label, _, _ in read[part]])
            rr = np.concatenate([rr for _, _, rr, _ in read[part]])
            unit = np.repeat([str(number) for number in records], [len(row[1]) for row in read[part]])
            parts[part] = Data(
                torch.from_numpy(x[part]),
                {"beat": torch.from_numpy(label)},
                unit,
                extra={"rr": torch.from_numpy(rr)},
                repairs=repairs,
            )
        return parts

    @classmethod
    def _beats(cls, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
        """The beats of one record: signal (k, 2, 360) in mV, class (k,), RR (k, 3) in seconds, repairs."""
        record = read_record(path)
        first = "MLII" if "MLII" in record.leads else record.leads[0]
        leads = (first, *(lead for lead in record.leads if lead != first))[: cls.channels]
        signal, repairs = mend(ordered(record, leads, path), path.name, leads)
        where, symbols = read_annotations(path, "atr")
        beat = np.isin(symbols, [*AAMI, *UNCLASSED])
        where, symbols = where[beat], symbols[beat]
        half = cls.length // 2
        inside = (where >= half) & (where + half <= signal.shape[1])
        classed = np.isin(symbols, list(AAMI))
        repairs["beats_q_dropped"] = int((~classed).sum())
        repairs["beats_at_ends_dropped"] = int((classed & ~inside).sum())
        keep = classed & inside
        window = where[keep, None] + np.arange(-half, half)
        beats = signal[:, window].transpose(1, 0, 2).astype(np.float32)
        label = np.array([AAMI[symbol] for symbol in symbols[keep]], dtype=np.int64)
        return beats, label, intervals(where, record.rate)[keep].astype(np.float32), repairs
