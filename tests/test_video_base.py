"""Clips as tokens: tubelets against loops, positions, views that treat all frames alike, and features of known motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from jepakit.types import PARTS, Batch, Data, DataError, Part
from modalities.image.parts import Images
from modalities.image.views import Policy
from modalities.video.base import WHOLE, TubeletTokenizer, VideoModality
from modalities.video.features import flow, path, travel, usual
from modalities.video.parts import assemble
from modalities.video.sprites import Sprites


class Few(Sprites):
    """Sprites, but few of them."""

    sizes: ClassVar[dict[Part, int]] = {"train": 80, "val": 20, "test": 20}


class Cropped(Few):
    crop_scale: ClassVar[tuple[float, float] | None] = (0.3, 0.6)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Few().data("train").batch(torch.arange(6))


def test_tokens_are_blocks_in_the_order_of_the_grid(batch: Batch) -> None:
    modality = Few()
    patches = modality.patches(batch)
    assert modality.grid == (8, 4, 4) and patches.shape == (6, 128, 384) == (6, 128, modality.patch_values)
    for token in (0, 5, 37, 127):
        t, y, x = token // 16, token // 4 % 4, token % 4
        block = batch.x[:, :, 2 * t : 2 * t + 2, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
        assert torch.equal(patches[:, token], block.flatten(1))
    tokenizer = modality.tokenizer(12)
    assert isinstance(tokenizer, TubeletTokenizer)
    tokens = tokenizer(batch)
    slow = torch.nn.functional.conv3d(batch.x, tokenizer.project.weight, stride=(2, 8, 8)).flatten(2).mT
    torch.testing.assert_close(tokens.x, slow, atol=1e-4, rtol=1e-4)
    assert tokens.pos[0, 37].tolist() == [2, 1, 1] and tokens.pos[3, 127].tolist() == [7, 3, 3]
    with pytest.raises(ValueError, match="no whole blocks"):
        tokenizer(batch.with_x(batch.x[:, :, :, :30]))


def test_parts_carry_the_scale_of_train() -> None:
    parts = {part: Few().data(part) for part in PARTS}
    whole = parts["train"].batch(torch.arange(80)).x
    assert parts["train"].x.dtype == torch.uint8 and whole.shape == (80, 3, 16, 32, 32)
    assert torch.allclose(whole.mean((0, 2, 3, 4)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(whole.std((0, 2, 3, 4)), torch.ones(3), atol=1e-3)
    restored = Few().intensity(parts["test"].batch(torch.arange(2)))
    torch.testing.assert_close(restored * 255, parts["test"].x[:2].float(), atol=1e-2, rtol=0)


def test_views_change_all_frames_of_a_clip_alike(batch: Batch) -> None:
    torch.manual_seed(0)
    same = batch.with_x(batch.x[:, :, :1].expand(-1, -1, 16, -1, -1))
    view = Few().views(same)
    assert view.x.shape == batch.x.shape and view.extra["action"].shape == (6, len(Few().actions))
    torch.testing.assert_close(view.x, view.x[:, :, :1].expand_as(view.x))
    assert not torch.allclose(view.x[0], same.x[0]) and not torch.allclose(view.x, Few().views(same).x)
    assert "flip" not in Few().actions  # it would turn clockwise round
    # Frames keep their order: a clip that grows lighter does so in every view.
    level = torch.linspace(-1, 1, 16)[:, None, None].expand(6, 3, 16, 32, 32)
    brighter = Few().views(batch.with_x(level)).x.mean((1, 3, 4)).diff(dim=1)
    assert (brighter > -1e-4).all() and (brighter.sum(1) > 0).all()


def test_crops_are_the_same_window_for_all_frames_and_views_start_from_the_clip(batch: Batch) -> None:
    assert Few().crop(batch) is batch
    torch.manual_seed(1)
    modality = Cropped()
    same = batch.with_x(batch.x[:, :, :1].expand(-1, -1, 16, -1, -1))
    cut = modality.crop(same)
    torch.testing.assert_close(cut.x, cut.x[:, :, :1].expand_as(cut.x))
    assert not torch.allclose(cut.x, same.x) and torch.equal(cut.extra[WHOLE], same.x)
    seen: list[int] = []

    class Watched(Cropped):
        policy: ClassVar[Policy] = replace(Few.policy, scale=(1.0, 1.0), ratio=(1.0, 1.0), jitter=0.0, grey=0.0)

    view = Watched().views(cut)
    torch.testing.assert_close(view.x, same.x, atol=2e-3, rtol=1e-3)
    assert WHOLE not in view.extra and not seen


def test_local_views_are_half_as_wide_and_as_long_as_the_clip(batch: Batch) -> None:
    local = Few().local_views(batch)
    assert local.x.shape == (6, 3, 16, 16, 16)
    pos = Few().tokenizer(4)(local).pos[0]
    assert pos.shape == (32, 3) and pos[0].tolist() == [0, 0.5, 0.5] and pos[-1].tolist() == [7, 2.5, 2.5]


def test_flow_of_a_shifted_wave_is_its_speed() -> None:
    x, y = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="xy")
    frames = [0.5 + 0.2 * torch.sin((x - 0.3 * t) * 0.4) + 0.2 * torch.sin((y + 0.2 * t) * 0.4) for t in range(4)]
    found = flow(torch.stack(frames)[None])
    assert found.shape == (1, 3, 2, 4, 4)
    inner = found[0, :, :, 1:3, 1:3].mean((0, 2, 3))
    assert inner[0] == pytest.approx(0.3, abs=0.05) and inner[1] == pytest.approx(-0.2, abs=0.05)


def test_a_dot_that_circles_clockwise_sweeps_a_positive_area() -> None:
    angle = torch.arange(16) * (2 * torch.pi / 16)
    place = torch.stack([angle.cos(), angle.sin()], 1)[None]  # from the right downwards
    found = travel(place)
    torch.testing.assert_close(found[0, :3], torch.tensor([0.5, 0.5, 0.0]), atol=1e-5, rtol=0)
    # Triangles of two radii and an angle of a sixteenth: sin(π/8) each.
    assert found[0, 3] == pytest.approx(np.sin(np.pi / 8), abs=1e-5)
    assert travel(place.flip(1))[0, 3] == pytest.approx(-np.sin(np.pi / 8), abs=1e-5)
    clip = torch.zeros(1, 16, 33, 33)
    for t, (x, y) in enumerate(place[0]):
        clip[0, t, round(16 + 12 * float(y)), round(16 + 12 * float(x))] = 1.0
    torch.testing.assert_close(path(clip), 0.75 * place, atol=0.1, rtol=0)


def test_features_are_finite_on_a_clip_without_any_motion() -> None:
    found = usual(torch.full((2, 3, 16, 32, 32), 0.5))
    assert found.shape[0] == 2 and torch.isfinite(found).all()


def test_parts_without_clips_and_constant_colours_are_refused() -> None:
    some = np.random.default_rng(0).integers(0, 255, (3, 3, 2, 4, 4), dtype=np.uint8)
    units = np.array(["a", "b", "c"])
    full = {part: Images(some + rank, {}, units) for rank, part in enumerate(PARTS)}
    assert assemble("video/x", full)["train"].scale[0].shape == (3, 1, 1, 1)  # type: ignore[index]
    with pytest.raises(DataError, match="video/x has no clip in val"):
        assemble("video/x", {**full, "val": Images(some[:0], {}, units[:0])})
    flat = some.copy()
    flat[:, 1] = 7
    with pytest.raises(DataError, match="same in every pixel"):
        assemble("video/x", {**full, "train": Images(flat, {}, units)})


def test_a_data_set_without_its_folder_says_what_to_do(tmp_path: Path) -> None:
    class Missing(VideoModality):
        dataset = "missing"
        policy = Policy()

        @classmethod
        def read(cls, root: Path | None) -> dict[Part, Data]:
            raise AssertionError

    with pytest.raises(DataError, match="video/missing needs a data root; set JEPAKIT_DATA"):
        Missing.folder(None)
    with pytest.raises(DataError, match="has no folder video/missing; copy it again"):
        Missing.folder(tmp_path)
