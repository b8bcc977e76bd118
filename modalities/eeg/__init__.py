"""EEG: a simulator with known factors, EEGMAT, motor imagery, sleep stages, TUAB and any BIDS folder."""

from __future__ import annotations

from modalities.eeg import bids, eegmat, motor, simulated, sleep, tuab

__all__ = ["bids", "eegmat", "motor", "simulated", "sleep", "tuab"]
