"""EEG: a simulator with known factors, EEGMAT, motor imagery and TUAB."""

from __future__ import annotations

from modalities.eeg import eegmat, motor, simulated, tuab

__all__ = ["eegmat", "motor", "simulated", "tuab"]
