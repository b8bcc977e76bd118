"""Small EEG files for tests: noise of scalp size in the montage of the 10-20 system, written by mne."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mne
import numpy as np

from modalities.eeg.montage import TEN_TWENTY


def noise(channels: int, samples: int, seed: int = 0, microvolts: float = 15.0) -> np.ndarray:
    """(c, t) in µV: a part that all channels share and one of their own, both slow."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((channels, samples)) + 0.5 * random.standard_normal((1, samples))
    x = np.zeros_like(steps)
    for t in range(1, samples):
        x[:, t] = 0.9 * x[:, t - 1] + steps[:, t]
    return microvolts * x / x.std()


def raw(
    signal: np.ndarray, rate: float = 100.0, names: Sequence[str] = TEN_TWENTY, notes: Sequence[tuple] = ()
) -> mne.io.RawArray:
    """The signal (µV) as a recording; notes are (onset, duration, text)."""
    made = mne.io.RawArray(1e-6 * signal, mne.create_info(list(names), rate, "eeg"), verbose="error")
    made.set_meas_date(1_000_000_000)  # EDF knows no year before 1985
    if notes:
        onset, duration, text = zip(*notes)
        made.set_annotations(
            mne.Annotations(onset, duration, text, orig_time=made.info["meas_date"]), emit_warning=False
        )
    return made


def write(path: Path, recording: mne.io.RawArray) -> Path:
    """As EDF or FIF, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".fif":
        recording.save(path, overwrite=True, verbose="error")
    else:
        mne.export.export_raw(path, recording, physical_range="channelwise", overwrite=True, verbose="error")
    return path
