"""my-table: a small table that is made here, with numbers and one category; replace ``frames`` by the reading of files."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from jepakit.registry import datasets
from jepakit.types import Card
from modalities.tabular.base import TabularModality

ROWS = {"train": 600, "val": 200, "test": 400}  # parts are split by the unit of the card, before anything else


@datasets.register("tabular/my-table")
class MyTable(TabularModality):
    """Two classes by the sum of two numbers; a third number and a category are noise.

    Reading files instead: drop ``embedded``, take them from ``root / "tabular" / "my-table"`` and raise DataError with the
    file and the remedy for what is missing or broken.
    """

    dataset: ClassVar[str] = "my-table"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        title="my-table: a made table of two classes",
        licence="CC0",
        source="this file",
        citation="none",
        unit="row",
        notes="Replace these words: a number on this table is quoted with them.",
    )
    target: ClassVar[str] = "sign"

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        """The rows of every part, answers included."""
        return {part: cls._part(rows, np.random.default_rng([7, n])) for n, (part, rows) in enumerate(ROWS.items())}

    @classmethod
    def _part(cls, rows: int, random: np.random.Generator) -> pd.DataFrame:
        number = random.standard_normal((rows, 3)).round(3)  # the last bits differ between processors
        frame = pd.DataFrame(number, columns=["height", "width", "noise"])
        frame["colour"] = np.array(["red", "green", "blue"])[random.integers(0, 3, rows)]
        frame[cls.target] = np.where(number[:, 0] + number[:, 1] > 0, "plus", "minus")
        return frame
