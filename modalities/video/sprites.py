"""Sprites: clips whose motion, appearance, speed, direction, order and number are known and asked for apart."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part, Task
from modalities.image.parts import Images
from modalities.image.views import Policy
from modalities.video.base import VideoModality
from modalities.video.parts import assemble
from modalities.video.paths import MOTIONS, ORDERS
from modalities.video.renderer import FIGURES, HUES, TEXTURES, Clips, render

COUNTS = ("1", "2")


def labels(clips: Clips) -> dict[str, np.ndarray]:
    """Every task's label of every clip; the heading is that of a sprite that is alone, NaN elsewhere."""
    factors = clips.factors
    alone = factors["count"] == 0
    return {
        "motion": factors["motion"],
        "appearance": factors["figure"],
        "order": factors["order"],
        "count": factors["count"],
        "speed": factors["speed"].astype(np.float32),
        "heading_x": np.where(alone, factors["heading_x"], np.nan).astype(np.float32),
        "heading_y": np.where(alone, factors["heading_y"], np.nan).astype(np.float32),
        "texture": factors["texture"],
        "hue": factors["hue"],
        "noise": factors["noise"].astype(np.float32),
    }


@datasets.register("video/sprites")
class Sprites(VideoModality):
    """The embedded default: needs no file, takes seconds, and every factor is known."""

    dataset: ClassVar[str] = "sprites"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        title="Sprites: one or two textured figures that move in round pens, 16 frames of 32 × 32",
        licence="Apache-2.0",
        source="modalities/video/renderer.py",
        citation="this repository; in the manner of Moving MNIST (Srivastava et al. 2015) with known factors",
        unit="clip",
        notes="Parts are independent draws. No single frame tells motion, order or speed; frames without their "
        "order tell neither order nor the sense of a circle. speed in pixels a frame; heading_x, heading_y of clips with "
        "one sprite, in the middle of the clip.",
    )
    sizes: ClassVar[dict[Part, int]] = {"train": 3000, "val": 600, "test": 1200}
    seed: ClassVar[int] = 60
    # No mirror image: it turns clockwise round. Crops hold most of the frame, so that motion stays what it is.
    policy: ClassVar[Policy] = Policy(
        scale=(0.6, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2, grey=0.2
    )  # fmt: skip
    tasks = (
        Task("motion", "class", "accuracy", MOTIONS),
        Task("appearance", "class", "accuracy", FIGURES),
        Task("order", "class", "accuracy", ORDERS),
        Task("count", "class", "accuracy", COUNTS),
        Task("speed", "regression", "r2"),
        Task("heading_x", "regression", "r2"),
        Task("heading_y", "regression", "r2"),
        Task("texture", "class", "accuracy", TEXTURES, nuisance=True),
        Task("hue", "class", "accuracy", HUES, nuisance=True),
        Task("noise", "regression", "r2", nuisance=True),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        parts: dict[Part, Images] = {}
        for rank, (part, size) in enumerate(cls.sizes.items()):
            clips = render(size, cls.seed + rank, side=cls.side, frames=cls.frames)
            parts[part] = Images(clips.clip, labels(clips), np.array([f"{part}{i:05d}" for i in range(size)]))
        return assemble(f"{cls.name}/{cls.dataset}", parts)
