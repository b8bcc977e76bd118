"""Montage: electrode names as the files of the field write them, brought to one name, and where they sit on the head."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import mne
import numpy as np

from jepakit.types import DataError

TEN_TWENTY = (
    "Fp1", "Fp2", "F3", "F4", "F7", "F8", "T7", "T8", "C3", "C4", "P7", "P8", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz",
)  # fmt: skip
RENAMED = {"t3": "T7", "t4": "T8", "t5": "P7", "t6": "P8"}  # the names before 1991
_PREFIX = re.compile(r"^(eeg|pos)[\s_:]+", re.IGNORECASE)
# A common reference at the end says nothing about the place; mne numbers channels of equal name.
_SUFFIX = re.compile(r"([-_ ](ref|le|ar|avg|a1|a2|a1a2|a12|m1|m2|cms|0|1|2|3))+$", re.IGNORECASE)


@functools.cache
def places() -> dict[str, tuple[str, np.ndarray]]:
    """Lower-case name → (name, place) of the 10-05 system: x right, y front, z up, in centimetres."""
    name = "colin27_1005"  # as mne calls it since 1.13
    if name not in mne.channels.get_builtin_montages():
        name = "standard_1005"
    known = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    return {key.lower(): (key, 100 * np.asarray(place, dtype=np.float64)) for key, place in known.items()}


def electrode(name: str) -> str:
    """The 10-05 name of a channel ("EEG T3-REF" → "T7", "Fc5." → "FC5"), of both ends of a derivation ("EEG FPZ-CZ" →
    "Fpz-Cz"); the name as it is where it is neither."""
    bare = _SUFFIX.sub("", _PREFIX.sub("", name.strip())).strip(" .").lower()
    ends = [places().get(RENAMED.get(end, end).lower()) for end in bare.split("-")]
    known = [end[0] for end in ends if end]
    return "-".join(known) if len(known) == len(ends) <= 2 else name.strip()


def positions(names: Sequence[str]) -> np.ndarray:
    """(c, 3) places in centimetres; of a derivation ("Fpz-Cz") the point between its ends. Raises DataError for a name that
    the 10-05 system does not have."""
    rows = []
    for name in names:
        ends = [places().get(end) for end in name.lower().split("-")]
        known = [end[1] for end in ends if end]
        if not known or len(known) < len(ends):
            raise DataError(
                f"there is no montage for electrode '{name}': it is no name of the 10-05 system; rename the channel or "
                "leave it out"
            )
        rows.append(np.mean(known, 0))
    return np.stack(rows)
