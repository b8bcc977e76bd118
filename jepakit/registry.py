"""Decorator registries with "did you mean": methods, data sets and probes announce themselves here."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import inspect
import re
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
    """Names → entries, filled by decorators at import time.

    An entry may say the fact ``extra``: the requirement of an optional package, such as ``"braindecode>=1.8"``. Where that
    package is missing the entry is still found by its name, so that its records can be read, ranked and checked, but it is
    left out of lists, and making it raises UsageError with the command that installs the package.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}
        self._families: dict[str, Callable[[str], T]] = {}

    def register(self, name: str, **info: Any) -> Callable[[T], T]:
        """Decorator: ``@methods.register("ecgjepa", family="jepa")``.

        Raises UsageError when the name is taken by another file (a reloaded file may replace its own entry).
        """

        def decorate(make: T) -> T:
            entry = Entry(name, make if self._installed(info) else self._refusing(name, make, info["extra"]), info)
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

    def ready(self, name: str) -> Entry[T]:
        """The entry, if it can be made here. Raises UsageError for an unknown name and for a missing optional package."""
        entry = self[name]
        if not self._installed(entry.info):
            raise self._lacks(name, entry.info["extra"])
        return entry

    @staticmethod
    def _installed(info: Mapping[str, Any]) -> bool:
        package = re.match(r"\w+", str(info.get("extra") or ""))
        return package is None or importlib.util.find_spec(package.group()) is not None

    def _lacks(self, name: str, extra: str) -> UsageError:
        return UsageError(f"{self.kind} '{name}' is not installed: it needs {extra}; .venv/bin/pip install '{extra}'")

    def _refusing(self, name: str, make: T, extra: str) -> T:
        @functools.wraps(make)  # type: ignore[arg-type]
        def refuse(*_: Any, **__: Any) -> None:
            raise self._lacks(name, extra)

        return refuse  # type: ignore[return-value]

    def __getitem__(self, name: str) -> Entry[T]:
        if name in self._entries:
            return self._entries[name]
        for prefix, make in self._families.items():
            if name.startswith(prefix) and name != prefix:
                return Entry(name, make(name.removeprefix(prefix)))
        raise did_you_mean(self.kind, name, list(self))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or any(
            str(name).startswith(prefix) and name != prefix for prefix in self._families
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self, **info: Any) -> list[str]:
        """Names that can be made here, in registration order, only those whose facts match ``info``."""
        return [
            name
            for name, entry in self._entries.items()
            if self._installed(entry.info) and all(entry.info.get(key) == value for key, value in info.items())
        ]


# (Modality, Size, **settings) -> Objective. Facts: family ("jepa" | "mae" | "contrastive" | "supervised" | "reference"),
# paper, augmentation ("none" | "crop" | "modality-specific"), training (overrides of jepakit.pretrain.Training), stages
# (how many, default 1: the length of Objective.stages), space (the one setting of its own that a search may change:
# {"recipe.keep": (0.1, 0.5, "log")}; see benchmark.space).
methods: Registry[Callable[..., Any]] = Registry("method")
# Modality classes, registered as "<modality>/<dataset>".
datasets: Registry[type[Any]] = Registry("data set")
# Probe classes, see benchmark.probes.
probes: Registry[type[Any]] = Registry("probe")
