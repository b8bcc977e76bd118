"""ECG: a simulator with known factors, MIT-BIH beats, LUDB and PTB-XL."""

from __future__ import annotations

from modalities.ecg import ludb, mitbih, ptbxl, simulated

__all__ = ["ludb", "mitbih", "ptbxl", "simulated"]
