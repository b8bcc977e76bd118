"""Gradients by ratio: a step edge by hand, a slow loop, and what a multiplicative change does; local windows."""

from __future__ import annotations

import math

import pytest
import torch
from chips import Chips
from tiles import PATCH, SIDE, Tiles
from waves import Waves

from jepakit.gradients import FLOOR, RatioGradients, ratio_gradient
from jepakit.types import Batch, Tokens, UsageError
from jepakit.windows import LocalWindows


def mirrored(i: int, n: int) -> int:
    """Reflection without repeating the border: … 2 1 | 0 1 2 … n−1 | n−2 …"""
    i = abs(i)
    return i if i < n else 2 * (n - 1) - i


def slow_gradient(x: torch.Tensor, half: int) -> torch.Tensor:
    """Four boxes around every pixel, summed pixel by pixel."""
    height, width = x.shape
    out = torch.zeros(height, width, dtype=torch.float64)

    def mean(rows: range, columns: range) -> float:
        values = [float(x[mirrored(r, height), mirrored(c, width)]) for r in rows for c in columns]
        return sum(values) / len(values) + FLOOR

    for r in range(height):
        for c in range(width):
            across, along = range(c - half, c + half + 1), range(r - half, r + half + 1)
            vertical = mean(range(r - half, r), across) / mean(range(r + 1, r + half + 1), across)
            horizontal = mean(along, range(c - half, c)) / mean(along, range(c + 1, c + half + 1))
            out[r, c] = math.sqrt(math.log(vertical) ** 2 + math.log(horizontal) ** 2)
    return out


@pytest.mark.parametrize("half", [1, 2, 5, 8])
def test_against_a_slow_loop(half: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 9, 11)
    got = ratio_gradient(x, half)
    for b in range(2):
        torch.testing.assert_close(got[b].double(), slow_gradient(x[b], half), rtol=1e-4, atol=1e-5)


def test_a_step_edge_by_hand() -> None:
    """Left of column 4 the intensity is .09, from there on .39. Half-window 2: column 3 sees .09 and .39 on its sides, .1
    and .4 with the floor: log 4. Column 2 sees .09 and (.09 + .39)/2 = .24: log 2.5. Rows tell nothing."""
    x = torch.full((1, 8, 8), 0.09)
    x[..., 4:] = 0.39
    row = ratio_gradient(x, 2)[0, 3]
    assert row[3].item() == pytest.approx(math.log(4), abs=1e-5)
    assert row[4].item() == pytest.approx(math.log(4), abs=1e-5)
    assert row[2].item() == pytest.approx(math.log(2.5), abs=1e-5)
    assert row[5].item() == pytest.approx(math.log(0.4 / 0.25), abs=1e-5)
    assert row[0].item() == pytest.approx(0, abs=1e-5) and row[7].item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(ratio_gradient(x.mT, 2), ratio_gradient(x, 2).mT)


def test_a_multiplicative_change_leaves_it_alone_up_to_the_floor() -> None:
    torch.manual_seed(0)
    x = 0.2 + 0.8 * torch.rand(1, 16, 16)
    reference, bright, dark = (ratio_gradient(scale * x, 5) for scale in (1e4, 1e5, 1e-4))
    torch.testing.assert_close(reference, bright, atol=1e-4, rtol=1e-3)  # the floor is nothing beside the intensities
    assert dark.max() < 0.02 < reference.max(), "far below the floor every ratio is 1"
    near = ratio_gradient(0.5 * x, 5)
    assert (near - ratio_gradient(x, 5)).abs().max() < 0.1 * reference.max()


def test_intensities_are_the_stored_values() -> None:
    modality = Chips()
    data = modality.data("train")
    batch = data.batch(torch.arange(6))
    torch.testing.assert_close(modality.intensity(batch), data.x[:6].float() / 255, atol=1e-5, rtol=1e-5)
    for other in (Tiles(), Waves()):
        with pytest.raises(UsageError, match="stores no intensities"):
            other.intensity(other.data("train").batch(torch.arange(2)))


def test_one_vector_per_token_map_by_map() -> None:
    """Token (r, c) holds, for every half-window, the pixels of its patch row by row."""
    modality = Chips()
    batch = modality.data("train").batch(torch.arange(2))
    gradients = RatioGradients(modality, (1, 3))
    got = gradients(batch)
    side = SIDE // PATCH
    assert got.shape == (2, side * side, gradients.width) and gradients.width == 2 * PATCH * PATCH
    grey = modality.intensity(batch).mean(1)
    maps = [slow_gradient(grey[1], half) for half in (1, 3)]
    for r, c in ((0, 0), (2, 5), (7, 7)):
        wanted = [float(m[PATCH * r + i, PATCH * c + j]) for m in maps for i in range(PATCH) for j in range(PATCH)]
        assert got[1, side * r + c].tolist() == pytest.approx(wanted, abs=1e-4)


def test_half_windows_that_fit_are_the_default_and_others_are_refused() -> None:
    assert RatioGradients(Chips()).windows == (5, 9, 13)  # 17 is longer than 16 pixels
    for windows in ((16,), (0, 3), ()):
        with pytest.raises(UsageError, match=r"recipe\.windows"):
            RatioGradients(Chips(), windows)


def test_inputs_that_are_no_images_are_refused() -> None:
    class Row(Chips):
        def __init__(self) -> None:
            super().__init__()
            self.grid = (64,)

    with pytest.raises(UsageError, match="need images"):
        RatioGradients(Row())


@pytest.mark.parametrize(
    ("grid", "sides"), [((14, 14), (7, 7)), ((20,), (10,)), ((4, 6, 6), (2, 3, 3)), ((8, 5), (4, 2))]
)
def test_windows_are_boxes_inside_the_grid_and_split_without_rest(
    grid: tuple[int, ...], sides: tuple[int, ...]
) -> None:
    n, size = math.prod(grid), math.prod(sides)
    torch.manual_seed(0)
    masker = LocalWindows(grid)
    tokens = Tokens(torch.zeros(500, n, 1), torch.zeros(500, n, 1))
    split = masker(tokens, tokens.x, 0.0)
    assert split.context.shape == (500, 4, size - int(0.8 * size)) and split.target.shape == (
        500,
        4,
        1,
        int(0.8 * size),
    )
    both = torch.cat([split.context, split.target[:, :, 0]], -1).sort(-1).values
    place = torch.stack(torch.unravel_index(both, grid), -1)
    low, high = place.amin(2), place.amax(2)
    assert torch.equal((high - low + 1).reshape(-1, len(grid)).unique(dim=0), torch.tensor([sides]))
    assert all(len(set(row)) == size for row in both.flatten(0, 1).tolist())
    for axis, (side, length) in enumerate(zip(grid, sides, strict=True)):
        starts = low[..., axis].flatten().bincount(minlength=side - length + 1) / low[..., axis].numel()
        assert len(starts) == side - length + 1 and torch.allclose(
            starts, torch.full_like(starts, 1 / len(starts)), atol=0.05
        )
    for lists in (split.context, split.target[:, :, 0]):
        assert torch.equal(lists, lists.sort(-1).values)


def test_a_window_of_49_of_196_shows_ten() -> None:
    split = LocalWindows((14, 14), side=7)(
        Tokens(torch.zeros(2, 196, 1), torch.zeros(2, 196, 2)), torch.zeros(2, 196, 1), 0.0
    )
    assert split.context.shape == (2, 4, 10) and split.target.shape == (2, 4, 1, 39)


@pytest.mark.parametrize("settings", [{"hide": 0.0}, {"hide": 1.0}, {"count": 0}, {"side": 1}])
def test_impossible_windows_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="leave nothing"):
        LocalWindows((8, 8), **settings)


def test_an_image_batch_is_not_changed() -> None:
    batch = Chips().data("train").batch(torch.arange(2))
    kept = batch.x.clone()
    RatioGradients(Chips())(Batch(batch.x))
    assert torch.equal(batch.x, kept)
