"""Adapters: one folder or file per modality; importing this package registers every data set."""

from __future__ import annotations

from modalities import ecg, eeg, image

__all__ = ["ecg", "eeg", "image"]
from modalities import audio, ecg, image

__all__ = ["audio", "ecg", "image"]
