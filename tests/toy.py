"""A toy data set and toy methods, small enough to run whole boards in a second; loaded as a plugin by the harness tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from jepakit.modality import Modality, grid_positions
from jepakit.nn import Embedder
from jepakit.objective import Objective
from jepakit.registry import datasets, methods
from jepakit.types import PARTS, Batch, Card, Data, DataError, Losses, Part, Size, Task, Tokens, UsageError

ROWS = {"train": 240, "val": 90, "test": 120}


@datasets.register("toy/toy")
class Toy(Modality):
    """Eight numbers per row in three separable classes; four tokens of two numbers."""

    name: ClassVar[str] = "toy"
    dataset: ClassVar[str] = "toy"
    embedded: ClassVar[bool] = True
    augmentation: ClassVar[str] = "none"
    card: ClassVar[Card] = Card("Toy rows", "CC0", "made here", "none", "person")

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        self.grid = (4,)
        self.tasks = (
            Task("kind", "class", "macro_f1", ("a", "b", "c")),
            Task("size", "regression", "r2", nuisance=True),
        )

    def data(self, part: Part) -> Data:
        random = np.random.default_rng(PARTS.index(part))
        n = ROWS[part]
        label = np.arange(n) % 3
        x = random.standard_normal((n, 8)) + 2 * np.eye(8)[label]
        return Data(
            torch.from_numpy(x.astype(np.float32)),
            {"kind": torch.from_numpy(label), "size": torch.from_numpy(x[:, 3].astype(np.float32))},
            np.array([f"{part}{i % 30}" for i in range(n)]),
        )

    def tokenizer(self, dim: int) -> nn.Module:
        return nn.Linear(2, dim)

    @property
    def patch_values(self) -> int:
        return 2

    def patches(self, batch: Batch) -> Tensor:
        return batch.x.reshape(len(batch), 4, 2)


@datasets.register("toy/broken")
class Broken(Toy):
    """A data set whose files are gone."""

    dataset: ClassVar[str] = "broken"
    embedded: ClassVar[bool] = False

    def data(self, part: Part) -> Data:
        raise DataError(f"{self.root}/toy/broken/{part}.dat is missing; copy it there")


class ToyEncoder(Embedder):
    """Linear tokens, tanh."""

    def __init__(self, modality: Modality, dim: int) -> None:
        super().__init__()
        self.modality, self.dim = modality, dim
        self.project = nn.Linear(2, dim)

    def tokens(self, batch: Batch) -> Tokens:
        x = torch.tanh(self.project(self.modality.patches(batch)))
        return Tokens(x, grid_positions(self.modality.grid).expand(len(batch), -1, -1))

    def embed(self, batch: Batch) -> Tensor:
        return self.tokens(batch).x.flatten(1)


class Reconstruct(Objective):
    """Autoencoding with noise; subclasses misbehave at one step."""

    def __init__(self, modality: Modality, size: Size, at: float = 0.5) -> None:
        super().__init__()
        self.modality, self.at, self.steps = modality, at, size.steps
        self.backbone = ToyEncoder(modality, size.dim)
        self.out = nn.Linear(size.dim, 2)

    def forward(self, batch: Batch, progress: float) -> Losses:
        if progress >= self.at:
            self.misbehave()
        x = batch.with_x(batch.x + 0.1 * torch.randn_like(batch.x))
        loss = (self.out(self.backbone.tokens(x).x) - self.modality.patches(batch)).square().mean()
        return Losses(self.change(loss, progress), {})

    def misbehave(self) -> None:
        """Nothing, here."""

    def change(self, loss: Tensor, progress: float) -> Tensor:
        return loss


class Nan(Reconstruct):
    def change(self, loss: Tensor, progress: float) -> Tensor:
        return loss * float("nan") if progress >= self.at else loss


class Oom(Reconstruct):
    def misbehave(self) -> None:
        raise torch.OutOfMemoryError("tried to allocate 80 GiB")


class Crash(Reconstruct):
    def misbehave(self) -> None:
        raise KeyError("/secret/place/of/files")


class Die(Reconstruct):
    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Collapse(Reconstruct):
    def after_step(self, progress: float) -> None:
        if progress >= self.at:
            with torch.no_grad():
                self.backbone.project.weight.zero_()


class Interrupt(Reconstruct):
    """Presses Ctrl-C once: the file named by $TOY_INTERRUPT is removed when it does."""

    def misbehave(self) -> None:
        marker = os.environ.get("TOY_INTERRUPT")
        if marker and Path(marker).exists():
            Path(marker).unlink()
            os.kill(os.getpid(), getattr(signal, os.environ.get("TOY_SIGNAL", "SIGINT")))


class Hang(Reconstruct):
    """Says nothing any more, with a child process; "deaf" in the file named by $TOY_INTERRUPT: not even to signals."""

    def misbehave(self) -> None:
        marker = Path(os.environ["TOY_INTERRUPT"])
        if marker.exists() and (how := marker.read_text()):
            child = subprocess.Popen(["sleep", "600"])
            marker.with_suffix(".pids").write_text(f"{os.getpid()} {child.pid}")
            marker.write_text("")
            if how == "deaf":
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)
            time.sleep(600)


class Hungry(Reconstruct):
    def misbehave(self) -> None:
        torch.zeros(1 << 31)


class Void(Reconstruct):
    """Its features become NaN in the last step, which the loss does not see."""

    def after_step(self, progress: float) -> None:
        if round(progress * self.steps) == self.steps - 1:
            with torch.no_grad():
                self.backbone.project.weight.fill_(float("nan"))


class Still(Reconstruct):
    trains = False


def _register(name: str, kind: type[Reconstruct], family: str = "jepa", **training: Any) -> None:
    @methods.register(name, family=family, paper="Toy 2026", augmentation="none", training=training)
    def make(modality: Modality, size: Size, *, at: float = 0.5, pair: tuple[float, float] = (0.0, 1.0)) -> Objective:
        if modality.name != "toy":
            raise UsageError(f"'{name}' only runs on toys; take another method for {modality.name}")
        return kind(modality, size, at)


_register("toy-ae", Reconstruct, lr=7e-3)
_register("toy-still", Still, "reference")
_register("toy-nan", Nan)
_register("toy-oom", Oom)
_register("toy-crash", Crash)
_register("toy-die", Die)
_register("toy-collapse", Collapse)
_register("toy-interrupt", Interrupt)
_register("toy-hang", Hang)
_register("toy-hungry", Hungry)
_register("toy-void", Void)
