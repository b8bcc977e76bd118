"""Tube masks: V-JEPA's two sets against the table of the released sampler and a slow oracle, VideoMAE's exact counts."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from test_masking import draw

from jepakit.masking import Masker
from jepakit.tubes import CPU, CUT, MultiBlocks, PaperMultiBlocks, RandomTubes
from jepakit.types import Split, Tokens, UsageError

# Shares of the tokens by plane and set: context before and after the cut to the shortest of 24, asked for before and after.
RELEASED = {
    ((14, 14), 0): (0.37, 0.23, 0.63, 0.48),
    ((14, 14), 1): (0.19, 0.06, 0.81, 0.70),
    ((16, 16), 0): (0.38, 0.24, 0.62, 0.47),
    ((16, 16), 1): (0.19, 0.07, 0.81, 0.70),
    ((8, 8), 0): (0.36, 0.21, 0.64, 0.47),
    ((8, 8), 1): (0.19, 0.08, 0.80, 0.69),
}
WIDER = {
    ((14, 14), 0): 0.20,
    ((14, 14), 1): 0.05,
    ((16, 16), 0): 0.20,
    ((16, 16), 1): 0.05,
    ((8, 8), 0): 0.16,
    ((8, 8), 1): 0.07,
}


def split_of(masker: Masker, samples: int, which: int) -> Split:
    tokens = Tokens(torch.zeros(samples, masker.count, 2), torch.zeros(samples, masker.count, 3))
    split: Split = masker(tokens, tokens.x, 0.0, which)
    return split


@pytest.mark.parametrize(("plane", "which"), RELEASED)
def test_the_release_has_the_statistics_of_its_table(plane: tuple[int, int], which: int) -> None:
    """Means over 200 batches of 24 (and of 128): two standard errors are below .01 and the table is rounded to .01."""
    torch.manual_seed(0)
    masker, n = PaperMultiBlocks((8, *plane)), math.prod(plane)
    rows = []
    for _ in range(200):
        hidden = masker.regions(24, which).sum(1).float() / n
        rows.append((1 - hidden.mean(), 1 - hidden.max(), hidden.mean(), hidden.min()))
    assert np.mean(rows, 0) == pytest.approx(RELEASED[plane, which], abs=0.02)
    cut = np.mean([1 - float(masker.regions(128, which).sum(1).max()) / n for _ in range(200)])
    assert cut == pytest.approx(WIDER[plane, which], abs=0.02)


def test_long_masks_of_small_planes_often_leave_nothing_and_are_drawn_again() -> None:
    torch.manual_seed(0)
    masker = PaperMultiBlocks((4, 8, 8))
    empty = np.mean([float(masker.placed((16,), 1, masker.drawn(1), CPU).all(1).float().mean()) for _ in range(2500)])
    assert 0.06 < empty < 0.09
    assert not any(masker.regions(64, 1).all(1).any() for _ in range(50))


def slow_release(rng: random.Random, side: int, blocks: int, share: float, samples: int) -> list[int]:
    """The release as its text says, cell by cell: numbers of visible cells of the samples of one batch."""
    area, aspect = int(side * side * share), rng.uniform(0.75, 1.5)
    height, width = min(side, round(math.sqrt(area * aspect))), min(side, round(math.sqrt(area / aspect)))
    sizes = []
    for _ in range(samples):
        seen: set[tuple[int, int]] = set()
        while not seen:
            seen = {(r, c) for r in range(side) for c in range(side)}
            for _ in range(blocks):
                top, left = rng.randint(0, side - height), rng.randint(0, side - width)
                seen -= {(r, c) for r in range(top, top + height) for c in range(left, left + width)}
        sizes.append(len(seen))
    return sizes


@pytest.mark.parametrize(("which", "blocks", "share"), [(0, 8, 0.15), (1, 2, 0.7)])
def test_a_slow_oracle_agrees_with_the_batched_release(which: int, blocks: int, share: float) -> None:
    rng, masker = random.Random(0), PaperMultiBlocks((2, 10, 10))
    torch.manual_seed(0)
    slow = [slow_release(rng, 10, blocks, share, 12) for _ in range(250)]
    fast = [(100 - masker.regions(12, which).sum(1)).tolist() for _ in range(800)]
    assert np.mean(fast) == pytest.approx(np.mean(slow), abs=1.5)
    assert np.mean([min(one) for one in fast]) == pytest.approx(np.mean([min(one) for one in slow]), abs=1.5)


def test_the_released_cut_keeps_the_first_tokens_plane_by_plane() -> None:
    torch.manual_seed(4)
    regions = PaperMultiBlocks((4, 8, 8)).regions(6, 0)
    torch.manual_seed(4)
    split = split_of(PaperMultiBlocks((4, 8, 8)), 6, 0)
    seen = [[64 * t + c for t in range(4) for c in range(64) if not row[c]] for row in regions]
    hidden = [[64 * t + c for t in range(4) for c in range(64) if row[c]] for row in regions]
    shortest = min(map(len, seen)), min(map(len, hidden))
    for sample in range(6):
        assert split.context[sample, 0].tolist() == seen[sample][: shortest[0]]
        assert split.target[sample, 0, 0].tolist() == hidden[sample][: shortest[1]]


@pytest.mark.parametrize("which", [0, 1])
def test_corrected_lists_are_whole_tubes_of_the_lengths_that_the_cut_leaves(which: int) -> None:
    torch.manual_seed(0)
    masker = MultiBlocks((4, 14, 14))
    seen, asked = round(CUT[which][0] * 196), round(CUT[which][1] * 196)
    split = split_of(masker, 32, which)
    assert split.context.shape == (32, 1, 4 * seen) and split.target.shape == (32, 1, 1, 4 * asked)
    for context, target in zip(split.context[:, 0], split.target[:, 0, 0], strict=True):
        assert (context.diff() > 0).all() and (target.diff() > 0).all()
        tubes = context.reshape(4, seen) - 196 * torch.arange(4)[:, None]
        assert (tubes == tubes[0]).all() and not set(context.tolist()) & set(target.tolist())


class Kept(MultiBlocks):
    """Remembers the unions that it drew."""

    last: torch.Tensor

    def placed(self, *given: Any) -> torch.Tensor:
        self.last = super().placed(*given)
        return self.last


@pytest.mark.parametrize("which", [0, 1])
def test_corrected_context_is_visible_and_what_is_asked_for_is_hidden(which: int) -> None:
    """Save for the few samples whose regions are too small in four draws; cells are reached evenly under mirroring."""
    torch.manual_seed(0)
    masker, wrong = Kept((1, 8, 8)), 0
    reached = torch.zeros(2, 64)
    for _ in range(150):
        split = split_of(masker, 32, which)
        context = torch.zeros(32, 64, dtype=torch.bool).scatter(1, split.context[:, 0], True)
        target = torch.zeros(32, 64, dtype=torch.bool).scatter(1, split.target[:, 0, 0], True)
        fits = (~(context[:, None] & masker.last).any(-1) & ~(target[:, None] & ~masker.last).any(-1)).any(1)
        wrong += int((~fits).sum())
        reached += torch.stack([context.float().mean(0), target.float().mean(0)]) / 150
    assert wrong < 0.02 * 150 * 32
    cells = reached.reshape(2, 8, 8)
    assert (cells[1] > 0.01).all()
    assert (cells[0] > 0.01).all() or which == 1  # two blocks of 70 % always cover the middle
    for mirrored in (cells.flip(1), cells.flip(2)):
        assert (cells - mirrored).abs().max() < 0.05


@pytest.mark.parametrize("kind", [MultiBlocks, PaperMultiBlocks])
def test_one_size_per_batch_and_the_seed_decides(kind: type[MultiBlocks]) -> None:
    masker = kind((2, 14, 14))
    torch.manual_seed(7)
    a = split_of(masker, 8, 1)
    torch.manual_seed(7)
    b = split_of(masker, 8, 1)
    assert torch.equal(a.context, b.context) and torch.equal(a.target, b.target)
    assert not torch.equal(a.context, split_of(masker, 8, 1).context)
    torch.manual_seed(0)
    sizes = {masker.drawn(0) for _ in range(300)}
    # int(.15 · 196) = 29 with aspects .75 to 1.5: √(29 a) from 4.66 to 6.6, √(29 / a) from 6.22 to 4.4
    assert (
        sizes == {(5, 6), (5, 5), (6, 5), (7, 4), (6, 4), (7, 5), (5, 4)} & sizes and {(5, 6), (5, 5), (6, 5)} <= sizes
    )


def test_random_tubes_hide_exactly_that_many_cells_of_every_plane() -> None:
    torch.manual_seed(0)
    split = draw(RandomTubes((4, 7, 5)), 16)  # int(.9 · 35) = 31 hidden
    assert split.context.shape == (16, 1, 16) and split.target.shape == (16, 1, 1, 124)
    for context, target in zip(split.context[:, 0], split.target[:, 0, 0], strict=True):
        assert sorted([*context.tolist(), *target.tolist()]) == list(range(140))
        assert all({c % 35 for c in context.tolist()} == {int(c) % 35 for c in part} for part in context.reshape(4, 4))
    assert len({tuple(row.tolist()) for row in split.context[:, 0]}) > 12


def test_grids_without_a_plane_or_too_small_are_refused_with_a_remedy() -> None:
    for kind in (RandomTubes, MultiBlocks, PaperMultiBlocks):
        with pytest.raises(UsageError, match="two axes"):
            kind((40,))
    with pytest.raises(UsageError, match="smaller patch"):
        RandomTubes((4, 1, 1))
    with pytest.raises(UsageError, match="smaller patch"):
        MultiBlocks((4, 1, 1))
