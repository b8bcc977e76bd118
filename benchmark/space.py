"""Space: what a search may change. Three settings for every method, so that no method is given more room than another.

Learning rate (a factor of the board's, 1/5 … 5) and weight decay (a factor of the paper's, 1/10 … 10, both ends of its
schedule) are the same for all. The third is a method's own, declared where it is registered::

    @methods.register("lejepa", ..., space={"recipe.weight": (0.01, 0.2, "log")})

A tuple ends with its scale: ``linear`` and ``log`` (bounds of a number), ``int`` (bounds of a whole number, both included),
``factor`` (bounds of a factor on the published value, on every end of a pair), ``choice`` (the values themselves). A method
that declares none tunes its warm-up. Trial 0 of every search is the method as published.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark import values
from benchmark.board import BUDGET
from benchmark.cell import Cell
from jepakit.pretrain import Training
from jepakit.registry import methods
from jepakit.types import UsageError

SHARED: Mapping[str, tuple[Any, ...]] = {
    "train.lr": (0.2, 5.0, "factor"),
    "train.weight_decay": (0.1, 10.0, "factor"),
}
DEFAULT: Mapping[str, tuple[Any, ...]] = {"train.warmup": (0.02, 0.4, "log")}
SIZE = len(SHARED) + 1
SCALES = ("linear", "log", "int", "factor", "choice")
DIGITS = 4  # significant digits of a tried value: what stands in the file is what was run


@dataclass(frozen=True)
class Dimension:
    """One setting of a space. values: (low, high), or the choices; scale: see the module."""

    key: str
    values: tuple[Any, ...]
    scale: str

    def plain(self) -> list[Any]:
        """As it stands in the file of a search."""
        return [*self.values, self.scale]

    def text(self, point: Any, published: Any) -> str:
        """The word's value for a point of this dimension; ``published``: the setting without any override."""
        if self.scale != "factor":
            return _text(point)
        ends = published if isinstance(published, tuple) else (published,)
        return ",".join(_text(point * end) for end in ends)

    def holds(self, published: Any) -> Any:
        """The point at which a method as published lies, None where it lies outside."""
        if self.scale == "factor":
            return 1.0
        if self.scale == "choice":
            return published if published in self.values else None
        number = isinstance(published, int | float) and not isinstance(published, bool)
        return published if number and self.values[0] <= published <= self.values[1] else None


def tunable(method: str) -> bool:
    """Whether a method has anything to tune: reference rows take no step."""
    return bool(methods[method].info.get("family") != "reference")


def space(method: str) -> tuple[Dimension, ...]:
    """The ``SIZE`` dimensions of a method, its own last. Raises UsageError for a bad declaration."""
    own = methods[method].info.get("space") or DEFAULT
    if len(own) != 1 or set(own) & set(SHARED):
        raise UsageError(
            f"'{method}' declares {', '.join(own) or 'nothing'} to tune; every method has exactly one setting of its own "
            f"beside {' and '.join(SHARED)}"
        )
    return tuple(_dimension(method, key, declared) for key, declared in {**SHARED, **own}.items())


def _dimension(method: str, key: str, declared: tuple[Any, ...]) -> Dimension:
    *given, scale = declared
    prefix, _, name = key.partition(".")
    known = values.keywords(methods[method].make) if prefix == "recipe" else values.fields(Training)
    if prefix not in ("recipe", "train") or name not in known or key.startswith(BUDGET):
        raise UsageError(
            f"the space of '{method}' names {key}; name a setting of its recipe or of training (no budget)"
        )
    bounds = scale in SCALES and (scale == "choice" or (len(given) == 2 and given[0] < given[1]))
    if not bounds or len(given) < 2 or (scale in ("log", "factor") and given[0] <= 0):
        raise UsageError(
            f"the space of '{method}' gives {key} as {declared}; write (low, high, scale) with a scale of "
            f"{', '.join(SCALES)}, or (one, two, …, 'choice')"
        )
    return Dimension(key, tuple(given), str(scale))


def published(cell: Cell, key: str) -> Any:
    """The value of a setting in ``cell``: the paper's or the board's where no override says otherwise."""
    prefix, _, name = key.partition(".")
    if prefix == "train":
        value = getattr(cell.training, name)
        # A factor of nothing is nothing: where a paper has no weight decay, the suite's is scaled.
        return getattr(Training(), name) if value in ((0.0, 0.0), 0.0) else value
    default = inspect.signature(methods[cell.method].make).parameters[name].default
    return cell.settings.get(name, None if default is inspect.Parameter.empty else default)


def words(cell: Cell, dimensions: tuple[Dimension, ...], point: Mapping[str, Any]) -> dict[str, str]:
    """The point of a search around ``cell`` as words of the command line."""
    return {one.key: one.text(point[one.key], published(cell, one.key)) for one in dimensions}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        assert math.isfinite(value)
        return f"{value:.{DIGITS}g}"
    return str(value)
