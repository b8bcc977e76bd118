"""EEG: a simulator with known factors, and EEGMAT."""

from __future__ import annotations

from modalities.eeg import eegmat, simulated

__all__ = ["eegmat", "simulated"]
