"""Video: a renderer of moving sprites with known factors, surveillance clips, any folder of videos."""

from __future__ import annotations

from modalities.video import sprites  # isort: skip  # first: the default
from modalities.video import fight, folders

__all__ = ["fight", "folders", "sprites"]
