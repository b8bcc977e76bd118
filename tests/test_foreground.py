"""Vol-JEPA's masks: what is seen is foreground, in or around one block, under a cap; and its loss counts no padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from waves import Bodies, Waves

import jepakit.methods  # noqa: F401 - registers
from jepakit.foreground import ForegroundBlocks, block_sides
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.types import Batch, Size, Split, Tokens, UsageError

GRID = (6, 10, 10)
SIZE = Size(32, 2, 2, 16, 1, 2, steps=50)


def disc(samples: int, radius: float = 4.2) -> Tensor:
    """A cylinder of foreground through all slices but the last: (b, 600)."""
    row, column = np.mgrid[:10, :10] - 4.5
    inside = np.broadcast_to(row**2 + column**2 < radius**2, GRID).copy()
    inside[-1] = False
    return torch.from_numpy(inside).flatten().expand(samples, -1)


def split_of(masker: ForegroundBlocks, occupied: Tensor | None, samples: int = 64) -> Split:
    tokens = Tokens(torch.zeros(samples, masker.count, 2), torch.zeros(samples, masker.count, 3), occupied)
    split: Split = masker(tokens, tokens.x, 0.0)
    return split


def members(index: Tensor, n: int) -> Tensor:
    return torch.zeros(len(index), n, dtype=torch.bool).scatter(1, index.flatten(1), True)


def test_seen_and_asked_tokens_are_the_foreground_and_the_rest_is_padding() -> None:
    torch.manual_seed(0)
    occupied = disc(64)
    whole = int(occupied[0].sum())
    masker = ForegroundBlocks(GRID, whole)
    for _ in range(10):
        split = split_of(masker, occupied)
        assert split.context.shape == (64, 1, -(-whole // 4)) and split.target.shape == (64, 1, 1, whole - whole // 20)
        context, target = members(split.context, 600), members(split.target, 600)
        assert not (context & target).any()
        seen, asked = (context & occupied).sum(1), (target & occupied).sum(1)
        assert (seen + asked == whole).all()  # nothing of the foreground is left out where all fits
        share = seen / whole
        assert (share >= 0.05).all() and (share <= 0.26).all()


@torch.no_grad()
def test_what_is_seen_is_a_block_or_what_is_around_one() -> None:
    """Where every token is foreground, cells with something seen are one rectangle in about half of the samples, and their
    complement is one in the others; its area is 25 or 70 % of the plane (aspects of .3 to 3, cut to the plane)."""
    torch.manual_seed(0)
    masker = ForegroundBlocks(GRID, 600)
    seen = masker.visible(torch.ones(120, 600, dtype=torch.bool)).reshape(120, *GRID)
    shown = 0
    for sample in seen:
        cells = sample.any(0)
        block = cells if cells.float().mean() < 0.28 else ~cells
        rows, columns = block.any(1).nonzero().flatten(), block.any(0).nonzero().flatten()
        filled = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        area = int(block.sum())
        if filled != area:  # what is around a block may lack a rectangle of its own only if it is the seen part
            block = ~block
            area = int(block.sum())
            rows, columns = block.any(1).nonzero().flatten(), block.any(0).nonzero().flatten()
            assert (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) == area
        shown += bool(area <= 30)
        assert 20 <= area <= 30 or 45 <= area <= 78
        kept = sample.flatten(1).any(1)
        slices = kept.nonzero().flatten()
        gone = (~kept).nonzero().flatten()
        assert (slices.diff() == 1).all() or (gone.diff() == 1).all()  # successive slices were dropped
    assert 40 < shown < 80


def test_blocks_shrink_with_the_foreground() -> None:
    """int of 70 % of a plane of 100 cells, of which half are foreground: 35 cells; √(35 · 1.4) = 7, √(35 / 1.4) = 5."""
    height, width = block_sides((10, 10), torch.tensor([35.0, 70.0, 70.0]), torch.tensor([1.4, 0.3, 3.0]))
    assert height.tolist() == [7, 5, 10] and width.tolist() == [5, 10, 5]  # √21 = 4.6, √233 cut; √210 cut, √23.3 = 4.8


def test_slices_are_dropped_until_the_cap() -> None:
    """Half of the foreground is seen: with a cap of a quarter, half of the eight slices go, four in a row."""
    torch.manual_seed(0)
    masker = ForegroundBlocks((8, 4, 4), 128)
    seen = torch.zeros(50, 1, 8, 16, dtype=torch.bool)
    seen[..., :8] = True
    left = masker.thinned(seen, torch.full((50,), 128.0))[:, 0]
    assert (left.sum((1, 2)) == 32).all() and not left[..., 8:].any()
    gone = ~left[..., 0]
    assert (gone.sum(1) == 4).all() and all((row.nonzero().flatten().diff() == 1).all() for row in gone)
    assert len({tuple(row.tolist()) for row in gone}) == 5  # 0 to 4 slices above them
    few = masker.thinned(seen[..., :] & (torch.arange(16) < 3), torch.full((50,), 128.0))
    assert (few.sum((1, 2, 3)) == 24).all()  # below the cap: nothing is dropped


def test_blocks_are_placed_in_the_foreground() -> None:
    """A quarter of the cells is foreground, in a corner. 25 % of it are 6 cells, as a square 2 × 2, so 24 tokens are seen;
    70 % are 17 cells, 4 × 4, and of the 54 tokens around it (36 %) one of six slices is dropped."""
    torch.manual_seed(0)
    corner = torch.zeros(GRID, dtype=torch.bool)
    corner[:, :5, :5] = True
    occupied = corner.flatten().expand(256, -1)
    inside = {}
    for tries in (1, 64):
        seen = ForegroundBlocks(GRID, 150, aspect=(1.0, 1.0), tries=tries).visible(occupied).sum(1)
        inside[tries] = float(((seen == 24) | (seen == 45)).float().mean())
    assert inside[64] > 0.95 and inside[1] < 0.3


def test_without_background_the_lists_are_filled_from_the_foreground() -> None:
    torch.manual_seed(0)
    split = split_of(ForegroundBlocks(GRID, 600), None)
    assert split.context.shape[-1] == 150 and split.target.shape[-1] == 450
    assert (members(split.context, 600) ^ members(split.target, 600)).all()


@torch.no_grad()
def test_the_loss_counts_foreground_only() -> None:
    modality = Bodies(grid=(2, 6, 6))
    objective = build("voljepa", modality, SIZE, 0).eval()
    assert isinstance(objective, MaskedJEPA)
    batch = modality.data("train").batch(torch.arange(4))
    torch.manual_seed(1)
    loss = float(objective(batch, 0.0).total)
    torch.manual_seed(1)
    tokens, target = objective.backbone.tokenize(batch), objective.target(batch)
    split = objective.masker(tokens, target, 0.0)
    total, count = 0.0, 0
    for b in range(4):
        context = [int(i) for i in split.context[b, 0] if batch.extra["occupied"][b, i]]
        asked = [int(i) for i in split.target[b, 0, 0] if batch.extra["occupied"][b, i]]
        only = Tokens(tokens.x[b : b + 1, context], tokens.pos[b : b + 1, context])
        predicted = objective.predictor(objective.backbone.encode(only), tokens.pos[b, asked][None, None, None])[
            0, 0, 0
        ]
        for place, vector in zip(asked, predicted, strict=True):
            error = (vector - target[b, place]).abs()
            total += float(torch.where(error < 1, error**2 / 2, error - 0.5).mean())
            count += 1
    assert loss == pytest.approx(total / count, rel=1e-4)


@torch.no_grad()
def test_background_reaches_neither_features_nor_targets() -> None:
    modality = Bodies(grid=(2, 6, 6))
    objective = build("voljepa", modality, SIZE, 0).eval()
    assert isinstance(objective, MaskedJEPA)
    batch = modality.data("train").batch(torch.arange(8))
    occupied = batch.extra["occupied"]
    x = batch.x.reshape(8, 72, 4).clone()
    x[~occupied] = 50.0
    changed = Batch(x.flatten(1), batch.labels, batch.extra)
    assert torch.equal(objective.encoder().embed(batch), objective.encoder().embed(changed))
    assert torch.equal(objective.target(batch)[occupied], objective.target(changed)[occupied])


def test_data_without_a_foreground_and_other_grids_are_refused_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="vjepa, which needs no foreground"):
        build("voljepa", Waves(grid=(2, 6, 6)), SIZE, 0)
    with pytest.raises(UsageError, match="three axes"):
        ForegroundBlocks((8, 8), 64)
    with pytest.raises(UsageError, match="smaller patch"):
        ForegroundBlocks((1, 1, 2), 0)
