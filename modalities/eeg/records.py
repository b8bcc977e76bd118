"""Recordings: one file of any format that mne reads, with every damage named or mended and counted, then cleaned.

Mended and counted in ``repairs``: channels stored twice with equal values, a few missing or flat channels (interpolated
from their neighbours by spherical splines), NaN samples, annotations outside the recording. Everything else is a DataError.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np

from jepakit.types import DataError
from modalities.eeg.montage import electrode, positions
from modalities.signals import add_counts, mend

logging.getLogger("mne").setLevel(logging.ERROR)

MENDED = 0.15  # largest share of the electrodes that is interpolated
FLAT = 0.05  # µV from the smallest to the largest value
FASTEST = 100_000.0  # Hz; a damaged header says more, and its filters would be longer than any recording
WEAKEST, STRONGEST = 0.2, 1000.0  # µV, robust standard deviation of scalp EEG, far beyond what a scalp gives
AGAIN = "copy the file again from its source or leave it out"


@dataclass(frozen=True)
class Note:
    """An annotation: seconds from the first sample, seconds long, and what it says."""

    onset: float
    duration: float
    text: str


@dataclass(frozen=True)
class Recording:
    """signal (c, t) in µV in the order of the wanted electrodes; rate in Hz; annotations; what was mended."""

    signal: np.ndarray
    rate: float
    notes: tuple[Note, ...]
    repairs: dict[str, int]


@dataclass(frozen=True)
class Cleaning:
    """What is done to every recording of a data set: resampled to ``rate`` Hz, band-pass ``low``-``high`` Hz, notch at
    ``mains`` Hz and its multiples, average reference."""

    rate: float = 100.0
    low: float = 0.5
    high: float = 45.0
    mains: float = 50.0
    reference: bool = True


def header(path: Path) -> mne.Info:
    """What the file says about itself, without its samples. Raises DataError when it is unreadable."""
    try:
        info: mne.Info = mne.io.read_raw(path, preload=False, verbose="error").info
    except Exception as error:  # the readers raise whatever the broken file made them stumble over
        raise DataError(f"{path} cannot be read ({type(error).__name__}: {error}); {AGAIN}") from error
    return info


def open_raw(path: Path) -> tuple[mne.io.BaseRaw, int]:
    """The file at ``path``, and how many of its annotations lie outside of it (mne leaves those out).

    Raises DataError when the file is missing, unreadable or shorter than its header says.
    """
    if not path.is_file():
        raise DataError(f"the file {path} is missing (a half-copied folder?); {AGAIN}")
    try:
        short = _truncated(path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            raw = mne.io.read_raw(path, preload=True, verbose="warning")
    except Exception as error:  # the readers raise whatever the broken file made them stumble over
        raise DataError(f"{path} cannot be read ({type(error).__name__}: {error}); {AGAIN}") from error
    if short:
        raise DataError(f"{path} is truncated: shorter than its header says; {AGAIN}")
    omitted = [re.search(r"Omitted (\d+) annotation", str(one.message)) for one in said]
    return raw, sum(int(found[1]) for found in omitted if found)


def _truncated(path: Path) -> bool:
    """Whether an EDF or BDF file has fewer bytes than its header promises."""
    width = {".edf": 2, ".bdf": 3}.get(path.suffix.lower())
    if width is None:
        return False
    with path.open("rb") as file:
        head = file.read(256)
        size, records, signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
        file.seek(256 + 216 * signals)
        samples = sum(int(file.read(8)) for _ in range(signals))
    return records > 0 and path.stat().st_size < size + records * samples * width


def notes_of(raw: mne.io.BaseRaw) -> tuple[Note, ...]:
    """The annotations of a recording."""
    start = raw.first_time if raw.annotations.orig_time is not None else 0.0
    said = raw.annotations
    return tuple(
        Note(float(onset - start), float(duration), str(text))
        for onset, duration, text in zip(said.onset, said.duration, said.description, strict=True)
    )


def pick(raw: mne.io.BaseRaw, electrodes: Sequence[str], path: Path) -> tuple[np.ndarray, list[str], dict[str, int]]:
    """The signal (c, t) in µV of those wanted electrodes that the file has, their names, and the repairs.

    Raises DataError where two channels of one electrode disagree.
    """
    repairs: dict[str, int] = {}
    wanted = set(electrodes)
    rows: dict[str, np.ndarray] = {}
    data = raw.get_data()
    for name, row in zip(raw.ch_names, data, strict=True):
        place = electrode(name)
        if place not in wanted:
            continue
        if place not in rows:
            rows[place] = 1e6 * row
        elif np.array_equal(rows[place], 1e6 * row, equal_nan=True):
            add_counts(repairs, {"duplicated_channels_dropped": 1})
        else:
            raise DataError(
                f"{path} has two channels of electrode {place} that differ (channels: {', '.join(raw.ch_names)}); rename or "
                "remove one"
            )
    found = [name for name in electrodes if name in rows]
    signal = np.stack([rows[name] for name in found]) if found else np.zeros((0, data.shape[1]))
    return signal, found, repairs


def complete(
    signal: np.ndarray, found: Sequence[str], electrodes: Sequence[str], rate: float, path: Path, names: Sequence[str]
) -> tuple[np.ndarray, dict[str, int]]:
    """All ``electrodes`` (c, t): the few that are missing or flat are interpolated from the others.

    Raises DataError where too many are.
    """
    missing = [name for name in electrodes if name not in found]
    flat = [name for name, row in zip(found, signal, strict=True) if np.ptp(row) < FLAT]
    if len(missing) + len(flat) > int(MENDED * len(electrodes)):
        what = f"has no channel {missing[0]}" if missing else f"is flat in channel {flat[0]}"
        raise DataError(
            f"{path} {what} ({len(missing)} of {len(electrodes)} electrodes missing, {len(flat)} flat; its channels: "
            f"{', '.join(names)}); rename them to 10-20 names or leave the recording out"
        )
    if not missing and not flat:
        return signal, {}
    whole = np.zeros((len(electrodes), signal.shape[1]))
    for name, row in zip(found, signal, strict=True):
        whole[list(electrodes).index(name)] = row
    info = mne.create_info(list(electrodes), rate, "eeg")
    place = dict(zip(electrodes, positions(electrodes) / 100, strict=True))  # metres
    raw = mne.io.RawArray(whole * 1e-6, info, verbose="error")
    raw.set_montage(mne.channels.make_dig_montage(place, coord_frame="head"))
    raw.info["bads"] = [*missing, *flat]
    raw.interpolate_bads(verbose="error")
    return 1e6 * raw.get_data(), {"electrodes_interpolated": len(missing) + len(flat)}


def check_unit(signal: np.ndarray, path: Path) -> None:
    """Raises DataError for amplitudes that no scalp gives: a file whose unit is not what it says."""
    low, high = np.nanquantile(signal, [0.25, 0.75], axis=1)
    typical = float(np.median(high - low)) / 1.349
    if not WEAKEST <= typical <= STRONGEST:
        raise DataError(
            f"{path} has amplitudes of about {typical:.3g} µV, which no scalp gives ({WEAKEST:g} to {STRONGEST:g}): its "
            "unit (V, mV, µV) is not the one that it states; write the file again with the right one"
        )


def clean(signal: np.ndarray, rate: float, how: Cleaning, path: Path) -> np.ndarray:
    """The cleaned signal (c, t) at ``how.rate``, float32. Raises DataError for a recording sampled more slowly than that."""
    if rate < how.rate - 1e-6:
        raise DataError(f"{path} is sampled at {rate:g} Hz, {how.rate:g} are needed; leave the recording out")
    if not rate <= FASTEST:
        raise DataError(f"{path} says that it is sampled at {rate:g} Hz, which no amplifier does; {AGAIN}")
    x = np.asarray(signal, dtype=np.float64)
    lines = np.arange(how.mains, min(rate / 2 - 1, how.rate), how.mains)
    if len(lines):
        x = mne.filter.notch_filter(x, rate, lines, verbose="error")
    x = mne.filter.filter_data(x, rate, how.low, min(how.high, 0.45 * how.rate), verbose="error")
    if rate > how.rate + 1e-6:
        x = mne.filter.resample(x, up=how.rate, down=rate, verbose="error")
    if how.reference:
        x = x - x.mean(0)
    return np.asarray(x, dtype=np.float32)


def read_recording(path: Path, electrodes: Sequence[str], how: Cleaning) -> Recording:
    """The recording at ``path`` with exactly ``electrodes``, mended and cleaned. Raises DataError (see above)."""
    raw, outside = open_raw(path)
    rate = float(raw.info["sfreq"])
    signal, found, repairs = pick(raw, electrodes, path)
    if outside:
        add_counts(repairs, {"annotations_outside_dropped": outside})
    if found:
        signal, more = mend(signal, path.name, found, flat="keep")
        add_counts(repairs, {name: count for name, count in more.items() if name != "flat_leads_kept"})
        check_unit(signal, path)
    signal, more = complete(signal, found, electrodes, rate, path, raw.ch_names)
    add_counts(repairs, more)
    return Recording(clean(signal, rate, how, path), how.rate, notes_of(raw), repairs)
