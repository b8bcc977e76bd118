"""What a hidden token is asked to become: an EMA teacher's features, a frozen teacher's, or a function of the input."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.nn import Backbone
from jepakit.schedules import Schedule
from jepakit.types import Batch

Norm = Callable[[Float[Tensor, "b n e"]], Float[Tensor, "b n e"]]


def layer_norm(x: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
    """Each token to mean 0 and variance 1 over its features, no learned scale (LN0, eps 1e-5)."""
    return F.layer_norm(x, x.shape[-1:])


def instance_norm(x: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
    """Each feature to mean 0 and variance 1 over the tokens of its sample."""
    return F.instance_norm(x.mT).mT


def patch_norm(x: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
    """MAE's per-patch normalisation: unbiased variance over the values of the patch, eps 1e-6."""
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt()


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """θ̄ ← m θ̄ + (1 − m) θ for every parameter of two equal modules; buffers are copied."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
    for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
        mine.copy_(theirs)


class Target(nn.Module, ABC):
    """Batch → target vectors of all tokens, without gradient."""

    teacher: Backbone | None

    def __init__(self) -> None:
        super().__init__()
        self.teacher = None

    @abstractmethod
    def compute(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """The targets; gradients are switched off around it."""

    def forward(self, batch: Batch) -> Float[Tensor, "b n e"]:
        with torch.no_grad():
            return self.compute(batch)

    def update(self, progress: float) -> None:
        """Called once after each optimiser step with the progress of that step."""


class Frozen(Target):
    """Features of a fixed teacher on the full input: mean of its last ``layers`` blocks, each through ``norm``, the mean
    through ``final``.

    With ``layers=1`` the teacher's own final norm is applied first, as in I-JEPA and ECG-JEPA.
    """

    teacher: Backbone

    def __init__(
        self, teacher: Backbone, *, norm: Norm | None = None, layers: int = 1, final: Norm | None = None
    ) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(False).eval()
        self.norm, self.layers, self.final = norm, layers, final

    def train(self, mode: bool = True) -> Frozen:
        """The teacher always stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def compute(self, batch: Batch) -> Float[Tensor, "b n e"]:
        tokens = self.teacher.tokenize(batch)
        hidden = [self.teacher.encode(tokens).x] if self.layers == 1 else self.teacher.hidden(tokens, self.layers)
        mean = torch.stack([self.norm(h) if self.norm else h for h in hidden]).mean(0)
        return self.final(mean) if self.final else mean


class EMA(Frozen):
    """A teacher that follows the student: θ̄ ← m θ̄ + (1 − m) θ after each optimiser step, buffers copied."""

    def __init__(
        self,
        student: Backbone,
        momentum: Schedule,
        *,
        norm: Norm | None = None,
        layers: int = 1,
        final: Norm | None = None,
    ) -> None:
        super().__init__(copy.deepcopy(student), norm=norm, layers=layers, final=final)
        self.momentum = momentum
        self._student = (student,)  # in a tuple: the student belongs to the objective, not to its target

    def update(self, progress: float) -> None:
        follow(self.teacher, self._student[0], self.momentum(progress))


class Input(Target):
    """A function of the raw input, normalised: pixels or samples of each patch, gradients, occupancy."""

    def __init__(self, function: Callable[[Batch], Float[Tensor, "b n e"]], *, norm: Norm | None = None) -> None:
        super().__init__()
        self.function, self.norm = function, norm

    def compute(self, batch: Batch) -> Float[Tensor, "b n e"]:
        x = self.function(batch)
        return self.norm(x) if self.norm else x
