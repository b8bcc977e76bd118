"""The four tables that scikit-learn ships: breast cancer, wine, digits, diabetes, in five fixed folds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import sklearn.datasets

from jepakit.registry import datasets
from jepakit.types import Card
from modalities.folds import one_fold
from modalities.tabular.base import TabularModality, split


class Shipped(TabularModality):
    """Five folds of fixed draws, stratified; a name without a fold is the first."""

    embedded: ClassVar[bool] = True
    folds: ClassVar[int] = 5
    fold: ClassVar[int] = 1
    load: ClassVar[Callable[..., Any]]

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        frame: pd.DataFrame = cls.load(as_frame=True).frame
        return split(frame, cls.target, regression=cls.regression, fold=cls.fold, folds=cls.folds)


def _card(title: str, citation: str, notes: str = "") -> Card:
    return Card(
        title=title,
        licence="CC BY 4.0 (UCI)",
        source=f"scikit-learn's {title.split(':')[0]}",
        citation=citation,
        unit="row",
        notes=f"Five folds drawn once, 3 : 1 : 1. {notes}".strip(),
    )


@datasets.register("tabular/breast_cancer")
class BreastCancer(Shipped):
    """569 rows, 30 numbers, two classes."""

    dataset = "breast_cancer"
    card = _card("load_breast_cancer: malignant or benign", "Wolberg et al. 1995, doi 10.24432/C5DW2B")
    load = staticmethod(sklearn.datasets.load_breast_cancer)


@datasets.register("tabular/wine")
class Wine(Shipped):
    """178 rows, 13 numbers, three classes."""

    dataset = "wine"
    card = _card("load_wine: three cultivars", "Aeberhard and Forina 1991, doi 10.24432/C5PC7J")
    load = staticmethod(sklearn.datasets.load_wine)


@datasets.register("tabular/digits")
class Digits(Shipped):
    """1,797 rows, 64 pixels (some never vary), ten classes."""

    dataset = "digits"
    card = _card(
        "load_digits: handwritten digits as 64 columns",
        "Alpaydin and Kaynak 1998, doi 10.24432/C50P49",
        "The 43 writers are not given, so one can be in two parts.",
    )
    load = staticmethod(sklearn.datasets.load_digits)


@datasets.register("tabular/diabetes")
class Diabetes(Shipped):
    """442 rows, 10 numbers, a measure of progression after one year (25 to 346)."""

    dataset = "diabetes"
    regression: ClassVar[bool] = True
    card = _card(
        "load_diabetes: progression after a year",
        "Efron et al. 2004, Annals of Statistics 32(2):407-499",
        "RMSE in its points.",
    )
    load = staticmethod(sklearn.datasets.load_diabetes)


def _family(kind: type[Shipped]) -> None:
    @datasets.register_family(f"tabular/{kind.dataset}-fold")
    @functools.cache
    def fold(number: str) -> type[Shipped]:
        return one_fold(kind, number)


for _kind in (BreastCancer, Wine, Digits, Diabetes):
    _family(_kind)
