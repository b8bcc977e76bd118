"""Two processes that share a batch compute the value and, after DDP's averaging, the gradient of the joint batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from jepakit.losses import SIGReg, nt_xent
from jepakit.pairwise import Centre, Whitening, barlow, key_contrast, mixed_barlow


def regularise(z: Tensor) -> Tensor:
    return SIGReg(32)(z)


def contrast(z: Tensor) -> Tensor:
    return nt_xent(*z.chunk(2, -1), temperature=0.3)


def keys(z: Tensor) -> Tensor:
    return key_contrast(*z.chunk(2, -1), 0.3)


def redundancy(z: Tensor) -> Tensor:
    return barlow(*z.chunk(2, -1), 0.1)


def mixture(z: Tensor) -> Tensor:
    # Partners within a process: two ranks of six rows, or both of them in the joint batch.
    swap = torch.tensor([1, 0, 3, 2, 5, 4])
    partner = swap if len(z) == 6 else torch.cat([swap, swap + 6])
    return mixed_barlow(z[:, :2], z[:, 2:4], z[:, 4:6], partner, 0.3)


def whitened(z: Tensor) -> Tensor:
    return Whitening(6)(z[:, :2], z[:, 2:4])


def centred(z: Tensor) -> Tensor:
    centre = Centre(8)
    centre.observe(z)
    centre.update()
    return 0 * z.sum() + centre.value.square().sum()


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigreg": regularise,
    "nt_xent": contrast,
    "key_contrast": keys,
    "barlow": redundancy,
    "mixed_barlow": mixture,
    "whitening": whitened,
    "centre": centred,
}


def features() -> Tensor:
    return torch.randn(12, 8, generator=torch.Generator().manual_seed(0))


def rank(index: int, folder: str, name: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=2)
    z = features().chunk(2)[index].clone().requires_grad_()
    loss = LOSSES[name](z)
    loss.backward()
    torch.save({"loss": loss.detach(), "grad": z.grad}, f"{folder}/{index}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("name", list(LOSSES))
def test_two_ranks_equal_the_joint_batch(name: str, tmp_path: Path) -> None:
    mp.spawn(rank, args=(str(tmp_path), name), nprocs=2)
    joint = features().requires_grad_()
    loss = LOSSES[name](joint)
    loss.backward()
    assert joint.grad is not None
    ranks = [torch.load(tmp_path / f"{i}.pt", weights_only=True) for i in range(2)]
    for one in ranks:
        torch.testing.assert_close(one["loss"], loss.detach(), rtol=1e-5, atol=1e-6)
    # DDP averages parameter gradients over ranks, so a rank's own gradient is world_size times its share of the joint one.
    torch.testing.assert_close(torch.cat([one["grad"] for one in ranks]) / 2, joint.grad, rtol=1e-4, atol=1e-7)
