"""Asking: every contract of everything that a file registers, in order, as verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import plugin
from benchmark.contracts import facts, flow, learning, probing, reading, showing, text
from benchmark.contracts.grids import grids, refusal
from benchmark.contracts.questions import KINDS
from benchmark.contracts.verdict import Verdict, judge
from jepakit.registry import datasets, methods, probes

REGISTRIES: dict[str, Any] = {"method": methods, "data set": datasets, "probe": probes}
STEPS: tuple[tuple[str, Callable[[str, str], None]], ...] = (
    ("the gradient reaches all that is trained, and no teacher", learning.learns),
    ("the loss falls on one batch", learning.falls),
    ("equal seeds give equal bits, a saved state is whole", learning.repeats),
    ("teachers are still, saved and not optimised", learning.stills),
    ("features depend on the row alone", flow.encodes),
    ("the loss sees no label", flow.no_labels),
    ("hidden input reaches the targets alone", flow.hides),
    ("groups of targets are predicted independently", flow.parts_groups),
    ("a query is known by its position", flow.permutes),
    ("the teacher follows its student", flow.follows),
    ("no step waits for a GPU", learning.on_device),
)
DATA: tuple[tuple[str, Callable[[str, Path | None], str | None]], ...] = (
    ("the card is complete", reading.card),
    ("every task has its labels, and train every class", reading.tasks),
    ("no unit is in two parts", reading.units),
    ("no row is in two parts", reading.copies),
    ("inputs are small, finite and standardised by train", reading.resident),
    ("read again, it is the same", reading.again),
    ("tokens fit the grid", showing.tokens),
    ("views are random, seeded and keep the labels", showing.views),
    ("no input depends on the labels", showing.label_free),
    ("no feature is the answer", showing.told),
    ("shuffled labels are answered at chance", showing.canary),
)
PROBES: tuple[tuple[str, Callable[[str, str], None]], ...] = (
    ("shuffled labels are answered at chance", probing.guesses),
    ("the same seed gives the same bits", probing.repeats),
    ("its validation score is what it reaches there", probing.chooses_honestly),
    ("it does not see test", probing.sees_no_test),
    ("classes that train lacks are never predicted", probing.lacks_classes),
)


@dataclass(frozen=True)
class Registered:
    """What one file has registered: (kind, name) in order."""

    file: Path
    names: Sequence[tuple[str, str]]


def registered(path: Path) -> Registered:
    """Load the file. Raises UsageError when it is missing, does not import, or registers nothing."""
    before = {(kind, name): one[name] for kind, one in REGISTRIES.items() for name in one}
    plugin.load(path)
    now = {(kind, name): one[name] for kind, one in REGISTRIES.items() for name in one}
    return Registered(path.expanduser().resolve(), [key for key, entry in now.items() if before.get(key) is not entry])


def verdicts(found: Registered, root: Path | None) -> Iterator[Verdict]:
    """Every verdict on what a file registers, one by one as they are reached."""
    for kind, name in found.names:
        if kind == "method":
            yield from _method(name, found)
        elif kind == "data set":
            yield from _dataset(name, found.file, root)
        else:
            yield from _probe(name, found.file)


def _skipped(subject: str, checks: Sequence[tuple[str, object]], why: str) -> Iterator[Verdict]:
    return (Verdict(subject, check, "skip", why) for check, _ in checks)


def _method(name: str, found: Registered) -> Iterator[Verdict]:
    subject, file = f"method {name}", found.file
    yield judge(subject, "the registration is complete", lambda: facts.registered(name), file)
    yield judge(subject, "the file says what it is", lambda: text.introduced(file), file)
    if all(kind == "method" for kind, _ in found.names):
        yield judge(subject, "it never asks for its modality", lambda: text.blind(file), file)
    yield judge(subject, "no line waits for the device", lambda: text.waitless(file), file)
    runs = judge(subject, "it runs, or says why not", lambda: learning.runs(name), file)
    yield runs
    if runs.state == "fail":
        yield from _skipped(subject, (("the loss is finite", None), *STEPS), "asked when it runs")
        return
    able = [grid for grid in grids(name) if refusal(name, grid) is None]
    finite = _everywhere(subject, "the loss is finite", learning.finite, name, able, file)
    yield finite
    if finite.state == "fail":
        yield from _skipped(subject, STEPS, "asked when its loss is finite")
        return
    for check, contract in STEPS:
        yield _everywhere(subject, check, contract, name, able, file)
    yield _everywhere(subject, "a killed run resumes to the same bits", learning.resumes, name, able[:1], file)


def _everywhere(
    subject: str, check: str, contract: Callable[[str, str], None], name: str, cases: Sequence[str], file: Path
) -> Verdict:
    """One verdict over several grids or kinds of task: the first failure, or a pass where any was asked."""
    found = {one: judge(subject, check, lambda one=one: contract(name, one), file) for one in cases}  # type: ignore[misc]
    for one, verdict in found.items():
        if verdict.state == "fail":
            return Verdict(subject, check, "fail", f"{one}: {verdict.said}")
    asked = [one for one, verdict in found.items() if verdict.state != "skip"]
    if not asked:
        return next(iter(found.values()))
    return Verdict(subject, check, "pass", ", ".join(asked))


def _dataset(name: str, file: Path, root: Path | None) -> Iterator[Verdict]:
    subject = f"data set {name}"
    parts = judge(subject, "every part can be read", lambda: reading.parts(name, root), file)
    yield parts
    if parts.state == "fail":
        yield from _skipped(subject, DATA, "asked when it can be read")
        return
    for check, contract in DATA:
        yield judge(subject, check, lambda contract=contract: contract(name, root), file)  # type: ignore[misc]


def _probe(name: str, file: Path) -> Iterator[Verdict]:
    subject = f"probe {name}"
    facts_of = judge(subject, "the registration is complete", lambda: probing.registered(name), file)
    yield facts_of
    first = ("it finds what is separable", probing.finds)
    if facts_of.state == "fail" or probes[name].info.get("sees") == "pairs":
        why = "asked when the registration is complete" if facts_of.state == "fail" else "it compares pairs of views"
        yield from _skipped(subject, (first, *PROBES), why)
        return
    kinds = [kind for kind in KINDS if kind in probing.kinds(name)]
    finds = _everywhere(subject, *first, name, kinds, file)
    yield finds
    if finds.state == "fail":
        yield from _skipped(subject, PROBES, "asked when it finds what is separable")
        return
    for check, contract in PROBES:
        every = kinds if contract is probing.guesses else kinds[:1]
        yield _everywhere(subject, check, contract, name, every, file)
