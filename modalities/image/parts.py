"""Parts: from images and labels to Data: copies between parts, the scale of train, and validation cut from train."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from jepakit.types import PARTS, Data, DataError, Part

SEED = 20  # of every cut of validation from train


@dataclass(frozen=True)
class Images:
    """One part as read. x: (n, c, h, w) uint8; labels by task as numpy arrays of n rows; unit: (n,) name of each image;
    repairs: what was mended while reading."""

    x: np.ndarray
    labels: Mapping[str, np.ndarray]
    unit: np.ndarray
    repairs: Mapping[str, int] = field(default_factory=dict)

    def take(self, index: np.ndarray) -> Images:
        """The rows at ``index``, in that order."""
        return Images(
            self.x[index], {name: column[index] for name, column in self.labels.items()}, self.unit[index], self.repairs
        )


def stratified(label: np.ndarray, share: float, seed: int = SEED) -> np.ndarray:
    """Sorted rows of a random ``share`` of each class (rounded, at least one of a class with two or more rows)."""
    random = np.random.default_rng(seed)
    chosen = []
    for code in np.unique(label):
        rows = np.flatnonzero(label == code)
        number = max(1, round(share * len(rows))) if len(rows) > 1 else 0
        chosen.append(random.permutation(rows)[:number])
    return np.sort(np.concatenate(chosen))


def cut_validation(train: Images, task: str, share: float = 0.1) -> tuple[Images, Images]:
    """(train, validation): a seeded ``share`` of each class of ``task`` leaves train."""
    held = stratified(train.labels[task], share)
    return train.take(np.setdiff1d(np.arange(len(train.x)), held)), train.take(held)


def contents(x: np.ndarray) -> np.ndarray:
    """A 16-byte hash of the pixels of each row, as (n,) bytes."""
    return np.array([hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in x], dtype="V16")


def drop_copies(parts: Mapping[Part, Images]) -> dict[Part, Images]:
    """Images that also occur, pixel by pixel, in a later part (train < val < test) leave the earlier one, counted."""
    hashes = {part: contents(parts[part].x) for part in PARTS}
    found: dict[Part, Images] = {}
    for rank, part in enumerate(PARTS):
        images, later = parts[part], PARTS[rank + 1 :]
        repairs = dict(images.repairs)
        copy = np.zeros(len(images.x), dtype=bool)
        for other in later:
            copies = np.isin(hashes[part], hashes[other]) & ~copy
            if copies.any():
                repairs[f"copies_of_{other}_dropped"] = int(copies.sum())
            copy |= copies
        kept = images.take(np.flatnonzero(~copy)) if copy.any() else images
        found[part] = Images(kept.x, kept.labels, kept.unit, repairs)
    return found


def scale_of(x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (c, 1, 1) of each channel in stored units, exact from the histogram of values."""
    values = np.arange(256, dtype=np.float64)
    mean, std = [], []
    for channel in range(x.shape[1]):
        share = np.bincount(np.ascontiguousarray(x[:, channel]).ravel(), minlength=256) / x[:, channel].size
        mean.append(float(share @ values))
        std.append(float(np.sqrt(share @ (values - mean[-1]) ** 2)))
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]


def assemble(name: str, parts: Mapping[Part, Images]) -> dict[Part, Data]:
    """All parts as Data with the scale of train, without copies between parts.

    Raises DataError for a part without images and for a train part whose images have a constant channel.
    """
    for part in PARTS:
        if not len(parts[part].x):
            raise DataError(f"{name} has no image in {part}; complete the data folder")
    checked = drop_copies(parts)
    scale = scale_of(checked["train"].x)
    if float(scale[1].min()) == 0:
        raise DataError(f"{name}: a colour channel of train is the same in every pixel; copy the data again")
    return {
        part: Data(
            torch.from_numpy(images.x),
            {name: torch.from_numpy(column) for name, column in images.labels.items()},
            images.unit,
            repairs=images.repairs,
            scale=scale,
        )
        for part, images in checked.items()
    }
