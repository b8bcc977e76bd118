"""Processes: how many share a batch, and how one of them computes by itself for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from torch import Tensor

_alone = False


def world_size() -> int:
    """Number of processes that share the batch; 1 without a process group and inside ``alone``."""
    return dist.get_world_size() if not _alone and dist.is_available() and dist.is_initialized() else 1


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process computes by itself, though others train with it: they do not see what one of them watches."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def terms(flags: Tensor) -> Tensor:
    """What a sum over flagged places is divided by for their mean over the joint batch: how many there are, at least one, as
    the mean over processes, since gradients are averaged over them. Without gradient."""
    count = flags.detach().sum()
    if world_size() == 1:
        return count.clamp_min(1)
    dist.all_reduce(count)
    return count.clamp_min(1) / world_size()
