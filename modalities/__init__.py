"""Adapters: one folder or file per modality; importing this package registers every data set."""

from __future__ import annotations

from modalities import audio, ecg, eeg, image, lidar, tabular, video, volume

__all__ = ["audio", "ecg", "eeg", "image", "lidar", "tabular", "video", "volume"]
