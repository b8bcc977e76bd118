"""Facts: what the page says of a method and of a data set, from their files (where registered) and from the records."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from benchmark import fidelity, folds
from benchmark.board import Board, Record, row_variant
from benchmark.lines import FLOOR
from benchmark.report import indexes
from benchmark.report.ids import anchor
from benchmark.report.tables import Column, Row, View, interval, number, plain, text
from benchmark.values import keywords
from jepakit.registry import datasets, methods
from jepakit.types import Card


@dataclass(frozen=True)
class Method:
    """A section about one method. facts: (name, words), those of its file; modality: one that it ran on; where: its
    standing on every board; runs: its records."""

    id: str
    name: str
    family: str
    modality: str
    about: str
    facts: tuple[tuple[str, str], ...]
    where: View
    runs: View


@dataclass(frozen=True)
class DataSet:
    """A section about one data set. facts: its card; boards: (anchor, words) of those on it; parts and tasks as tables."""

    id: str
    name: str
    title: str
    facts: tuple[tuple[str, str], ...]
    boards: tuple[tuple[str, str], ...]
    parts: View
    tasks: View


def method(name: str, records: Sequence[Record], old: Mapping[str, bool], boards: Iterable[Board]) -> Method:
    """What is known of a method with these records, and where it stands on ``boards``; ``old``: by key, whether a record was
    made by older code."""
    first = records[0]
    facts = [("Family", first["family"]), ("Paper", first["paper"]), ("Augmentation", first["augmentation"])]
    about = "Not registered here; its file is unknown."
    if name in methods:
        entry = methods[name]
        module = inspect.getmodule(inspect.unwrap(entry.make))
        about, fields = fidelity.parse((module.__doc__ if module else None) or inspect.getdoc(entry.make) or "")
        facts += [(field, fields[field]) for field in fidelity.FIELDS if field in fields]
        facts.append(("Recipe", _recipe(name) or "no settings of its own"))
        training: Mapping[str, object] = entry.info.get("training") or {}
        facts.append(("Training", ", ".join(f"{key} = {value}" for key, value in training.items()) or "as the preset"))
        facts.append(("Stages", str(entry.info.get("stages", 1))))
    facts = [(field, words) for field, words in facts if words]
    view = plain(anchor("runs", name), f"records of {name}", "data set", _RUNS, _runs(records, old))
    where = indexes.where(name, boards)
    return Method(
        anchor("method", name), name, first["family"], first["modality"], about, tuple(facts), where, view
    )  # fmt: skip


_RUNS = (
    Column("preset", number=False), Column("seeds", number=False), Column("overrides", number=False),
    Column("status", number=False), Column("headline", "score of the headline task, mean over seeds [lowest, highest]"),
    Column("metric", number=False), Column("RankMe", "mean over seeds"), Column("seconds", "mean over seeds"),
    Column("created", "the newest", number=False), Column("records", number=False, wrap=True),
)  # fmt: skip


def _runs(records: Sequence[Record], old: Mapping[str, bool]) -> Iterable[Row]:
    """Records that differ in their seed alone, and went alike, share a line."""
    for (modality, dataset, preset, variant, status, metric, stale), group in groupby(
        sorted(records, key=lambda one: (_alike(one, old), one["seed"], one["key"])), lambda one: _alike(one, old)
    ):
        same = list(group)
        scores = [score["value"] for one in same if (score := _headline(one))]
        low, high = (min(scores), max(scores)) if len(scores) > 1 else (None, None)
        cells = (
            text(preset), text(", ".join(str(one["seed"]) for one in same)), text(variant), text(status),
            interval(fmean(scores) if scores else None, low, high, ".3f"), text(metric),
            number(_mean((one.get("diagnostics") or {}).get("rankme") for one in same), ".1f"),
            number(_mean((one.get("cost") or {}).get("wall_s") for one in same), ".1f"),
            text(max(str(one["created"])[:10] for one in same)), text(" ".join(one["key"] for one in same)),
        )  # fmt: skip
        marks = (("†", "made by older code"),) if stale else ()
        yield Row(
            f"{modality}/{dataset}", indexes.section_of(modality, dataset), "", cells, marks, "stale" if marks else ""
        )


def _alike(one: Record, old: Mapping[str, bool]) -> tuple[str, str, str, str, str, str, bool]:
    """What records of one line have in common."""
    score = _headline(one)
    return (
        one["modality"], one["dataset"], one["preset"], row_variant(one),
        one["status"] + (f": {one['reason']}" if one["reason"] else ""),
        f"{score['task']} {score['metric']}" if score else "", old[one["key"]],
    )  # fmt: skip


def _headline(one: Record) -> Mapping[str, Any] | None:
    """The headline score of the linear probe."""
    return next((score for score in one["scores"] if score["headline"] and score["probe"] == "linear"), None)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _recipe(name: str) -> str:
    """Keyword settings of a recipe with their defaults."""
    parameters = inspect.signature(methods[name].make).parameters
    return ", ".join(f"{key} = {parameters[key].default}" for key in keywords(methods[name].make))


def data_set(name: str, records: Sequence[Record], boards: Sequence[Board]) -> DataSet:
    """What is known of the data set ``name`` = "<modality>/<dataset>" from these records and its boards."""
    title, facts = "Not registered here; its card is unknown.", []
    modality, _, short = name.partition("/")
    if (origin := f"{modality}/{folds.origin(modality, short)}") in datasets:
        make = datasets[origin].make
        card: Card = make.card
        title = card.title
        facts = [
            ("Source", card.source), ("Licence", card.licence), ("Citation", card.citation), ("Split unit", card.unit),
            ("Notes", card.notes), ("Hand-made features", inspect.getdoc(make.handmade) or ""),
            ("Augmentation", str(getattr(make, "augmentation", ""))),
        ]  # fmt: skip
    newest = {
        one["dataset"]: one["data"] for one in sorted(records, key=lambda x: (str(x.get("created", "")), x["key"]))
    }
    parts = []
    for one, facts_of in sorted(newest.items(), key=lambda pair: _number(modality, pair[0])):
        fold = _number(modality, one)
        for part, what in (("train", "training"), ("val", "validation"), ("test", "test")):
            mended = (facts_of.get("repairs") or {}).get(part) or {}
            cells = (
                number(facts_of.get(f"n_{part}"), "d"), number(facts_of.get(f"units_{part}"), "d"),
                text(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(mended.items()) if value)),
                text(str((facts_of.get("fingerprint") or {}).get(part, ""))[:8]),
            )  # fmt: skip
            parts.append(Row(f"fold {fold}, {what}" if fold else what, "", "", cells))
    heads = [Column("rows"), Column("units", "of the split"), Column("mended", "while reading", number=False),
             Column("fingerprint", number=False)]  # fmt: skip
    return DataSet(
        indexes.section_of(modality, short), name, title, tuple((field, words) for field, words in facts if words),
        tuple((indexes.id_of(board), indexes.place_of(board)) for board in boards),
        plain(anchor("parts", name), f"parts of {name}", "part", heads, parts),
        plain(anchor("tasks", name), f"tasks of {name}", "task", _TASKS, _tasks(boards, records)),
    )  # fmt: skip


def _number(modality: str, dataset: str) -> int:
    """Of a fold; 0 for a data set that is none."""
    found = folds.fold(modality, dataset)
    return 0 if found is None else found.number


_TASKS = (
    Column("kind", number=False), Column("metric", number=False), Column("role", number=False),
    Column("chance", "best guess that sees no input"), Column("untrained", f"{FLOOR}, linear probe, as on the last board"),
    Column("hand-made", "raw_features, linear probe, as on the last board"),
)  # fmt: skip


def _tasks(boards: Iterable[Board], records: Sequence[Record]) -> Iterable[Row]:
    """One row per task in the order of the boards; marks of the last board that has the task."""
    kinds = {score["task"]: score["kind"] for one in records for score in one["scores"]}
    found: dict[str, Row] = {}
    for board in boards:
        for measure in board.measures:
            if measure.extra or measure.probe != "linear":
                continue
            marks = {line.method: line for line in board.of(measure) if not line.variant}
            role = "nuisance" if measure.nuisance else "further" if measure.minor else "headline"
            cells = [text(kinds.get(measure.task, "")), text(measure.metric), text(role)]
            for name in ("chance", FLOOR, "raw_features"):
                line = marks.get(name)
                cells.append(interval(*((line.mean, line.ci95_lo, line.ci95_hi) if line else (None,) * 3), ".3f"))
            found[measure.task] = Row(measure.task, "", "", tuple(cells))
    return found.values()
