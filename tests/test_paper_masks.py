"""I-JEPA's masks, released and corrected, against Monte-Carlo figures of both samplers and a slow oracle of the release."""

import math
import random

import numpy as np
import pytest
import torch
from test_masking import draw
from waves import Waves

import jepakit.methods  # noqa: F401 - registers
from jepakit.masking import Blocks
from jepakit.objective import MaskedJEPA
from jepakit.paper_masks import PaperBlocks, paper_sides
from jepakit.pretrain import build
from jepakit.types import Size, UsageError

CPU = torch.device("cpu")


def mean(values: list[float]) -> float:
    return float(np.mean(values))


# Shares of the grid: context before the cut, after the cut to the shortest of a batch of 32, 128, 256; tokens of a target;
# share of the union of four. A table of the released sampler (min_keep 10) and one of the corrected sampler.
RELEASED = {
    (14, 14): (0.41, {32: 0.29, 128: 0.24, 256: 0.26}, 33.5, 0.44),
    (16, 16): (0.43, {128: 0.26, 256: 0.26}, 44, 0.44),
    (8, 8): (0.34, {32: 13.6 / 64, 128: 12.9 / 64, 256: 12 / 64}, 10.5, None),
}
CORRECTED = {
    (8, 8): (4, 0.465, {32: 20.6 / 64, 128: 19.5 / 64, 256: 18.2 / 64}, 11.0, 0.487),
    (14, 14): (10, 90 / 196, {32: 66 / 196, 128: 55 / 196, 256: 58 / 196}, 34, 0.475),
    (16, 16): (10, 0.47, {32: 87 / 256, 128: 79 / 256, 256: 77 / 256}, 44, 0.47),
}


@pytest.mark.parametrize("grid", RELEASED)
def test_released_sampler_has_the_released_statistics(grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    n, (before, after, block, union) = math.prod(grid), RELEASED[grid]
    masker = PaperBlocks(grid)
    for samples, wanted in after.items():
        seen, cut, tokens, covered = [], [], [], []
        for _ in range(150):
            targets, context = masker.blocks(samples)
            seen.append(context.sum(1).float().mean().item() / n)
            cut.append(context.sum(1).min().item() / n)
            tokens.append(targets[0, 0].sum().item() / n)
            covered.append(targets.any(1).float().mean().item())
        assert mean(seen) == pytest.approx(before, abs=0.02) and mean(cut) == pytest.approx(wanted, abs=0.02)
        assert mean(tokens) == pytest.approx(block / n, abs=0.02)
        assert union is None or mean(covered) == pytest.approx(union, abs=0.02)


@pytest.mark.parametrize("grid", CORRECTED)
def test_corrected_sampler_has_its_reference_statistics(grid: tuple[int, int]) -> None:
    """The batch minimum of the reference (no cap on the context) is noisy between its batch sizes: ±.03 there."""
    torch.manual_seed(0)
    n, (least, before, after, block, union) = math.prod(grid), CORRECTED[grid]
    masker = Blocks(grid, keep=least / n, tries=1)
    for samples, wanted in after.items():
        seen, cut, tokens, covered = [], [], [], []
        for _ in range(150):
            targets, context, length = masker.candidates(samples, CPU)
            free = (context & ~targets.any(2))[:, 0].sum(1)
            seen.append(free.float().mean().item() / n)
            cut.append(free[free >= least].min().item() / n)
            tokens.append(length / n)
            covered.append(targets.any(2).float().mean().item())
        assert mean(seen) == pytest.approx(before, abs=0.02) and mean(cut) == pytest.approx(wanted, abs=0.03)
        assert mean(tokens) == pytest.approx(block / n, abs=0.02)
        assert mean(covered) == pytest.approx(union, abs=0.02)


def test_corrected_rows_are_covered_symmetrically_and_every_cell_is_reached() -> None:
    torch.manual_seed(0)
    context, target = torch.zeros(64), torch.zeros(64)
    masker, batches = Blocks((8, 8), keep=4 / 64, tries=1), 200
    for _ in range(batches):
        blocks, around, _ = masker.candidates(64, CPU)
        context += (around & ~blocks.any(2))[:, 0].float().mean(0) / batches
        target += blocks.any(2)[:, 0].float().mean(0) / batches
    rows = context.reshape(8, 8).mean(1)
    reference = torch.tensor([0.62, 0.53, 0.39, 0.33, 0.33, 0.39, 0.53, 0.62])
    assert (rows - reference).abs().max() < 0.02
    for cells in (context.reshape(8, 8), target.reshape(8, 8)):
        assert (cells > 0.05).all()
        for mirrored in (cells.flip(0), cells.flip(1), cells.T):
            assert (cells - mirrored).abs().max() < 0.04


def test_released_cut_empties_the_lower_rows_and_the_last_row_and_column_are_never_seen() -> None:
    torch.manual_seed(0)
    masker, seen, asked = PaperBlocks((14, 14)), torch.zeros(196), torch.zeros(196)
    for _ in range(100):
        split = draw(masker, 128)
        seen += torch.zeros(128, 196).scatter(1, split.context[:, 0], 1.0).mean(0) / 100
        asked += torch.zeros(196).scatter(0, split.target.flatten(), 1.0)
    seen, asked = seen.reshape(14, 14), asked.reshape(14, 14)
    rows = seen.mean(1)
    assert rows[0] == pytest.approx(0.74, abs=0.03)
    assert all(0.14 < rows[i] < 0.21 for i in (6, 7)) and rows[10] == pytest.approx(0.10, abs=0.03)
    for cells in (seen, asked):
        assert cells[-1].sum() == 0 and cells[:, -1].sum() == 0
    assert (asked[:-1, :-1] > 0).all()


def test_block_sides_of_the_release() -> None:
    """On 14 × 14: int(196·s) ∈ {29 … 39}; h = √(K·a), w = √(K/a), rounded, then below the side of the grid."""
    assert paper_sides((14, 14), 0.15, 0.75) == (5, 6)  # K = 29: 4.66, 6.22
    assert paper_sides((14, 14), 0.20, 1.5) == (8, 5)  # K = 39: 7.65, 5.10
    assert paper_sides((14, 14), 1.0, 1.0) == (13, 13)
    assert paper_sides((3, 10), 0.9, 1.0) == (2, 5)  # K = 27: 5.20, of which 2 fit below three rows


def test_one_draw_gives_the_release_both_scale_and_aspect() -> None:
    """So that its smallest blocks are always wide and its largest always tall, as those of the corrected sampler are not."""
    torch.manual_seed(0)
    shapes = {PaperBlocks: set[tuple[int, int]](), Blocks: set[tuple[int, int]]()}
    for kind, found in shapes.items():
        masker = kind((14, 14))
        for _ in range(400):
            block = draw(masker, 1).target[0, 0, 0].numpy()
            rows, columns = block // 14, block % 14
            found.add((int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1))
    along = [(int(196 * (0.15 + 0.05 * r)), 0.75 + 0.75 * r) for r in np.linspace(0, 1, 5001)]
    assert shapes[PaperBlocks] <= {(round(math.sqrt(k * a)), round(math.sqrt(k / a))) for k, a in along}
    assert {(5, 6), (8, 5)} <= shapes[PaperBlocks] and (5, 7) not in shapes[PaperBlocks]
    assert {(5, 6), (8, 5), (5, 7)} <= shapes[Blocks]  # K = 39 with a = .75: 5.41, 7.21


def test_the_cut_keeps_the_first_tokens_in_row_major_order() -> None:
    torch.manual_seed(3)
    _, free = PaperBlocks((8, 8)).blocks(16)
    torch.manual_seed(3)
    split = draw(PaperBlocks((8, 8)), 16)
    shortest = min(int(row.sum()) for row in free)
    for row, kept in zip(free, split.context[:, 0], strict=True):
        assert kept.tolist() == np.flatnonzero(row.numpy())[:shortest].tolist()


def slow_release(rng: random.Random, side: int, samples: int, least: int) -> tuple[list[int], int, int]:
    """The release as its text says, one image and one cell at a time: (context sizes, tokens of a target, fallbacks)."""
    r = rng.random()
    area, aspect = int(side * side * (0.15 + 0.05 * r)), 0.75 + 0.75 * r
    height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    while height >= side:
        height -= 1
    while width >= side:
        width -= 1
    around = round(math.sqrt(int(side * side * (0.85 + 0.15 * rng.random()))))
    while around >= side:
        around -= 1

    def block(h: int, w: int) -> set[int]:
        top, left = rng.randrange(side - h), rng.randrange(side - w)
        return {(top + i) * side + left + j for i in range(h) for j in range(w)}

    sizes, fallbacks = [], 0
    for _ in range(samples):
        targets = [block(height, width) for _ in range(4)]
        constraints, tries = list(targets), 0
        while True:
            context = block(around, around).difference(*constraints)
            if len(context) > least:
                break
            tries += 1
            if tries % 20 == 0:
                constraints.pop()
        sizes.append(len(context))
        fallbacks += len(constraints) < 4
    return sizes, height * width, fallbacks


def test_slow_oracle_agrees_with_the_batched_release() -> None:
    rng = random.Random(0)
    torch.manual_seed(0)
    oracle = [slow_release(rng, 8, 32, 10) for _ in range(120)]
    masker, sizes, cut, block, fallbacks = PaperBlocks((8, 8)), [], [], [], 0
    for _ in range(400):
        targets, context = masker.blocks(32)
        sizes.append(context.sum(1).float().mean().item())
        cut.append(float(context.sum(1).min()))
        block.append(float(targets[0, 0].sum()))
        fallbacks += int((context & targets.any(1)).any(1).sum())
    assert mean(sizes) == pytest.approx(mean([mean(one) for one, _, _ in oracle]), abs=0.02 * 64)
    assert mean(cut) == pytest.approx(mean([min(one) for one, _, _ in oracle]), abs=0.02 * 64)
    assert mean(block) == pytest.approx(mean([one for _, one, _ in oracle]), abs=0.02 * 64)
    assert 0.003 < fallbacks / (400 * 32) < 0.017 and 0.003 < sum(one for _, _, one in oracle) / (120 * 32) < 0.017


def test_fallback_gives_up_the_last_target_first_and_is_never_needed_for_four_tokens() -> None:
    torch.manual_seed(1)
    fell, masker = 0, PaperBlocks((8, 8))
    for _ in range(200):
        targets, context = masker.blocks(64)
        overlap = context & targets.any(1)
        fell += int(overlap.any(1).sum())
        assert not (overlap & targets[:, :3].any(1)).any()
        assert context.sum(1).min() > 10
    assert fell > 20
    for _ in range(100):
        targets, context = PaperBlocks((8, 8), min_keep=4).blocks(64)
        assert not (context & targets.any(1)).any()


def test_release_draws_one_size_per_batch_and_follows_the_seed() -> None:
    masker, sizes = PaperBlocks((14, 14)), set()
    for seed in range(12):
        torch.manual_seed(seed)
        a = draw(masker, 8)
        torch.manual_seed(seed)
        b = draw(masker, 8)
        assert torch.equal(a.context, b.context) and torch.equal(a.target, b.target)
        assert (a.target.diff(dim=-1) > 0).all() and (a.context.diff(dim=-1) > 0).all()
        assert int(a.target.min()) >= 0 and int(a.target.max()) < 196
        sizes.add((a.context.shape, a.target.shape))
    assert len(sizes) > 6


def test_grids_that_the_release_cannot_mask_are_refused_with_one_that_it_can() -> None:
    with pytest.raises(UsageError, match="two axes"):
        PaperBlocks((50,))
    with pytest.raises(
        UsageError, match=r"4×4 .* 5×5 would do"
    ):  # a context block of 13 cells is 4×4, below the side 3×3
        PaperBlocks((4, 4))
    assert draw(PaperBlocks((5, 5)), 4).context.shape[-1] > 10


def test_ijepa_takes_either_sampler() -> None:
    size = Size(16, 1, 2, 8, 1, 2, steps=10)

    def masker(**settings: object) -> object:
        objective = build("ijepa", Waves(grid=(8, 8)), size, 0, settings)
        assert isinstance(objective, MaskedJEPA)
        return objective.masker

    assert isinstance(masker(), Blocks) and isinstance(masker(sampler="paper", targets=2), PaperBlocks)
    with pytest.raises(UsageError, match="sampler=corrected"):
        masker(sampler="paper", keep=0.5)
