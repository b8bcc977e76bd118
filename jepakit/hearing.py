"""Hearing: what methods on waveforms share: a teacher whose front end is the student's, and what each of the two hears."""

from __future__ import annotations

import copy

from jaxtyping import Float
from torch import Tensor, nn

from jepakit.nn import Backbone
from jepakit.schedules import Schedule
from jepakit.targets import Frozen, Norm, follow
from jepakit.types import Batch, Size, Tokens, UsageError


class SharedFront(Frozen):
    """A teacher whose transformer follows the student and whose tokenizer is always the student's, without gradient."""

    def __init__(
        self, student: Backbone, momentum: Schedule, *, norm: Norm, layers: int, hears: str | None = None
    ) -> None:
        """``hears``: the side input that it is shown instead of the input, on data sets that have it."""
        super().__init__(copy.deepcopy(student), norm=norm, layers=layers)
        self.momentum, self.hears = momentum, hears
        self._student = (student,)  # in a tuple: the student belongs to the objective, not to its target

    def compute(self, batch: Batch) -> Float[Tensor, "b n e"]:
        side = None if self.hears is None else batch.extra.get(self.hears)
        return super().compute(batch if side is None else batch.with_x(side.to(batch.x.dtype)))

    def update(self, progress: float) -> None:
        student = self._student[0]
        follow(self.teacher, student, self.momentum(progress))
        follow(self.teacher.tokenizer, student.tokenizer, 0.0)


class FirstChannel(nn.Module):
    """A tokenizer that hears the first channel in all of them."""

    def __init__(self, tokenizer: nn.Module) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, batch: Batch) -> Tokens:
        tokens: Tokens = self.tokenizer(batch.with_x(batch.x[:, :1].expand_as(batch.x)))
        return tokens


def upper(size: Size, layers: int | None) -> int:
    """How many of the last layers are averaged: two thirds of them (8 of 12) unless ``layers`` says otherwise.

    Raises UsageError for a number that the encoder does not have.
    """
    top = min(size.depth, max(2, round(size.depth * 2 / 3))) if layers is None else layers
    if not 1 <= top <= size.depth:
        raise UsageError(f"recipe.layers is 1 to {size.depth} (size.depth), not {top}")
    return top
