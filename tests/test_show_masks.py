"""Figures of masks: the drawn sets are those of the split that the step used, on signals, pictures and other grids."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from PIL import Image
from tiles import Tiles
from waves import Waves

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
from benchmark import __main__ as command
from benchmark import show_masks
from benchmark.show_masks import CONTEXT, Masks, Scene, masks_of, panels, scene
from benchmark.strips import strip
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.randomness import reseed
from jepakit.types import Size, Split, UsageError
from modalities.audio import simulated as audio_simulated
from modalities.audio.spectral import Spectrogram

SIZE = Size(16, 1, 2, 8, 1, 2, steps=10)


def seen(name: str, modality: Modality) -> tuple[Scene, MaskedJEPA]:
    objective = build(name, modality, SIZE, 0)
    batch = modality.data("train").batch(torch.arange(4))
    return scene(objective, modality, batch, seed=3), objective  # type: ignore[return-value]


def test_a_split_becomes_sets_on_its_grid() -> None:
    split = Split(torch.tensor([[[0, 4]]]), torch.tensor([[[[1, 2], [2, 5]]]]))
    masks = masks_of(split, (2, 3))
    assert masks.context.tolist() == [[[True, False, False, False, True, False]]]
    assert masks.target.tolist() == [
        [[[False, True, True, False, False, False], [False, False, True, False, False, True]]]
    ]


@pytest.mark.parametrize("modality", [Waves(), Tiles(), Waves(grid=(2, 6, 6))], ids=["1d", "2d", "3d"])
def test_the_drawn_sets_are_those_of_the_step(modality: Modality) -> None:
    found, objective = seen("ijepa", modality)
    reseed(3, 0)
    used: list[Split] = []
    objective.masker.register_forward_hook(lambda masker, given, split: used.append(split))
    objective(modality.data("train").batch(torch.arange(4)), 0.0)
    (split,), (masks,) = used, found.masks
    for sample in range(4):
        assert np.flatnonzero(masks.context[sample, 0]).tolist() == split.context[sample, 0].tolist()
        for group in range(4):
            assert np.flatnonzero(masks.target[sample, 0, group]).tolist() == split.target[sample, 0, group].tolist()
    labels, drawn = [p[0] for p in panels(found, 1)], [p[2] for p in panels(found, 1)]
    assert labels[0] == "input" and labels[1].startswith("context · ") and drawn[0] is None
    assert [label.split(" · ")[0] for label in labels[2:]] == [f"target group {t}" for t in (1, 2, 3, 4)]
    for member, wanted in zip(drawn[1:], [masks.context[1, 0], *masks.target[1, 0]], strict=True):
        assert member is not None and member.shape == modality.grid and member.flatten().tolist() == wanted.tolist()


def test_views_are_those_that_the_method_got_and_the_modality_is_left_as_it_was() -> None:
    modality = Tiles()
    found, _ = seen("simclr", modality)
    reseed(3, 0)
    batch = modality.data("train").batch(torch.arange(4))
    wanted = [modality.views(batch).x.numpy() for _ in range(2)]
    assert not found.masks and len(found.views) == 2
    assert all(np.array_equal(a, b) for a, b in zip(found.views, wanted))
    assert "views" not in vars(modality) and "local_views" not in vars(modality)
    assert [p[0] for p in panels(found, 0)] == ["input", "view 1", "view 2"]


def test_channel_tokens_lie_on_their_own_leads() -> None:
    x = np.arange(24.0).reshape(1, 4, 6)
    masks = Masks((2, 3), np.ones((1, 1, 6), bool), np.zeros((1, 1, 1, 6), bool))
    found = Scene(x, (masks,), (), (), leads=(0, 3))
    assert np.array_equal(panels(found, 0)[1][1], x[0, [0, 3]])


def test_pictures_fade_outside_the_set() -> None:
    figure, axes = plt.subplots()
    member = np.zeros((2, 2), bool)
    member[0, 1] = True
    show_masks.draw_plane(axes, np.zeros((4, 6, 3)), member, "red")
    shown = np.asarray(axes.images[0].get_array())
    assert (
        (shown[:2, 3:] == 0).all() and (shown[2:] == show_masks.PALE).all() and (shown[:2, :3] == show_masks.PALE).all()
    )
    assert len(axes.lines) == 4  # the outline of one cell
    plt.close(figure)


def test_hidden_runs_of_a_signal_are_shaded_where_they_are() -> None:
    figure, axes = plt.subplots()
    member = np.array([False, True, True, False, True])
    show_masks.draw_signal(axes, np.ones((2, 50)), member, "red")
    boxes = [shade.get_datalim(axes.transData) for shade in axes.collections]
    assert [(box.x0, box.x1) for box in boxes] == [(10, 30), (40, 50)]
    plt.close(figure)


def test_electrodes_lie_on_heads_of_their_own_time() -> None:
    """Front is above, right is right, the vertex in the middle; the electrodes of the set are filled, head by head."""
    place = np.array([[0.0, 9.0, 4.0], [9.0, -1.5, 4.0], [0.0, -1.5, 14.0]])  # front, right, above
    member = np.array([[True, False], [False, True], [False, True]])
    _, axes = plt.subplots()
    show_masks.draw(axes, show_masks.Heads(place), member, CONTEXT)
    drawn = [np.asarray(points.get_offsets()) for points in axes.collections]
    empty_first, filled_first, empty_second, filled_second = drawn
    assert filled_first == pytest.approx(np.array([[0.0, 1.0]]), abs=0.01)
    assert empty_first == pytest.approx(np.array([[1.0, 0.0], [0.0, 0.0]]), abs=0.01)
    apart = empty_second[0] - filled_first[0]
    assert apart[0] > 2 and apart[1] == pytest.approx(0)
    assert filled_second - apart == pytest.approx(empty_first, abs=0.01)
    plt.close("all")


def test_places_are_read_off_coordinates_in_space_and_time() -> None:
    pos = torch.tensor([[[1.0, 2, 3, 0], [1, 2, 3, 1], [4, 5, 6, 0], [4, 5, 6, 1]]])
    split = Split(torch.tensor([[[0, 3]]]), torch.tensor([[[[1, 2]]]]))
    masks = masks_of(split, (2, 2), pos)
    assert masks.place is not None and masks.place.tolist() == [[1, 2, 3], [4, 5, 6]]
    ground = Scene(np.zeros((1, 2, 8)), (masks,), (), ()).under(0, masks)
    assert isinstance(ground, show_masks.Heads)
    assert masks_of(split, (2, 2), pos[..., :2]).place is None


def test_tiles_of_sound_are_put_together_as_the_spectrogram() -> None:
    modality = audio_simulated.Simulated()
    batch = modality.data("train").batch(torch.arange(2))
    found = show_masks.spectrograms(modality, batch)
    assert found is not None and found[1] == modality.spectral().grid
    wanted = Spectrogram(modality)(batch.x[:, 0]).numpy()
    high, wide = found[0].shape[1:]
    assert found[0] == pytest.approx(wanted[:, :high, :wide], abs=1e-5)
    assert show_masks.spectrograms(Waves(), batch) is None


def test_low_tones_are_below() -> None:
    _, axes = plt.subplots()
    show_masks.draw(axes, show_masks.Sound(np.arange(16.0).reshape(4, 4)), np.eye(2, dtype=bool), CONTEXT)
    bottom, top = axes.get_ylim()
    assert bottom < top
    plt.close("all")


def test_other_grids_are_drawn_as_cells() -> None:
    figure, axes = plt.subplots()
    member = np.array([[[True, False]], [[False, True]]])  # two slices of one row
    show_masks.draw_cells(axes, member, "red")
    rgba = np.asarray(axes.images[0].get_array())
    assert [tuple(cell) == to_rgba("red") for cell in rgba[0]] == [True, False, False, False, True, False]
    plt.close(figure)


def test_films_are_strips_of_the_middle_frames_of_their_slots() -> None:
    """Six frames in two slots: frames 1 and 4, side by side with a white column of a token's width after each."""
    x = np.zeros((1, 6, 4, 4))
    x[0] += np.arange(6)[:, None, None]
    member = np.zeros((2, 2, 2), bool)
    member[1, 0, 1] = True
    image, flat = strip(x, member)
    assert image.shape == (4, 12, 3) and flat is not None and flat.shape == (2, 6)
    assert image[0, [0, 4, 6, 10], 0] == pytest.approx([0.2, 1, 0.8, 1], abs=0.01)
    assert flat.tolist() == [[False, False, False, False, True, False], [False] * 6]
    assert strip(x, None)[0].shape == (4, 30, 3)  # all six frames, gaps of a pixel
    _, axes = plt.subplots()
    show_masks.draw(axes, x, member, CONTEXT)
    assert np.asarray(axes.images[0].get_array())[0, 8, 0] == pytest.approx(0.8, abs=0.01)  # the frame where the set is
    plt.close("all")


def test_padding_is_no_part_of_a_set() -> None:
    split = Split(torch.tensor([[[0, 1]]]), torch.tensor([[[[2, 3]]]]))
    masks = masks_of(split, (2, 2), valid=torch.tensor([[True, False, False, True]]))
    assert masks.context.tolist() == [[[True, False, False, False]]]
    assert masks.target.tolist() == [[[[False, False, False, True]]]]


def test_the_command_writes_a_picture_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["preset=smoke", "recipe.targets=2", "--rows", "2", "--results", str(tmp_path)]
    assert command.main(["show-masks", "ijepa", "ecg", *words]) == 0
    path = tmp_path / "figures" / "masks_ijepa_ecg_simulated.png"
    assert str(path) in capsys.readouterr().out
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width > 800
    assert not (tmp_path / "records").exists()


def test_wrong_requests_leave_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["preset=smoke", "--results", str(tmp_path)]
    for words, sentence in {
        ("supervised", "ecg"): "nothing to draw",
        ("ijepq", "ecg"): "did you mean 'ijepa'",
        ("ijepa,mae", "ecg"): "one method on one data set",
        ("ijepa", "ecg", "--rows", "0"): "--rows",
    }.items():
        assert command.main(["show-masks", *words, *common]) == command.USAGE
        assert sentence in capsys.readouterr().err
    with pytest.raises(UsageError, match="nothing to draw"):
        seen("random_init", Waves())
