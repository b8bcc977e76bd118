"""LiDAR: simulated streets of two towns."""

from __future__ import annotations

from modalities.lidar import scenes

__all__ = ["scenes"]
