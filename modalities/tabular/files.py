"""Tables from files: Adult, California housing and Jannis as the field splits them, any CSV or Parquet."""

from __future__ import annotations

import functools
import tokenize
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from jepakit.registry import datasets
from jepakit.types import Card, DataError
from modalities.tabular.base import SEED, TabularModality, split

ADULT = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip


class Filed(TabularModality):
    """A table below the data root."""

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """<root>/tabular/<dataset>; DataError when it is missing."""
        name = f"{cls.name}/{cls.dataset}"
        if root is None or not (root / cls.name / cls.dataset).is_dir():
            raise DataError(
                f"{name} needs its files; {cls.remedy()} or set JEPAKIT_DATA (or --data) to the folder above {name}"
            )
        return root / cls.name / cls.dataset

    @classmethod
    def remedy(cls) -> str:
        """What to do when files are missing or broken."""
        return f"copy them from {cls.card.source} to <data root>/{cls.name}/{cls.dataset}"

    @classmethod
    def array(cls, path: Path) -> np.ndarray:
        """One array of numbers. Raises DataError for a file that is none."""
        try:
            return np.asarray(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:  # a header is python text
            raise DataError(f"{path} cannot be read as an array ({error}); {cls.remedy()}") from None

    @classmethod
    def held_out(cls, frame: pd.DataFrame, share: float, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows without and with a seeded share of every class. Raises DataError where a class has one row."""
        try:
            train, val = train_test_split(frame, test_size=share, random_state=SEED, stratify=frame[cls.target])
        except ValueError as error:
            raise DataError(f"{path} has too few rows of a class to hold some out ({error}); {cls.remedy()}") from None
        return train, val


@datasets.register("tabular/adult")
class Adult(Filed):
    """Does a person earn more than 50,000 dollars? Official test; a fifth of the rest is validation."""

    dataset = "adult"
    target = "income"
    card = Card(
        title="Adult: census income 1994",
        licence="CC BY 4.0 (UCI)",
        source="https://archive.ics.uci.edu/dataset/2/adult",
        citation="Becker and Kohavi 1996, doi 10.24432/C5XW20",
        unit="row",
        notes="adult.test is the test part; validation is a seeded, stratified fifth of adult.data. Rows that occur in a "
        "later part leave the earlier one.",
    )

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        folder, read = cls.folder(root), {}
        for name in ("adult.data", "adult.test"):
            try:
                frame = pd.read_csv(
                    folder / name, names=list(ADULT), na_values="?", skipinitialspace=True, comment="|", index_col=False
                )
            except (OSError, ValueError) as error:
                raise DataError(f"{folder / name} cannot be read as a table ({error}); {cls.remedy()}") from None
            frame["income"] = frame["income"].astype(str).str.rstrip(".")
            if set(frame["income"]) != {"<=50K", ">50K"}:
                raise DataError(f"{folder / name} has other answers than <=50K and >50K; {cls.remedy()}")
            read[name] = frame
        train, val = cls.held_out(read["adult.data"], 0.2, folder / "adult.data")
        return {"train": train, "val": val, "test": read["adult.test"]}


class Arrays(Filed):
    """The numbers N_<part>.npy and answers y_<part>.npy of Gorishniy et al. 2021; ``parts``: which file is which part."""

    parts: ClassVar[dict[str, str]] = {"train": "train", "val": "val", "test": "test"}
    names: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def part(cls, folder: Path, name: str) -> pd.DataFrame:
        x, y = cls.array(folder / f"N_{name}.npy"), cls.array(folder / f"y_{name}.npy")
        if x.ndim != 2 or len(x) != len(y):
            raise DataError(f"N_{name}.npy {x.shape} and y_{name}.npy {y.shape} in {folder} do not fit; {cls.remedy()}")
        frame = pd.DataFrame(x, columns=list(cls.names) or [f"x{at:02d}" for at in range(x.shape[1])])
        frame[cls.target] = y
        return frame

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        folder = cls.folder(root)
        return {part: cls.part(folder, name) for part, name in cls.parts.items()}


@datasets.register("tabular/california_housing")
class California(Arrays):
    """Median house value of a block group."""

    dataset = "california_housing"
    target = "value"
    regression: ClassVar[bool] = True
    names = ("income", "age", "rooms", "bedrooms", "population", "occupancy", "latitude", "longitude")
    card = Card(
        title="California housing, the split of rtdl",
        licence="no restriction stated (StatLib)",
        source="https://github.com/yandex-research/rtdl-revisiting-models",
        citation="Pace and Barry 1997, Statistics and Probability Letters 33:291-297; split: Gorishniy et al. 2021",
        unit="row",
        notes="RMSE in 100,000 dollars; values are capped at 5.",
    )


@datasets.register("tabular/jannis_subset")
class Jannis(Arrays):
    """Trained on three quarters of rtdl's validation rows, validated on the rest, tested on the official test rows."""

    dataset = "jannis_subset"
    card = Card(
        title="Jannis, without its training part",
        licence="not stated (OpenML 41168)",
        source="https://github.com/yandex-research/rtdl-revisiting-models",
        citation="Guyon et al. 2019, ChaLearn AutoML; split: Gorishniy et al. 2021",
        unit="row",
        notes="A fifth of the training rows of published figures: not comparable with them one to one.",
    )

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        folder = cls.folder(root)
        train, val = cls.held_out(cls.part(folder, "val"), 0.25, folder / "y_val.npy")
        return {"train": train, "val": val, "test": cls.part(folder, "test")}


class OwnTable(Filed):
    """``table.csv`` or ``table.parquet`` with a column ``target``, or ``{train,val,test}`` of either kind."""

    @classmethod
    def remedy(cls) -> str:
        return f"put table.csv (or train.csv, val.csv and test.csv; or .parquet) with a column '{cls.target}' there"

    @classmethod
    def frame(cls, path: Path) -> pd.DataFrame:
        """One file. Raises DataError for one that is no table."""
        try:
            return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        except (OSError, ValueError, ImportError) as error:
            raise DataError(f"{path} cannot be read as a table ({error}); {cls.remedy()}") from None

    @classmethod
    def found(cls, folder: Path, stem: str) -> Path | None:
        """The file of that name, whatever its kind."""
        return next((path for suffix in ("csv", "parquet") if (path := folder / f"{stem}.{suffix}").is_file()), None)

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        folder = cls.folder(root)
        whole = cls.found(folder, "table")
        if whole is not None:
            frame = cls.frame(whole)
            if cls.target not in frame.columns:
                raise DataError(f"{whole} has no column '{cls.target}'; {cls.remedy()}")
            frame = frame[frame[cls.target].notna()]
            try:
                return split(frame, cls.target, regression=cls.regression)
            except ValueError as error:
                raise DataError(
                    f"{whole} cannot be split into three parts ({error}); give more rows of every class"
                ) from None
        parts = {part: cls.found(folder, part) for part in ("train", "val", "test")}
        for part, path in parts.items():
            if path is None:
                raise DataError(f"{folder} has no table and no {part}; {cls.remedy()}")
        return {part: cls.frame(path) for part, path in parts.items() if path is not None}


def _card(name: str) -> Card:
    return Card(
        name,
        "the owner's",
        f"tabular/{name}",
        "none",
        "row",
        "A table of one's own; without parts of its own: 3 : 1 : 1.",
    )


@datasets.register_family("tabular/class-")
@functools.cache
def classes(name: str) -> type[OwnTable]:
    """A table whose target is a class."""
    return type(
        f"Class_{name}",
        (OwnTable,),
        {"dataset": f"class-{name}", "card": _card(f"class-{name}"), "__module__": __name__},
    )


@datasets.register_family("tabular/value-")
@functools.cache
def values(name: str) -> type[OwnTable]:
    """A table whose target is a value."""
    facts = {"dataset": f"value-{name}", "regression": True, "card": _card(f"value-{name}"), "__module__": __name__}
    return type(f"Value_{name}", (OwnTable,), facts)
