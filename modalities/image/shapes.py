"""Shapes: silhouettes with known pose, number and nuisances on textured grounds; and the same under radar speckle.

The pose (x, y, radius, turn) is asked where it is defined: of scenes with one object, its turn not of discs and rings.
``segment`` asks of every patch of every fourth image what covers most of it: the ground or a figure.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part, Task
from modalities.image.base import ImageModality
from modalities.image.parts import Images, assemble
from modalities.image.scenes import HUES, TEXTURES, Scenes, render
from modalities.image.silhouettes import NAMES, ORDERS
from modalities.image.views import Policy

COUNTS = ("1", "2", "3", "4")
SEGMENTED = 4  # every how many images have labels per patch: 64,000 patches of train are plenty for a linear probe


def labels(scenes: Scenes, patch: int) -> dict[str, np.ndarray]:
    """Every task's label of every scene; NaN where a pose is not defined."""
    factors = scenes.factors
    alone = factors["count"] == 0
    turned = alone & (ORDERS[factors["figure"]] > 0)
    side = scenes.cover.shape[-1] // patch
    asked = (np.arange(len(alone)) % SEGMENTED == 0)[:, None]
    share = scenes.cover.reshape(-1, side, patch, side, patch).mean((2, 4)).reshape(-1, side * side)
    pose = {"x": factors["x"], "y": factors["y"], "radius": factors["radius"]}
    return {
        "shape": factors["figure"],
        "count": factors["count"],
        **{name: np.where(alone, value, np.nan).astype(np.float32) for name, value in pose.items()},
        "turn": np.where(turned, factors["turn"], np.nan).astype(np.float32),
        "segment": np.where(asked, np.where(share > 0.5, 1 + factors["figure"][:, None], 0), -1),
        "texture": factors["texture"],
        "hue": factors["hue"],
        "noise": factors["noise"].astype(np.float32),
    }


@datasets.register("image/shapes")
class Shapes(ImageModality):
    """The embedded default: needs no file, takes seconds, and every factor is known."""

    dataset: ClassVar[str] = "shapes"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        title="Shapes: 1-4 silhouettes on textured grounds, 32 × 32",
        licence="Apache-2.0",
        source="modalities/image/scenes.py",
        citation="this repository; known factors in the manner of dSprites (Matthey et al. 2017)",
        unit="image",
        notes="Parts are independent draws. x, y, radius (pixels) and turn (radians) are known of scenes with one object, "
        "turn not of discs and rings; segment of every fourth image. Views keep shape, not pose; crops may cut objects off.",
    )
    looks: ClassVar[int | None] = None
    sizes: ClassVar[dict[Part, int]] = {"train": 4000, "val": 1000, "test": 2000}
    seed: ClassVar[int] = 20
    policy: ClassVar[Policy] = Policy(
        scale=(0.5, 1.0), flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2, grey=0.2, blur=0.2,
        sigma=(0.1, 0.7),
    )  # fmt: skip
    tasks = (
        Task("shape", "class", "accuracy", NAMES),
        Task("count", "class", "accuracy", COUNTS),
        *(Task(name, "regression", "r2") for name in ("x", "y", "radius", "turn")),
        Task("segment", "dense", "miou", ("ground", *NAMES)),
        Task("texture", "class", "accuracy", TEXTURES, nuisance=True),
        Task("hue", "class", "accuracy", HUES, nuisance=True),
        Task("noise", "regression", "r2", nuisance=True),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        asked = {task.name for task in cls.tasks}
        parts: dict[Part, Images] = {}
        for rank, (part, size) in enumerate(cls.sizes.items()):
            scenes = render(size, cls.seed + rank, side=cls.side, channels=cls.channels, looks=cls.looks)
            known = {name: column for name, column in labels(scenes, cls.patch).items() if name in asked}
            parts[part] = Images(scenes.image, known, np.array([f"{part}{i:05d}" for i in range(size)]))
        return assemble(f"{cls.name}/{cls.dataset}", parts)


@datasets.register("image/speckle")
class Speckle(Shapes):
    """The scenes of Shapes in one channel under multiplicative speckle: what a radar image does to gradients."""

    dataset: ClassVar[str] = "speckle"
    card: ClassVar[Card] = Card(
        title="Shapes under 4-look speckle, one channel, 32 × 32",
        licence="Apache-2.0",
        source="modalities/image/scenes.py",
        citation="this repository; speckle statistics: Goodman 1976, JOSA 66(11):1145-1150",
        unit="image",
        notes="Not a radar simulator: only the multiplicative noise of one. Tasks as in image/shapes, without hue.",
    )
    channels: ClassVar[int] = 1
    looks: ClassVar[int | None] = 4
    seed: ClassVar[int] = 40
    policy: ClassVar[Policy] = Policy(scale=(0.5, 1.0), flip=0.5, brightness=0.4, contrast=0.4)
    tasks = tuple(task for task in Shapes.tasks if task.name != "hue")
