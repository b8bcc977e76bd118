"""Nuisances over images: ``image/nuisance-none`` and ``image/nuisance-<kind>-<strength>`` are the scenes of
``image/shapes`` under one of the kinds of ``nuisances``.

``noise`` is drawn anew for every pixel of every channel. ``waves`` is one plane wave an image, longer than a patch, that
every channel sees in its own size: what is in sight tells the rest. At strength 1 both have a standard deviation of UNIT. So
that they have room, scenes keep a share of their contrast, which is the same at every strength, the one without a nuisance
included; the few values that still leave the range of a pixel are cut off.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part
from modalities.controlled.nuisances import STREAM, level, sizes
from modalities.image.base import FULL
from modalities.image.parts import Images, assemble
from modalities.image.shapes import Shapes

CONTRAST = 0.4  # of the scenes, about the middle of the range
UNIT = 0.06  # standard deviation at strength 1, as a share of full intensity
WAVE = (10.0, 20.0)  # pixels, of the plane wave: two and a half to five patches
CHUNK = 500  # images veiled at once, to bound memory


class Veiled(Shapes):
    """The scenes of ``image/shapes`` with less contrast and one nuisance over them."""

    aside: ClassVar[bool] = True
    kind: ClassVar[str]
    strength: ClassVar[float]
    tasks = tuple(task for task in Shapes.tasks if not task.nuisance)

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        parts: dict[Part, Images] = {}
        for number, (part, data) in enumerate(super().read(root).items()):
            random = np.random.default_rng([cls.seed, STREAM, number])
            x, size = data.x.numpy(), cls.strength * UNIT
            image = np.concatenate(
                [veiled(x[at : at + CHUNK], cls.kind, size, random) for at in range(0, len(x), CHUNK)]
            )
            parts[part] = Images(image, {name: label.numpy() for name, label in data.labels.items()}, data.unit)
        return assemble(f"{cls.name}/{cls.dataset}", parts)


def veiled(image: np.ndarray, kind: str, size: float, random: np.random.Generator) -> np.ndarray:
    """(n, c, h, w) uint8 of images (n, c, h, w) uint8 under a nuisance of standard deviation ``size`` (of full
    intensity)."""
    scene = 0.5 + CONTRAST * (image / np.float32(FULL) - 0.5)
    veil = (noise if kind == "noise" else waves)(image.shape, random)
    return np.asarray(np.rint((scene + size * veil).clip(0, 1) * FULL).astype(np.uint8))


def noise(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Independent draws of unit variance for every pixel of every channel."""
    return random.standard_normal(shape, dtype=np.float32)


def waves(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """One plane wave of each image (n, c, h, w), in a size of its own in each channel; root mean square about 1."""
    n, channels, height, width = shape
    length, angle, phase = (random.uniform(*ends, (n, 1, 1, 1)) for ends in (WAVE, (0.0, np.pi), (0.0, 2 * np.pi)))
    size = sizes(random, n, channels)[..., None, None]
    along = np.cos(angle) * np.arange(width) + np.sin(angle) * np.arange(height)[:, None]
    return np.asarray(np.sqrt(2) * size * np.sin(2 * np.pi * along / length + phase), dtype=np.float32)


@datasets.register_family("image/nuisance-")
@functools.cache
def image(rest: str) -> type[Veiled]:
    """The class of ``image/nuisance-none`` or ``image/nuisance-<kind>-<strength>``."""
    kind, strength = level(rest, "image/nuisance-")
    card = Card(
        title=f"{Shapes.card.title}; nuisance {rest}",
        licence=Shapes.card.licence,
        source="modalities/controlled/veils.py",
        citation="this repository",
        unit=Shapes.card.unit,
        notes=f"{CONTRAST:.0%} of the contrast of image/shapes, so that nuisances have room.",
    )
    facts = {
        "dataset": f"nuisance-{rest}", "kind": kind, "strength": strength, "card": card, "__module__": __name__,
        "__doc__": f"Nuisance {rest} over scenes.",
    }  # fmt: skip
    return type(f"Veiled_{rest}", (Veiled,), facts)
