"""Stale: the rows that a change made out of date, from which stage on, what running them again costs, and the command.

A cell has three keys (``benchmark.cell``): of its encoder, of its frozen features, of its scores. The first that differs
from the record's says where work begins again; what lies before it is taken from ``results/.cache`` if it is still there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from benchmark import folds, tuned
from benchmark.budget import STEPS
from benchmark.cache import Cache
from benchmark.cell import again
from benchmark.estimate import clock
from benchmark.listing import table
from jepakit.types import UsageError

Record = Mapping[str, Any]
PRETRAINING, FEATURES, PROBES, UNKNOWN = "pretraining", "features", "probes only", "not registered here"


@dataclass(frozen=True)
class StaleRow:
    """One row of a board with seeds that are out of date. dataset: as ``dataset=`` takes it, so several folds of a data set
    that are out of date alike make one row; overrides: its words; seconds: to run these seeds again on the machine that ran
    them, None where nothing was measured."""

    modality: str
    dataset: str
    preset: str
    method: str
    overrides: tuple[tuple[str, str], ...]
    stage: str
    seeds: tuple[int, ...]
    seconds: float | None


def stage(record: Record) -> str | None:
    """The first stage of a record whose code or settings changed, None for a fresh record.

    ``UNKNOWN``: its method, data set or a setting does not exist here (a plugin that was not named).
    """
    try:
        cell = again(record)
    except (UsageError, KeyError):
        return UNKNOWN
    if cell.key == record["key"]:
        return None
    keys = record.get("keys") or {}
    if cell.encoder_key != keys.get("encoder"):
        return PRETRAINING
    return FEATURES if cell.feature_key != keys.get("features") else PROBES


class Stages:
    """``stage`` of records, each asked once: the sources are hashed for it."""

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {}

    def __call__(self, record: Record) -> str | None:
        if record["key"] not in self.known:
            self.known[record["key"]] = stage(record)
        return self.known[record["key"]]

    def old(self, record: Record) -> bool:
        """Whether a record is out of date."""
        return self(record) is not None


def seconds(record: Record, where: str, cache: Cache) -> float | None:
    """What running a record again from ``where`` on took the last time; earlier stages count if their cache is gone."""
    cost = record.get("cost") or {}
    parts = {PRETRAINING: "pretrain_s", FEATURES: "features_s", PROBES: "probe_s"}
    if any(not isinstance(cost.get(name), int | float) for name in (parts[FEATURES], parts[PROBES])):
        return cost.get("wall_s")  # it never came to its end
    if where in (FEATURES, PROBES):
        cell = again(record)
        if where == PROBES and not (cache.features / f"{cell.feature_key}.npz").is_file():
            where = FEATURES
        if where == FEATURES and cache.facts(cell.encoder_key) is None:
            where = PRETRAINING
    stages = list(parts)
    first = stages.index(where) if where in parts else 0
    return float(sum(cost.get(parts[name]) or 0.0 for name in stages[first:]))


def rows(records: Iterable[Record], results: Path, stages: Stages) -> list[StaleRow]:
    """The stale rows of these records, sorted. A seed that has a fresh record too is not stale."""
    kept = list(records)
    cache = Cache(results)
    fresh = {_request(one) for one in kept if not stages.old(one)}
    groups: dict[tuple[Any, ...], dict[int, Record]] = {}
    for one in sorted(kept, key=lambda one: str(one.get("created", ""))):
        where = stages(one)
        if where is not None and _request(one) not in fresh:
            overrides = tuple(sorted((one.get("overrides") or {}).items()))
            place = (one["modality"], one["dataset"], one["preset"], one["method"], overrides, where)
            groups.setdefault(place, {})[one["seed"]] = one
    # Folds of one data set that are out of date alike are one row.
    alike: dict[tuple[Any, ...], dict[str, list[float | None]]] = {}
    for place, found in sorted(groups.items()):
        modality, dataset, *rest = place
        costs = [seconds(one, place[-1], cache) for one in found.values()]
        key = (modality, folds.board(modality, dataset), *rest, tuple(sorted(found)))
        alike.setdefault(key, {})[dataset] = costs
    out = []
    for (modality, _, preset, method, overrides, where, seeds), parts in sorted(alike.items()):
        known = [cost for costs in parts.values() for cost in costs if cost is not None]
        dataset = ",".join(folds.whole(modality, parts))
        total = sum(known) if known else None
        out.append(StaleRow(modality, dataset, preset, method, overrides, where, seeds, total))
    return out


def _request(one: Record) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("modality", "dataset", "preset", "method", "variant", "seed"))


def commands(found: Iterable[StaleRow]) -> list[str]:
    """Command lines that run these rows again, methods that share everything else in one; not those unknown here."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in found:
        if row.stage != UNKNOWN:
            words = tuple(
                "tuned=yes" if key == tuned.WORD else f"{key}={text}" for key, text in row.overrides if key != STEPS
            )
            methods = groups.setdefault((row.modality, row.dataset, row.preset, row.seeds, words), [])
            methods += [row.method] * (row.method not in methods)
    return [
        shlex.join(
            ["python", "-m", "benchmark", "run", modality, f"dataset={dataset}", f"method={','.join(methods)}",
             f"preset={preset}", f"seed={','.join(map(str, seeds))}", *words]
        )
        for (modality, dataset, preset, seeds, words), methods in groups.items()
    ]  # fmt: skip


def listed(found: list[StaleRow]) -> Group | Table:
    """Rows, stages and times as a table, then the commands."""
    made = table(
        "stale: made by older code", "data set", "preset", "method", "seeds", "changed from", "time to run again"
    )
    for row in found:
        name = f"{row.method} {tuned.shown(dict(row.overrides))}".strip()
        cells = (f"{row.modality}/{row.dataset}", row.preset, name, ",".join(map(str, row.seeds)), row.stage)
        made.add_row(*map(escape, cells), clock(row.seconds))
    if not found:
        made.add_row("nothing is stale", *[""] * 5)
        return made
    total = sum(row.seconds or 0.0 for row in found)
    return Group(made, f"{clock(total)} one after another, as they were measured:", *map(escape, commands(found)))
