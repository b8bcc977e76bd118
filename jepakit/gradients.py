"""Fixed targets: multi-scale gradients by ratio, which turn a multiplicative disturbance (speckle, light) into an offset."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.types import Batch, UsageError

WINDOWS = (5, 9, 13, 17)  # half-windows in pixels
FLOOR = 1e-2  # added to every mean intensity, so that the logarithm of a dark region stays finite


def ratio_gradient(x: Float[Tensor, "b h w"], half: int) -> Float[Tensor, "b h w"]:
    """√(log² R_v + log² R_h) at every pixel: R is the ratio of the mean intensities (plus FLOOR) of the two sides, each
    ``half`` deep and 2·half + 1 wide; beyond the border the input is mirrored.

    x: non-negative, both sides longer than ``half``.
    """
    height, width = x.shape[-2:]
    padded = F.pad(x[:, None], (half,) * 4, mode="reflect")
    wide = F.avg_pool2d(padded, (1, 2 * half + 1), 1)  # a box mean is the mean along one axis, then along the other
    tall = F.avg_pool2d(padded, (2 * half + 1, 1), 1)
    rows = (F.avg_pool2d(wide, (half, 1), 1) + FLOOR).log()[:, 0]
    columns = (F.avg_pool2d(tall, (1, half), 1) + FLOOR).log()[:, 0]
    down = rows[:, :height] - rows[:, half + 1 :]
    right = columns[..., :width] - columns[..., half + 1 :]
    return (down.square() + right.square()).sqrt()


class RatioGradients(nn.Module):
    """Batch → one vector per token: the gradient maps of all half-windows under the token, flattened map by map.

    Several channels are averaged to one intensity. Half-windows default to those of WINDOWS that are shorter than both sides
    of the input. Raises UsageError for inputs that are no images, store no intensities, or do not divide into the grid.
    """

    def __init__(self, modality: Modality, windows: tuple[int, ...] | None = None) -> None:
        super().__init__()
        one = modality.crop(modality.data("train").batch(torch.zeros(1, dtype=torch.long)))
        shape, grid = tuple(modality.intensity(one).shape[1:]), modality.grid
        where = f"a row of {modality.name}/{modality.dataset} has shape {shape}, its grid is {grid}"
        if len(shape) != 3 or len(grid) != 2 or shape[1] % grid[0] or shape[2] % grid[1]:
            raise UsageError(f"ratio gradients need images (channels, height, width) in equal patches; {where}")
        self.modality = modality
        self.patch = (shape[1] // grid[0], shape[2] // grid[1])
        shorter = min(shape[1:])
        self.windows = tuple(half for half in WINDOWS if half < shorter) if windows is None else windows
        if not self.windows or min(self.windows) < 1 or max(self.windows) >= shorter:
            raise UsageError(f"half-windows are 1 to {shorter - 1} pixels here, not {self.windows}; set recipe.windows")
        self.width = len(self.windows) * self.patch[0] * self.patch[1]

    def forward(self, batch: Batch) -> Float[Tensor, "b n e"]:
        with torch.autocast(batch.x.device.type, enabled=False):
            grey = self.modality.intensity(batch).float().mean(1)
            maps = torch.stack([ratio_gradient(grey, half) for half in self.windows], 1)
            return F.unfold(maps, self.patch, stride=self.patch).mT
