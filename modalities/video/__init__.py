"""Video: a renderer of moving sprites with known factors, surveillance clips, any folder of videos."""

from __future__ import annotations

from modalities.video import sprites

__all__ = ["sprites"]
