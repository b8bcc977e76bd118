"""Decorator registries with "did you mean": methods, data sets and probes announce themselves here."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from jepakit.types import UsageError

T = TypeVar("T")


def did_you_mean(kind: str, name: str, known: list[str]) -> UsageError:
    """The error for an unknown name: suggests the nearest known ones, else lists them all."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
    return UsageError(f"no {kind} named '{name}'; {hint}")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered thing: its maker, the file it lives in and the facts said at registration."""

    name: str
    make: T
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The file that defines it (its hash is part of every result's identity)."""
        return Path(inspect.getfile(inspect.unwrap(self.make)))  # type: ignore[arg-type]

    @property
    def doc(self) -> str:
        """First line of the module that defines it: the paper and its idea in one clause."""
        module = inspect.getmodule(self.make)
        text = inspect.getdoc(module) or inspect.getdoc(self.make) or ""
        return text.strip().splitlines()[0] if text.strip() else ""


class Registry(Generic[T]):
    """Names → entries, filled by decorators at import time."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}
        self._families: dict[str, Callable[[str], T]] = {}
        self._absent: dict[str, str] = {}

    def register(self, name: str, **info: Any) -> Callable[[T], T]:
        """Decorator: ``@methods.register("ecgjepa", family="jepa")``.

        Raises UsageError when the name is taken by another file (a reloaded file may replace its own entry).
        """

        def decorate(make: T) -> T:
            entry = Entry(name, make, info)
            old = self._entries.get(name)
            if old is not None and old.source != entry.source:
                raise UsageError(f"{self.kind} '{name}' is already defined in {old.source.name}; choose another name")
            self._entries[name] = entry
            return make

        return decorate

    def register_family(self, prefix: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
        """Decorator of a function that makes the entry of any name that begins with ``prefix`` from the rest of the name.

        It must give the same object for the same name. Members of a family are found by name, not by iterating.
        """

        def decorate(make: Callable[[str], T]) -> Callable[[str], T]:
            self._families[prefix] = make
            return make

        return decorate

    def absent(self, name: str, remedy: str) -> None:
        """A name that is known but whose optional package is missing: asking for it raises UsageError with ``remedy``."""
        self._absent[name] = remedy

    def __getitem__(self, name: str) -> Entry[T]:
        if name in self._entries:
            return self._entries[name]
        if name in self._absent:
            raise UsageError(f"{self.kind} '{name}' is not installed: {self._absent[name]}")
        for prefix, make in self._families.items():
            if name.startswith(prefix) and name != prefix:
                return Entry(name, make(name.removeprefix(prefix)))
        raise did_you_mean(self.kind, name, list(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or any(
            str(name).startswith(prefix) and name != prefix for prefix in self._families
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def names(self, **info: Any) -> list[str]:
        """Registered names in registration order, only those whose facts match ``info``."""
        return [n for n, e in self._entries.items() if all(e.info.get(k) == v for k, v in info.items())]


# (Modality, Size, **settings) -> Objective. Facts: family ("jepa" | "mae" | "contrastive" | "supervised" | "reference"),
# paper, augmentation ("none" | "crop" | "modality-specific"), training (overrides of jepakit.pretrain.Training), stages
# (how many, default 1: the length of Objective.stages), space (the one setting of its own that a search may change:
# {"recipe.keep": (0.1, 0.5, "log")}; see benchmark.space).
methods: Registry[Callable[..., Any]] = Registry("method")
# Modality classes, registered as "<modality>/<dataset>".
datasets: Registry[type[Any]] = Registry("data set")
# Probe classes, see benchmark.probes.
probes: Registry[type[Any]] = Registry("probe")
