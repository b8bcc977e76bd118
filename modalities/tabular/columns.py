"""Columns: what a table's columns are, and statistics of train that turn them into numbers: ranks as normal scores, codes.

A column is a number or a category. Numbers go through the quantiles of train to normal scores (Gorishniy et al. 2021);
categories are codes in order of their frequency in train, 0 for what train never showed or shows too rarely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.preprocessing import QuantileTransformer

from jepakit.types import DataError

MOST = 256  # categories that get a code of their own
FARTHEST = 3.0  # normal scores beyond are cut: ties at an end of the scale would be at 5.2
MISSING = "(missing)"
IDENTIFIER = 0.5  # a text column with more distinct values than this share of the rows names rows
ROWS = 20  # fewer are no table to learn from
FEW = 50  # distinct values up to which a column of whole numbers is checked value by value for telling the answer


@dataclass(frozen=True)
class Column:
    """One column as train showed it. values: the categories that have codes 1, 2, …; () for a number."""

    name: str
    values: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of codes, the unknown one included; 0 for a number."""
        return len(self.values) + 1 if self.values else 0


@dataclass(frozen=True)
class Encoded:
    """A part of a table. x: (n, columns) float32, normal scores (0 where missing) and codes; missing: (n, columns)."""

    x: np.ndarray
    missing: np.ndarray


class Encoder:
    """Fitted on train alone. Raises DataError for a table that cannot be learned from, naming column and remedy.

    ``repairs`` counts what was mended by kind, over all parts that were encoded.
    """

    def __init__(self, train: pd.DataFrame, where: str, categories: Sequence[str] = ()) -> None:
        """``where``: the file to name in errors; ``categories``: columns of codes that look like numbers."""
        twice = [name for name, number in Counter(map(str, train.columns)).items() if number > 1]
        if twice:
            raise DataError(f"{where} has two columns named '{twice[0]}'; rename or drop one")
        foreign = sorted(set(categories) - set(train.columns))
        if foreign:
            raise DataError(f"{where} has no column '{foreign[0]}' to read as categories; correct its name")
        self.where, self.repairs = where, Counter[str]()
        self.columns: list[Column] = []
        self._scores: dict[str, QuantileTransformer] = {}
        for name in map(str, train.columns):
            self._fit(name, train[name], name in categories)
        if not self.columns:
            raise DataError(f"{where} has no column that varies in train; give a table with features")

    def _fit(self, name: str, raw: pd.Series, coded: bool) -> None:
        number = None if coded else _numbers(raw, name, self.where)
        if number is not None:
            known = number[np.isfinite(number)]
            if len(np.unique(known)) < 2:
                self.repairs["columns without variation dropped"] += 1
                return
            scores = QuantileTransformer(
                n_quantiles=max(10, min(1000, len(known) // 30)), output_distribution="normal", subsample=None
            )
            self._scores[name] = scores.fit(known[:, None])
            self.columns.append(Column(name))
            return
        text = _texts(raw)
        counted = Counter(text)
        if len(counted) < 2:
            self.repairs["columns without variation dropped"] += 1
        elif len(counted) > max(MOST, IDENTIFIER * len(text)):
            self.repairs["columns that name rows dropped"] += 1
        else:
            ordered = sorted(counted, key=lambda value: (-counted[value], value))
            self.columns.append(Column(name, tuple(ordered[: MOST - 1])))

    def encode(self, part: pd.DataFrame) -> Encoded:
        """Raises DataError for a part without one of the columns or with text among the numbers."""
        x = np.zeros((len(part), len(self.columns)), dtype=np.float32)
        missing = np.zeros(x.shape, dtype=bool)
        for at, column in enumerate(self.columns):
            if column.name not in part.columns:
                raise DataError(f"{self.where} has no column '{column.name}' in a later part; export it again")
            raw = part[column.name]
            if column.values:
                codes = {value: code for code, value in enumerate(column.values, 1)}
                text = _texts(raw)
                x[:, at] = [codes.get(value, 0) for value in text]
                missing[:, at] = [value == MISSING for value in text]
                self.repairs["values of no known category"] += int((x[:, at] == 0).sum())
                continue
            number = _numbers(raw, column.name, self.where)
            if number is None:
                raise DataError(
                    f"column '{column.name}' of {self.where} holds numbers in train and text later; mend it"
                )
            self.repairs["infinite values"] += int(np.isinf(number).sum())
            known = np.isfinite(number)
            missing[:, at] = ~known
            self.repairs["missing numbers"] += int(np.isnan(number).sum())
            # float16 has more digits than ranks deserve, and the last bits of a processor do not reach them.
            x[known, at] = _score(self._scores[column.name], number[known])
        return Encoded(x, missing)


def _numbers(raw: pd.Series, name: str, where: str) -> np.ndarray | None:
    """The column as float64, NaN where missing; None where it is text. Raises DataError for a mixture of both."""
    if isinstance(raw.dtype, pd.CategoricalDtype) or raw.dtype == bool:
        return None
    if pd.api.types.is_numeric_dtype(raw):
        return raw.to_numpy(dtype=np.float64, na_value=np.nan)
    known = raw[raw.notna()]
    read = pd.to_numeric(known, errors="coerce")
    if len(known) and read.notna().all():
        return pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if read.notna().any():
        row = int(np.flatnonzero(read.isna().to_numpy())[0])
        if read.notna().mean() > 0.5:
            raise DataError(
                f"column '{name}' of {where} mixes numbers with text such as '{known.iloc[row]}' (row {known.index[row]}); "
                "mend the value, leave it empty, or name the column in categories"
            )
    return None


def _score(scores: QuantileTransformer, number: np.ndarray) -> np.ndarray:
    return scores.transform(number[:, None])[:, 0].clip(-FARTHEST, FARTHEST).astype(np.float16)


def _texts(raw: pd.Series) -> list[str]:
    return [MISSING if missing else str(value) for value, missing in zip(raw, raw.isna(), strict=True)]


def refuse_answers(frame: pd.DataFrame, target: np.ndarray, name: str, where: str) -> None:
    """Raises DataError where one column of ``frame`` tells the ``target`` (n,) without error: the answer among the features.

    target: codes of classes (integers) or values (floats). A number tells values when its ranks are theirs; it tells
    classes when as many intervals as there are classes part them.
    """
    regression = target.dtype.kind == "f"
    for column in frame.columns:
        number = None if frame[column].dtype == object else _safe_numbers(frame[column])
        if number is not None and np.isfinite(number).all():
            told = _same_order(number, target) if regression else _parted(number, target)
        else:
            told = not regression and _pure(np.array(_texts(frame[column])), target)
        if told:
            raise DataError(
                f"column '{column}' of {where} tells the target '{name}' without error, so it is the answer, not a feature; "
                "drop it from the table"
            )


def _safe_numbers(raw: pd.Series) -> np.ndarray | None:
    return raw.to_numpy(dtype=np.float64, na_value=np.nan) if pd.api.types.is_numeric_dtype(raw) else None


def _same_order(number: np.ndarray, target: np.ndarray) -> bool:
    order = np.argsort(number, kind="stable")
    if len(np.unique(number)) < max(FEW, len(np.unique(target)) // 2):
        return False
    steps = np.diff(target[order])
    return bool((steps >= 0).all() or (steps <= 0).all())


def _parted(number: np.ndarray, target: np.ndarray) -> bool:
    order = np.argsort(number, kind="stable")
    classes = len(np.unique(target))
    changes = int((np.diff(target[order]) != 0).sum())
    first, last = number[order][:-1], number[order][1:]
    mixed = ((first == last) & (np.diff(target[order]) != 0)).any()
    return classes > 1 and not mixed and changes == classes - 1


def _pure(text: np.ndarray, target: np.ndarray) -> bool:
    values, code, number = np.unique(text, return_inverse=True, return_counts=True)
    if len(values) > FEW or number.min() < 2 or len(np.unique(target)) < 2:
        return False
    return all(len(np.unique(target[code == value])) == 1 for value in range(len(values)))


def without_copies(parts: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], int]:
    """The parts without rows of train and validation that a later part holds as well (features and target), and how many
    rows that were."""
    names = list(parts)
    left, dropped = dict(parts), 0
    for at, name in enumerate(names[:-1]):
        later = pd.concat([parts[other] for other in names[at + 1 :]])
        seen = set(pd.util.hash_pandas_object(later.astype(str), index=False))
        copies = pd.util.hash_pandas_object(parts[name].astype(str), index=False).isin(seen).to_numpy()
        left[name] = parts[name][~copies]
        dropped += int(copies.sum())
    return left, dropped
