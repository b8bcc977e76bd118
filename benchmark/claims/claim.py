"""Claim: what a paper says, as an experiment: who is compared, what is held fixed, and the rule that was written first.

One file of ``experiments/`` per claim. It registers a function that makes its ``Study``; facts said at registration: paper,
says (the sentence claimed, in our words), fixed (what all arms share), budget (what a run costs).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark import record, request, source, tuned
from benchmark.atomic import write_bytes
from benchmark.board import SILENT, Record
from benchmark.claims.judge import Estimate
from benchmark.values import keywords
from jepakit.registry import Registry, methods
from jepakit.types import UsageError

NOT_RUN, PARTLY_RUN = "not run", "partly run"
FACTS = ("paper", "says", "fixed", "budget")
SCHEMA = 1

Words = tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What was found. verdict: of ``benchmark.claims.judge``, "" where nothing can be said yet; effect: the primary
    outcome; says: one sentence; seeds: paired seeds behind it; table: lines of what stands behind it, same keys each."""

    verdict: str
    effect: Estimate | None
    says: str
    seeds: int = 0
    table: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that a study may look at: fresh records, their folder, and the numbers that the claim measured by itself."""

    records: Sequence[Record]
    results: Path
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """How a claim is tested. outcome: what the effect is; rule: how it is judged, in words; seeds: fewest paired seeds.

    requests: words of ``run`` whose cells it reads; measure: what it computes by itself, as plain JSON, where it is no
    matter of cells; judge: evidence → finding.
    """

    outcome: str
    rule: str
    seeds: int
    judge: Callable[[Evidence], Finding]
    requests: tuple[Words, ...] = ()
    measure: Callable[[], Mapping[str, Any]] | None = None


claims: Registry[Callable[[], Study]] = Registry("claim")


@dataclass(frozen=True)
class Status:
    """A claim with what there is of it: a finding once everything was run, else how much was. seconds, pflop: of the cells
    (and of what the claim computed by itself)."""

    name: str
    info: Mapping[str, str]
    study: Study
    finding: Finding
    done: int
    needed: int
    seconds: float
    pflop: float

    @property
    def state(self) -> str:
        """The verdict, or ``not run``, ``partly run``."""
        if self.done < self.needed:
            return PARTLY_RUN if self.done else NOT_RUN
        return self.finding.verdict

    @property
    def complete(self) -> bool:
        """Whether all that the claim asks for is there."""
        return self.done >= self.needed


def status(name: str, records: Sequence[Record], results: Path) -> Status:
    """Where a claim stands. ``records``: fresh ones of all modalities. Raises UsageError for an unknown name."""
    entry = claims[name]
    study = entry.make()
    found = [known(wanted, records) for wanted in cells(study.requests)]
    done, needed = sum(one is not None for one in found), len(found)
    cost = [one["cost"] for one in found if one is not None]
    seconds = sum(one.get("wall_s") or 0.0 for one in cost)
    numbers: Mapping[str, Any] = {}
    if study.measure is not None:
        own = stored(name, results)
        done, needed = done + (own is not None), needed + 1
        if own is not None:
            numbers, seconds = own["numbers"], seconds + own["seconds"]
    finding = Finding("", None, "nothing was run")
    if done:
        finding = study.judge(Evidence(records, results, numbers))
    return Status(name, entry.info, study, finding, done, needed, seconds, sum(one.get("pflop") or 0.0 for one in cost))


# --- cells -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """One cell that a claim reads, as far as it can be told apart without data."""

    modality: str
    dataset: str
    method: str
    preset: str
    seed: int
    overrides: Mapping[str, str]
    tuned: bool
    probes: frozenset[str]


def cells(requests: Sequence[Words]) -> Iterator[Wanted]:
    """The cells of requests, one after another."""
    for words in requests:
        asked = request.parse(words)
        probes = frozenset(asked.overrides.get("probe", "").split(",")) - {""}
        for dataset in asked.datasets:
            for method in asked.rows(f"{asked.modality}/{dataset}"):
                own = _own(asked.overrides, method)
                for seed in asked.seeds:
                    yield Wanted(asked.modality, dataset, method, asked.preset, seed, own, asked.tuned, probes)


def _own(overrides: Mapping[str, str], method: str) -> dict[str, str]:
    taken = keywords(methods[method].make)
    return {
        key: text
        for key, text in overrides.items()
        if key not in SILENT and (not key.startswith("recipe.") or key.removeprefix("recipe.") in taken)
    }


def known(wanted: Wanted, records: Sequence[Record]) -> Record | None:
    """The newest finished record of a cell."""
    fitting = [one for one in records if is_of(one, wanted)]
    return max(fitting, key=lambda one: str(one["created"]), default=None)


def is_of(one: Record, wanted: Wanted) -> bool:
    """Whether a record is one of the cell."""
    place = (one["modality"], one["dataset"], one["method"], one["preset"], one["seed"])
    if place != (wanted.modality, wanted.dataset, wanted.method, wanted.preset, wanted.seed):
        return False
    given = {key: text for key, text in one["overrides"].items() if key not in SILENT}
    if (tuned.WORD in given) != wanted.tuned:
        return False
    given.pop(tuned.WORD, None)
    scored = {score["probe"] for score in one["scores"]}
    return given == wanted.overrides and one["status"] in record.FINAL and (wanted.probes <= scored or not scored)


# --- a claim's own numbers -------------------------------------------------------------------------------------------


def path(name: str, results: Path) -> Path:
    """Where a claim keeps what it measured by itself."""
    return results / "claims" / f"{name}.json"


def code(name: str) -> str:
    """Hash of the file that measures a claim and of all project modules that it imports; how it is judged is not in it."""
    return source.digest([Path(inspect.getfile(inspect.unwrap(claims[name].make().measure)))])  # type: ignore[arg-type]


def keep(name: str, results: Path, numbers: Mapping[str, Any], seconds: float) -> None:
    """Write the numbers of a claim with the code that made them."""
    content = {"schema": SCHEMA, "claim": name, "code": code(name), "seconds": round(seconds, 1), "numbers": numbers}
    text = json.dumps(record.clean(content), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path(name, results), text.encode())


def stored(name: str, results: Path) -> dict[str, Any] | None:
    """The numbers of a claim, None where there are none or other code made them. Raises UsageError for a damaged file."""
    try:
        found = json.loads(path(name, results).read_bytes())
        right = found["schema"] == SCHEMA and found["claim"] == name and isinstance(found["numbers"], dict)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path(name, results)} is damaged ({type(error).__name__}); delete it and run: claim {name}"
        ) from None
    if not right or found["code"] != code(name):
        return None
    return dict(found)
