"""VideoModality: what the data sets of clips share: tubelet tokens, the crop, the views and the hand-made features."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import Modality
from jepakit.types import Batch, Data, DataError, Part, Task, Tokens
from modalities.image.views import Policy, draw, recolour, resample
from modalities.signals import check_classes, token_std
from modalities.video.features import usual

LOCAL_SCALE = (0.05, 0.3)  # area of a local view (multi-crop; Caron et al. 2020)
WHOLE = "whole"  # the side input under which ``crop`` keeps the clip that ``views`` starts from
FULL = 255.0  # the largest stored value


def _full_precision(x: Tensor) -> torch.autocast:
    """Objectives ask for views inside autocast, where a sampling grid of 8 bits would be off by pixels."""
    return torch.autocast(x.device.type, enabled=False)


@functools.lru_cache(maxsize=2)
def _parts(kind: type[VideoModality], root: Path | None) -> dict[Part, Data]:
    """Every part of one data set, read once per process: boards build the same modality once per cell."""
    parts = kind.read(root)
    return check_classes(f"{kind.name}/{kind.dataset}", kind(root).tasks, parts)


class VideoModality(Modality):
    """Clips of one size, resident as uint8 (n, c, t, side, side). A subclass states the facts and how to ``read``.

    channels; frames: of a clip; side: pixels of one side; tubelet, patch: frames and pixels of a token's sides; policy: what
    views may change, the same for all frames of a clip (no blur: frames lie side by side while colours change); crop_scale:
    area of the training crop, None for none; time: the axis of ``Batch.x`` that is time (see ``jepakit.frames``).
    """

    name: ClassVar[str] = "video"
    board = (
        "vjepa", "vjepa2", "ijepa", "lejepa", "salt-sets", "salt-sets-teacher", "mae", "videomae", "simclr", "vicreg",
        "supervised", "single_frame", "shuffled", "random_init", "raw_features",
    )  # fmt: skip
    channels: ClassVar[int] = 3
    frames: ClassVar[int] = 16
    side: ClassVar[int] = 32
    tubelet: ClassVar[int] = 2
    patch: ClassVar[int] = 8
    time: ClassVar[int] = 2
    policy: ClassVar[Policy]
    crop_scale: ClassVar[tuple[float, float] | None] = None
    tasks: tuple[Task, ...] = ()

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(None if root is None else Path(root))
        across = self.side // self.patch
        self.grid = (self.frames // self.tubelet, across, across)
        self.actions = self.policy.actions
        self._scales: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @classmethod
    @abstractmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        """All parts, with the scale of train. Raises DataError naming the file and the remedy."""

    def data(self, part: Part) -> Data:
        return _parts(type(self), self.root)[part]

    def tokenizer(self, dim: int) -> nn.Module:
        return TubeletTokenizer(self.channels, self.tubelet, self.patch, self.grid, dim)

    @property
    def patch_values(self) -> int:
        return self.channels * self.tubelet * self.patch**2

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, n, channels · tubelet · patch²), channel-major inside a token, like the weight of the tokenizer."""
        return tubelets(batch.x, self.tubelet, self.patch)

    def crop(self, batch: Batch) -> Batch:
        """A random resized crop, the same for all frames of a clip, area ``crop_scale``, no mirror image.

        Identity where it would change a label. The clip itself goes along as a side input, so that ``views`` crops it.
        """
        if self.crop_scale is None:
            return batch
        window = draw(Policy(scale=self.crop_scale), len(batch), batch.x.device)
        with _full_precision(batch.x):
            x = resample(batch.x.flatten(1, 2), window, self.side).unflatten(1, batch.x.shape[1:3])
        return replace(batch, x=x, extra={**batch.extra, WHOLE: batch.x})

    def views(self, batch: Batch) -> Batch:
        return self._view(batch, self.policy.scale, self.side)

    def local_views(self, batch: Batch) -> Batch:
        """A crop of 5-30 % of the area at half the resolution, in whole patches, all frames."""
        return self._view(batch, LOCAL_SCALE, max(1, self.side // 2 // self.patch) * self.patch)

    def _view(self, batch: Batch, scale: tuple[float, float], side: int) -> Batch:
        """One crop and one change of colour per clip. Frames lie below each other while colours change, so that the
        middle grey of the contrast is that of the clip, not of each frame. Time never runs backwards."""
        whole = batch.extra.get(WHOLE, batch.x)
        channels, frames = whole.shape[1:3]
        drawn = draw(self.policy, len(whole), whole.device, scale)
        with _full_precision(whole):
            seen = resample(self.pixels(whole).flatten(1, 2), drawn, side)
            tall = seen.unflatten(1, (channels, frames)).flatten(2, 3)
            seen = recolour(tall, drawn, self.policy).unflatten(2, (frames, side))
        mean, std = self.scale(seen.device)
        extra = {name: column for name, column in batch.extra.items() if name != WHOLE}
        return replace(batch, x=(seen * FULL - mean) / std, extra={**extra, "action": drawn.action(self.policy)})

    def pixels(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """Standardised input as values in [0, 1]."""
        mean, std = self.scale(x.device)
        return (x * std + mean) / FULL

    def scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (c, 1, 1, 1) of train in stored units, on ``device``."""
        if device not in self._scales:
            scale = self.data("train").scale
            if scale is None:
                raise ValueError(f"{self.name}/{self.dataset}: read() gives clips without their scale")
            self._scales[device] = (scale[0].to(device), scale[1].to(device))
        return self._scales[device]

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        return usual(self.pixels(batch.x))

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """The folder of this data set (of a fold: of its data set) below the data root; DataError when either is missing."""
        name = f"{cls.name}/{getattr(cls, 'fold_of', None) or cls.dataset}"
        if root is None:
            raise DataError(
                f"{cls.name}/{cls.dataset} needs a data root; set JEPAKIT_DATA (or --data) to the folder that holds {name}, "
                f"{cls.remedy()}"
            )
        if not (root / name).is_dir():
            raise DataError(f"the data root {root} has no folder {name}; {cls.remedy()}")
        return root / name

    @classmethod
    def remedy(cls) -> str:
        """What to do when the files are missing or broken."""
        return "copy it again from the source"


def tubelets(x: Float[Tensor, "b c t h w"], tubelet: int, patch: int) -> Float[Tensor, "b n e"]:
    """Blocks of ``tubelet`` frames by ``patch`` × ``patch`` pixels in the order of the grid, flattened channel first."""
    blocks = x.unfold(2, tubelet, tubelet).unfold(3, patch, patch).unfold(4, patch, patch)  # b c t h w 2 p p
    return blocks.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(1, 3)


class TubeletTokenizer(nn.Module):
    """One block of frames and pixels → one token: Conv3d(channels → dim, kernel = stride), no bias.

    Coordinates are (time, row, column) of the grid. A smaller input (a local view) has fewer tokens; they are spread over
    the same extent, as interpolated position codes are.
    """

    def __init__(self, channels: int, tubelet: int, patch: int, grid: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.block, self.grid = (tubelet, patch, patch), grid
        self.project = nn.Conv3d(channels, dim, self.block, stride=self.block, bias=False)
        nn.init.trunc_normal_(self.project.weight, std=token_std(channels * tubelet * patch**2))

    def forward(self, batch: Batch) -> Tokens:
        sides = batch.x.shape[-3:]
        if any(side % block for side, block in zip(sides, self.block, strict=True)):
            raise ValueError(
                f"{sides[0]} frames of {sides[1]} × {sides[2]} pixels are no whole blocks of {self.block}; crop first"
            )
        axes = [
            (torch.arange(side // block, device=batch.x.device) + 0.5) * (full * block / side) - 0.5
            for side, block, full in zip(sides, self.block, self.grid, strict=True)
        ]
        pos = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)
        # A convolution whose stride is its kernel is one matrix product over blocks, several times faster that way.
        x = tubelets(batch.x, self.block[0], self.block[1]) @ self.project.weight.flatten(1).T
        return Tokens(x, pos.expand(len(batch.x), -1, -1))
