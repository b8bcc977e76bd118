"""The class of one fold of a data set with official folds, as ``benchmark.folds`` expects it."""

from __future__ import annotations

from typing import TypeVar

from jepakit.modality import Modality
from jepakit.types import UsageError

Kind = TypeVar("Kind", bound=Modality)


def one_fold(base: type[Kind], number: str) -> type[Kind]:
    """``base``, which says ``folds = K``, as the data set ``<name>-fold<number>``: ``fold`` says which, ``fold_of`` of what.

    Raises UsageError for a number that is none of its folds.
    """
    count: int = base.folds  # type: ignore[attr-defined]
    if number not in {str(k) for k in range(1, count + 1)}:
        raise UsageError(
            f"{base.name}/{base.dataset} has no fold '{number}'; use {base.dataset}-fold1 to {base.dataset}-fold{count}"
        )
    facts = {
        "dataset": f"{base.dataset}-fold{number}",
        "fold_of": base.dataset,
        "fold": int(number),
        "__module__": base.__module__,
        "__doc__": f"Fold {number} of {base.dataset}.",
    }
    return type(f"{base.__name__}Fold{number}", (base,), facts)
