"""The ray-caster against rays that are marched step by step, and the simulated streets' truths against their geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modalities.lidar.caster import Sensor, Things, cast
from modalities.lidar.clouds import ABSENT, metres, settle, thin
from modalities.lidar.raster import Raster
from modalities.lidar.scenes import Scenes, Town2
from modalities.lidar.simulated import within

PLAN = Raster((-25.6, -25.6), 0.8, (16, 16), 4)


class Few(Scenes):
    sizes = {"train": 16, "val": 8, "test": 8}


class Few2(Town2):
    sizes = {"train": 16, "val": 8, "test": 8}


def table(rows: list[tuple[float, ...]]) -> Things:
    x, y, l, w, yaw, z0, z1, round_, kind, paint = np.array([rows]).transpose(2, 0, 1)  # noqa: E741
    return Things(x, y, l, w, yaw, z0, z1, round_ > 0, kind.astype(int), paint)


def sensor(elevation: list[float], columns: int, slope: tuple[float, float] = (0.0, 0.0)) -> Sensor:
    one = np.ones(1)
    return Sensor(1.7 * one, np.deg2rad(elevation), 0 * one, 0 * one, 0 * one, np.array([slope]), columns)


def test_one_wall_is_hit_where_a_hand_says() -> None:
    """A box 10 m ahead, 2 m high: a level beam meets its side, one at −4.5° too, one at −20° the ground at 1.7/tan 20°; a
    box of 1 m is met from above at 0.7/tan 4° = 10.01 m."""
    echoes = cast(table([(12.0, 0.0, 2.0, 3.0, 0.0, 0.0, 2.0, 0, 1, 0.5)]), sensor([0.0, -4.5, -20.0], 4))
    np.testing.assert_allclose(echoes.far[0, 0], [10.0, 10.0, 1.7 / np.tan(np.deg2rad(20))], rtol=1e-12)
    assert echoes.body[0, 0].tolist() == [0, 0, -1]
    assert np.isinf(echoes.far[0, 2, 0]) and echoes.body[0, 2, 1] == -1  # behind: nothing, and the ground
    low = cast(table([(12.0, 0.0, 2.0, 3.0, 0.0, 0.0, 1.0, 0, 1, 0.5)]), sensor([-4.0, 0.0], 4))
    np.testing.assert_allclose(low.far[0, 0, 0], 0.7 / np.tan(np.deg2rad(4.0)), rtol=1e-12)
    assert np.isinf(low.far[0, 0, 1])


def test_echoes_are_those_of_rays_marched_in_small_steps() -> None:
    random = np.random.default_rng(3)
    rows = [
        (*random.uniform(-20, 20, 2), *random.uniform(0.3, 3, 2), random.uniform(-3, 3), low, low + random.uniform(0.5, 6),
         float(k % 3 == 0), 1, 0.5)
        for k in range(30)
        for low in [float(random.choice([-1.0, 2.2]))]
    ]  # fmt: skip
    rows = [row for row in rows if np.hypot(row[0], row[1]) > 6]
    device = sensor([-18.0, -9.0, -3.0, 0.0, 2.0], 60, slope=(0.01, -0.02))
    echoes = cast(table(rows), device)
    step = np.arange(0.5, 45, 0.004)
    wrong = 0
    for column in range(0, 60, 3):
        angle = 2 * np.pi * column / 60
        x, y = step * np.cos(angle), step * np.sin(angle)
        for beam, elevation in enumerate(device.elevation):
            z = 1.7 + np.tan(elevation) * step
            hit = z <= 0.01 * x - 0.02 * y
            for row in rows:
                u = np.cos(row[4]) * (x - row[0]) + np.sin(row[4]) * (y - row[1])
                v = np.cos(row[4]) * (y - row[1]) - np.sin(row[4]) * (x - row[0])
                inside = u**2 + v**2 <= row[2] ** 2 if row[7] else (abs(u) <= row[2]) & (abs(v) <= row[3])
                hit |= inside & (z >= row[5]) & (z <= row[6])
            wanted = step[hit.argmax()] if hit.any() else np.inf
            found = echoes.far[0, column, beam]
            if wanted < 44:
                wrong += abs(found - wanted) > 0.01
            else:
                wrong += found < 44
    assert wrong <= 1  # a step may jump over a corner


def test_cells_give_one_point_each_before_any_gives_two() -> None:
    random = np.random.default_rng(0)
    points = np.zeros((300, 4))
    points[:200, :2] = 0.1  # one cell is full
    points[200:, 0], points[200:, 1] = (
        np.repeat(np.arange(-5, 5), 10) * 0.8 + 8.1,
        np.tile(np.arange(-5, 5), 10) * 0.8 + 0.9,
    )
    kept = thin(points, PLAN, 110, random)
    cells = PLAN.cells_of(kept[:, 0], kept[:, 1])
    crowded = (cells == PLAN.cells_of(np.array([0.1]), np.array([0.1]))[0]).sum()
    assert len(kept) == 110 and len(np.unique(cells)) == 101 and crowded == 10


def test_a_cloud_is_mended_and_every_mend_is_counted() -> None:
    points = np.array(
        [
            [1.004, 2.0, 0.5, 0.5],
            [np.nan, 0, 0, 0],
            [30.0, 0, 0, 1],
            [0, 0, np.inf, 0],
            [-25.6, 0, 1, 2.0],
            [25.6, 0, 0, 0],
        ]
    )
    stored, repairs = settle(points, PLAN, 4, np.random.default_rng(0))
    assert repairs == {"points_not_finite_dropped": 2, "points_outside_dropped": 2}
    assert stored.tolist() == [[100, 200, 50, 128], [-2560, 0, 100, 255], [ABSENT, 0, 0, 0], [ABSENT, 0, 0, 0]]
    empty, repairs = settle(points[1:2], PLAN, 4, np.random.default_rng(0))
    assert repairs == {"points_not_finite_dropped": 1, "clouds_empty": 1} and (empty[:, 0] == ABSENT).all()
    assert len(metres(empty)) == 0


@pytest.mark.parametrize("kind", [Few, Few2])
def test_labels_agree_with_points_boxes_and_cells(kind: type[Scenes]) -> None:
    data = kind().data("train")
    for row in range(0, 16, 3):
        points, boxes = metres(data.x[row].numpy()), data.extra["boxes"][row].numpy()
        cells = data.extra["cell_class"][row].numpy()
        assert int(data.extra["points"][row]) == len(points)
        real = boxes[boxes[:, 0] >= 0]
        for box in real:
            assert within(points, box).sum() >= 3
            code = PLAN.cells_of(points[within(points, box), 0], points[within(points, box), 1])
            assert int(box[0]) in cells[code] or box[0] == 1  # noise may carry few points over a border
        car = real[real[:, 0] == 1]
        assert float(data.labels["cars"][row]) == len(car)
        if len(car):
            assert abs(float(data.labels["nearest"][row]) - np.hypot(car[:, 1], car[:, 2]).min()) < 2e-3
        things = cells > 0
        full = data.extra["full"][row].numpy()
        assert full[things].all() and full[PLAN.cells_of(real[:, 1], real[:, 2])].all()  # what is seen is there
        token = data.labels["segment"][row]
        by_hand = cells.reshape(16, 4, 16, 4).max((1, 3)).reshape(-1)
        if (token >= 0).any():
            assert ((token.numpy() >= 0) == (by_hand >= 0)).all()
            assert ((token.numpy() == 0) == (by_hand == 0)).all()


def test_equal_seeds_give_equal_bytes_and_towns_differ() -> None:
    class Again(Few):
        pass

    assert Few().data("val").fingerprint() == Again().data("val").fingerprint()
    assert not torch.equal(Few().data("val").x, Few2().data("val").x)
