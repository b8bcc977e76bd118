"""IDX: Fashion-MNIST from the four files of its authors, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, DataError, Part, Task
from modalities.image.base import ImageModality
from modalities.image.parts import Images, assemble, cut_validation
from modalities.image.views import Policy

FILES = {"train": "train", "test": "t10k"}


def read_idx(folder: Path, name: str, axes: int, remedy: str) -> np.ndarray:
    """The uint8 array in ``name`` or ``name``.gz with ``axes`` axes.

    Raises DataError when the file is missing, has another header, or is longer or shorter than its header says.
    """
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise DataError(f"{folder} has no file {name} or {name}.gz; {remedy}")
    try:
        content = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the file {path} is damaged or half-copied ({error}); {remedy}") from error
    head = 4 + 4 * axes
    if len(content) < head or content[:4] != bytes([0, 0, 8, axes]):
        raise DataError(f"the file {path} does not begin as an IDX file of {axes} axes of bytes does; {remedy}")
    shape = struct.unpack(f">{axes}I", content[4:head])
    if len(content) - head != math.prod(shape):
        what = "shorter" if len(content) - head < math.prod(shape) else "longer"
        raise DataError(f"the file {path} is {what} than its header says; {remedy}")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()


@datasets.register("image/fashion-mnist")
class FashionMnist(ImageModality):
    """28 × 28 grey pictures of clothes in 7 × 7 patches; the official test part."""

    dataset: ClassVar[str] = "fashion-mnist"
    card: ClassVar[Card] = Card(
        title="Fashion-MNIST",
        licence="MIT",
        source="https://github.com/zalandoresearch/fashion-mnist",
        citation="Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747",
        unit="image",
        notes="Split: official test; validation is a seeded 10 % of each class of train.",
    )
    channels: ClassVar[int] = 1
    side: ClassVar[int] = 28
    policy: ClassVar[Policy] = Policy(
        scale=(0.5, 1.0), ratio=(0.85, 1.18), flip=0.5, brightness=0.4, contrast=0.4, blur=0.2, sigma=(0.1, 0.8)
    )
    tasks = (
        Task(
            "label", "class", "accuracy",
            ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
    )  # fmt: skip

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder, parts = cls.folder(root), {}
        for part, stem in FILES.items():
            x = read_idx(folder, f"{stem}-images-idx3-ubyte", 3, cls.remedy())
            label = read_idx(folder, f"{stem}-labels-idx1-ubyte", 1, cls.remedy()).astype(np.int64)
            if len(x) != len(label) or x.shape[1:] != (cls.side, cls.side) or (label > 9).any():
                raise DataError(
                    f"the files {stem}-* in {folder} do not belong together ({len(x)} images of "
                    f"{x.shape[1]} × {x.shape[2]} pixels, {len(label)} labels up to {label.max(initial=0)}); {cls.remedy()}"
                )
            parts[part] = Images(x[:, None], {"label": label}, np.array([f"{part}{row:05d}" for row in range(len(x))]))
        train, val = cut_validation(parts["train"], "label")
        return assemble(f"{cls.name}/{cls.dataset}", {"train": train, "val": val, "test": parts["test"]})
