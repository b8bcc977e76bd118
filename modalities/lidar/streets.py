"""Streets: procedural places with cars, people, cyclists, poles, trees and houses; four layouts, two towns.

Bodies are upright prisms and cylinders: a car is a body and a cabin, a cyclist a bicycle and a rider, a tree a trunk and a
crown. Bins and bollards are as large as people, and crowns hide what is below them. A place is laid out in its own
frame (u along the street, v across) and turned by its yaw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

KINDS = ("ground", "car", "pedestrian", "cyclist", "structure")
GROUND, CAR, PEDESTRIAN, CYCLIST, STRUCTURE = range(5)
LAYOUTS = ("straight", "crossing", "square", "parking")
EDGE = 40.0  # metres: things stand within this of the middle
CLEAR = 3.0  # metres around the sensor that nothing enters


@dataclass(frozen=True)
class Town:
    """What places of a town have in common, as ranges in metres unless said otherwise.

    road: half the width of the carriageway; pavement: its width; storeys: heights of houses; car: length, width and height
    of cars; vans: share of cars that are vans; parked: range of the share of places that are taken; people, cyclists, poles:
    most per place; slope: largest rise of the ground per metre.
    """

    road: tuple[float, float] = (3.2, 4.8)
    pavement: tuple[float, float] = (2.0, 4.5)
    storeys: tuple[float, float] = (4.0, 14.0)
    car: tuple[tuple[float, float], ...] = ((3.9, 4.9), (1.75, 2.0), (1.4, 1.7))
    vans: float = 0.12
    parked: tuple[float, float] = (0.1, 0.8)
    people: int = 10
    cyclists: int = 6
    poles: int = 14
    slope: float = 0.012


@dataclass
class Place:
    """One place while it is built. bodies: rows of ``caster.Things``; boxes: (class, x, y, z, l, w, h, yaw) of cars, people
    and cyclists, z being the middle of the height."""

    town: Town
    random: np.random.Generator
    yaw: float
    slope: tuple[float, float]
    bodies: list[tuple[float, ...]] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cos, self.sin = float(np.cos(self.yaw)), float(np.sin(self.yaw))

    def between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def free(self, u: float, v: float, reach_u: float, reach_v: float) -> bool:
        """Whether an upright box around (u, v) with these half sides, along the axes of the place, touches nothing."""
        if abs(u) < reach_u + CLEAR and abs(v) < reach_v + CLEAR:
            return False
        if abs(u) > EDGE + reach_u or abs(v) > EDGE + reach_v:
            return False
        return all(abs(u - a) > reach_u + c or abs(v - b) > reach_v + d for a, b, c, d in self.taken)

    def at(self, u: float, v: float) -> tuple[float, float, float]:
        """x, y and the height of the ground at a spot of the place."""
        x, y = self.cos * u - self.sin * v, self.sin * u + self.cos * v
        return x, y, self.slope[0] * x + self.slope[1] * y

    def body(
        self, u: float, v: float, l: float, w: float, low: float, high: float, kind: int, paint: float,  # noqa: E741
        yaw: float = 0.0, round: bool = False,
    ) -> None:  # fmt: skip
        """A body of length l and width w from ``low`` to ``high`` metres above its ground."""
        x, y, ground = self.at(u, v)
        self.bodies.append(
            (x, y, l / 2, w / 2, self.yaw + yaw, ground + low, ground + high, float(round), float(kind), paint)
        )

    def box(self, kind: int, u: float, v: float, l: float, w: float, h: float, yaw: float) -> None:  # noqa: E741
        x, y, ground = self.at(u, v)
        self.boxes.append((float(kind), x, y, ground + h / 2, l, w, h, self.yaw + yaw))

    def take(self, u: float, v: float, l: float, w: float, yaw: float, margin: float = 0.2) -> bool:  # noqa: E741
        """Takes the smallest upright box around a turned one; False where it is not free."""
        cos, sin = abs(float(np.cos(yaw))), abs(float(np.sin(yaw)))
        reach = (cos * l + sin * w) / 2 + margin, (sin * l + cos * w) / 2 + margin
        if not self.free(u, v, *reach):
            return False
        self.taken.append((u, v, *reach))
        return True

    def car(self, u: float, v: float, yaw: float) -> None:
        l, w, h = (self.between(*size) for size in self.town.car)  # noqa: E741
        yaw += self.between(-0.04, 0.04)
        van = self.random.random() < self.town.vans
        if van:
            l, h = l + 0.6, self.between(1.9, 2.4)  # noqa: E741
        if not self.take(u, v, l, w, yaw):
            return
        paint = self.between(0.15, 0.9)
        self.box(CAR, u, v, l, w, h, yaw)
        self.body(u, v, l, w, 0.2, h if van else 0.58 * h, CAR, paint, yaw)
        if not van:
            back = -0.06 * l
            a, b = back * float(np.cos(yaw)), back * float(np.sin(yaw))
            self.body(u + a, v + b, 0.52 * l, 0.88 * w, 0.58 * h, h, CAR, 0.5 * paint, yaw)

    def person(self, u: float, v: float) -> None:
        side, h = self.between(0.5, 0.7), self.between(1.55, 1.9)
        if self.take(u, v, side, side, 0.0):
            yaw = self.between(-np.pi, np.pi)
            self.box(PEDESTRIAN, u, v, side, side, h, yaw)
            self.body(u, v, side, side, 0.0, h, PEDESTRIAN, self.between(0.2, 0.6), yaw)

    def cyclist(self, u: float, v: float, yaw: float) -> None:
        l, h = self.between(1.6, 1.85), self.between(1.6, 1.85)  # noqa: E741
        yaw += self.between(-0.2, 0.2)
        if self.take(u, v, l, 0.6, yaw):
            self.box(CYCLIST, u, v, l, 0.6, h, yaw)
            self.body(u, v, l, 0.3, 0.0, 1.0, CYCLIST, self.between(0.2, 0.7), yaw)
            self.body(u, v, 0.5, 0.55, 0.8, h, CYCLIST, self.between(0.2, 0.6), yaw)

    def upright(self, u: float, v: float) -> None:
        """A lamp, a tree, or a bin or bollard of a person's size."""
        what = self.random.integers(3)
        radius, h = ((0.08, 0.16), (4.0, 8.0)) if what == 0 else ((0.15, 0.3), (2.2, 3.2))
        if what == 2:
            radius, h = (0.2, 0.4), (0.8, 1.6)
        size, top = 2 * self.between(*radius), self.between(*h)
        if not self.take(u, v, size, size, 0.0):
            return
        self.body(u, v, size, size, 0.0, top, STRUCTURE, self.between(0.2, 0.7), round=True)
        if what == 1:
            crown = 2 * self.between(0.9, 2.2)
            self.body(
                u, v, crown, crown, top, top + self.between(1.5, 4.0), STRUCTURE, self.between(0.3, 0.6), round=True
            )

    def house(self, u: float, v: float, l: float, w: float, h: float | None = None) -> None:  # noqa: E741
        if self.take(u, v, l, w, 0.0, 0.0):
            top = self.between(*self.town.storeys) if h is None else h
            self.body(u, v, l, w, -2.0, top, STRUCTURE, self.between(0.25, 0.65))

    def row(self, v: float, start: float, stop: float, side: int, turned: bool = False) -> None:
        """Houses along one side from ``start`` to ``stop``, their fronts at v; ``turned``: along v instead of u."""
        at = start
        while at < stop:
            length, depth = self.between(6, 18), self.between(6, 12)
            set_back = self.between(0, 1.5) if self.random.random() < 0.3 else 0.0
            u, across = at + length / 2, v + side * (depth / 2 + set_back)
            self.house(*((across, u, depth, length) if turned else (u, across, length, depth)))
            at += length + (self.between(1.0, 6.0) if self.random.random() < 0.35 else 0.02)


def straight(place: Place) -> None:
    road, pavement = place.between(*place.town.road), place.between(*place.town.pavement)
    middle = place.between(-0.5, 0.5) * road  # the sensor drives in either lane
    front = road + 2.2 + pavement
    for side in (-1, 1):
        place.row(middle + side * front, -EDGE, EDGE, side)
    _carriageway(place, road, middle, gap=0.0, turned=False)
    _crowd(place, lambda: (place.between(-EDGE, EDGE), middle + _side(place) * place.between(road + 2.3, front - 0.4)))


def crossing(place: Place) -> None:
    road, pavement = place.between(*place.town.road), place.between(*place.town.pavement)
    front = road + 2.2 + pavement
    middle = (place.between(-0.5, 0.5) * road, place.between(-0.6, 0.6) * road)
    for turned in (False, True):
        along, across = middle if turned else middle[::-1]
        for side in (-1, 1):
            for end in (-1, 1):
                start, stop = sorted((across + end * front, end * EDGE))
                place.row(along + side * front, start, stop, side, turned)
        _carriageway(place, road, along, gap=front + 3.0, turned=turned)

    def pavements() -> tuple[float, float]:
        u, v = place.between(-EDGE, EDGE), _side(place) * place.between(road + 2.3, front - 0.4)
        return (middle[0] + v, u) if place.random.random() < 0.5 else (u, middle[1] + v)

    _crowd(place, pavements)


def square(place: Place) -> None:
    half = place.between(13.0, 22.0), place.between(13.0, 22.0)
    shift = place.between(-6.0, 6.0), place.between(-6.0, 6.0)
    for side in (-1, 1):
        place.row(shift[1] + side * half[1], shift[0] - half[0], shift[0] + half[0], side)
        place.row(shift[0] + side * half[0], shift[1] - half[1], shift[1] + half[1], side, turned=True)
    share = place.between(*place.town.parked)
    for u in np.arange(-half[0] + 3, half[0] - 3, 6.0):
        if place.random.random() < share:
            place.car(shift[0] + float(u), shift[1] + half[1] - 1.6, 0.0)

    def anywhere() -> tuple[float, float]:
        return shift[0] + place.between(-0.95, 0.95) * half[0], shift[1] + place.between(-0.95, 0.95) * half[1]

    _crowd(place, anywhere)


def parking(place: Place) -> None:
    aisle, shift = place.between(5.5, 7.0), place.between(-1.0, 1.0)
    share = place.between(*place.town.parked)
    for pair in (-2, -1, 0, 1):
        low = shift + aisle / 2 + pair * (aisle + 10.4)
        for v in (low + 2.6, low + 7.8):
            for u in np.arange(-30.0, 30.0, 2.75):
                if place.random.random() < share:
                    place.car(float(u), v, np.pi / 2 * _side(place))
    end = _side(place) * place.between(31.0, 36.0)
    place.row(end, -EDGE, EDGE, 1 if end > 0 else -1, turned=True)
    if place.random.random() < 0.5:
        place.house(0.0, _side(place) * place.between(24.0, 30.0), 60.0, 0.3, place.between(0.8, 2.0))
    _crowd(place, lambda: (place.between(-30, 30), place.between(-24, 24)))


def _side(place: Place) -> int:
    return 1 if place.random.random() < 0.5 else -1


def _carriageway(place: Place, road: float, middle: float, gap: float, turned: bool) -> None:
    """Parked and driving cars and cyclists on a street along u (along v when ``turned``), none within ``gap`` of 0."""

    def spot(u: float, v: float) -> tuple[float, float]:
        return (middle + v, u) if turned else (u, middle + v)

    turn = np.pi / 2 if turned else 0.0
    share = place.between(*place.town.parked)
    for side in (-1, 1):
        facing = turn + (np.pi if side > 0 else 0.0)
        for u in np.arange(-EDGE + place.between(0, 6), EDGE, 6.2):
            if abs(u) > gap and place.random.random() < share:
                place.car(*spot(float(u), side * (road + 1.1)), facing)
        for _ in range(place.random.integers(0, 4)):
            place.car(*spot(place.between(-EDGE, EDGE), side * road / 2), facing)
        for _ in range(place.random.integers(0, place.town.cyclists // 2 + 1)):
            place.cyclist(*spot(place.between(-EDGE, EDGE), side * (road - 0.5)), facing)


def _crowd(place: Place, spot: Callable[[], tuple[float, float]]) -> None:
    """People, uprights and a few cyclists where ``spot`` draws them."""
    for _ in range(place.random.integers(0, place.town.people + 1)):
        place.person(*spot())
    for _ in range(place.random.integers(place.town.poles // 3, place.town.poles + 1)):
        place.upright(*spot())
    for _ in range(place.random.integers(0, place.town.cyclists // 2 + 1)):
        place.cyclist(*spot(), place.between(-np.pi, np.pi))


BUILD = {"straight": straight, "crossing": crossing, "square": square, "parking": parking}


def build(town: Town, layout: str, seed: tuple[int, ...]) -> Place:
    """One place of that layout; equal seeds give equal places."""
    random = np.random.default_rng(seed)
    yaw = float(random.uniform(-np.pi / 6, np.pi / 6))
    slope = random.uniform(-town.slope, town.slope, 2)
    place = Place(town, random, yaw, (float(slope[0]), float(slope[1])))
    BUILD[layout](place)
    return place
