"""Controls of frames: one frame in place of all, and frames whose order leaves no trace."""

from __future__ import annotations

import pytest
import torch
from tiles import Tiles
from waves import Waves

import baselines  # noqa: F401 - registers
from jepakit.frames import still, time_axis, unordered
from jepakit.pretrain import build
from jepakit.types import Size, UsageError

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)


def test_a_still_is_the_middle_frame() -> None:
    x = torch.randn(2, 3, 5, 4, 4)
    found = still(x, 2)
    assert found.shape == x.shape
    for frame in range(5):
        assert torch.equal(found[:, :, frame], x[:, :, 2])
    assert torch.equal(still(x.transpose(1, 2), 1)[:, 4], x[:, :, 2])
    assert torch.equal(still(torch.arange(8.0)[None], 1), torch.full((1, 8), 4.0))


def test_frames_in_any_order_become_the_same_bits() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 16, 8, 8)
    found = unordered(x, 2)
    for _ in range(5):
        assert torch.equal(unordered(x[:, :, torch.randperm(16)], 2), found)
    assert torch.equal(unordered(x.flip(2), 2), found)
    for row, clip in enumerate(x):  # every frame is still there, once
        frames = {frame.numpy().tobytes() for frame in clip.transpose(0, 1)}
        assert frames == {frame.numpy().tobytes() for frame in found[row].transpose(0, 1)} and len(frames) == 16


def test_neither_does_a_batch_of_another_size_change_the_order() -> None:
    x = torch.randn(9, 1, 16, 8, 8)
    assert torch.equal(unordered(x, 2)[3:4], unordered(x[3:4], 2))


def test_frames_that_are_alike_do_not_come_to_lie_side_by_side() -> None:
    torch.manual_seed(0)
    x = (torch.arange(64.0) / 8)[None, None, :, None, None] + 0.01 * torch.randn(50, 1, 64, 4, 4)
    place = unordered(x, 2).mean((1, 3, 4)).argsort(1).argsort(1).float()  # which frame by its level, as shown
    near = place.diff(dim=1).abs().mean()
    assert float(near) == pytest.approx(65 / 3, rel=0.05)  # mean distance of two of 64 places at random


@pytest.mark.parametrize("name", ["single_frame", "shuffled"])
def test_rows_see_what_they_are_said_to_see(name: str) -> None:
    row = build(name, Waves(grid=(2, 6, 6)), SIZE, 0).eval()
    batch = Waves(grid=(2, 6, 6)).data("train").batch(torch.arange(4))
    features = row.encoder().embed(batch)
    other = batch.with_x(batch.x.flip(1))
    if name == "single_frame":
        other = batch.with_x(batch.x.clone())
        other.x[:, :100] += 1.0  # anything but the middle
    torch.testing.assert_close(row.encoder().embed(other), features)
    moved = batch.with_x(batch.x + 1.0)
    assert not torch.allclose(row.encoder().embed(moved), features)


def test_other_data_refuse_with_the_remedy() -> None:
    with pytest.raises(UsageError, match=r"has no frames in time; .* name another method"):
        time_axis(Tiles())
    for name in ("single_frame", "shuffled"):
        with pytest.raises(UsageError, match="has no frames in time"):
            build(name, Tiles(), SIZE, 0)
