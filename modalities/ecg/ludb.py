"""LUDB: 200 patients × 12 leads × 10 s with diagnoses and a cardiologist's P, QRS and T borders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.signal import resample_poly

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.ecg.base import INDEPENDENT, LEADS, EcgModality
from modalities.ecg.records import AGAIN, need, ordered, read_annotations, read_record
from modalities.signals import add_counts, mend, standardise

SOURCE_RATE = 500
SHARES: Mapping[Part, float] = {"train": 0.6, "val": 0.15, "test": 0.25}
AXES = ("normal", "left axis deviation", "vertical", "horizontal")
WAVES = ("none", "P", "QRS", "T")
SYMBOLS = {"p": 1, "N": 2, "t": 3}
COVER = 0.4  # share of a token that a wave must cover


@datasets.register("ecg/ludb")
class Ludb(EcgModality):
    """Three patient-level questions and one per token."""

    dataset: ClassVar[str] = "ludb"
    card: ClassVar[Card] = Card(
        title="Lobachevsky University Electrocardiography Database",
        licence="ODC-By 1.0",
        source="https://physionet.org/content/ludb/1.0.1/",
        citation="Kalyakulina et al. 2020, IEEE Access 8:186181-186190",
        unit="record (= patient)",
        notes="hypertrophy: any entry under Hypertrophies (overload included); sinus_rhythm: the entry 'Sinus rhythm' "
        "against every other rhythm (bradycardia, tachycardia, arrhythmia, atrial fibrillation, flutter); axis: right "
        "deviation (3 patients) and no axis (10, paced) are unlabelled; delineation: lead II, a 100-ms token takes the "
        "wave that covers most of it if that is at least 40 %, unlabelled outside the first and last annotated wave.",
    )
    channels: ClassVar[int] = 12
    length: ClassVar[int] = 250
    patch: ClassVar[int] = 10
    rate: ClassVar[float] = 100.0
    independent: ClassVar[tuple[int, ...] | None] = INDEPENDENT
    channel_patch: ClassVar[int | None] = 25  # 0.25 s, near Kim's 0.2 s
    tasks = (
        Task("hypertrophy", "class", "macro_auroc", ("absent", "present")),
        Task("sinus_rhythm", "class", "macro_auroc", ("other", "sinus rhythm")),
        Task("axis", "class", "macro_f1", AXES),
        Task("delineation", "dense", "macro_f1", WAVES),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        table = diagnoses(need(folder / "ludb.csv"))
        signals, waves, repairs = {}, {}, {}
        for number in table.index:
            signals[number], waves[number], repairs[number] = cls._recording(folder / "data" / str(number))
        lengths = {signal.shape[1] for signal in signals.values()}
        if len(lengths) > 1:
            raise DataError(f"the records in {folder / 'data'} differ in length {sorted(lengths)}; {AGAIN}")
        member = assign(table)
        rows: dict[Part, list[int]] = {part: [n for n in table.index if member[n] == part] for part in PARTS}
        empty = [part for part in PARTS if not rows[part]]
        if empty:
            raise DataError(f"{folder / 'ludb.csv'} has too few records to fill the part '{empty[0]}'; {AGAIN}")
        x = standardise({part: np.stack([signals[n] for n in rows[part]]) for part in PARTS})
        parts: dict[Part, Data] = {}
        for part in PARTS:
            counts: dict[str, int] = {}
            for number in rows[part]:
                add_counts(counts, repairs[number])
            labels = {name: torch.tensor(table.loc[rows[part], name].tolist()) for name in table.columns}
            labels["delineation"] = torch.from_numpy(np.stack([waves[n] for n in rows[part]]))
            unit = np.array([str(n) for n in rows[part]])
            parts[part] = Data(torch.from_numpy(x[part]), labels, unit, unit, repairs=counts)
        return parts

    @classmethod
    def _recording(cls, path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """One record: signal (12, t) at 100 Hz in mV, wave per token, repairs."""
        record = read_record(path)
        if record.rate != SOURCE_RATE:
            raise DataError(f"the record {path} has {record.rate:g} Hz instead of {SOURCE_RATE}; {AGAIN}")
        signal, repairs = mend(ordered(record, LEADS, path), path.name, LEADS)
        factor = SOURCE_RATE // int(cls.rate)
        where, symbols = read_annotations(path, "ii")
        tokens = signal.shape[1] // factor // cls.patch
        label, odd = wave_per_token(where, symbols, tokens, cls.patch * factor)
        if odd:
            repairs["waves_without_border"] = odd
        small = resample_poly(signal, 1, factor, axis=1, padtype="line").astype(np.float32)
        return small, label, repairs


def diagnoses(file: Path) -> pd.DataFrame:
    """Labels by record number from ludb.csv: hypertrophy, sinus_rhythm, axis (−1 where unlabelled)."""
    try:
        table = pd.read_csv(file, index_col="ID").sort_index()
        if not (pd.api.types.is_integer_dtype(table.index) and table.index.is_unique):
            raise ValueError("column ID is not a number of its own in every line")
        entries = {
            name: [
                [line.strip() for line in str(cell).splitlines()] if pd.notna(cell) else [] for cell in table[column]
            ]
            for name, column in (
                ("hypertrophy", "Hypertrophies"),
                ("rhythm", "Rhythms"),
                ("axis", "Electric axis of the heart"),
            )
        }
    except (KeyError, ValueError) as error:
        raise DataError(f"{file} is not the table of LUDB 1.0.1 ({error}); {AGAIN}") from error
    axes = [cell[0].split(":")[-1].strip() if cell else "" for cell in entries["axis"]]
    return pd.DataFrame(
        {
            "hypertrophy": [int(bool(cell)) for cell in entries["hypertrophy"]],
            "sinus_rhythm": [int("Sinus rhythm" in cell) for cell in entries["rhythm"]],
            "axis": [AXES.index(axis) if axis in AXES else -1 for axis in axes],
        },
        index=table.index,
    )


def assign(table: pd.DataFrame) -> dict[int, Part]:
    """The part of every record: stratified by the three labels, inside a stratum in the order of a hash of its number.

    Walking through that order, each record goes to the part that is furthest behind its share; so any run of
    neighbours, hence any stratum, is split close to 60/15/25.
    """

    strata = dict(zip(table.index, map(tuple, table.to_numpy().tolist()), strict=True))

    def key(number: int) -> tuple[tuple[int, ...], bytes]:
        return strata[number], hashlib.sha256(f"ludb/{number}".encode()).digest()

    member: dict[int, Part] = {}
    given: dict[Part, int] = dict.fromkeys(PARTS, 0)
    for done, number in enumerate(sorted(table.index, key=key), 1):
        part = max(PARTS, key=lambda p: SHARES[p] * done - given[p])
        given[part] += 1
        member[number] = part
    return member


def wave_per_token(where: np.ndarray, symbols: np.ndarray, tokens: int, width: int) -> tuple[np.ndarray, int]:
    """Class of each token of ``width`` samples from annotations "( p )", "( N )", "( t )"; and the odd waves met.

    A wave that lacks a bracket begins or ends at its peak and is counted as odd.
    """
    cover = np.zeros((len(WAVES), tokens * width), dtype=bool)
    odd = 0
    for i, symbol in enumerate(symbols):
        if symbol not in SYMBOLS:
            continue
        opened = i > 0 and symbols[i - 1] == "("
        closed = i + 1 < len(symbols) and symbols[i + 1] == ")"
        odd += not (opened and closed)
        start, end = where[i - 1] if opened else where[i], where[i + 1] if closed else where[i]
        cover[SYMBOLS[symbol], start : end + 1] = True
    share = cover.reshape(len(WAVES), tokens, width).mean(2)
    label = np.where(share.max(0) >= COVER, share.argmax(0), 0).astype(np.int64)
    if not len(where):
        return np.full(tokens, -1, dtype=np.int64), odd
    begin = np.arange(tokens) * width
    label[(begin < where[0]) | (begin + width - 1 > where[-1])] = -1
    return label, odd
