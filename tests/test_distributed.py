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

from jepakit.losses import SIGReg, full_rule, joint, nt_xent, vicreg_covariance, vicreg_variance
from jepakit.methods.cjepa import pooled
from jepakit.methods.visreg import VISReg
from jepakit.pairwise import Centre, Whitening, barlow, columns, key_contrast, mixed_barlow


def views(z: Tensor) -> Tensor:
    """(n, 8) rows as two views of width 4: (2, n, 4)."""
    return z.unflatten(-1, (2, 4)).transpose(0, 1)


def blocks(z: Tensor) -> Tensor:
    """(n, 8) rows as predictions of two target blocks of two tokens of width 2, pooled as C-JEPA pools them."""
    return pooled(z.reshape(len(z), 1, 2, 2, 2))


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
    return columns(joint(z)).square().mean() + centre.value.square().sum()


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigreg": lambda z: SIGReg(32)(z),
    "sigreg of views": lambda z: SIGReg(32, full_rule())(views(z)),
    "visreg": lambda z: VISReg(32)(z),
    "visreg of views": lambda z: VISReg(32)(views(z)),
    "vicreg variance": lambda z: vicreg_variance(0.5 * z),
    "vicreg covariance": vicreg_covariance,
    "vicreg of blocks": lambda z: vicreg_variance(blocks(z)) + vicreg_covariance(blocks(z)),
    "nt_xent": lambda z: nt_xent(*z.chunk(2, -1), temperature=0.3),
    "key_contrast": keys,
    "barlow": redundancy,
    "mixed_barlow": mixture,
    "whitening": whitened,
    "centre": centred,
}


def features() -> Tensor:
    return torch.randn(12, 8, generator=torch.Generator().manual_seed(0))


def rank(index: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=2)
    results = {}
    for name, function in LOSSES.items():
        z = features().chunk(2)[index].clone().requires_grad_()
        loss = function(z)
        loss.backward()
        results[name] = {"loss": loss.detach(), "grad": z.grad}
    torch.save(results, f"{folder}/{index}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes computed on its half of the batch, by loss."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    mp.spawn(rank, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{i}.pt", weights_only=True) for i in range(2)]


@pytest.mark.parametrize("name", list(LOSSES))
def test_two_ranks_equal_the_joint_batch(name: str, ranks: list[dict[str, dict[str, Tensor]]]) -> None:
    whole = features().requires_grad_()
    loss = LOSSES[name](whole)
    loss.backward()
    assert whole.grad is not None and whole.grad.any()
    for one in ranks:
        torch.testing.assert_close(one[name]["loss"], loss.detach(), rtol=1e-5, atol=1e-6)
    # DDP averages parameter gradients over ranks, so a rank's own gradient is world_size times its share of the joint one.
    halves = torch.cat([one[name]["grad"] for one in ranks]) / 2
    torch.testing.assert_close(halves, whole.grad, rtol=1e-4, atol=1e-6)
