"""Salient regions against a slow loop, the accumulated context, and the teacher's two answers from one pass."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from waves import Waves

from jepakit.methods.dseq_orders import Ordered
from jepakit.recipe import vit
from jepakit.saliency import Regions, Salient, accumulated
from jepakit.schedules import constant
from jepakit.targets import layer_norm
from jepakit.types import Batch, Size, UsageError


def slow_regions(grid: tuple[int, ...], saliency: np.ndarray, count: int, size: int) -> list[list[int]]:
    """Grow each region from the most salient free cell, one touching cell at a time, then rank by mean saliency."""
    cells = list(itertools.product(*map(range, grid)))
    free, regions = set(range(len(cells))), []
    for _ in range(count):
        region: list[int] = []
        while len(region) < size:
            beside = {
                i for i in free for j in region
                if max(abs(a - b) for a, b in zip(cells[i], cells[j], strict=True)) == 1
            }  # fmt: skip
            region.append(max(beside or free, key=lambda i: saliency[i]))
            free.remove(region[-1])
        regions.append(sorted(region))
    regions.sort(key=lambda region: -float(np.mean([saliency[i] for i in region])))
    return [*regions, sorted(free)]


@pytest.mark.parametrize(("grid", "size"), [((30,), 4), ((8, 8), 9), ((3, 4, 5), 9)])
def test_regions_against_a_slow_loop(grid: tuple[int, ...], size: int) -> None:
    n = math.prod(grid)
    saliency = np.random.default_rng(0).normal(size=(16, n)).astype(np.float32)
    regions = Regions(grid)(torch.from_numpy(saliency))
    assert [len(region[0]) for region in regions] == [size] * 4 + [n - 4 * size]
    for b in range(16):
        assert [region[b].tolist() for region in regions] == slow_regions(grid, saliency[b], 4, size)
        assert sorted(torch.cat([region[b] for region in regions]).tolist()) == list(range(n))


def test_a_bright_square_comes_first_and_constant_saliency_is_no_error() -> None:
    bright = torch.zeros(1, 8, 8)
    bright[0, 4:7, 1:4] = 1
    bright[0, 0, 6:8] = 0.9  # brighter than the background, but apart
    first = Regions((8, 8))(bright.flatten(1))[0][0]
    assert first.tolist() == [8 * row + column for row in (4, 5, 6) for column in (1, 2, 3)]
    assert [len(region[0]) for region in Regions((8, 8))(torch.ones(1, 64))] == [9, 9, 9, 9, 28]


def test_the_context_of_a_region_is_all_regions_before_it() -> None:
    regions = [torch.tensor([[6, 7]]), torch.tensor([[0, 1]]), torch.tensor([[4, 5]]), torch.tensor([[2, 3]])]
    splits = [(split.context.tolist(), split.target.tolist()) for split in accumulated(regions)]
    assert splits == [
        ([[[6, 7]]], [[[[0, 1]]]]),
        ([[[0, 1, 6, 7]]], [[[[4, 5]]]]),
        ([[[0, 1, 4, 5, 6, 7]]], [[[[2, 3]]]]),
    ]


@pytest.mark.parametrize(("count", "share"), [(0, 0.15), (4, 0.25), (4, 0.01)])
def test_impossible_regions_are_refused(count: int, share: float) -> None:
    with pytest.raises(UsageError, match=r"recipe\.regions"):
        Regions((8, 8), count, share)


@pytest.mark.parametrize(("depth", "block"), [(2, 1), (6, 4), (12, 9)])
def test_targets_are_those_of_the_plain_teacher_and_saliency_comes_from_block_ten_of_twelve(
    depth: int, block: int
) -> None:
    backbone = vit(Waves(), Size(8, depth, 2))
    target = Salient(backbone, constant(0.9), norm=layer_norm)
    batch = Batch(Waves().data("train").x[:3])
    seen = []
    teacher = target.teacher
    teacher.transformer.blocks[block].register_forward_hook(lambda module, inputs, output: seen.append(output))
    wanted, saliency = target.look(batch)
    assert torch.equal(wanted, target(batch)) and not saliency.requires_grad
    register = teacher.registers[0].detach()
    for b, n in itertools.product(range(3), range(40)):
        by_hand = float((seen[0][b, 1 + n] * register).sum()) / math.sqrt(8)
        assert float(saliency[b, n]) == pytest.approx(by_hand, abs=1e-5)


def test_other_orders_are_the_same_regions_with_the_background_last() -> None:
    saliency = torch.zeros(1, 8, 8)
    # Regions of nine tokens: top right, bottom left, top left and bottom right, in falling saliency.
    for value, (row, column) in zip((4, 3, 2, 1), ((0, 5), (5, 0), (0, 0), (5, 5))):
        saliency[0, row : row + 3, column : column + 3] = value
    ranked = Regions((8, 8))(saliency.flatten(1))
    assert [int(region[0, 0]) for region in ranked[:4]] == [5, 40, 0, 45]
    orders = {name: Ordered((8, 8), 4, 0.15, name) for name in ("reversed", "raster", "random")}
    first = {name: [int(one[0, 0]) for one in order(saliency.flatten(1))[:4]] for name, order in orders.items()}
    assert first["reversed"] == [45, 0, 40, 5] and first["raster"] == [0, 5, 40, 45]
    many = saliency.flatten(1).expand(2000, -1)
    torch.manual_seed(0)
    *regions, background = orders["random"](many)
    assert torch.equal(background[:1], ranked[4])
    places = torch.stack([region[:, 0] for region in regions], 1)
    assert torch.equal(places.sort(1).values, torch.tensor([0, 5, 40, 45]).expand(2000, -1))
    for place in (0, 5, 40, 45):  # each as often at every position
        np.testing.assert_allclose((places == place).float().mean(0), 0.25, atol=0.04)
