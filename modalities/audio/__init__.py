"""Sound: a synthesiser with known factors, scenes at two ears, spoken digits, environmental sounds, speech commands, any
folder."""

from __future__ import annotations

from modalities.audio import simulated  # isort: skip  # first: the default
from modalities.audio import esc, folders, fsdd, scenes

__all__ = ["esc", "folders", "fsdd", "scenes", "simulated"]
