"""Contrast: claims whose arms are rows of boards: does one arm score better than another, paired over seeds and data sets?

The effect on a data set is the paired difference of ``benchmark.compare`` in units of the way from chance to a perfect
score, so that metrics can be averaged; positive is better. Over three and more data sets the interval is Student's t over
data sets: it speaks of data sets like these. Over one or two it holds seeds and test units alone, and speaks of those.

The unit was changed once after a look: it was the error of the other arm, by which a table without any error left (wine)
outweighed seven others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark import metrics
from benchmark.board import Measure, Record, boards
from benchmark.claims.claim import Evidence, Finding, Study, Words, cells, known
from benchmark.claims.judge import Estimate, Rule, estimate
from benchmark.compare import Difference, difference
from benchmark.stats import Resampled
from jepakit.types import UsageError

PROBE = "linear"
FEWEST = 3  # data sets over which an interval can speak of others
OUTCOME = "{arm} minus {than}, {probe}, as a share of the way from chance to a perfect score, mean over data sets"
BESIDE = OUTCOME + ", minus the same for {other} against {base}"


@dataclass(frozen=True)
class Arm:
    """A row of a board: a method with settings in the words of ``run`` (recipe.keep=0.3, budget=flops, tuned=yes …)."""

    method: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def words(self, place: str, preset: str, seeds: int) -> Words:
        """The request that runs it at a place ("<modality>/<data set>")."""
        modality, _, dataset = place.partition("/")
        given = (f"{key}={text}" for key, text in self.settings.items())
        return (modality, f"dataset={dataset}", f"method={self.method}", f"preset={preset}", f"seeds={seeds}", *given)


def contrast(
    places: Sequence[str], arms: Mapping[str, Arm], arm: str, than: str, rule: Rule, *, seeds: int = 5,
    beside: tuple[str, str] | None = None, preset: str = "quick", probe: str = PROBE,
) -> Study:  # fmt: skip
    """The study of "``arm`` is better than ``than``" on ``places``; ``beside`` (other, base): by more than ``other`` is
    better than ``base``. Arms that neither names are run and shown, not judged. Raises KeyError for an arm that is none."""
    for name in (arm, than, *(beside or ())):
        arms[name]
    names = {"arm": arm, "than": than, "probe": f"{probe} probe"} | (
        dict(zip(("other", "base"), beside)) if beside else {}
    )
    requests = {place: {name: one.words(place, preset, seeds) for name, one in arms.items()} for place in places}

    pairs = [(arm, than), *([beside] if beside else [])]

    def judge(evidence: Evidence) -> Finding:
        found = [_place(evidence, place, own, pairs, probe) for place, own in requests.items()]
        tested = [one for one in found if one.effect is not None]
        pooled = over_places([one.effect for one in tested if one.effect is not None])
        table = tuple(one.line for one in found if one.line["metric"])
        if pooled is None:
            return Finding("", None, "no data set has both arms with two common seeds yet", table=table)
        return Finding(rule(pooled), pooled, _sentence(tested, arm, than), min(one.seeds for one in tested), table)

    return Study(
        outcome=(BESIDE if beside else OUTCOME).format(**names),
        rule=str(rule),
        seeds=seeds,
        judge=judge,
        requests=tuple(words for own in requests.values() for words in own.values()),
    )


@dataclass(frozen=True)
class Row:
    """A row of a board on its headline task, under the bootstrap; chance: the score of a guesser."""

    measure: Measure
    sampled: Resampled
    chance: float

    @property
    def metric(self) -> metrics.Metric:
        return metrics.get(self.measure.base)

    @property
    def way(self) -> float:
        """What lies between chance and a perfect score; negative where lower is better."""
        return (self.metric.bounds[1] if self.metric.higher_is_better else self.metric.bounds[0]) - self.chance


@dataclass(frozen=True)
class _Place:
    effect: Estimate | None
    seeds: int
    line: Mapping[str, Any]


def _place(
    evidence: Evidence, place: str, requests: Mapping[str, Words], pairs: Sequence[tuple[str, str]], probe: str
) -> _Place:
    rows = {name: row_of(evidence, words, probe) for name, words in requests.items()}
    effect, seeds = None, 0
    sides = [(rows[a], rows[b]) for a, b in pairs]
    if all(one is not None for both in sides for one in both):
        effect, seeds = _effect(sides)  # type: ignore[arg-type]
    line: dict[str, Any] = {"data set": place, "metric": next((row.measure.metric for row in rows.values() if row), "")}
    line |= {name: None if row is None else float(np.mean(row.sampled.values)) for name, row in rows.items()}
    line |= {"effect": effect and effect.mean, "lo": effect and effect.lo, "hi": effect and effect.hi, "seeds": seeds}
    return _Place(effect, seeds, line)


def between(one: Row | None, other: Row | None) -> Estimate | None:
    """One row minus the other on one data set, paired over seeds, as a share of the way from chance to a perfect score; None
    without two common seeds."""
    return None if one is None or other is None else _share(difference(one.sampled, other.sampled), other.way)


def _effect(sides: Sequence[tuple[Row, Row]]) -> tuple[Estimate | None, int]:
    """The effect on one data set, and its paired seeds."""
    (arm, than), *more = sides
    # A difference of differences: both are rows themselves.
    found = _share(difference(*(_change(a, b) for a, b in sides)), than.way) if more else between(arm, than)
    return found, 0 if found is None else int(found.df) + 1


def _share(found: Difference | None, way: float) -> Estimate | None:
    if found is None or way == 0:
        return None
    low, high = sorted((found.lo / way, found.hi / way))
    return Estimate(found.mean / way, low, high, found.n - 1, 1)


def _change(a: Row, b: Row) -> Resampled:
    one, two = a.sampled.shared(b.sampled)
    return one.change(two)


def over_places(effects: Sequence[Estimate]) -> Estimate | None:
    """The mean effect over data sets: an interval over data sets where there are enough, else over what is within them."""
    if not effects:
        return None
    if len(effects) >= FEWEST:
        return estimate([one.mean for one in effects])
    mean = float(np.mean([one.mean for one in effects]))
    low, high = (
        float(np.linalg.norm([end - one.mean for one, end in zip(effects, ends, strict=True)])) / len(effects)
        for ends in zip(*((one.lo, one.hi) for one in effects), strict=True)
    )
    return Estimate(mean, mean - low, mean + high, min(one.df for one in effects), len(effects))


def row_of(evidence: Evidence, words: Words, probe: str) -> Row | None:
    """The row that a request makes, on the headline task; None where there is no score of it.

    Raises UsageError where its records belong to several boards.
    """
    records = [one for wanted in cells([words]) if (one := known(wanted, evidence.records)) is not None]
    found = rows_of(records, evidence, probe)
    if not found:
        return None
    if len(found) > 1:
        raise UsageError(f"`run {' '.join(words)}` has rows on {len(found)} boards; keep the records of one of them")
    return next(iter(found[0].values()))


def rows_of(records: Sequence[Record], evidence: Evidence, probe: str) -> list[dict[str, Row]]:
    """By board of these records its rows on the headline task ("<method> <variant>"); boards without such scores are left
    out."""

    def keep(measure: Measure) -> bool:
        return measure.probe == probe and not (measure.nuisance or measure.minor or measure.extra)

    out = []
    for board in boards(records, evidence.results, keep=keep):
        for measure in board.measures:
            chance = next((line.mean for line in board.of(measure) if line.method == "chance"), None)
            if chance is not None and board.sampled[measure]:
                rows = board.sampled[measure].items()
                out.append({" ".join(name).strip(): Row(measure, one, float(chance)) for name, one in rows})
    return out


def _sentence(found: Sequence[_Place], arm: str, than: str) -> str:
    better = sum(one.effect.lo > 0 for one in found if one.effect)
    worse = sum(one.effect.hi < 0 for one in found if one.effect)
    return f"{arm} above {than} on {better}, below on {worse} of {len(found)} data sets (95 %, each by itself)"
