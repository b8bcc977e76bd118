"""Hand-made features of clouds: what detectors before the deep ones rastered, per cell and for the whole plan."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from modalities.lidar.raster import Raster

COARSE = 8  # squares along each side of the coarse plan
BANDS = 4  # rings around the origin


def cells(points: Float[Tensor, "b p 4"], raster: Raster) -> Float[Tensor, "b r c 5"]:
    """Count, largest z, mean z, span of z and mean intensity of every cell, 0 where it is empty."""
    count, mean, highest, lowest, intensity = raster.statistics(points).unbind(-1)
    found = torch.stack([count, highest, mean, highest - lowest, intensity], -1)
    return found.unflatten(1, raster.sides)


def whole(points: Float[Tensor, "b p 4"], raster: Raster, height: float) -> Float[Tensor, "b f"]:
    """A coarse plan of counts, largest heights and spans, and in rings the distribution of heights, spans and intensity.

    ``height``: metres that count as one unit of z; steps of the distributions are fractions of it.
    """
    plan = cells(points, raster)
    count, highest, mean, span, intensity = plan.movedim(-1, 0)
    filled = (count > 0).float()
    maps = torch.stack([count.log1p(), highest / height, span / height], 1)
    coarse = torch.cat([F.adaptive_avg_pool2d(maps, COARSE), F.adaptive_max_pool2d(maps[:, 1:], COARSE)], 1)
    steps = [highest / height > step for step in (0.1, 0.3, 0.5, 0.7, 1.0, 2.0)]
    steps += [span / height > step for step in (0.05, 0.2, 0.4, 0.6)]
    stacked = torch.stack([filled, *(step * filled for step in steps), mean / height, intensity, count.log1p()], 1)
    axes = [(torch.arange(side, device=points.device) + 0.5) / side * 2 - 1 for side in raster.sides]
    radius = (axes[0][:, None] ** 2 + axes[1] ** 2).sqrt()
    rings = torch.stack([(radius * BANDS).floor().clamp_max(BANDS - 1) == band for band in range(BANDS)]).float()
    share = torch.einsum("bfrc,krc->bfk", stacked, rings) / rings.sum((1, 2))
    z = points[..., 2] / height
    real = raster.index(points) < raster.count
    number = real.sum(1).clamp_min(1)
    bins = torch.stack([((z > low) & real).sum(1) / number for low in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)], 1)
    overall = torch.stack(
        [number.float().log(), (z * real).sum(1) / number, (points[..., 3] * real).sum(1) / number], 1
    )
    return torch.cat([coarse.flatten(1), share.flatten(1), bins, overall], 1)
