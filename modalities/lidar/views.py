"""Views of a cloud: turned about the vertical, mirrored, scaled, thinned and shaken, as AD-L-JEPA and detectors do it
(rotation ±45°, mirror image, scale 0.95 to 1.05; Zhu et al. 2026), drawn per sample without host synchronisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FAR = -327.68  # metres: the x of a row without a point (``clouds.ABSENT``)


@dataclass(frozen=True)
class Policy:
    """How far a view may go. angle: largest turn in degrees; mirror: probability of y → −y; scale: largest deviation of the
    factor from 1; drop: largest share of points that leave; jitter: metres, standard deviation of every coordinate."""

    angle: float = 45.0
    mirror: float = 0.5
    scale: float = 0.05
    drop: float = 0.3
    jitter: float = 0.02

    actions = ("turn", "mirror", "scale", "drop")


def view(points: Float[Tensor, "b p 4"], policy: Policy) -> tuple[Float[Tensor, "b p 4"], Float[Tensor, "b a"]]:
    """One view of each cloud and its parameters as shares of the largest ones. Points that leave are moved to FAR."""
    b, p = points.shape[:2]
    device = points.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(b, device=device)

    share = torch.stack([uniform(-1, 1), (uniform(0, 1) < policy.mirror).float(), uniform(-1, 1), uniform(0, 1)], 1)
    angle, factor = share[:, 0] * math.radians(policy.angle), 1 + policy.scale * share[:, 2]
    sign = 1 - 2 * share[:, 1]
    cos, sin = (angle.cos() * factor)[:, None], (angle.sin() * factor)[:, None]
    x, y, z = points[..., 0], points[..., 1] * sign[:, None], points[..., 2] * factor[:, None]
    moved = torch.stack([cos * x - sin * y, sin * x + cos * y, z], -1)
    moved = moved + policy.jitter * torch.randn(b, p, 3, device=device)
    gone = (torch.rand(b, p, device=device) < policy.drop * share[:, 3:]) | (x < FAR + 1)
    away = torch.where(gone, FAR, moved[..., 0])
    return torch.cat([away[..., None], moved[..., 1:], points[..., 3:]], -1), share


def real_first(points: Float[Tensor, "b p 4"], inside: Tensor) -> tuple[Float[Tensor, "b p 4"], Tensor]:
    """The points (b, P, 4) with those that are ``inside`` (b, P) in front and the others at FAR; how many there are (b,)."""
    order = inside.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
    number = inside.sum(1)
    kept = points.gather(1, order[..., None].expand_as(points))
    real = torch.arange(points.shape[1], device=points.device) < number[:, None]
    nowhere = FAR * (torch.arange(points.shape[2], device=points.device) == 0)
    return torch.where(real[..., None], kept, nowhere.to(points.dtype)), number
