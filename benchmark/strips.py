"""Films and volumes as pictures: frames or slices side by side, and sets of tokens laid out in the same way."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

FRAMES = 8  # at most, of an input that is shown without a set


def stretched(x: np.ndarray) -> np.ndarray:
    """Values as brightness in [0, 1], the extreme half per cent at either end cut off."""
    low, high = np.quantile(x, (0.005, 0.995))
    cut: np.ndarray = np.clip((x - low) / max(high - low, 1e-9), 0, 1)
    return cut


def picture(x: np.ndarray) -> np.ndarray | None:
    """(h, w, 3) in [0, 1] of an input (c, h, w) with 1 or 3 channels, contrast stretched; None for other inputs."""
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        return None
    return np.repeat(stretched(x).transpose(1, 2, 0), 3 // x.shape[0], axis=2)


def strip(
    x: Float[np.ndarray, "c t h w"], member: Bool[np.ndarray, "slots rows columns"] | None
) -> tuple[Float[np.ndarray, "h wide 3"], Bool[np.ndarray, "rows across"] | None]:
    """The middle frame of each slot of the grid, a white column of tokens between them, and the set on that picture; without
    a set some frames at equal distances. Channels are 1 or 3."""
    frames, wide = x.shape[1], x.shape[3]
    slots = min(FRAMES, frames) if member is None else len(member)
    gap = max(1, wide // (8 if member is None else member.shape[2]))
    middle = [(2 * slot + 1) * frames // (2 * slots) for slot in range(slots)]
    shown = stretched(x)[:, middle].transpose(1, 2, 3, 0)
    shown = np.pad(np.repeat(shown, 3 // x.shape[0], axis=3), ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=1.0)
    image = np.concatenate(list(shown), 1)
    if member is None:
        return image, None
    return image, np.concatenate([np.pad(one, ((0, 0), (0, 1))) for one in member], 1)
