"""Folds: data sets that are scored by several train/test splits, and the one board that these share.

A data set with folds says ``folds = K``. Each fold is a data set of its own, ``<name>-fold1`` … ``<name>-fold<K>``, whose
class says ``fold_of = "<name>"`` and ``fold = k``; ``<name>-folds`` means all of them, on the command line and as the name
of their board. What is averaged and resampled there: docs/protocol.md, "Folds".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jepakit.registry import datasets, did_you_mean
from jepakit.types import UsageError

ALL = "-folds"


@dataclass(frozen=True)
class Fold:
    """Fold ``number`` (from 1 on) of the ``count`` folds of the data set ``of`` (a short name)."""

    of: str
    number: int
    count: int

    @property
    def board(self) -> str:
        """The name that all folds share."""
        return self.of + ALL


def fold(modality: str, dataset: str) -> Fold | None:
    """Which fold a data set is; None for one that is no fold, or is not registered here."""
    name = f"{modality}/{dataset}"
    if dataset.endswith(ALL) or name not in datasets:
        return None
    try:
        make = datasets[name].make
    except UsageError:  # a family that has no such member
        return None
    of = getattr(make, "fold_of", None)
    return Fold(str(of), int(make.fold), int(make.folds)) if of else None


def count(modality: str, dataset: str) -> int:
    """How many folds a data set has; 0 for none."""
    name = f"{modality}/{dataset}"
    return int(getattr(datasets[name].make, "folds", 0)) if name in list(datasets) else 0


def board(modality: str, dataset: str) -> str:
    """The name of the board that holds the records of a data set: its own, or the one of all folds."""
    found = fold(modality, dataset)
    return dataset if found is None else found.board


def origin(modality: str, name: str) -> str:
    """The data set whose card and files belong to a name: to a fold's, to ``<name>-folds``, or to a data set's own."""
    found = fold(modality, name)
    if found is not None:
        return found.of
    whole = name.removesuffix(ALL)
    return whole if whole != name and count(modality, whole) else name


def members(modality: str, name: str) -> tuple[str, ...]:
    """The folds that a name stands for, in order: all of them for ``<name>-folds``, one for ``<name>-fold3``.

    Empty for a name that asks for no fold. Raises UsageError, naming what there is, for folds that do not exist.
    """
    known = [one.partition("/")[2] for one in datasets if one.startswith(f"{modality}/")]
    base, mark, number = name.rpartition("-fold")
    if name in known or not mark or base not in known:
        return ()
    every = tuple(f"{base}-fold{k + 1}" for k in range(count(modality, base)))
    if not every:
        having = [one for one in known if count(modality, one)]
        those = f"those that have: {', '.join(having)}" if having else f"no {modality} data set has"
        raise UsageError(f"{modality} data set '{base}' has no folds ({those}); say dataset={base}")
    if name not in (*every, base + ALL):
        raise UsageError(
            f"no {modality} data set named '{name}'; there are {every[0]} … {every[-1]}, and {base + ALL} for all of them"
        )
    chosen = every if number == "s" else (name,)
    for one in chosen:
        found = fold(modality, one)
        if found is None or f"{found.of}-fold{found.number}" != one or found.count != len(every):
            raise did_you_mean(f"{modality} data set", one, known)
    return chosen


def whole(modality: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names in order, but all folds of one data set, where every one is there, as ``<name>-folds`` in place of the
    first."""
    given = tuple(dict.fromkeys(names))
    out: dict[str, None] = {}
    for name in given:
        found = fold(modality, name)
        every = () if found is None else tuple(f"{found.of}-fold{k + 1}" for k in range(found.count))
        out[board(modality, name) if every and set(every) <= set(given) else name] = None
    return tuple(out)
