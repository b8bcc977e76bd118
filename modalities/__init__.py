"""Adapters: one folder or file per modality; importing this package registers every data set."""

from __future__ import annotations

from modalities import ecg, image

__all__ = ["ecg", "image"]
