"""Simulated: places as a sensor measures them, with the truth about every cell; equal seeds give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modalities.lidar.caster import OVERHEAD, Echoes, Sensor, Things, cast
from modalities.lidar.clouds import Clouds, metres, settle
from modalities.lidar.raster import Raster
from modalities.lidar.streets import CAR, CYCLIST, GROUND, KINDS, LAYOUTS, PEDESTRIAN, STRUCTURE, Place, Town, build
from modalities.signals import add_counts

CHUNK = 12  # places measured at once, to bound memory
RARER_FIRST = (
    GROUND,
    STRUCTURE,
    CAR,
    CYCLIST,
    PEDESTRIAN,
)  # the class of a cell is the last of these that is met in it
SPACING = 0.35  # metres between the spots at which a body's cells are looked up
SEEN = 3  # kept points that make a box a visible one
MARGIN = 0.1  # metres, by which boxes are enlarged to find their points
MOST_BOXES = 64


@dataclass(frozen=True)
class Survey:
    """How places are measured. beams: kinds of sensors, as (number of beams, lowest and highest elevation in degrees);
    columns: azimuths of a turn; height: metres above the ground; tilt: largest, radians; noise: range of the standard deviation
    of a distance, metres; lost: range of the share of echoes that are lost, to which distance adds."""

    beams: tuple[tuple[int, float, float], ...] = ((32, -26.0, 5.0), (64, -26.0, 3.0))
    columns: int = 480
    height: tuple[float, float] = (1.68, 1.78)
    tilt: float = 0.0
    noise: tuple[float, float] = (0.01, 0.03)
    lost: tuple[float, float] = (0.0, 0.3)


@dataclass(frozen=True)
class Measured:
    """Clouds of n places and what is known of them.

    factors (n,): layout, sensor (which of the survey's), yaw (radians), lost. cell_class (n, m) int8: the class of every
    cell, −1 where no beam says anything about it. full (n, m): cells that things stand in, seen or hidden. boxes
    (n, MOST_BOXES, 8): class, x, y, z, l, w, h, yaw of the visible cars, people and cyclists, class −1 behind the last.
    """

    clouds: Clouds
    factors: dict[str, np.ndarray]
    cell_class: np.ndarray
    full: np.ndarray
    boxes: np.ndarray


def measure(n: int, seed: int, town: Town, survey: Survey, raster: Raster, most: int) -> Measured:
    """``n`` independent places of ``town``, layouts and sensors in turns."""
    factors: dict[str, np.ndarray] = {
        "layout": np.arange(n) % len(LAYOUTS),
        "sensor": np.arange(n) // len(LAYOUTS) % len(survey.beams),
    }
    factors |= {"yaw": np.zeros(n), "lost": np.zeros(n)}
    done = Measured(
        Clouds(np.empty((n, most, 4), dtype=np.int16), np.zeros(n, dtype=np.int64), np.empty((n, 0), dtype=bool)),
        factors,
        np.empty((n, raster.count), dtype=np.int8),
        np.empty((n, raster.count), dtype=bool),
        np.full((n, MOST_BOXES, 8), -1, dtype=np.float32),
    )
    for kind in range(len(survey.beams)):
        rows = np.flatnonzero(factors["sensor"] == kind)
        for start in range(0, len(rows), CHUNK):
            _measure(done, rows[start : start + CHUNK], kind, seed, town, survey, raster)
    hit = np.zeros((n, raster.count + 1), dtype=bool)
    for row, stored in enumerate(done.clouds.x):
        points = metres(stored)
        hit[row, raster.cells_of(points[:, 0], points[:, 1])] = True
        done.clouds.points[row] = len(points)
    done.clouds.occupied = np.asarray(raster.tokens_of(hit[:, :-1]).any(-1))
    return done


def _measure(
    done: Measured, rows: np.ndarray, kind: int, seed: int, town: Town, survey: Survey, raster: Raster
) -> None:
    places = [build(town, LAYOUTS[done.factors["layout"][row]], (seed, int(row))) for row in rows]
    draws = [np.random.default_rng((seed, int(row), 1)) for row in rows]
    things, sensor = gather(places), _sensor(places, draws, kind, survey)
    echoes = cast(things, sensor)
    visible = _visible(echoes, sensor, raster)
    for at, (row, place, draw) in enumerate(zip(rows, places, draws, strict=True)):
        points, cell, code, lost = _points(echoes, things, sensor, at, draw, survey, raster)
        stored, repairs = settle(points, raster, done.clouds.x.shape[1], draw)
        done.clouds.x[row] = stored
        add_counts(done.clouds.repairs, repairs)
        done.factors["yaw"][row], done.factors["lost"][row] = place.yaw, lost
        done.cell_class[row] = _classes(cell, code, visible[at], raster)
        done.full[row] = standing(place, raster) | (done.cell_class[row] > GROUND)  # a corner may lie between spots
        found = _seen(place, metres(stored), raster)
        done.boxes[row, : len(found)] = found


def gather(places: Sequence[Place]) -> Things:
    """The bodies of several places as one table."""
    most = max(len(place.bodies) for place in places)
    table = np.zeros((len(places), most, 10))
    for row, place in enumerate(places):
        table[row, : len(place.bodies)] = place.bodies
    x, y, l, w, yaw, z0, z1, round_, kind, paint = np.moveaxis(table, 2, 0)  # noqa: E741
    return Things(x, y, l, w, yaw, z0, z1, round_ > 0, kind.astype(np.int64), paint)


def _sensor(places: Sequence[Place], draws: Sequence[np.random.Generator], kind: int, survey: Survey) -> Sensor:
    number, low, high = survey.beams[kind]
    drawn = np.array([draw.random(4) for draw in draws])
    return Sensor(
        height=survey.height[0] + (survey.height[1] - survey.height[0]) * drawn[:, 0],
        elevation=np.linspace(np.deg2rad(low), np.deg2rad(high), number),
        phase=drawn[:, 1] * (2 * np.pi / survey.columns),
        tilt=drawn[:, 2] * survey.tilt,
        towards=drawn[:, 3] * 2 * np.pi,
        slope=np.array([place.slope for place in places]),
        columns=survey.columns,
    )


def _points(
    echoes: Echoes,
    things: Things,
    sensor: Sensor,
    at: int,
    draw: np.random.Generator,
    survey: Survey,
    raster: Raster,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Of one place: the points (p, 4) that come back, with noise; cell and class of every echo, without; the share lost."""
    column, beam = np.nonzero(np.isfinite(echoes.far[at]))
    far, rise, body = (value[at][column, beam] for value in (echoes.far, echoes.rise, echoes.body))
    cos, sin = np.cos(echoes.azimuth[at])[column], np.sin(echoes.azimuth[at])[column]
    code = np.where(body < 0, GROUND, things.kind[at][body])
    cell = raster.cells_of(far * cos, far * sin)
    noise, lost = draw.uniform(*survey.noise), float(draw.uniform(*survey.lost))
    number = len(far)
    moved = far + noise * draw.standard_normal(number) / np.sqrt(1 + rise**2)
    paint = np.where(body < 0, 0.22, things.paint[at][body]) * (1 - 0.5 * far / 60.0)
    intensity = paint + 0.05 * draw.standard_normal(number)
    kept = draw.random(number) >= lost + 0.2 * (far / 60.0) ** 2
    points = np.stack([moved * cos, moved * sin, sensor.height[at] + rise * moved, intensity], 1)
    return points[kept], cell, code, lost


def _visible(echoes: Echoes, sensor: Sensor, raster: Raster) -> np.ndarray:
    """(s, m): cells over which some beam passes, on its way to its echo, below OVERHEAD."""
    rows, columns = np.divmod(np.arange(raster.count), raster.sides[1])
    x, y = raster.low[0] + raster.cell * (rows + 0.5), raster.low[1] + raster.cell * (columns + 0.5)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    found = np.empty((len(echoes.far), raster.count), dtype=bool)
    for at, (far, rise) in enumerate(zip(echoes.far, echoes.rise, strict=True)):
        column = np.rint((angle - sensor.phase[at]) * sensor.columns / (2 * np.pi)).astype(np.int64) % sensor.columns
        until = np.minimum(far, (OVERHEAD - sensor.height[at]) / np.maximum(rise, 1e-6))  # falling beams: no limit
        found[at] = until.max(1)[column] >= distance - 0.75 * raster.cell
    return found


def _classes(cell: np.ndarray, code: np.ndarray, visible: np.ndarray, raster: Raster) -> np.ndarray:
    found = np.where(np.r_[visible, False], GROUND, -1).astype(np.int8)
    for kind in RARER_FIRST:
        found[cell[code == kind]] = kind
    return found[: raster.count]


def standing(place: Place, raster: Raster) -> np.ndarray:
    """(m,): whether anything but the ground stands in or hangs over each cell, seen or hidden."""
    found = np.zeros(raster.count + 1, dtype=bool)
    body = np.array(place.bodies)
    along, across = (np.maximum(2, np.ceil(2 * body[:, k] / SPACING).astype(np.int64) + 1) for k in (2, 3))
    which = np.repeat(np.arange(len(body)), along * across)
    first = np.cumsum(along * across) - along * across
    step, rest = np.divmod(np.arange(len(which)) - first[which], across[which])
    a, b = 2 * step / (along[which] - 1) - 1, 2 * rest / (across[which] - 1) - 1
    inside = (body[which, 7] == 0) | (a**2 + b**2 <= 1 + 1e-9)
    which, u, v = which[inside], (a * body[which, 2])[inside], (b * body[which, 3])[inside]
    cos, sin = np.cos(body[:, 4])[which], np.sin(body[:, 4])[which]
    found[raster.cells_of(body[which, 0] + cos * u - sin * v, body[which, 1] + sin * u + cos * v)] = True
    return found[: raster.count]


def within(points: np.ndarray, box: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """(p,): which points (p, 3+) lie in a box (class, x, y, z, l, w, h, yaw), enlarged by ``margin`` on every side."""
    cos, sin = np.cos(box[7]), np.sin(box[7])
    x, y, z = points[:, 0] - box[1], points[:, 1] - box[2], points[:, 2] - box[3]
    u, v = cos * x + sin * y, cos * y - sin * x
    half = box[4:7] / 2 + margin
    return (np.abs(u) <= half[0]) & (np.abs(v) <= half[1]) & (np.abs(z) <= half[2])


def _seen(place: Place, points: np.ndarray, raster: Raster) -> np.ndarray:
    """The boxes on the plan with at least SEEN kept points, nearest first, rounded to millimetres."""
    boxes = np.round(np.array(place.boxes).reshape(-1, 8), 3)
    boxes = boxes[raster.cells_of(boxes[:, 1], boxes[:, 2]) < raster.count]
    kept = boxes[np.array([within(points, box).sum() >= SEEN for box in boxes], dtype=bool)]
    return kept[np.argsort(np.hypot(kept[:, 1], kept[:, 2]), kind="stable")][:MOST_BOXES]


__all__ = ["KINDS", "LAYOUTS", "STRUCTURE", "Measured", "Survey", "Town", "measure", "standing", "within"]
