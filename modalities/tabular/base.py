"""TabularModality: tables with a target: typed columns, one token per column, corruption from the marginals of train."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.types import PARTS, Batch, Card, Data, DataError, Part, Task
from modalities.signals import check_classes
from modalities.tabular.columns import ROWS, Column, Encoder, refuse_answers, without_copies
from modalities.tabular.tokens import ColumnTokenizer, piecewise

BINS = 8  # of the piecewise-linear code of a number
WIDEST = 32  # categories that a raw token shows one by one
SWAPPED = 0.3  # share of the columns that a view takes from elsewhere
SEED = 0


@dataclass(frozen=True)
class Table:
    """A table in its parts, encoded. columns: in token order; edges: (numbers, BINS + 1) quantiles of train."""

    parts: Mapping[Part, Data]
    columns: tuple[Column, ...]
    edges: Tensor
    tasks: tuple[Task, ...]


@functools.lru_cache(maxsize=4)
def _table(kind: type[TabularModality], root: Path | None) -> Table:
    """Every part of one data set, read once per process."""
    where = f"{kind.name}/{kind.dataset}"
    table = assemble(where, kind.frames(root), kind.target, regression=kind.regression, categories=kind.categories)
    check_classes(where, table.tasks, dict(table.parts))
    return table


def split(
    frame: pd.DataFrame, target: str, *, regression: bool, fold: int = 1, folds: int = 5
) -> dict[str, pd.DataFrame]:
    """Rows in parts of 3 : 1 : 1 by a fixed drawing, every class in its share: fold k tests the k-th fifth and validates on
    the next."""
    label = None if regression else frame[target].astype(str).to_numpy()
    rows, rest, pieces = np.arange(len(frame)), np.arange(len(frame)), []
    for left in range(folds, 1, -1):
        rest, piece = train_test_split(
            rest, test_size=len(rest) // left, random_state=SEED, stratify=None if label is None else label[rest]
        )
        pieces.append(np.sort(piece))
    pieces.append(np.sort(rest))
    test, val = pieces[fold - 1], pieces[fold % folds]
    train = np.setdiff1d(rows, np.concatenate([test, val]))
    return {"train": frame.iloc[train], "val": frame.iloc[val], "test": frame.iloc[test]}


def assemble(
    where: str,
    frames: Mapping[str, pd.DataFrame],
    target: str,
    *,
    regression: bool,
    categories: Sequence[str] = (),
) -> Table:
    """The parts of a table with their answers apart. Raises DataError where a column is missing, tells the target, or a
    part has no answers."""
    repairs = Counter[str]()
    for part, frame in frames.items():
        if target not in frame.columns:
            raise DataError(
                f"{where} has no target column '{target}' in {part}; name the column that is to be predicted"
            )
    answered = {part: frame[frame[target].notna()] for part, frame in frames.items()}
    if len(answered["train"]) < ROWS:
        raise DataError(f"{where} has {len(answered['train'])} rows in train; give a table with {ROWS} or more")
    repairs["rows without an answer dropped"] = sum(len(frames[p]) - len(answered[p]) for p in frames)
    answered, repairs["rows that a later part holds too dropped"] = without_copies(answered)
    features = {part: frame.drop(columns=target) for part, frame in answered.items()}
    if regression:
        labels = {part: _values(frame[target], target, where) for part, frame in answered.items()}
        task = Task(target, "regression", "rmse")
    else:
        names = sorted(set(answered["train"][target].astype(str)))
        code = {name: at for at, name in enumerate(names)}
        for part, frame in answered.items():
            foreign = sorted(set(frame[target].astype(str)) - set(names))
            if foreign:
                raise DataError(
                    f"{where} has a class '{foreign[0]}' in {part} that train does not have; split it again"
                )
        labels = {p: np.array([code[v] for v in f[target].astype(str)], dtype=np.int64) for p, f in answered.items()}
        task = Task(target, "class", "accuracy", tuple(names))
    refuse_answers(features["train"], labels["train"], target, where)
    encoder = Encoder(features["train"], where, categories)
    encoded = {part: encoder.encode(frame) for part, frame in features.items()}
    repairs.update(encoder.repairs)
    found = {kind: number for kind, number in repairs.items() if number}
    parts: dict[Part, Data] = {}
    for part in PARTS:
        if not len(features[part]):
            raise DataError(f"{where} has no rows with an answer in {part}; split it again")
        one, label = encoded[part], labels[part]
        parts[part] = Data(
            torch.from_numpy(one.x),
            {target: torch.from_numpy(label)},
            np.array([f"{part}{row:06d}" for row in range(len(label))]),
            extra={"missing": torch.from_numpy(one.missing)},
            repairs=found if part == "train" else {},
        )
    numbers = [at for at, column in enumerate(encoder.columns) if not column.size]
    shares = np.linspace(0, 1, BINS + 1)
    edges = np.quantile(encoded["train"].x[:, numbers], shares, axis=0).T.astype(np.float16).astype(np.float32)
    return Table(parts, tuple(encoder.columns), torch.from_numpy(edges.reshape(len(numbers), BINS + 1)), (task,))


def _values(raw: pd.Series, name: str, where: str) -> np.ndarray:
    value = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(value).all():
        raise DataError(f"the target '{name}' of {where} has values that are no finite numbers; drop these rows")
    return value.astype(np.float32)


class TabularModality(Modality):
    """One table. A subclass states the target and gives the ``frames`` of its parts.

    target: the column that is asked for; regression: whether it is a value (its unit is said in the card) or a class;
    categories: columns of numbers that are codes.
    """

    name: ClassVar[str] = "tabular"
    card: ClassVar[Card]
    board = (
        "tjepa", "lejepa", "vicreg", "column-mae", "scarf", "vime", "subtab", "binrecon", "supervised", "random_init",
        "raw_features",
    )  # fmt: skip
    target: ClassVar[str] = "target"
    regression: ClassVar[bool] = False
    categories: ClassVar[tuple[str, ...]] = ()

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(None if root is None else Path(root))
        table = self.table()
        self.sizes = tuple(column.size for column in table.columns)
        self.grid = (len(self.sizes),)
        self.tasks = table.tasks
        self._at: dict[torch.device, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = {}

    @classmethod
    @abstractmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        """The rows of every part, target included. Raises DataError naming the file and the remedy."""

    def table(self) -> Table:
        """The encoded table with what train says about it."""
        return _table(type(self), self.root)

    def data(self, part: Part) -> Data:
        return self.table().parts[part]

    def tokenizer(self, dim: int) -> nn.Module:
        return ColumnTokenizer(self.sizes, dim)

    @property
    def patch_values(self) -> int:
        return max(BINS, min(WIDEST, max(self.sizes)))

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, columns, e): a number's piecewise-linear code over the quantiles of train, a category's one-hot code (those
        of the rarest share the last place); zeros where a number is missing."""
        wide = self.patch_values
        numbers, codes, edges, _, _ = self.resident(batch.x.device)
        out = batch.x.new_zeros(len(batch), len(self.sizes), wide)
        code = piecewise(batch.x[:, numbers], edges) * ~self.missing(batch)[:, numbers, None]
        out[:, numbers, :BINS] = code
        out[:, codes] = F.one_hot(batch.x[:, codes].long().clamp(0, wide - 1), wide).to(out.dtype)
        return out

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """Normal scores of the numbers, which columns are missing where train has such gaps, one-hot codes of the
        categories."""
        numbers, _, _, _, gaps = self.resident(batch.x.device)
        columns = [batch.x[:, numbers], self.missing(batch)[:, gaps.any(0)].to(batch.x.dtype)]
        for at, size in enumerate(self.sizes):
            if size:
                columns.append(F.one_hot(batch.x[:, at].long().clamp(0, size - 1), size).to(batch.x.dtype))
        return torch.cat(columns, 1)

    def resident(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """On ``device``: places of the numbers and of the categories, the bins of the numbers, train's rows and gaps."""
        if device not in self._at:
            train, table = self.data("train"), self.table()
            size = torch.tensor(self.sizes)
            held = (size == 0).nonzero()[:, 0], (size > 0).nonzero()[:, 0], table.edges, train.x, train.extra["missing"]
            self._at[device] = tuple(one.to(device) for one in held)  # type: ignore[assignment]
        return self._at[device]

    def missing(self, batch: Batch) -> Bool[Tensor, "b n"]:
        """Where nothing was written in the table."""
        gone: Bool[Tensor, "b n"] | None = batch.extra.get("missing")
        return torch.zeros_like(batch.x, dtype=torch.bool) if gone is None else gone

    def corrupted(self, batch: Batch, hit: Bool[Tensor, "b n"]) -> Batch:
        """The batch with the columns at ``hit`` taken from rows of train, drawn anew for every value: from the marginal
        distribution of each column (SCARF, VIME)."""
        _, _, _, pool, gaps = self.resident(batch.x.device)
        rows = torch.randint(len(pool), batch.x.shape, device=batch.x.device)
        x = torch.where(hit, pool.gather(0, rows), batch.x)
        missing = torch.where(hit, gaps.gather(0, rows), self.missing(batch))
        return replace(batch, x=x, extra={**batch.extra, "missing": missing})

    def views(self, batch: Batch) -> Batch:
        """A row with 30 % of its columns from other rows, rounded to a whole number of columns and at least one."""
        count = max(1, round(SWAPPED * len(self.sizes)))
        order = torch.rand(batch.x.shape, device=batch.x.device).argsort(1)
        return self.corrupted(batch, order < count)
