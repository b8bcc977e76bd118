"""Phantoms: volumes of ellipsoid anatomy with lesions; a data set of clips whose frames are slices, and a foreground.

All that a volume needs beyond a clip stands here: which tokens are foreground, in the data and in every view of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Batch, Card, Data, Part, Task
from modalities.image.parts import Images
from modalities.image.views import Policy, draw, recolour, resample
from modalities.video.base import FULL, VideoModality, tubelets
from modalities.video.parts import assemble
from modalities.volume.anatomy import MOST, SITES, render

AIR = 40.0  # what is brighter is body: the noise of air stays below in all but a few voxels
SHARE = 1 / 8  # of a token's voxels that make it foreground


@datasets.register("volume/phantoms")
class Phantoms(VideoModality):
    """The embedded default: needs no file, takes seconds, and every factor is known."""

    name: ClassVar[str] = "volume"
    dataset: ClassVar[str] = "phantoms"
    embedded: ClassVar[bool] = True
    board: ClassVar[Any] = (
        "voljepa", "vjepa", "ijepa", "lejepa", "salt", "mae", "videomae", "simclr", "vicreg", "supervised", "random_init",
        "raw_features",
    )  # fmt: skip
    card: ClassVar[Card] = Card(
        title="Phantoms: bodies of ellipsoids with lesions in one organ, 12 slices of 32 × 32",
        licence="Apache-2.0",
        source="modalities/volume/anatomy.py",
        citation="this repository; in the manner of the head phantom of Shepp and Logan (1974)",
        unit="volume",
        notes="Parts are independent draws. A quarter has no lesion. Slices are 2.4 to 3.2 pixels thick. volume is the "
        "liver's, in thousands of pixels cubed. No label depends on left or right.",
    )
    channels: ClassVar[int] = 1
    frames: ClassVar[int] = 12
    tubelet: ClassVar[int] = 3
    patch: ClassVar[int] = 4
    sizes: ClassVar[dict[Part, int]] = {"train": 1500, "val": 400, "test": 800}
    seed: ClassVar[int] = 80
    policy: ClassVar[Policy] = Policy(scale=(0.7, 1.0), flip=0.5, brightness=0.3, contrast=0.3)
    tasks = (
        Task("lesion", "class", "accuracy", SITES),
        Task("lesions", "class", "accuracy", tuple(map(str, range(MOST + 1)))),
        Task("volume", "regression", "r2"),
        Task("contrast", "regression", "r2", nuisance=True),
        Task("noise", "regression", "r2", nuisance=True),
        Task("spacing", "regression", "r2", nuisance=True),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        parts: dict[Part, Images] = {}
        for rank, (part, size) in enumerate(cls.sizes.items()):
            made = render(size, cls.seed + rank, side=cls.side, slices=cls.frames)
            known = {name: made.factors[name].astype(np.float32) for name in ("volume", "contrast", "noise", "spacing")}
            known |= {"lesion": made.factors["site"], "lesions": made.factors["count"]}
            parts[part] = Images(made.volume, known, np.array([f"{part}{i:05d}" for i in range(size)]))
        found = assemble(f"{cls.name}/{cls.dataset}", parts)
        return {part: replace(data, extra={"occupied": cls.occupied(data.x)}) for part, data in found.items()}

    @classmethod
    def occupied(cls, x: Tensor) -> Bool[Tensor, "b n"]:
        """Which tokens of (b, 1, d, h, w) in stored units are foreground."""
        return tubelets((x > AIR).float(), cls.tubelet, cls.patch).mean(-1) >= SHARE

    def _view(self, batch: Batch, scale: tuple[float, float], side: int) -> Batch:
        """One crop in the plane and one change of brightness per volume, with the foreground of what is left."""
        drawn = draw(self.policy, len(batch), batch.x.device, scale)
        with torch.autocast(batch.x.device.type, enabled=False):
            seen = resample(self.pixels(batch.x).flatten(1, 2), drawn, side)[:, None]
            occupied = self.occupied(seen * FULL)
            seen = recolour(seen.flatten(2, 3), drawn, self.policy).unflatten(2, (self.frames, side))
        mean, std = self.scale(seen.device)
        extra = {**batch.extra, "occupied": occupied, "action": drawn.action(self.policy)}
        return replace(batch, x=(seen * FULL - mean) / std, extra=extra)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """Histogram of brightness, and means and deviations in the cells of the tokens' grid."""
        x = self.pixels(batch.x)
        edges = torch.linspace(0, 1, 33, device=x.device)[1:-1]
        level = torch.bucketize(x.flatten(1).contiguous(), edges)
        histogram = torch.zeros(len(x), 32, device=x.device).scatter_add_(
            1, level, torch.ones_like(level, dtype=x.dtype)
        )
        cells = tubelets(x, self.tubelet, self.patch)
        return torch.cat([histogram / level.shape[1], cells.mean(-1), cells.std(-1)], 1)
