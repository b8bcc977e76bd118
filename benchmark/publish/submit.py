"""Submit: finished rows as one package, or the reasons why not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import board, cost, folds, record, selection, tuned
from benchmark.budget import STEPS
from benchmark.publish import checkout
from benchmark.publish.foreign import examine
from benchmark.publish.package import Refused, write
from benchmark.stale import UNKNOWN, Stages, StaleRow, commands
from jepakit.registry import datasets, methods, probes
from jepakit.types import UsageError

Record = Mapping[str, Any]
KEYS = ("dataset", "method", "preset", "seed", "tuned")
NAMED = 3  # rows that a reason names before it counts


@dataclass(frozen=True)
class Packed:
    """What was packed: how many records, and the manifest's facts."""

    records: int
    facts: Mapping[str, Any]


def submit(results: Path, words: Sequence[str], out: Path, stages: Stages) -> Packed:
    """Write the rows that ``words`` name (modalities, key=value; none: all) as the package ``out``.

    Raises UsageError with every reason why these rows may not be published; then nothing is written.
    """
    commit, committed = checkout.commit(), checkout.files()
    chosen = selection.parse(words, KEYS)
    reasons: dict[str, list[str]] = {}
    found, paths = _load(results, chosen.modalities, reasons)
    rows = selection.among(found, chosen)
    if not rows and not reasons:
        raise UsageError(
            f"nothing was packed: no record in {results}; run a board first, or name the folder with --results"
        )
    files: dict[str, Path] = {}
    for one in rows:
        path = paths[one["key"]]
        member = "/".join(("records", *path.parts[-4:]))
        beside = path.with_suffix(".npz")
        if why := _unfit(one, member, beside, stages, committed):
            reasons.setdefault(why, []).append(f"{one['modality']}/{one['dataset']} {one['method']} seed {one['seed']}")
        files |= {member: path} | ({member.removesuffix("json") + "npz": beside} if beside.is_file() else {})
    for why, where in _unequal(rows):
        reasons.setdefault(why, []).append(where)
    if reasons:
        raise UsageError(
            "\n".join(["nothing was packed:", *(f"- {_some(found)}: {why}" for why, found in reasons.items())])
        )
    facts = {"commit": commit, "versions": cost.versions(), "commands": again(rows)}
    write(out, files, facts)
    return Packed(len(rows), facts)


def _load(
    results: Path, modalities: Sequence[str], reasons: dict[str, list[str]]
) -> tuple[list[record.Record], dict[str, Path]]:
    """All records and, by key, where they lie; what cannot be read is a reason."""
    found, paths = [], {}
    for path in sorted((results / "records").glob("*/*/*/*.json")):
        try:
            one = record.load(path)
        except record.CorruptRecord as error:
            if not modalities or path.parts[-4] in modalities:
                reasons.setdefault(str(error), []).append("/".join(path.parts[-4:-1]))
            continue
        found.append(one)
        paths[one["key"]] = path
    return found, paths


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _unfit(one: Record, member: str, predictions: Path, stages: Stages, committed: Collection[Path]) -> str:
    """Why a record may not be published; empty where it may."""
    if not board.published(one):
        return f"the preset {one['preset']} is never quoted; run another one, or name what to pack with preset=…"
    stage = stages(one)
    if stage == UNKNOWN:
        return "method, data set or a setting is not registered here; name its file with --plugin"
    if stage is not None:
        return f"made by older code (changed: {stage}); run it again, see `python -m benchmark board --stale`"
    missing = [what for what, source in _sources(one) if source not in committed]
    if missing:
        return f"the file of its {missing[0]} is in no commit, so nobody else has it; put it into the checkout and commit it"
    if one["scores"] and not predictions.is_file():
        return "its predictions are not stored; run it again with --force"
    try:
        place = predictions.with_suffix(".json")
        examine(member, place.read_bytes(), predictions.read_bytes() if predictions.is_file() else None)
    except Refused as error:
        return f"{error}; run it again with --force"
    return ""


def _sources(one: Record) -> Iterator[tuple[str, Path]]:
    yield "method", methods[one["method"]].source
    yield "data set", datasets[f"{one['modality']}/{one['dataset']}"].source
    for name in one["identity"].get("probes", ()):
        yield f"probe '{name}'", probes[name].source


def _unequal(rows: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """(why, board) for every board on which a method was tuned more than another that can be tuned.

    Tuned means trials of a search, or a setting of training that was given by hand.
    """
    efforts: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for one in rows:
        if one["family"] == "reference":
            continue
        words = one["overrides"]
        budget = " ".join(f"{k}={v}" for k, v in sorted(words.items()) if k.startswith(board.BUDGET) and k != STEPS)
        place = (one["modality"], folds.board(one["modality"], one["dataset"]), one["preset"], budget)
        by_hand = [
            f"{k}={v}" for k, v in sorted(words.items()) if k.startswith("train.") and not k.startswith(board.BUDGET)
        ]
        trials = tuned.trials(words)
        effort = " ".join([*([f"{trials} trials"] if trials else []), *by_hand])
        efforts.setdefault(place, {}).setdefault(one["method"], set()).add(effort)
    for (modality, dataset, preset, _), found in sorted(efforts.items()):
        for effort in sorted(set().union(*found.values()) - {""}):
            without = sorted(method for method, own in found.items() if effort not in own)
            if without:
                why = f"unequal tuning: {effort} for some methods, not for {_some(without)}"
                yield (
                    f"{why}; tune all of them alike (make hpo), or leave rows out with method=… or tuned=no",
                    (f"{modality}/{dataset} {preset}"),
                )


def again(rows: Iterable[Record]) -> list[str]:
    """Command lines that run these rows again, the searches that tuned rows need first."""
    groups: dict[tuple[str, str, str, str, tuple[tuple[str, str], ...]], set[int]] = {}
    searches = set()
    for one in rows:
        words = one["overrides"]
        place = (one["modality"], one["dataset"], one["preset"], one["method"], tuple(sorted(words.items())))
        groups.setdefault(place, set()).add(one["seed"])
        if trials := tuned.trials(words):
            given = " ".join(f"{k}={v}" for k, v in sorted(words.items()) if k not in tuned.SILENT)
            where = f"{one['modality']} dataset={one['dataset']} method={one['method']} preset={one['preset']}"
            searches.add(f"python -m benchmark hpo {where} trials={trials} {given}".rstrip())
    return sorted(searches) + commands(
        StaleRow(*place, "", tuple(sorted(seeds)), None) for place, seeds in sorted(groups.items())
    )
