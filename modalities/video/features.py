"""Hand-made video features: the mean frame, HOG of the middle frame, and statistics of change, flow and of what moves.

Appearance and motion are described apart, so that the floor is fair on either kind of question. Flow is that of Lucas and
Kanade (1981) in cells; what moves is what differs from the mean frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from modalities.image.features import hog
from modalities.image.views import luma

CELLS = 4  # per side
LAGS = (1, 2, 4)  # frames, of the autocorrelation
FLOOR = 1e-4  # of the structure tensor, so that flat cells have no flow


def flow(grey: Float[Tensor, "b t h w"]) -> Float[Tensor, "b t-1 2 y x"]:
    """Pixels per frame to the right and down of every cell between frames: least squares of I_x u + I_y v = −I_t."""
    middle = (grey[:, 1:] + grey[:, :-1]) / 2
    wide = F.pad(middle, (1, 1, 1, 1), mode="replicate")
    right = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    later = grey[:, 1:] - grey[:, :-1]
    xx, yy, xy, xt, yt = (
        cells(product) for product in (right * right, down * down, right * down, right * later, down * later)
    )
    xx, yy = xx + FLOOR, yy + FLOOR
    scale = xx * yy - xy * xy
    return torch.stack([(xy * yt - yy * xt) / scale, (xy * xt - xx * yt) / scale], 2)


def cells(x: Float[Tensor, "b t h w"]) -> Float[Tensor, "b t y x"]:
    """Means over CELLS × CELLS cells."""
    return F.adaptive_avg_pool2d(x, CELLS)


def path(grey: Float[Tensor, "b t h w"]) -> Float[Tensor, "b t 2"]:
    """Where what moves is in every frame: centre of the squared difference from the mean frame, in [−1, 1] (x, y)."""
    weight = (grey - grey.mean(1, keepdim=True)).square() + 1e-8
    total = weight.sum((2, 3))
    along = [torch.linspace(-1, 1, side, device=grey.device) for side in grey.shape[-2:]]
    x = (weight.sum(2) * along[1]).sum(-1) / total
    y = (weight.sum(3) * along[0]).sum(-1) / total
    return torch.stack([x, y], -1)


def travel(place: Float[Tensor, "b t 2"]) -> Float[Tensor, "b f"]:
    """Of a path: spread in x, in y and jointly; the area swept around its middle (signed: clockwise is positive, y points
    down); its speed, how that changes from the first half to the second, and the velocity in the middle of the clip."""
    away = place - place.mean(1, keepdim=True)
    xx, yy = away.square().mean(1).T
    xy = away.prod(-1).mean(1)
    swept = (away[:, :-1, 0] * away[:, 1:, 1] - away[:, :-1, 1] * away[:, 1:, 0]).mean(1)
    step = place.diff(dim=1)
    pace = step.norm(dim=-1)
    half = pace.shape[1] // 2
    gain = pace[:, -half:].mean(1) - pace[:, :half].mean(1)
    third = step.shape[1] // 3
    return torch.cat(
        [torch.stack([xx, yy, xy, swept, pace.mean(1), gain], 1), step[:, third : step.shape[1] - third].mean(1)], 1
    )


def memory(grey: Float[Tensor, "b t h w"]) -> Float[Tensor, "b f"]:
    """Correlation over time of what differs from the mean frame, at a few lags."""
    away = grey - grey.mean(1, keepdim=True)
    power = away.square().mean((1, 2, 3)) + 1e-8
    return torch.stack([(away[:, lag:] * away[:, :-lag]).mean((1, 2, 3)) / power for lag in LAGS], 1)


def appearance(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
    """What one frame and the mean of all frames show: HOG of the middle frame, colours of the mean frame in 8 × 8 cells."""
    middle = x[:, :, x.shape[2] // 2]
    return torch.cat([hog(middle, x.shape[-1] // 4), F.adaptive_avg_pool2d(x.mean(2), 8).flatten(1)], 1)


def motion(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
    """Mean and deviation over time of change and of flow in cells, and what the path of the moving thing is like."""
    grey = luma(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(x), -1))[:, :, 0]
    change = cells((grey[:, 1:] - grey[:, :-1]).abs())
    flows = flow(grey)
    return torch.cat(
        [
            *(column.flatten(1) for column in (change.mean(1), change.std(1), flows.mean(1), flows.std(1))),
            travel(path(grey)),
            memory(grey),
        ],
        1,
    )


def usual(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
    """Appearance, then motion, for values in [0, 1] of clips of eight frames or more."""
    return torch.cat([appearance(x), motion(x)], 1)
