"""LiDAR: simulated streets of two towns, KITTI, folders of sweeps, tree crowns and buildings from the air."""

from __future__ import annotations

from modalities.lidar import scenes  # isort: skip  # first: the default
from modalities.lidar import ign, kitti, neon, sweeps

__all__ = ["ign", "kitti", "neon", "scenes", "sweeps"]
