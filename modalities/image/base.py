"""ImageModality: what the image data sets share: patch tokens, the crop, the views and the hand-made features."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.types import Batch, Data, DataError, Part, Task, Tokens
from modalities.image.features import usual
from modalities.image.views import Policy, draw, recolour, resample
from modalities.signals import check_classes, token_std

LOCAL_SCALE = (0.05, 0.3)  # area of a local view (multi-crop; Caron et al. 2020, LeJEPA)
WHOLE = "whole"  # the side input under which ``crop`` keeps the image that ``views`` starts from
FULL = 255.0  # the largest stored value


def _full_precision(x: Tensor) -> torch.autocast:
    """Objectives ask for views inside autocast, where a sampling grid of 8 bits would be off by pixels."""
    return torch.autocast(x.device.type, enabled=False)


@functools.lru_cache(maxsize=2)
def _parts(kind: type[ImageModality], root: Path | None) -> dict[Part, Data]:
    """Every part of one data set, read once per process: boards build the same modality once per cell."""
    parts = kind.read(root)
    return check_classes(f"{kind.name}/{kind.dataset}", kind(root).tasks, parts)


class ImageModality(Modality):
    """Square images of one size, resident as uint8 (n, c, side, side). A subclass states the facts and how to ``read``.

    channels; side: pixels of one side; patch: pixels of a token's side; policy: what views may change; photograph:
    whether training batches are cropped (see ``crop``).
    """

    name: ClassVar[str] = "image"
    board = (
        "ijepa", "lejepa", "visreg", "cjepa", "data2vec", "salt", "random-teacher", "dmt", "dseq", "sparse", "seq", "sie",
        "sar", "mae", "salt-teacher", "simclr", "vicreg", "supervised", "random_init", "raw_features",
    )  # fmt: skip
    channels: ClassVar[int] = 3
    side: ClassVar[int] = 32
    patch: ClassVar[int] = 4
    policy: ClassVar[Policy]
    crop_scale: ClassVar[tuple[float, float] | None] = None
    tasks: tuple[Task, ...] = ()

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(None if root is None else Path(root))
        self.grid = (self.side // self.patch, self.side // self.patch)
        self.actions = self.policy.actions
        self._scales: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @classmethod
    @abstractmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        """All parts, with the scale of train. Raises DataError naming the file and the remedy."""

    def data(self, part: Part) -> Data:
        return _parts(type(self), self.root)[part]

    def tokenizer(self, dim: int) -> nn.Module:
        return PatchTokenizer(self.channels, self.patch, self.grid, dim)

    @property
    def patch_values(self) -> int:
        return self.channels * self.patch**2

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, n, channels · patch²), channel-major inside a token, like the weight of the tokenizer."""
        return F.unfold(batch.x, self.patch, stride=self.patch).mT

    def crop(self, batch: Batch) -> Batch:
        """A random resized crop of photographs: I-JEPA's only augmentation, area ``crop_scale``, no mirror image.

        Identity where a crop would change a label (position, size, number) or cut a centred digit. The image itself goes
        along as a side input, so that ``views`` crops it, not the crop.
        """
        if self.crop_scale is None:
            return batch
        window = draw(Policy(scale=self.crop_scale), len(batch), batch.x.device)
        with _full_precision(batch.x):
            x = resample(batch.x, window, self.side)
        return replace(batch, x=x, extra={**batch.extra, WHOLE: batch.x})

    def views(self, batch: Batch) -> Batch:
        return self._view(batch, self.policy.scale, self.side)

    def local_views(self, batch: Batch) -> Batch:
        """A crop of 5-30 % of the area at half the resolution, in whole patches, changed in colour as ``views`` are."""
        return self._view(batch, LOCAL_SCALE, max(1, self.side // 2 // self.patch) * self.patch)

    def _view(self, batch: Batch, scale: tuple[float, float], side: int) -> Batch:
        whole = batch.extra.get(WHOLE, batch.x)
        drawn = draw(self.policy, len(whole), whole.device, scale)
        with _full_precision(whole):
            seen = recolour(resample(self.pixels(whole), drawn, side), drawn, self.policy)
        mean, std = self.scale(seen.device)
        extra = {name: column for name, column in batch.extra.items() if name != WHOLE}
        return replace(batch, x=(seen * FULL - mean) / std, extra={**extra, "action": drawn.action(self.policy)})

    def pixels(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Standardised input as values in [0, 1]."""
        mean, std = self.scale(x.device)
        return (x * std + mean) / FULL

    def scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (c, 1, 1) of train in stored units, on ``device``."""
        if device not in self._scales:
            scale = self.data("train").scale
            if scale is None:
                raise ValueError(f"{self.name}/{self.dataset}: read() gives images without their scale")
            self._scales[device] = (scale[0].to(device), scale[1].to(device))
        return self._scales[device]

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        return usual(self.pixels(batch.x))

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """The folder of this data set below the data root; DataError when either is missing."""
        name = f"{cls.name}/{cls.dataset}"
        if root is None:
            raise DataError(
                f"{name} needs a data root; {cls.remedy()} or set JEPAKIT_DATA (or --data) to the folder that holds {name}"
            )
        folder = root / cls.name / cls.dataset
        if not folder.is_dir():
            raise DataError(
                f"the data root {root} has no folder {name}; {cls.remedy()} or set JEPAKIT_DATA (or --data) to the "
                "folder that holds it"
            )
        return folder

    @classmethod
    def remedy(cls) -> str:
        """What to do when the files are missing or broken."""
        return f"run `make data MODALITY=image DATASET={cls.dataset}`"


class PatchTokenizer(nn.Module):
    """One square patch → one token: Conv2d(channels → dim, kernel = stride = patch), no bias.

    Coordinates are rows and columns of the grid. A smaller input (a local view) has fewer tokens; they are spread
    over the same extent, as interpolated position codes are.
    """

    def __init__(self, channels: int, patch: int, grid: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.project = nn.Conv2d(channels, dim, patch, stride=patch, bias=False)
        nn.init.trunc_normal_(self.project.weight, std=token_std(channels * patch**2))

    def forward(self, batch: Batch) -> Tokens:
        sides = batch.x.shape[-2:]
        if any(side % self.patch for side in sides):
            raise ValueError(f"{sides[0]} × {sides[1]} pixels are no whole patches of {self.patch}; crop first")
        axes = [
            (torch.arange(side // self.patch, device=batch.x.device) + 0.5) * (full * self.patch / side) - 0.5
            for side, full in zip(sides, self.grid)
        ]
        pos = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
        return Tokens(self.project(batch.x).flatten(2).mT, pos.expand(len(batch), -1, -1))
