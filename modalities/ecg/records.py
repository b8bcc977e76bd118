"""Records: WFDB files read with every disagreement between header and data said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb

from jepakit.types import DataError

BYTES_PER_SAMPLE = {"8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5}
AGAIN = "run `make data MODALITY=ecg` or copy it again from the source"


@dataclass(frozen=True)
class Record:
    """One recording: signal (c, t) in physical units (mV), lead names as in the header, rate in Hz."""

    signal: np.ndarray
    leads: tuple[str, ...]
    rate: float


def need(path: Path) -> Path:
    """The path, or a DataError when the file is not there."""
    if not path.is_file():
        raise DataError(f"the file {path} is missing (a half-copied folder?); {AGAIN}")
    return path


def read_record(path: Path) -> Record:
    """The WFDB record at ``path`` (without suffix), values marked invalid as NaN.

    Raises DataError when a file is missing, the data are shorter or longer than the header says, or the checksum of a
    signal differs.
    """
    header_file = need(path.parent / f"{path.name}.hea")
    try:
        header = wfdb.rdheader(str(path))
        files = dict.fromkeys(header.file_name)
    except Exception as error:  # the parser raises whatever the broken line made it stumble over
        raise DataError(f"the header {header_file} cannot be read ({error}); {AGAIN}") from error
    for name in files:
        data_file = need(path.parent / name)
        formats = [form for file, form in zip(header.file_name, header.fmt, strict=True) if file == name]
        if header.sig_len and all(form in BYTES_PER_SAMPLE for form in formats):
            wanted = int(np.ceil(header.sig_len * sum(BYTES_PER_SAMPLE[form] for form in formats)))
            found = data_file.stat().st_size
            # one spare byte: format 212 pads an odd number of samples
            if not wanted <= found <= wanted + 1:
                what = "is truncated" if found < wanted else "is longer than its header says"
                raise DataError(f"{data_file} {what} ({found} bytes, {header_file.name} asks for {wanted}); {AGAIN}")
    try:
        record = wfdb.rdrecord(str(path), physical=False)
    except Exception as error:
        raise DataError(f"the record {path} does not agree with its header ({error}); {AGAIN}") from error
    stated = record.checksum or []
    actual = record.d_signal.sum(0, dtype=np.int64) % 65536
    for lead, said, is_ in zip(record.sig_name, stated, actual, strict=False):
        if said is not None and said % 65536 != is_:
            raise DataError(f"lead {lead} of {path} does not have the checksum in {header_file.name}; {AGAIN}")
    return Record(record.dac().T, tuple(record.sig_name), float(record.fs))


def read_annotations(path: Path, extension: str) -> tuple[np.ndarray, np.ndarray]:
    """Sample numbers and symbols of the annotations ``path.extension``. Raises DataError when missing or broken."""
    file = need(path.parent / f"{path.name}.{extension}")
    try:
        notes = wfdb.rdann(str(path), extension)
    except Exception as error:
        raise DataError(f"the annotation file {file} cannot be read ({error}); {AGAIN}") from error
    return np.asarray(notes.sample), np.asarray(notes.symbol)


def ordered(record: Record, leads: tuple[str, ...], path: Path) -> np.ndarray:
    """The signal (c, t) in the wanted lead order, names compared without case. DataError when a lead is missing."""
    own = [lead.lower() for lead in record.leads]
    missing = [lead for lead in leads if lead.lower() not in own]
    if missing:
        raise DataError(f"the record {path} has no lead {missing[0]} (it has {', '.join(record.leads)}); {AGAIN}")
    return record.signal[[own.index(lead.lower()) for lead in leads]]
