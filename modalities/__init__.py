"""Adapters: one folder or file per modality; importing this package registers every data set."""

from __future__ import annotations

from modalities import audio, ecg, eeg, image, video, volume

__all__ = ["audio", "ecg", "eeg", "image", "video", "volume"]
from modalities import audio, ecg, eeg, image, lidar

__all__ = ["audio", "ecg", "eeg", "image", "lidar"]
from modalities import audio, ecg, eeg, image, tabular

__all__ = ["audio", "ecg", "eeg", "image", "tabular"]
