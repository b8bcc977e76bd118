"""Rendered shapes: silhouettes against geometry, labels against the pixels, equal seeds, independent parts; digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from jepakit.registry import datasets
from jepakit.types import PARTS, Data
from modalities.image.parts import Images, contents, drop_copies, scale_of, stratified
from modalities.image.scenes import SHRINK, Scenes, render
from modalities.image.shapes import Shapes, Speckle, labels
from modalities.image.silhouettes import NAMES, look_up, tables


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return render(400, 7)


def test_equal_seeds_give_equal_bytes(scenes: Scenes) -> None:
    again = render(400, 7)
    assert again.image.tobytes() == scenes.image.tobytes() and again.cover.tobytes() == scenes.cover.tobytes()
    assert not np.array_equal(render(400, 8).image, scenes.image)


def test_silhouettes_have_the_area_of_the_unit_disc_and_their_centroid_at_the_origin() -> None:
    axis = np.linspace(-2, 2, 401)
    x, y = (a.ravel()[None] for a in np.meshgrid(axis, axis))
    for k, name in enumerate(NAMES):
        inside = look_up(np.array([k]), x, y)[0] < 0
        assert abs(inside.sum() * 0.01**2 - np.pi) < 0.06, name
        assert abs(x[0, inside].mean()) < 0.02 and abs(y[0, inside].mean()) < 0.02, name
        assert np.hypot(x[0, inside], y[0, inside]).max() < tables().reach[k] + 0.01, name


def test_signed_distances_of_disc_and_square_against_their_formulas() -> None:
    random = np.random.default_rng(0)
    x, y = random.uniform(-1.7, 1.7, (2, 1, 500))
    disc = look_up(np.array([NAMES.index("disc")]), x, y)
    assert np.abs(disc - (np.hypot(x, y) - 1)).max() < 0.02
    half = np.sqrt(np.pi) / 2
    dx, dy = np.abs(x) - half, np.abs(y) - half
    wanted = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)
    assert np.abs(look_up(np.array([NAMES.index("square")]), x, y) - wanted).max() < 0.02


def test_labels_say_what_is_in_the_picture(scenes: Scenes) -> None:
    known = labels(scenes, 4)
    factors, axis = scenes.factors, np.arange(32) + 0.5
    for row in range(len(scenes.cover)):
        cover = scenes.cover[row]
        _, pieces = ndimage.label(cover > 0.5, np.ones((3, 3)))
        assert pieces == known["count"][row] + 1
        radius = factors["radius"][row]
        assert abs(cover.sum() / (pieces * np.pi * radius**2) - 1) < 0.05
        if pieces == 1:
            x, y = ((cover.sum(a) @ axis / cover.sum()) for a in (0, 1))
            assert abs(known["x"][row] - (x / 16 - 1)) < 0.02 and abs(known["y"][row] - (y / 16 - 1)) < 0.02
            assert known["radius"][row] == pytest.approx(radius)
        else:
            assert np.isnan([known[name][row] for name in ("x", "y", "radius", "turn")]).all()
        for token in (0, 9, 27, 63):
            i, j = 4 * (token // 8), 4 * (token % 8)
            share = cover[i : i + 4, j : j + 4].mean()
            if row % 4:  # every fourth image is segmented
                assert known["segment"][row, token] == -1
            elif abs(share - 0.5) > 1e-3:
                assert known["segment"][row, token] == (factors["figure"][row] + 1 if share > 0.5 else 0)
    round_ones = np.isin(factors["figure"], [NAMES.index("disc"), NAMES.index("ring")])
    assert np.isnan(known["turn"][round_ones]).all()
    assert np.isfinite(known["turn"][~round_ones & (known["count"] == 0)]).all()


def test_a_turn_is_the_angle_by_which_the_figure_is_turned(scenes: Scenes) -> None:
    """The tip of an arrow points up at turn 0 and right at a quarter turn: the long axis of its cover follows."""
    rows = np.flatnonzero((scenes.factors["figure"] == NAMES.index("arrow")) & (scenes.factors["count"] == 0))
    axis = np.arange(32) + 0.5
    for row in rows:
        cover = scenes.cover[row] / scenes.cover[row].sum()
        x, y = cover.sum(0) @ axis, cover.sum(1) @ axis
        dx, dy = axis - x, (axis - y)[:, None]
        xx, yy, xy = (cover * dx * dx).sum(), (cover * dy * dy).sum(), (cover * dx * dy).sum()
        lean = 0.5 * np.arctan2(2 * xy, xx - yy)  # of the long axis against the x axis
        away = (lean - np.pi / 2 - scenes.factors["turn"][row] + np.pi / 2) % np.pi - np.pi / 2
        assert abs(away) < 0.06
    assert len(rows) > 5


def test_crowds_fit_and_brightness_is_no_label(scenes: Scenes) -> None:
    largest = 6.5 * SHRINK[1:].max() * tables().reach.max()
    assert 2 * largest + 1 <= 16
    mean = scenes.image.mean((1, 2, 3))[scenes.factors["count"] == 0]
    figure = scenes.factors["figure"][scenes.factors["count"] == 0]
    between = np.array([mean[figure == k].mean() for k in range(len(NAMES))]).std()
    assert between < 0.5 * mean.std()  # equal areas: sampling error, not a cue


def test_speckle_multiplies(scenes: Scenes) -> None:
    """Variance over squared mean of flat grounds is 1/looks; the clean part of both renderings is the same."""
    quiet, loud = render(300, 7, channels=1), render(300, 7, channels=1, looks=4)
    flat = (quiet.factors["texture"] == 0) & (quiet.image.mean((1, 2, 3)) < 70)
    ratio = []
    for picture, cover in zip(loud.image[flat, 0], loud.cover[flat], strict=True):
        ground = picture[cover == 0].astype(float)
        ratio.append(ground.var() / ground.mean() ** 2)
    assert flat.sum() > 5 and 0.22 < np.median(ratio) < 0.32


def test_parts_are_other_images_and_carry_the_scale_of_train() -> None:
    modality = datasets["image/shapes"].make(None)
    parts = {part: modality.data(part) for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [4000, 1000, 2000]
    units = [set(parts[part].unit) for part in PARTS]
    assert sum(map(len, units)) == 7000 == len(set().union(*units))
    hashes = [set(contents(parts[part].x.numpy()).tolist()) for part in PARTS]
    assert not hashes[0] & hashes[1] and not hashes[0] & hashes[2] and not hashes[1] & hashes[2]
    whole = parts["train"].batch(torch.arange(4000)).x
    assert torch.allclose(whole.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(whole.std((0, 2, 3)), torch.ones(3), atol=1e-3)
    for part in PARTS[1:]:
        assert torch.equal(parts[part].scale[0], parts["train"].scale[0])  # type: ignore[index]
    for task in Shapes.tasks:
        assert task.name in parts["test"].labels
    assert parts["val"].labels["segment"].shape == (1000, 64) and modality.grid == (8, 8)
    assert Speckle.tasks[0].name == "shape" and "hue" not in {task.name for task in Speckle.tasks}


def test_mnist5k_is_split_once_and_evenly() -> None:
    modality = datasets["image/mnist5k"].make(None)
    parts = {part: modality.data(part) for part in PARTS}
    for part, each in zip(PARTS, (300, 100, 100)):
        found = np.bincount(parts[part].labels["digit"].numpy())
        dropped = sum(number for name, number in parts[part].repairs.items() if name.startswith("copies"))
        assert found.sum() == 10 * each - dropped and dropped < 5
    units = [set(parts[part].unit) for part in PARTS]
    assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]
    assert parts["train"].x.dtype == torch.uint8 and tuple(parts["train"].x.shape[1:]) == (1, 28, 28)


def some(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 4, 4), dtype=np.uint8)


def test_copies_leave_the_earlier_part_and_are_counted() -> None:
    test, train, val = some(4, 1), some(6, 2), some(3, 3)
    train[2], train[5], val[1], train[0] = test[0], val[2], test[3], train[1]
    parts = {"train": train, "val": val, "test": test}
    images = {part: Images(x, {}, np.array([f"{part}{k}" for k in range(len(x))])) for part, x in parts.items()}
    found = drop_copies(images)  # type: ignore[arg-type]
    assert found["train"].unit.tolist() == ["train0", "train1", "train3", "train4"]  # copies inside a part may stay
    assert found["train"].repairs == {"copies_of_val_dropped": 1, "copies_of_test_dropped": 1}
    assert found["val"].unit.tolist() == ["val0", "val2"] and found["val"].repairs == {"copies_of_test_dropped": 1}
    assert len(found["test"].x) == 4 and found["test"].repairs == {}


def test_the_scale_is_the_mean_and_deviation_over_pixels() -> None:
    x = np.random.default_rng(0).integers(0, 256, (9, 3, 5, 5), dtype=np.uint8)
    mean, std = scale_of(x)
    assert np.allclose(mean.squeeze().numpy(), x.mean((0, 2, 3))) and np.allclose(
        std.squeeze().numpy(), x.std((0, 2, 3))
    )


def test_the_validation_cut_is_stratified_and_repeatable() -> None:
    label = np.repeat([0, 1, 2], [50, 20, 1])
    rows = stratified(label, 0.1)
    assert np.bincount(label[rows], minlength=3).tolist() == [5, 2, 0] and (np.diff(rows) > 0).all()
    assert np.array_equal(rows, stratified(label, 0.1)) and not np.array_equal(rows, stratified(label, 0.1, seed=1))


def test_a_part_without_scale_is_a_programming_error() -> None:
    class Unscaled(Shapes):
        def data(self, part: object) -> Data:
            return Data(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), {}, np.array(["a"]))

    with pytest.raises(ValueError, match="without their scale"):
        Unscaled(None).scale(torch.device("cpu"))
