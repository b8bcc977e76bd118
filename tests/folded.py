"""A toy data set with four folds of different units, loaded as a plugin beside toy.py by the tests of folds."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np
import torch

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part, UsageError

FOLDS, PEOPLE, EACH = 4, 16, 15
Toy = datasets["toy/toy"].make


@datasets.register("toy/ring")
class Ring(Toy):
    """Sixteen people with fifteen rows each; single split: the first fold."""

    dataset: ClassVar[str] = "ring"
    card: ClassVar[Card] = Card("Ring of toys", "CC0", "made here", "none", "person")
    folds: ClassVar[int] = FOLDS
    fold: ClassVar[int] = 1

    def data(self, part: Part) -> Data:
        """Four people are tested, the next four choose, the others train."""
        random = np.random.default_rng(0)
        person = np.repeat(np.arange(PEOPLE), EACH)
        label = np.arange(len(person)) % 3
        x = random.standard_normal((len(person), 8)) + np.eye(8)[label] + random.normal(0, 0.5, (PEOPLE, 8))[person]
        place = (person // 4 - (self.fold - 1)) % FOLDS
        chosen = {"test": place == 0, "val": place == 1, "train": place > 1}[part]
        return Data(
            torch.from_numpy(x[chosen].astype(np.float32)),
            {"kind": torch.from_numpy(label[chosen]), "size": torch.from_numpy(x[chosen, 3].astype(np.float32))},
            np.array([f"person {one:02d}" for one in person[chosen]]),
        )


@datasets.register_family("toy/ring-fold")
@cache
def ring_fold(number: str) -> type[Ring]:
    """The class of ``toy/ring-fold<k>``."""
    if number not in map(str, range(1, FOLDS + 1)):
        raise UsageError(f"toy/ring has folds 1 to {FOLDS}, not '{number}'")
    facts = {"dataset": f"ring-fold{number}", "fold_of": "ring", "fold": int(number), "__module__": __name__}
    return type("RingFold", (Ring,), facts)
