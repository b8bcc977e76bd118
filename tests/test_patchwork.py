"""Masks of blocks in unions: sizes, places, which region each list comes from, tubes, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from jepakit.patchwork import Patchwork, inverse_blocks, multiblock
from jepakit.types import Split, Tokens, UsageError

GRIDS = [(40,), (8, 8), (5, 12), (4, 6, 6)]


def draw(masker: Patchwork, samples: int = 64, seed: int = 0) -> Split:
    torch.manual_seed(seed)
    tokens = Tokens(torch.zeros(samples, masker.count, 1), torch.zeros(samples, masker.count, len(masker.grid)))
    return masker(tokens, tokens.x, 0.0)


def seen(index: torch.Tensor, count: int) -> torch.Tensor:
    """(…, k) indices as a table (…, n) of how often each token is named."""
    return torch.zeros(*index.shape[:-1], count, dtype=torch.long).scatter_add(-1, index, torch.ones_like(index))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", ["multiblock", "inverse"])
def test_lists_are_sorted_disjoint_and_of_the_promised_length(grid: tuple[int, ...], kind: str) -> None:
    n = math.prod(grid)
    masker = multiblock(grid) if kind == "multiblock" else inverse_blocks(grid, hide=0.8, contexts=3)
    split = draw(masker)
    k, q, m = (round(n / 4), round(n / 2), 1) if kind == "multiblock" else (round(n / 5), n - round(n / 5), 3)
    assert split.context.shape == (64, m, k) and split.target.shape == (64, m, 1, q)
    for index in (split.context, split.target):
        assert (index.diff(dim=-1) > 0).all() and index.min() >= 0 and index.max() < n
    named = seen(split.context, n) + seen(split.target[:, :, 0], n)
    assert named.max() == 1 and (kind == "multiblock" or named.min() == 1)
    again, other = draw(masker), draw(masker, seed=1)
    assert torch.equal(again.context, split.context) and torch.equal(again.target, split.target)
    assert not torch.equal(other.context, split.context)
    many = draw(masker, 1024)  # every token is seen by somebody and asked of somebody
    assert (seen(many.context, n).sum((0, 1)) > 0).all() and (seen(many.target, n).sum((0, 1, 2)) > 0).all()


def test_a_block_has_its_sides_and_every_place() -> None:
    masker = Patchwork((5, 7), (2, 3), 1)
    inside = masker.union(4000, torch.device("cpu"))[:, 0].unflatten(-1, (5, 7))
    assert (inside.any(2).sum(1) == 2).all() and (inside.any(1).sum(1) == 3).all() and (inside.sum((1, 2)) == 6).all()
    rows, columns = inside.any(2).int().argmax(1), inside.any(1).int().argmax(1)
    assert (rows.diff().abs() <= 3).all()
    count = torch.bincount(rows * 5 + columns, minlength=20)  # 4 × 5 places, 200 draws expected each
    assert count.min() > 140 and count.max() < 260
    inside = inside.float()
    torch.testing.assert_close(inside.mean(0), inside.mean(0).flip(0, 1), atol=0.04, rtol=0)  # no corner is favoured


@pytest.mark.parametrize("shown", [True, False])
def test_each_list_comes_from_its_region_while_that_lasts(shown: bool) -> None:
    """With the same seed ``union`` draws the same blocks, so the regions behind a split are known."""
    masker = Patchwork((8, 8), (3, 3), 4, shown=shown, keep=0.3, ask=0.5, contexts=2)
    split = draw(masker)
    torch.manual_seed(0)
    union = masker.union(64, torch.device("cpu"))
    visible = union if shown else ~union
    room = visible.sum(-1)
    context, asked = seen(split.context, 64).bool(), seen(split.target[:, :, 0], 64).bool()
    assert torch.equal((context & visible).sum(-1), room.clamp(max=round(0.3 * 64)))
    assert torch.equal((asked & ~visible).sum(-1), (64 - room).clamp(max=32))
    assert not torch.equal(union[:, 0], union[:, 1])  # contexts are drawn independently


def test_multiblock_spans_the_leading_axes_and_hides_about_what_the_paper_does() -> None:
    masker = multiblock((4, 8, 8))
    union = masker.union(2000, torch.device("cpu")).unflatten(-1, (4, 64))
    assert torch.equal(union, union[:, :, :1].expand_as(union))
    # eight 3×3 blocks (14 % of 8×8 each) hide about what eight of 15 % do: 64 % of the tokens
    assert float(union.float().mean()) == pytest.approx(0.62, abs=0.04)


def test_inverse_blocks_cover_about_the_visible_share() -> None:
    masker = inverse_blocks((16, 16), hide=0.8)
    assert masker.sides == (3, 3) and masker.blocks == round(0.27 * 256 / 9)
    assert float(masker.union(2000, torch.device("cpu")).float().mean()) == pytest.approx(0.24, abs=0.03)
    assert inverse_blocks((2, 40), hide=0.6, side=5).sides == (2, 5)


def test_unusable_masks_are_refused_with_a_remedy() -> None:
    for bad in ({"hide": 1.0}, {"hide": 0.0}, {"hide": 0.8, "contexts": 0}):
        with pytest.raises(UsageError, match="smaller patch"):
            inverse_blocks((8,), **bad)
    with pytest.raises(UsageError, match="smaller patch"):
        Patchwork((8,), (2,), 2, keep=0.6, ask=0.6)
    for sides in ((3,), (9, 2), (0, 2)):
        with pytest.raises(ValueError, match="do not fit"):
            Patchwork((8, 8), sides, 2)
