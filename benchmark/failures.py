"""Failures: the end of a run lists what has no result, why, and the command that tries it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import record, tuned
from benchmark.budget import STEPS
from benchmark.cell import Cell

Record = Mapping[str, Any]


def listed(records: Sequence[Record], missing: Sequence[Cell] = (), options: Sequence[str] = ()) -> list[str]:
    """Lines for a person, none when every cell has a result. ``missing``: cells that were not run because they are not
    in the cache; ``options``: words of the command line that a command has to repeat (``--results folder`` …)."""
    failed = [one for one in records if one["status"] in record.FAILED]
    lines: list[str] = []
    if failed:
        lines.append(f"failed: {len(failed)} of {len(records)} cells have no result")
        lines += [f"  {_name(one)}: {one['status']}: {one['reason']}" for one in failed]
        again = [one for one in failed if one["status"] not in record.FINAL]
        final = [one for one in failed if one["status"] in record.FINAL]
        if again:
            lines.append("try again (what has a result is not run a second time):")
            lines += commands(again, options)
        if final:
            lines.append("the same settings fail again; change one (train.lr=…, train.clip=1), or see it once more:")
            lines += commands(final, [*options, "--force"])
    if missing:
        lines.append(f"not in the cache, so not run: {len(missing)} cells")
        lines += [f"  {cell.name} {cell.method} seed {cell.seed}" for cell in missing]
        lines.append("the same command without --only-cache runs them")
    return lines


def commands(records: Sequence[Record], options: Sequence[str] = ()) -> list[str]:
    """One command line for each group of records that differ in method and seed alone."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for one in records:
        words = tuple(
            "tuned=yes" if key == tuned.WORD else f"{key}={text}"
            for key, text in sorted(one["overrides"].items())
            if key != STEPS
        )
        # Seeds belong to the key: a method that failed with one seed is not tried with those of another method.
        place = (one["modality"], one["dataset"], one["preset"], words, one["seed"])
        names = groups.setdefault(place, [])
        names += [one["method"]] * (one["method"] not in names)
    joined: dict[tuple[Any, ...], list[int]] = {}
    for (modality, dataset, preset, words, seed), names in groups.items():
        joined.setdefault((modality, dataset, preset, words, tuple(names)), []).append(seed)
    return [
        "  " + shlex.join(
            ["python", "-m", "benchmark", "run", modality, f"dataset={dataset}", f"method={','.join(names)}",
             f"seed={','.join(map(str, seeds))}", f"preset={preset}", *words, *options]
        )
        for (modality, dataset, preset, words, names), seeds in joined.items()
    ]  # fmt: skip


def _name(one: Record) -> str:
    name = f"{one['modality']}/{one['dataset']} {one['method']} seed {one['seed']}"
    return f"{name} ({one['variant']})" if one["variant"] else name
