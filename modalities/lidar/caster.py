"""Caster: what a spinning sensor measures of upright prisms and cylinders on a sloping ground.

All things are upright, so a ray meets one where its shadow on the ground plan does: a column of rays (one azimuth) is cut
with the outlines near it once, in two dimensions, and only what is met is asked by each beam for its height. Arithmetic is
float64 and what follows is rounded to centimetres, so that the data are the same on every processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REACH = 60.0  # metres, of the sensor on the ground plan
NEAREST = 0.5  # metres: closer things are the sensor's own car
OVERHEAD = 2.5  # metres above the sensor's ground: a beam higher than this says nothing of what stands in a cell


@dataclass(frozen=True)
class Things:
    """Upright bodies of s scenes, k each (padded with bodies of no height), all (s, k).

    x, y: centre; l, w: half the length (the radius of round ones) and width; yaw: radians, of the length from the x axis;
    z0, z1: lowest and highest z; round: a cylinder; kind: class; paint: intensity at no distance.
    """

    x: np.ndarray
    y: np.ndarray
    l: np.ndarray  # noqa: E741 - as in boxes: l, w, h
    w: np.ndarray
    yaw: np.ndarray
    z0: np.ndarray
    z1: np.ndarray
    round: np.ndarray
    kind: np.ndarray
    paint: np.ndarray


@dataclass(frozen=True)
class Sensor:
    """Of s scenes. height (s,) metres above its ground; elevation (b,) of the beams, radians; phase (s,) first azimuth;
    tilt, towards (s,): the plane of elevation 0 leans by ``tilt`` radians, upwards in the direction ``towards``; columns:
    azimuths of a turn; slope (s, 2): rise of the ground along x and y."""

    height: np.ndarray
    elevation: np.ndarray
    phase: np.ndarray
    tilt: np.ndarray
    towards: np.ndarray
    slope: np.ndarray
    columns: int

    def azimuth(self) -> np.ndarray:
        """(s, columns) radians."""
        return self.phase[:, None] + np.arange(self.columns) * (2 * np.pi / self.columns)

    def rise(self, azimuth: np.ndarray) -> np.ndarray:
        """Rise per metre of ground plan of every beam, (s, columns, b); a small tilt bends elevations, not azimuths."""
        lean = self.tilt[:, None] * np.cos(azimuth - self.towards[:, None])
        return np.tan(self.elevation + lean[..., None])


@dataclass(frozen=True)
class Echoes:
    """What came back. far (s, columns, b): metres on the ground plan, inf without an echo; rise: as ``Sensor.rise``; body:
    the body that was met, −1 for the ground; azimuth (s, columns)."""

    far: np.ndarray
    rise: np.ndarray
    body: np.ndarray
    azimuth: np.ndarray


def candidates(things: Things, sensor: Sensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scene, column and body of all pairs in which the column may meet the body's enclosing circle, by scene and column."""
    real = things.z1 > things.z0
    scene, body = np.nonzero(real)
    x, y, l, w = (value[real] for value in (things.x, things.y, things.l, things.w))  # noqa: E741
    radius = np.where(things.round[real], l, np.hypot(l, w))
    distance = np.hypot(x, y)
    step = 2 * np.pi / sensor.columns
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.where(distance > radius, np.arcsin(np.minimum(radius / distance, 1.0)), np.pi)
    middle = np.arctan2(y, x) - sensor.phase[scene]
    first = (
        np.ceil((middle - half) / step).astype(np.int64) - 1
    )  # one more on either side: rounding never loses a column
    number = np.minimum(np.floor((middle + half) / step).astype(np.int64) + 2 - first, sensor.columns)
    which = np.repeat(np.arange(len(body)), number)
    column = (np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number) + first[which]) % sensor.columns
    order = np.argsort(scene[which] * sensor.columns + column, kind="stable")
    return scene[which][order], column[order], body[which][order]


def outlines(things: Things, at: tuple[np.ndarray, np.ndarray], azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where columns of the given azimuths (pairs,) enter and leave the outlines of the bodies ``at`` (scene, body); NaN or
    entering after leaving: not met."""
    x, y, l, w, yaw = (value[at] for value in (things.x, things.y, things.l, things.w, things.yaw))  # noqa: E741
    along, across = np.cos(azimuth - yaw), np.sin(azimuth - yaw)
    cos, sin = np.cos(yaw), np.sin(yaw)
    u, v = x * cos + y * sin, y * cos - x * sin  # the centre, turned into the body's frame
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b, c, d = (u - l) / along, (u + l) / along, (v - w) / across, (v + w) / across
        enter = np.maximum(np.minimum(a, b), np.minimum(c, d))
        leave = np.minimum(np.maximum(a, b), np.maximum(c, d))
        middle = along * u + across * v
        half = np.sqrt(middle**2 - (u**2 + v**2 - l**2))
    cylinder = things.round[at]
    return np.where(cylinder, middle - half, enter), np.where(cylinder, middle + half, leave)


def cast(things: Things, sensor: Sensor) -> Echoes:
    """The first thing on every ray."""
    azimuth = sensor.azimuth()
    rise = sensor.rise(azimuth)
    slope = sensor.slope[:, 0, None] * np.cos(azimuth) + sensor.slope[:, 1, None] * np.sin(azimuth)
    far = _ground(sensor, rise, slope)
    found = np.full(far.shape, -1, dtype=np.int64)
    scene, column, body = candidates(things, sensor)
    enter, leave = outlines(things, (scene, body), azimuth[scene, column])
    with np.errstate(invalid="ignore"):  # NaN where a cylinder is missed
        met = (enter < leave) & (enter > NEAREST) & (enter < REACH)
    scene, column, body, enter, leave = (value[met] for value in (scene, column, body, enter, leave))
    group = scene * sensor.columns + column
    kept = _unhidden(things, sensor, (scene, column, body), enter, rise, slope, _starts(group))
    scene, column, body, enter, leave, group = (value[kept] for value in (scene, column, body, enter, leave, group))
    if len(group):
        distance = _heights(things, (scene, body), enter, leave, rise[scene, column], sensor.height[scene])
        first = _starts(group)
        nearest = np.minimum.reduceat(distance, first)
        same = np.repeat(nearest, np.diff(np.r_[first, len(group)]), 0)
        pair, beam = np.nonzero((distance == same) & (distance < far[scene, column]))
        ray = (scene[pair], column[pair], beam)
        far[ray], found[ray] = distance[pair, beam], body[pair]
    far[far > REACH] = np.inf
    return Echoes(far, rise, found, azimuth)


def _starts(group: np.ndarray) -> np.ndarray:
    """Where runs of equal values begin."""
    return np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.zeros(0, dtype=np.int64)


def _unhidden(
    things: Things,
    sensor: Sensor,
    at: tuple[np.ndarray, np.ndarray, np.ndarray],
    enter: np.ndarray,
    rise: np.ndarray,
    slope: np.ndarray,
    first: np.ndarray,
) -> np.ndarray:
    """Which pairs are not behind a body that no beam of their column passes over or under."""
    scene, column, body = at
    if not len(scene):
        return np.zeros(0, dtype=bool)
    height = sensor.height[scene]
    high = height + rise.max(2)[scene, column] * enter
    low = np.maximum(height + rise.min(2)[scene, column] * enter, slope[scene, column] * enter)
    blocks = (things.z1[scene, body] > high) & (things.z0[scene, body] <= low)
    wall = np.minimum.reduceat(np.where(blocks, enter, np.inf), first)
    kept: np.ndarray = enter <= np.repeat(wall, np.diff(np.r_[first, len(scene)]))
    return kept


def _ground(sensor: Sensor, rise: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Where beams (s, columns, b) meet the ground, which rises by ``slope`` (s, columns), inf where they never do."""
    fall = slope[..., None] - rise
    return np.where(fall > 1e-3, sensor.height[:, None, None] / np.maximum(fall, 1e-3), np.inf)


def _heights(
    things: Things,
    at: tuple[np.ndarray, np.ndarray],
    enter: np.ndarray,
    leave: np.ndarray,
    rise: np.ndarray,
    height: np.ndarray,
) -> np.ndarray:
    """Where each beam of each pair of column and body meets it (pairs, b): its side, its top, its underside, or inf."""
    z0, z1 = (value[at][:, None] for value in (things.z0, things.z1))
    height, near = height[:, None], np.broadcast_to(enter[:, None], rise.shape)
    into = height + rise * near
    out = height + rise * leave[:, None]
    side = (into >= z0) & (into <= z1)
    top, under = (into > z1) & (out <= z1), (into < z0) & (out >= z0)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = (np.where(top, z1, z0) - height) / rise
    return np.where(side, near, np.where(top | under, level, np.inf))
