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
from benchmark.show_masks import Masks, Scene, masks_of, panels, scene
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.randomness import reseed
from jepakit.types import Size, Split, UsageError

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


def test_other_grids_are_drawn_as_cells() -> None:
    figure, axes = plt.subplots()
    member = np.array([[[True, False]], [[False, True]]])  # two slices of one row
    show_masks.draw_cells(axes, member, "red")
    rgba = np.asarray(axes.images[0].get_array())
    assert [tuple(cell) == to_rgba("red") for cell in rgba[0]] == [True, False, False, False, True, False]
    plt.close(figure)


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
