"""Clips: sound files as mono signals of one rate, loudness and length; every damage is named, every repair counted."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import torch
from torchaudio.functional import resample

from jepakit.types import DataError
from modalities.image.store import decoded

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
MAX_SECONDS = 600.0  # longer is no clip; a header that claims more is refused before anything is allocated
MAX_CHANNELS = 32
RATES = (1_000, 400_000)  # Hz
GATE = 1e-4  # of the power of the loudest frame: quieter frames (-40 dB) do not count for loudness
FULL = 0.999  # of full scale: a sample there is taken for clipped
UNKNOWN_LENGTH = (0, 2**32 - 1)  # what a recorder that was never told the length writes into a WAV header

Fill = Literal["silence", "repeat"]


@dataclass(frozen=True)
class Clips:
    """Decoded files. x: (n, samples) float16; path: (n,) below the data folder; repairs: by kind, how many in each file."""

    x: np.ndarray
    path: np.ndarray
    repairs: dict[str, np.ndarray]

    def counted(self, rows: np.ndarray) -> dict[str, int]:
        """The repairs of ``rows``, without zeros."""
        counts = {kind: int(column[rows].sum()) for kind, column in self.repairs.items()}
        return {kind: count for kind, count in counts.items() if count}


def is_sound(name: str) -> bool:
    """Whether the name says sound; hidden files (``._x.wav`` of some archivers) are none."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def sounds(folder: Path) -> tuple[Path, ...]:
    """Every sound file below ``folder``, by path."""
    return tuple(path for path in sorted(folder.rglob("*")) if path.is_file() and is_sound(path.name))


def read_clip(path: Path, remedy: str) -> tuple[np.ndarray, int, dict[str, int]]:
    """One file as a mono signal (t,) float32 at its own rate in Hz, and what was mended.

    Channels are averaged, non-finite samples interpolated, clipped and silent files kept; all are counted. Raises DataError
    for what is no sound file, is empty, ends too early, has no valid sample or claims an impossible size.
    """
    try:
        info = soundfile.info(str(path), verbose=True)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise DataError(f"the file {path} cannot be read as sound ({_said(error)}); {remedy}") from error
    if not RATES[0] <= info.samplerate <= RATES[1] or not 1 <= info.channels <= MAX_CHANNELS:
        raise DataError(f"the header of {path} claims {info.channels} channels at {info.samplerate} Hz; {remedy}")
    if info.frames > MAX_SECONDS * info.samplerate:
        raise DataError(
            f"the header of {path} claims {info.frames / info.samplerate:.0f} s, more than the {MAX_SECONDS:.0f} s of the "
            f"longest clip; cut it into clips, or {remedy}"
        )
    claim = re.search(r"^data : (\d+) \(should be (\d+)\)", info.extra_info, re.MULTILINE)
    if claim and int(claim[1]) > int(claim[2]) and int(claim[1]) not in UNKNOWN_LENGTH:
        raise DataError(f"{path} ends too early ({claim[2]} of {claim[1]} bytes of sound); {remedy}")
    try:
        x, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"the file {path} cannot be decoded ({_said(error)}); {remedy}") from error
    if not len(x):
        raise DataError(f"{path} holds no sound; {remedy}")
    if len(x) < info.frames:
        raise DataError(f"{path} ends too early ({len(x)} of {info.frames} samples); {remedy}")
    repairs = {"nan_samples_interpolated": _fill_gaps(x, path, remedy)}
    mono = x.mean(1)
    if x.shape[1] > 1:
        repairs["clips_mixed_to_mono"] = 1
        loudest = x[:, np.square(x).mean(0).argmax()]
        if np.square(mono).mean() < GATE * np.square(loudest).mean():  # channels of opposite sign cancel
            mono = loudest
    repairs["clipped_clips_kept"] = int((np.abs(x) >= FULL).mean() > 1e-3)
    repairs["silent_clips_kept"] = int(np.ptp(mono) == 0)
    return np.ascontiguousarray(mono), int(rate), repairs


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _fill_gaps(x: np.ndarray, path: Path, remedy: str) -> int:
    """Non-finite samples of (t, c) by linear interpolation, in place; returns how many there were."""
    bad = ~np.isfinite(x)
    for channel in np.flatnonzero(bad.any(0)):
        good, gaps = np.flatnonzero(~bad[:, channel]), np.flatnonzero(bad[:, channel])
        if not len(good):
            raise DataError(f"{path} has no valid sample in channel {channel + 1}; {remedy}")
        x[gaps, channel] = np.interp(gaps, good, x[good, channel])
    return int(bad.sum())


def level(x: np.ndarray, rate: int) -> np.ndarray:
    """Without offset and with root mean square 1 over the frames of 20 ms that are within 40 dB of the loudest one, so
    that silence around a sound does not change how loud it becomes. Silence stays silence."""
    x = x - x.mean(dtype=np.float64).astype(np.float32)
    size = max(1, min(len(x), rate // 50))
    power = np.square(x[: len(x) // size * size], dtype=np.float64).reshape(-1, size).mean(1)
    if power.max() < 1e-12:
        return np.zeros_like(x)
    return (x / np.sqrt(power[power >= GATE * power.max()].mean())).astype(np.float32)


def fit(x: np.ndarray, samples: int, fill: Fill) -> np.ndarray:
    """(samples,): of a longer signal the stretch with most energy; a shorter one in the middle of silence, or repeated.

    With "repeat" a tail of digital silence is cut off first: collections of fixed length are padded so.
    """
    if fill == "repeat" and x.any():
        x = x[: len(x) - int((np.abs(x[::-1]) > 1e-3 * np.abs(x).max()).argmax())]
    if len(x) > samples:
        total = np.concatenate([[0.0], np.cumsum(np.square(x, dtype=np.float64))])
        start = int((total[samples:] - total[:-samples]).argmax())
        return x[start : start + samples]
    if fill == "repeat":
        return np.resize(x, samples)
    before = (samples - len(x)) // 2
    return np.pad(x, (before, samples - len(x) - before))


def prepare(path: Path, rate: int, samples: int, fill: Fill, remedy: str) -> tuple[np.ndarray, dict[str, int]]:
    """One file at ``rate`` Hz, levelled, as long as every other: (samples,) float32, and what was mended or changed."""
    x, own, repairs = read_clip(path, remedy)
    if own != rate:
        x = resample(torch.from_numpy(x), own, rate).numpy()
        repairs["clips_resampled"] = 1
    repairs["clips_cut_to_loudest"] = int(len(x) > 1.02 * samples)
    return fit(level(x, rate), samples, fill), repairs


@functools.lru_cache(maxsize=2)
def clips(
    folder: Path, name: str, listing: Callable[[Path], Sequence[Path]], rate: int, samples: int, fill: Fill, remedy: str
) -> Clips:
    """Every file of ``listing(folder)``, decoded once per process and kept in the user's cache: all folds of a data set
    share them. Raises DataError where there is no file."""
    files = listing(folder)
    if not files:
        raise DataError(f"{folder} holds no sound files; {remedy}")
    paths = [path.relative_to(folder).as_posix() for path in files]

    def decode() -> dict[str, np.ndarray]:
        x = np.empty((len(files), samples), dtype=np.float16)
        repairs: dict[str, np.ndarray] = {}
        for row, path in enumerate(files):
            x[row], found = prepare(path, rate, samples, fill, remedy)
            for kind, count in found.items():
                repairs.setdefault(kind, np.zeros(len(files), dtype=np.int64))[row] = count
        table = {f"repair.{kind}": column for kind, column in repairs.items()}
        return {"x": x, "path": np.array(paths, dtype=str), **table}

    # A decoder's settings are part of the name, so that data sets over the same files do not replace each other's.
    arrays = decoded(f"audio-{name}-{rate}-{samples}-{fill}", files, decode)
    if arrays["path"].tolist() != paths:
        arrays = decode()
    found = {kind.removeprefix("repair."): column for kind, column in arrays.items() if kind.startswith("repair.")}
    return Clips(arrays["x"], arrays["path"], found)
