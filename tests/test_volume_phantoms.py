"""Phantoms: what is drawn is where the factors say, the foreground is the body, and no label hangs on left or right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
from jepakit.pretrain import build
from jepakit.types import Size
from modalities.volume import anatomy
from modalities.volume.anatomy import SITES, Balls, ellipsoids, lesions, render
from modalities.volume.phantoms import Phantoms

SIZE = Size(16, 1, 2, 8, 1, 2, steps=10)


class Few(Phantoms):
    sizes = {"train": 48, "val": 16, "test": 16}


def test_an_ellipsoid_covers_what_its_equation_says() -> None:
    """Voxel by voxel: half axes 6, 4 and 9, slices 3 thick; the edge is one pixel soft where the shorter axis is 4."""
    ball = Balls(np.array([[1.0, -0.5, 2.0]]), np.array([[6.0, 4.0, 9.0]]), np.array([100.0]))
    along, middle = np.array([[-3.0, 0, 3, 6]]), np.arange(16) - 7.5
    found = ball.cover(slice(0, 1), (along, middle, middle))[0]
    for k in range(4):
        for r in range(16):
            for c in range(16):
                q = ((middle[c] - 1) / 6) ** 2 + ((middle[r] + 0.5) / 4) ** 2 + ((along[0, k] - 2) / 9) ** 2
                assert found[k, r, c] == pytest.approx(min(1.0, max(0.0, (1 - q) * 2 + 0.5)))
    flat = Balls(np.array([[0.0, 0, 1.4]]), np.array([[1.5, 1.5, 1.5]]), np.array([0.0]))
    seen = flat.cover(slice(0, 1), (np.array([[0.0, 3]]), middle, middle), 1.2)  # type: ignore[arg-type]
    assert seen[0, 0].max() > 0.9  # 1.4 away from a slice that sees 1.2 to either side


def test_lesions_lie_apart_inside_the_organ_that_is_named() -> None:
    rng = np.random.default_rng(0)
    n = 400
    organs = ellipsoids(rng, n)
    site = np.arange(n) % 4
    count = np.where(site > 0, np.arange(n) % 3 + 1, 0)
    spots = lesions(rng, organs, site, count)
    assert len(spots) == anatomy.MOST
    for row in range(n):
        real = [spot for spot in spots if spot.axes[row, 0] > 0]
        assert len(real) == count[row]
        named = {"none": (), "kidney": ("kidney", "other kidney")}.get(SITES[site[row]], (SITES[site[row]],))
        hosts = [organs[name] for name in named]
        for spot in real:
            assert any((((spot.centre[row] - host.centre[row]) / host.axes[row]) ** 2).sum() < 0.76 for host in hosts)
        for i, a in enumerate(real):
            assert all(np.linalg.norm(a.centre[row] - b.centre[row]) > 1.2 for b in real[:i])


def test_the_seed_decides_and_factors_have_their_shares_and_ranges() -> None:
    made = render(24, 3)
    assert made.volume.shape == (24, 1, 12, 32, 32) and made.volume.dtype == np.uint8
    again = render(24, 3)
    assert np.array_equal(made.volume, again.volume)
    assert not np.array_equal(made.volume, render(24, 4).volume)
    factors = render(4000, 5, side=4, slices=1).factors
    assert np.bincount(factors["site"], minlength=4) / 4000 == pytest.approx([0.25] * 4, abs=0.03)
    assert (factors["count"][factors["site"] == 0] == 0).all() and (factors["count"][factors["site"] > 0] > 0).all()
    low, high = 4 / 3 * np.pi * 5 * 5 * 8 / 1000, 4 / 3 * np.pi * 6.5 * 6.5 * 12 / 1000
    assert low - 1e-3 <= factors["volume"].min() < factors["volume"].max() <= high + 1e-3


def test_the_foreground_is_the_body() -> None:
    """Tokens of 3 × 4 × 4 voxels, an eighth of them (6) brighter than 40: by loops over the stored volume."""
    data = Few(None).data("train")
    x, occupied = data.x[:3, 0].numpy(), data.extra["occupied"][:3].reshape(3, 4, 8, 8)
    for row in range(3):
        for k in range(4):
            for r in range(8):
                for c in range(8):
                    token = x[row, 3 * k : 3 * k + 3, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
                    assert bool(occupied[row, k, r, c]) == ((token > 40).sum() >= 6)
    every = data.extra["occupied"].reshape(-1, 4, 8, 8).float()
    assert every[:, :, 3:5, 3:5].mean() == 1 and every[:, :, 0, 0].mean() == 0 and 0.3 < every.mean() < 0.7


def test_views_say_the_foreground_of_what_they_show() -> None:
    modality = Few(None)
    batch = modality.data("train").batch(torch.arange(8))
    torch.manual_seed(0)
    mean, std = modality.scale(torch.device("cpu"))
    for view, tokens in ((modality.views(batch), 256), (modality.local_views(batch), 64)):
        occupied = view.extra["occupied"]
        assert occupied.shape == (8, tokens) and occupied.any(1).all()
        values = modality.patches(view).reshape(8, tokens, -1) * std.flatten() + mean.flatten()
        inside, outside = values.mean(-1)[occupied], values.mean(-1)[~occupied]
        assert outside.numel() == 0 or inside.mean() > 2 * outside.mean()
    assert set(modality.actions) >= {"flip"} and modality.views(batch).extra["action"].shape == (
        8,
        len(modality.actions),
    )


def test_mirrored_volumes_keep_every_label_and_methods_run() -> None:
    """A mirror image swaps the sides, which no task asks for."""
    assert not any("left" in c or "right" in c for task in Phantoms.tasks for c in (task.name, *task.classes))
    modality = Few(None)
    batch = modality.crop(modality.data("train").batch(torch.arange(8)))
    for name in ("voljepa", "vjepa", "vjepa2", "videomae", "salt", "salt-teacher", "random-teacher", "mae", "simclr"):
        losses = build(name, modality, SIZE, 0)(batch, 0.99)
        assert torch.isfinite(losses.total)
    assert modality.handmade(batch).shape == (8, 32 + 2 * 256)
    assert modality.handmade(batch)[:, :32].sum(1) == pytest.approx(torch.ones(8))
