"""Anatomy: bodies of ellipsoids with organs and lesions, cut into thick slices; every factor is known.

Lengths are in pixels of a slice. All arithmetic is sums and products in one order, rounded to bytes at the end, so that
volumes do not depend on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

SITES = ("none", "liver", "spleen", "kidney")
# Centre relative to the body's (across, down, along), its half axes (low, high) and brightness: air is 0.
ORGANS: dict[str, tuple[tuple[float, ...], tuple[tuple[float, float], ...], float]] = {
    "liver": ((-5.5, -1.5, -5.0), ((5.0, 6.5), (5.0, 6.5), (8.0, 12.0)), 115.0),
    "spleen": ((6.5, 0.0, -4.0), ((2.6, 3.4), (3.0, 4.2), (6.0, 9.0)), 135.0),
    "kidney": ((-5.0, 4.5, 6.0), ((2.0, 2.6), (2.0, 2.8), (5.0, 8.0)), 155.0),
    "other kidney": ((5.0, 4.5, 6.0), ((2.0, 2.6), (2.0, 2.8), (5.0, 8.0)), 155.0),
    "spine": ((0.0, 5.5, 0.0), ((2.0, 2.5), (2.0, 2.5), (80.0, 90.0)), 210.0),
}
BODY = ((12.0, 15.0), (9.5, 12.5), (22.0, 30.0))
SOFT, MIDDLE = 70.0, 40.0  # brightness of the body, and the one that contrast leaves as it is
MOST = 3  # lesions
CHUNK = 32  # volumes that are drawn at once


@dataclass(frozen=True)
class Volumes:
    """volume: (n, 1, slices, side, side); factors by name, each (n,)."""

    volume: UInt8[np.ndarray, "n 1 d h w"]
    factors: dict[str, np.ndarray]


@dataclass(frozen=True)
class Balls:
    """One ellipsoid per volume. centre, axes: (n, 3) across, down, along; value: brightness."""

    centre: Float[np.ndarray, "n 3"]
    axes: Float[np.ndarray, "n 3"]
    value: Float[np.ndarray, "n"]

    def cover(self, rows: slice, places: tuple[np.ndarray, ...], blur: float = 0.0) -> np.ndarray:
        """Share of each voxel inside, edges one pixel soft: (rows, d, h, w). places: of voxels along (rows, d), down (h,)
        and across (w,); blur: half the thickness of a slice (rows,) over which it sees."""
        along, down, across = places
        centre, axes = self.centre[rows], self.axes[rows]
        z = np.maximum(np.abs(along - centre[:, 2:]) - blur, 0) / axes[:, 2:]
        y = (down - centre[:, 1:2]) / axes[:, 1:2]
        x = (across - centre[:, :1]) / axes[:, :1]
        inside = 1 - ((z * z)[:, :, None, None] + (y * y)[:, None, :, None] + (x * x)[:, None, None, :])
        inside *= (np.minimum(axes[:, 0], axes[:, 1]) / 2)[:, None, None, None]
        inside += 0.5
        return np.clip(inside, 0, 1, out=inside)


def ellipsoids(rng: np.random.Generator, n: int) -> dict[str, Balls]:
    """The body and its organs, in the order in which they are drawn one over another."""
    body = Balls(
        rng.uniform(-1, 1, (n, 3)) * [1, 1, 2], np.stack([rng.uniform(*pair, n) for pair in BODY], 1),
        SOFT + rng.uniform(-8, 8, n),
    )  # fmt: skip
    made = {"body": body}
    for name, (centre, axes, value) in ORGANS.items():
        made[name] = Balls(
            body.centre + centre + rng.uniform(-0.7, 0.7, (n, 3)),
            np.stack([rng.uniform(*pair, n) for pair in axes], 1),
            value + rng.uniform(-10, 10, n),
        )
    return made


def lesions(rng: np.random.Generator, organs: dict[str, Balls], site: np.ndarray, count: np.ndarray) -> list[Balls]:
    """Balls inside the organ of ``site``, each in an octant of its own; brighter than the organ by 60 to 90, all of them
    alike. Axes are 0 where a volume has fewer."""
    n = len(site)
    other = (site == SITES.index("kidney")) & (rng.random(n) < 0.5)
    hosts = [organs[name] for name in ("liver", "liver", "spleen", "kidney")]  # the first is never drawn
    which = np.where(other, len(hosts), site)
    hosts.append(organs["other kidney"])
    row = np.arange(n)
    centre, axes, value = (
        np.stack([getattr(host, name) for host in hosts])[which, row] for name in ("centre", "axes", "value")
    )
    value = value + rng.uniform(60, 90, n)
    octant = np.argsort(rng.random((n, 8)), axis=1)[:, :MOST]
    made = []
    for i in range(MOST):
        sign = (octant[:, i, None] >> np.arange(3) & 1) * 2.0 - 1
        place = centre + axes * sign * rng.uniform(0.35, 0.5, (n, 3))
        radius = np.where(count > i, rng.uniform(1.4, 2.0, n), 0)
        made.append(Balls(place, np.repeat(radius[:, None], 3, 1), value))
    return made


def render(n: int, seed: int, *, side: int = 32, slices: int = 12) -> Volumes:
    """``n`` volumes of one channel. The same seed gives the same volumes."""
    rng = np.random.default_rng(seed)
    site = rng.integers(0, len(SITES), n)
    count = np.where(site > 0, rng.integers(1, MOST + 1, n), 0)
    organs = ellipsoids(rng, n)
    spots = lesions(rng, organs, site, count)
    thick, contrast, noise = rng.uniform(2.4, 3.2, n), rng.uniform(0.7, 1.3, n), rng.uniform(2, 10, n)
    middle = np.arange(side) - (side - 1) / 2
    volume = np.empty((n, 1, slices, side, side), np.uint8)
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        places = ((np.arange(slices) - (slices - 1) / 2) * thick[rows, None], middle, middle)
        within = organs["body"].cover(rows, places)
        x = within * organs["body"].value[rows, None, None, None]
        for name in ORGANS:
            x += within * organs[name].cover(rows, places) * (organs[name].value[rows, None, None, None] - x)
        for ball in spots:
            real = np.flatnonzero(ball.axes[rows, 0] > 0) + start
            if len(real):
                own = tuple(place if place.ndim == 1 else place[real - start] for place in places)
                x[real - start] += ball.cover(real, own, 0.4 * thick[real, None]) * (  # type: ignore[arg-type]
                    ball.value[real, None, None, None] - x[real - start]
                )
        x = np.where(x > 0, MIDDLE * within + (x - MIDDLE * within) * contrast[rows, None, None, None], 0)
        x += noise[rows, None, None, None] * rng.standard_normal(x.shape)
        volume[rows, 0] = np.clip(np.rint(x), 0, 255)
    liver = organs["liver"].axes
    factors = {
        "site": site, "count": count, "volume": 4.18879 * liver[:, 0] * liver[:, 1] * liver[:, 2] / 1000,
        "spacing": thick, "contrast": contrast, "noise": noise,
    }  # fmt: skip
    return Volumes(volume, factors)
