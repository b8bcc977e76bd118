"""Ranks: several processes of one machine train one model on one batch, as one process would but for rounding.

Lightning's DDP averages the gradients. What it leaves to the user is here: every rank keeps its share of the rows of the
joint batch; what an objective draws at random is drawn for the joint batch on every rank and cut like the rows; batch norm
runs over the joint batch. Losses over a batch gather it (``jepakit.losses.joint``), means over flagged places count them
everywhere (``jepakit.processes.terms``). ``tests/test_ranks.py`` names the methods whose rows are tied in other ways, so
that two ranks differ from one process, and how.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from jepakit.processes import world_size
from jepakit.types import Batch, UsageError

SILENCE = 600.0  # seconds that a rank waits for the others before the run fails
DRAWS: tuple[Callable[..., Tensor], ...] = (torch.rand, torch.randn, torch.randint)
LIKE: dict[Callable[..., Tensor], Callable[..., Tensor]] = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}


@dataclass(frozen=True)
class Team:
    """One of ``world`` ranks. meet: a file that does not exist yet, by which they find each other."""

    index: int
    world: int
    meet: Path
    silence: float = SILENCE

    @contextmanager
    def joined(self, device: str) -> Iterator[None]:
        """Inside, the process group exists. A rank that dies or says nothing for ``silence`` seconds ends the others with
        an error."""
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: its name need not resolve
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
            init_method=self.meet.resolve().as_uri(),
            rank=self.index,
            world_size=self.world,
            timeout=timedelta(seconds=self.silence),
        )
        try:
            yield
        finally:
            dist.destroy_process_group()

    def strategy(self) -> DDPStrategy:
        """DDP among processes that exist already. Methods of several stages leave parameters without gradient."""
        return DDPStrategy(
            cluster_environment=_Given(self), timeout=timedelta(seconds=self.silence), find_unused_parameters=True,
            broadcast_buffers=False,
        )  # fmt: skip

    def share(self, batch: Batch) -> Batch:
        """The rows of the joint batch that are this rank's. Raises UsageError where ranks cannot get equally many."""
        if len(batch) % self.world:
            raise UsageError(
                f"a batch of {len(batch)} rows cannot be shared by {self.world} ranks; choose a multiple as train.batch_size"
            )
        return Batch(
            self._cut(batch.x),
            {name: self._cut(label) for name, label in batch.labels.items()},
            {name: self._cut(column) for name, column in batch.extra.items()},
        )

    def _cut(self, x: Tensor) -> Tensor:
        return x.chunk(self.world)[self.index]

    def draws(self, rows: int) -> TorchFunctionMode:
        """Context in which draws and batch norm are those of the joint batch; ``rows``: of this rank."""
        return _Joint(self, rows)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank (waits for all)."""
        told = torch.tensor(float(flag))
        dist.all_reduce(told)
        return bool(told)

    def mean(self, value: float) -> float:
        """The mean over ranks (waits for all)."""
        told = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(told)
        return float(told) / self.world


class _Given(LightningEnvironment):
    """Tells Lightning that the ranks run already."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self.team.index

    def node_rank(self) -> int:
        return 0


class _Joint(TorchFunctionMode):
    """Draws whose first fitting axis counts rows (or a multiple of them) are made for all ranks and cut; others are the same
    on every rank, since their generators are. Own generators are left alone: they say themselves what they seed."""

    def __init__(self, team: Team, rows: int) -> None:
        super().__init__()
        self.team, self.rows = team, rows

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return _batch_norm(*args, **kwargs)
        if func in LIKE:
            like = args[0]
            return self._drawn(
                LIKE[func], (), tuple(like.shape), {"dtype": like.dtype, "device": like.device, **kwargs}
            )
        if func in DRAWS and kwargs.get("generator") is None:
            before, shape, kwargs = _shape(func, args, kwargs)
            return self._drawn(func, before, shape, kwargs)
        return func(*args, **kwargs)

    def _drawn(
        self, func: Callable[..., Tensor], before: tuple[Any, ...], shape: tuple[int, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        axis = next((i for i, n in enumerate(shape) if n and n % self.rows == 0), None)
        if axis is None:
            return func(*before, shape, **kwargs)
        whole = (*shape[:axis], shape[axis] * self.team.world, *shape[axis + 1 :])
        return func(*before, whole, **kwargs).chunk(self.team.world, axis)[self.team.index].contiguous()


def _shape(
    func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[int, ...], dict[str, Any]]:
    """(arguments before the shape, the shape, the other keywords) of a draw in any of torch's spellings."""
    kwargs = dict(kwargs)
    if func is torch.randint:
        bounds = tuple(kwargs.pop(name) for name in ("low", "high") if name in kwargs)
        size = kwargs.pop("size", None)
        given = list(args)
        shape = size if size is not None else given.pop()
        return (*given, *bounds), tuple(shape), kwargs
    size = kwargs.pop("size", args)
    return (), tuple(size[0]) if size and not isinstance(size[0], int) else tuple(size), kwargs


def _batch_norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Batch norm (n, c, ...) over the rows of all ranks, in float32; running statistics as torch keeps them."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = [0, *range(2, x.ndim)]
    wide, count = x.float(), x.numel() // x.shape[1] * world_size()
    mean = all_reduce(wide.sum(axes)) / count
    column = (1, -1, *[1] * (x.ndim - 2))
    centred = wide - mean.view(column)
    var = all_reduce(centred.square().sum(axes)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
    out = centred * (var + eps).rsqrt().view(column)
    out = out if weight is None else out * weight.view(column)
    return (out if bias is None else out + bias.view(column)).to(x.dtype)
