"""Rendered sprites: paths against their geometry, labels against the pixels, and what single frames do not tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modalities.image.features import usual as of_image
from modalities.video.features import motion
from modalities.video.paths import CHORD, GAIN, MOTIONS, advance, fold, follow, places
from modalities.video.renderer import FIGURES, PEN, SPEED, TEXTURES, Clips, render
from modalities.video.sprites import Sprites, labels


@pytest.fixture(scope="module")
def clips() -> Clips:
    return render(1200, 7)


def test_equal_seeds_give_equal_bytes() -> None:
    a, b = render(20, 3), render(20, 3)
    assert a.clip.tobytes() == b.clip.tobytes() and a.place.tobytes() == b.place.tobytes()
    assert a.clip.shape == (20, 3, 16, 32, 32) and a.clip.dtype == np.uint8
    assert not np.array_equal(a.clip, render(20, 4).clip)
    assert render(2, 3, side=64, frames=8).clip.shape == (2, 3, 8, 64, 64)


def test_a_chord_throws_back_at_both_ends() -> None:
    x = np.arange(1.0, 10.0)[None]
    np.testing.assert_allclose(fold(x, np.array([[2.0]]))[0], [1, 2, 1, 0, -1, -2, -1, 0, 1])


def test_paths_of_every_motion_by_hand() -> None:
    def end(name: str, start: tuple[float, float], gone: float, side: float = 1.0) -> list[float]:
        at = follow(
            np.array([start]), np.array([MOTIONS.index(name)]), np.array([side]), np.array([[gone]]), radius=5.0
        )
        return [round(float(x), 9) for x in at[0, 0]]

    assert end("horizontal", (1, 3), 2) == [3, 3] and end("horizontal", (1, 3), 5) == [2, 3]  # the wall is at x = 4
    assert end("horizontal", (1, 3), 2, -1) == [-1, 3] and end("vertical", (3, 1), 5) == [3, 2]
    root = 2**-0.5
    assert end("falling", (0, 0), 1) == pytest.approx([root, root])  # y points down
    assert end("rising", (0, 0), 1) == pytest.approx([root, -root])
    assert end("clockwise", (2, 0), np.pi) == pytest.approx([0, 2])  # a quarter turn, from the right to below
    assert end("counterclockwise", (2, 0), np.pi) == pytest.approx([0, -2])


def test_speeding_up_is_slowing_down_played_backwards() -> None:
    time = np.arange(16.0)
    up, down = advance(np.array([2.0, 2.0]), np.array([1, 0]), time, 15.0)
    assert up[-1] == down[-1] == 30 and up[0] == down[0] == 0
    np.testing.assert_allclose(30 - down[::-1], up)
    pace = np.diff(up)
    assert (np.diff(pace) > 0).all() and pace[0] == pytest.approx(2 * (1 - GAIN * 14 / 15))


@pytest.mark.parametrize("name", MOTIONS)
def test_at_every_moment_a_sprite_is_anywhere_in_its_pen(name: str) -> None:
    random = np.random.default_rng(1)
    n = 4000
    gone = advance(random.uniform(0.5, 2, n), random.integers(0, 2, n), np.arange(16.0), 15.0)
    way = random.choice([-1.0, 1.0], n)
    path = follow(places(random, n, 8.0), np.full(n, MOTIONS.index(name)), way, gone, 8.0)
    for moment in (0, 7, 15):
        x, y = path[:, moment].T
        assert stats.kstest((x**2 + y**2) / 64, "uniform").pvalue > 1e-3  # uniform in a disc
        assert stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3


def test_places_are_where_the_pixels_are(clips: Clips) -> None:
    factors, axis = clips.factors, np.arange(32) + 0.5
    rows = np.flatnonzero((factors["texture"] == 0) & (factors["count"] == 0) & (factors["noise"] < 0.2))
    whole = [
        FIGURES.index(name) for name in ("disc", "ring", "square", "cross")
    ]  # symmetric: the mask's middle is theirs
    rows = rows[np.isin(factors["figure"][rows], whole)]
    assert len(rows) > 5 and TEXTURES[0] == "plain"
    for row in rows:
        for frame in (0, 9):
            picture = clips.clip[row, :, frame].astype(int)
            mask = np.abs(picture - np.median(picture, (1, 2), keepdims=True)).max(0) > 40
            x, y = mask.sum(0) @ axis / mask.sum(), mask.sum(1) @ axis / mask.sum()
            assert np.hypot(x - clips.place[row, 0, frame, 0], y - clips.place[row, 0, frame, 1]) < 0.4


def test_labels_follow_from_the_paths(clips: Clips) -> None:
    known, factors, place = labels(clips), clips.factors, clips.place[:, 0]
    alone = factors["count"] == 0
    assert np.isnan(known["heading_x"][~alone]).all() and np.isfinite(known["heading_y"][alone]).all()
    np.testing.assert_allclose(known["heading_x"][alone] ** 2 + known["heading_y"][alone] ** 2, 1, atol=1e-5)
    step = np.linalg.norm(np.diff(place, axis=1), axis=2)
    gone, last = step.sum(1), 15 * factors["speed"]
    assert (gone <= last + 1e-6).all() and np.median(gone / last) > 0.9  # chords of bounces and arcs are shorter
    for k, name in enumerate(MOTIONS):
        rows = factors["motion"] == k
        if k < len(CHORD):
            across = place[rows] @ np.array([-np.sin(CHORD[k]), np.cos(CHORD[k])])
            assert np.ptp(across, axis=1).max() < 1e-6, name
    flat = alone & (factors["motion"] == 0)
    np.testing.assert_allclose(np.abs(known["heading_x"][flat]), 1, atol=1e-5)
    assert SPEED[0] * 32 <= known["speed"].min() and known["speed"].max() <= SPEED[1] * 32
    assert set(known) == {task.name for task in Sprites.tasks}
    reach = 32 * (0.5 - PEN)
    assert (clips.place > 0.4 * reach).all() and (clips.place < 32 - 0.4 * reach).all()


def test_factors_are_independent(clips: Clips) -> None:
    names = ("motion", "figure", "count", "order", "texture", "hue")
    for i, a in enumerate(names):
        for b in names[:i]:
            table = stats.contingency.crosstab(clips.factors[a], clips.factors[b]).count
            assert stats.chi2_contingency(table).pvalue > 1e-3, (a, b)


def test_one_frame_tells_appearance_and_no_motion_and_motion_statistics_tell_motion(clips: Clips) -> None:
    x = torch.from_numpy(clips.clip).float() / 255
    train, test = slice(0, 800), slice(800, 1200)

    def score(features: torch.Tensor, label: np.ndarray) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
        return float(model.fit(features[train], label[train]).score(features[test], label[test]))

    of = {frame: of_image(x[:, :, frame]) for frame in (0, 8)}
    for features in of.values():  # chance is 1/6 ± .037 (two standard deviations of 400 clips)
        assert score(features, clips.factors["motion"]) < 0.25
        assert score(features, clips.factors["order"]) < 0.6
    assert score(of[8], clips.factors["figure"]) > 0.4  # chance is 1/8
    moving = motion(x)
    assert score(moving, clips.factors["motion"]) > 0.7 and score(moving, clips.factors["order"]) > 0.7
