"""Mask samplers against golden statistics of the papers and an independent interval-list oracle."""

import math
import random

import numpy as np
import pytest
import torch

from jepakit.masking import Blocks, Columns, Masker, Runs, SharedBlocks, Subset
from jepakit.types import Split, Tokens, UsageError


def draw(masker: Masker, samples: int) -> Split:
    n = masker.count
    tokens = Tokens(torch.zeros(samples, n, 1), torch.zeros(samples, n, 1))
    return masker(tokens, torch.zeros(samples, n, 1), 0.0)


def visible(split: Split, n: int) -> np.ndarray:
    flags = torch.zeros(len(split.context), n, dtype=torch.bool)
    return flags.scatter(1, split.context[:, 0], True).numpy()


def runs(flags: np.ndarray) -> list[int]:
    """Lengths of the maximal runs of True, by a plain scan."""
    lengths, current = [], 0
    for flag in [*flags, False]:
        if flag:
            current += 1
        elif current:
            lengths.append(current)
            current = 0
    return lengths


def slow_oracle(rng: random.Random, n: int, least: int, keep: tuple[float, float]) -> np.ndarray:
    """Section 1.3 as written: a list of free intervals, one Python step at a time. Returns visible flags."""
    hide = n - math.ceil(rng.uniform(*keep) * n)
    free, masked = [(0, n)], 0
    while masked < hide:
        total = sum(b - a for a, b in free)
        ticket = rng.uniform(0, total)
        chosen = 0
        while ticket > free[chosen][1] - free[chosen][0]:
            ticket -= free[chosen][1] - free[chosen][0]
            chosen += 1
        start, end = free.pop(chosen)
        rest = hide - masked
        block = rng.randint(least, rest) if rest >= least else rest
        if end - start <= block:
            masked += end - start
            continue
        if rest >= least:
            first = rng.randint(start, end - block)
        else:
            first = rng.choice(([start] if start > 0 else []) + ([end - block] if end < n else []))
        free += [(start, first), (first + block, end)]
        masked += block
    flags = np.zeros(n, dtype=bool)
    for a, b in free:
        flags[a:b] = True
    return flags


def statistics(samples: list[np.ndarray]) -> dict[str, float]:
    seen = [runs(s) for s in samples]
    hidden = [runs(~s) for s in samples]
    return {
        "keep": float(np.mean([s.mean() for s in samples])),
        "visible runs": float(np.mean([len(r) for r in seen])),
        "visible length": float(np.mean([np.mean(r) for r in seen])),
        "hidden runs": float(np.mean([len(r) for r in hidden])),
        "hidden length": float(np.mean([np.mean(r) for r in hidden])),
        "longest hidden": float(np.mean([max(r) for r in hidden])),
        "shortest hidden": float(min(min(r) for r in hidden)),
    }


GOLDEN = {  # Monte-Carlo figures of the paper's algorithm; the lengths are means over masks of a mask's mean run
    "keep": 0.202, "visible runs": 3.26, "visible length": 14.0,
    "hidden runs": 2.69, "hidden length": 71.1, "longest hidden": 112.9,
}  # fmt: skip


@pytest.fixture(scope="module")
def carved() -> list[np.ndarray]:
    torch.manual_seed(0)
    masker = Runs((200,))
    # One kept fraction per batch, so many batches are needed for its mean.
    return [row for _ in range(1000) for row in visible(draw(masker, 10), 200)]


def test_runs_reach_the_published_statistics(carved: list[np.ndarray]) -> None:
    measured = statistics(carved)
    for name, wanted in GOLDEN.items():
        assert measured[name] == pytest.approx(wanted, rel=0.025), name
    assert measured["shortest hidden"] >= 10


def test_slow_oracle_agrees_with_the_batched_masker(carved: list[np.ndarray]) -> None:
    rng = random.Random(1)
    oracle = statistics([slow_oracle(rng, 200, 10, (0.15, 0.25)) for _ in range(6000)])
    measured = statistics(carved)
    for name in GOLDEN:
        assert measured[name] == pytest.approx(oracle[name], rel=0.02), name
    per_place = np.mean(carved, 0)
    expected = np.mean([slow_oracle(rng, 200, 10, (0.15, 0.25)) for _ in range(6000)], 0)
    assert np.abs(per_place - expected).max() < 0.05


@pytest.mark.parametrize("n", [20, 25, 50, 200])
def test_runs_partition_the_sequence_with_equal_counts(n: int) -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        split = draw(Runs((n,)), 16)
        both = torch.cat([split.context[:, 0], split.target[:, 0, 0]], 1)
        assert torch.equal(both.sort(1).values, torch.arange(n).expand(16, -1))
        assert torch.equal(split.context, split.context.sort(-1).values)
        assert math.ceil(0.15 * n) <= split.context.shape[-1] <= math.ceil(0.25 * n)


def test_same_seed_same_mask_and_samples_differ() -> None:
    for masker in (Runs((50,)), Blocks((50,)), Blocks((8, 8)), Subset((50,))):
        torch.manual_seed(3)
        a = draw(masker, 8)
        torch.manual_seed(3)
        b = draw(masker, 8)
        torch.manual_seed(4)
        c = draw(masker, 8)
        assert torch.equal(a.context, b.context) and torch.equal(a.target, b.target)
        assert a.context.shape != c.context.shape or not torch.equal(a.context, c.context)
        assert len({tuple(row) for row in a.context[:, 0].tolist()}) > 1


def test_impossible_masks_name_the_remedy() -> None:
    with pytest.raises(UsageError, match="smaller"):
        Runs((12,), keep=(0.15, 0.5), min_block=10)
    with pytest.raises(UsageError, match=r"4 tokens is too small .* 7 would do; use a smaller patch"):
        Blocks((4,))  # 15 % of seven tokens are the first to hold one
    with pytest.raises(UsageError, match=r"2×2 tokens is too small .* 3×3 would do"):
        Blocks((2, 2))
    with pytest.raises(UsageError, match=r"8×2×2 tokens is too small .* 8×3×3 would do"):
        Blocks((8, 2, 2))
    with pytest.raises(UsageError, match="never holds the kept 95%"):
        Blocks((8, 8), keep=0.95)
    with pytest.raises(
        UsageError, match=r"up to 64 of 64 tokens .* leaves no context of 16; use a smaller target_scale"
    ):
        Blocks((8, 8), target_scale=(0.5, 1.0))
    for settings in ({"targets": 0}, {"target_scale": (0.0, 0.2)}, {"target_scale": (0.3, 0.2)}, {"keep": 1.0}):
        with pytest.raises(UsageError, match="at least one target"):
            Blocks((8, 8), **settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="smaller patch"):
        Subset((3,), 0.25)
    with pytest.raises(UsageError, match="range"):
        Runs((50,), keep=(0.5, 0.2))


@pytest.mark.parametrize("grid", [(25,), (50,), (8, 8), (14, 14), (3, 8, 8), (2, 7, 14)])
def test_blocks_are_whole_equal_and_disjoint_from_the_context(grid: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    n, overlaps, samples = math.prod(grid), 0, 0
    for _ in range(60):
        split = draw(Blocks(grid), 16)
        context, target = split.context[:, 0], split.target[:, 0]
        assert context.shape[-1] == math.ceil(0.25 * n) and target.shape[1] == 4
        assert (context.diff(dim=-1) > 0).all() and (target.diff(dim=-1) > 0).all()
        flags = torch.zeros(16, n, dtype=torch.bool).scatter(1, context, True)
        overlaps += int(flags.gather(1, target.flatten(1)).any(1).sum())
        samples += 16
        for block in target.flatten(0, 1):  # every block is a full rectangle
            cells = np.array(np.unravel_index(block.numpy(), grid))
            sides = cells.max(1) - cells.min(1) + 1
            assert math.prod(sides.tolist()) == len(block)
    assert overlaps / samples < 0.01


def test_blocks_span_the_depth_of_a_grid_of_three_axes() -> None:
    """V-JEPA's spatial blocks: the same rectangle in every frame, its area a share of one frame."""
    torch.manual_seed(0)
    areas, coverage = [], torch.zeros(6, 64)
    for _ in range(200):
        split = draw(Blocks((6, 8, 8)), 8)
        assert split.context.shape[-1] == 96 and split.target.shape[-1] % 6 == 0
        for block in split.target.flatten(0, 2):
            frames = block.reshape(6, -1)
            assert torch.equal(frames, frames[:1] + 64 * torch.arange(6)[:, None])
        areas.append(split.target.shape[-1] / 6)
        coverage += torch.zeros(8, 384).scatter(1, split.context[:, 0], 1.0).reshape(8, 6, 64).mean(0) / 200
    assert np.mean(areas) == pytest.approx(11.0, abs=0.35)  # as on one 8 × 8 frame
    assert (coverage > 0).all() and coverage.mean(1).std() < 0.01


def test_kims_hidden_fractions() -> None:
    """Monte-Carlo figures of the released code: random .64 ± .02 (30–34 of 50), multi-block .549 ± .097."""
    torch.manual_seed(0)
    random_masks = [draw(Subset((50,), hide=(0.6, 0.7)), 2).target.shape[-1] for _ in range(1000)]
    assert set(random_masks) <= set(range(30, 36)) and np.mean(random_masks) / 50 == pytest.approx(0.64, abs=0.02)
    hidden = np.array([draw(SharedBlocks((50,)), 2).target.shape[-1] / 50 for _ in range(4000)])
    assert hidden.mean() == pytest.approx(0.549, rel=0.02) and hidden.std() == pytest.approx(0.097, rel=0.08)


def test_legacy_blocks_never_reach_the_last_place_and_the_corrected_ones_do() -> None:
    torch.manual_seed(0)
    last = {
        legacy: sum(49 in draw(SharedBlocks((50,), legacy=legacy), 1).target.flatten().tolist() for _ in range(600))
        for legacy in (True, False)
    }
    assert last[True] == 0 and last[False] > 10


def test_columns_hide_the_same_times_on_every_row() -> None:
    torch.manual_seed(0)
    split = draw(Columns((8, 50), SharedBlocks((50,))), 4)
    per_row = split.context.reshape(4, 8, -1) - 50 * torch.arange(8)[:, None]
    assert (per_row == per_row[:, :1]).all()
    assert split.context.shape[-1] + split.target.shape[-1] == 400


def test_subset_keeps_exactly_a_quarter() -> None:
    split = draw(Subset((14, 14)), 3)
    assert split.context.shape[-1] == 49 and split.target.shape[-1] == 147
