"""Tuning under one rule for all: equally many trials over an equally large space (``benchmark.space``), validated.

A trial is an ordinary cell with overrides, of seed ``tuned.SEED``, kept under ``results/.hpo``: it never enters a board,
and the same command finds finished trials again. Trial 0 is the method as published. The others come in rounds of fixed
size from a Tree-structured Parzen Estimator (Bergstra et al. 2011, as in optuna), which is seeded by method, data set and
preset and told the trials in their order: the number of jobs changes nothing, and more trials continue a search.

All that a search (and the person who watches it) learns of a record is a ``Seen``: how it ended and the validation score
of the headline task with the headline probe. Test scores stay behind that door.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from benchmark import metrics, plan, record, space, tuned, values
from benchmark.cell import Cell, resolve
from benchmark.overall import PROBE
from benchmark.request import Request, parse
from benchmark.space import Dimension
from benchmark.subset import limited
from benchmark.tuned import Trial, Tuning
from jepakit.modality import Modality
from jepakit.types import UsageError

TRIALS = 8
ROUND = 4  # trials that are proposed together; fixed, so that a search does not depend on the number of jobs
STARTUP = 8  # trials before the estimator takes over from uniform draws

Run = Callable[[Sequence[Cell]], Sequence[record.Record]]


@dataclass(frozen=True)
class Seen:
    """What a search may know of a record: how it ended, and its validation score if it has one."""

    status: str
    reason: str | None
    value: float | None


def seen(one: Mapping[str, Any]) -> Seen:
    """The one door between records and searches; the test score of a record does not pass it."""
    for score in one["scores"]:
        if score["headline"] and score["probe"] == PROBE:
            return Seen(one["status"], one["reason"], score["val"])
    return Seen(one["status"], one["reason"], None)


def line(one: Mapping[str, Any]) -> str:
    """What is said of a finished trial."""
    found = seen(one)
    return (
        f"{found.status}: {found.reason}" if found.value is None else f"validation {found.value:.3f} ({found.status})"
    )


def request(words: Sequence[str]) -> tuple[Request, int]:
    """``ecg method=mae trials=8 …`` → what to tune, and how many trials each method gets. Raises UsageError."""
    trials, rest = TRIALS, []
    for word in words:
        key, _, text = word.partition("=")
        if key in ("seed", "seeds", "probe", tuned.WORD):
            raise UsageError(f"{key} is not for tuning: seed {tuned.SEED} and the probe {PROBE} judge every trial")
        if key == "trials":
            trials = values.parse(key, text, int)
            if trials < 2:
                raise UsageError(
                    f"trials takes a whole number from 2 on (the first is the method as published), not {text}"
                )
        else:
            rest.append(word)
    asked = parse([*rest, f"probe={PROBE}"])
    return replace(asked, seeds=(tuned.SEED,)), trials


@dataclass
class Search:
    """The search for one method on one data set. base: its cell as published; modality: to try settings before they run."""

    base: Cell
    modality: Modality
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.space: tuple[Dimension, ...] = space.space(self.base.method)
        for one in self.space:
            if one.key in self.base.overrides:
                raise UsageError(f"{one.key} is what tuning changes for '{self.base.method}'; leave it out")
        place = f"{self.base.method} {self.base.name} {self.base.preset}"
        self.seed = int(hashlib.sha256(place.encode()).hexdigest()[:8], 16)
        self.task = self.modality.tasks[0]
        self.higher = metrics.get(self.task.metric).higher_is_better
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=STARTUP)
        self.study = optuna.create_study(sampler=sampler, direction="maximize" if self.higher else "minimize")
        self.distributions = {one.key: distribution(one) for one in self.space}
        self.asked: list[tuple[optuna.trial.Trial | None, dict[str, str], Cell | UsageError]] = []

    def ask(self, most: int) -> list[Cell]:
        """The cells of the next round, at most up to trial ``most``; settings that cannot be built are no cells."""
        self.asked = []
        for number in range(len(self.trials), min(len(self.trials) + ROUND, most)):
            if number == 0:
                self.asked.append((None, {}, self.base))
                continue
            trial = self.study.ask(self.distributions)
            words = space.words(self.base, self.space, trial.params)
            self.asked.append((trial, words, self._cell(words)))
        return [cell for _, _, cell in self.asked if isinstance(cell, Cell)]

    def _cell(self, words: Mapping[str, str]) -> Cell | UsageError:
        base = self.base
        try:
            cell = resolve(base.name, base.method, base.preset, base.seed, {**base.overrides, **words}, base.data)
            plan.buildable(cell, limited(self.modality, cell.limit))
        except UsageError as error:
            return error
        return cell

    def tell(self, found: Mapping[str, Seen]) -> None:
        """How the cells of the round ended, by key."""
        for trial, words, cell in self.asked:
            number = len(self.trials)
            if isinstance(cell, UsageError):
                self.trials.append(Trial(number, words, "error", None, str(cell)))
            else:
                one = found[cell.key]
                self.trials.append(Trial(number, words, one.status, one.value, one.reason, cell.key))
            value = self.trials[-1].value
            if trial is None:
                self._published(value)
            elif value is None:
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self.study.tell(trial, value)

    def _published(self, value: float | None) -> None:
        """Trial 0 guides the estimator too, where the space holds the published settings."""
        point = {one.key: one.holds(space.published(self.base, one.key)) for one in self.space}
        if value is not None and all(one is not None for one in point.values()):
            self.study.add_trial(optuna.trial.create_trial(params=point, distributions=self.distributions, value=value))

    def tuning(self) -> Tuning:
        """The result: the best trial that ended well; the published settings where none did."""
        base = self.base
        good = [one for one in self.trials if one.status == "ok" and one.value is not None]
        sign = -1 if self.higher else 1
        best = min(good, key=lambda one: (sign * (one.value or 0.0), one.number), default=self.trials[0])
        return Tuning(
            base.modality, base.dataset, base.preset, base.method,
            {key: text for key, text in base.overrides.items() if key not in tuned.SILENT},
            {one.key: one.plain() for one in self.space},
            f"TPE, optuna {optuna.__version__}, seed {self.seed}, {STARTUP} uniform trials, rounds of {ROUND}",
            self.task.name, PROBE, self.task.metric, best.number, best.settings, tuple(self.trials),
            higher_is_better=self.higher,
        )  # fmt: skip


def distribution(one: Dimension) -> optuna.distributions.BaseDistribution:
    """A dimension in optuna's terms."""
    if one.scale == "choice":
        return optuna.distributions.CategoricalDistribution(one.values)
    low, high = one.values
    if one.scale == "int":
        return optuna.distributions.IntDistribution(low, high)
    return optuna.distributions.FloatDistribution(low, high, log=one.scale != "linear")


def folder(results: Path) -> Path:
    """Where the records of trials lie."""
    return results / ".hpo"


def searches(
    asked: Request, root: Path | None, results: Path, *, remember: bool = True
) -> tuple[list[Search], dict[str, str]]:
    """One search per data set and method, and why some methods have none. Raises UsageError like ``plan.plan``."""
    planned = plan.plan(asked, root, folder(results), remember=remember)
    found, skipped = [], dict(planned.skipped)
    for cell in planned.cells:
        if space.tunable(cell.method):
            found.append(Search(cell, planned.modalities[cell.name]))
        elif asked.methods is not None:
            raise UsageError(f"'{cell.method}' takes no step, there is nothing to tune; leave it out")
    return found, skipped


def tune(found: Sequence[Search], trials: int, results: Path, run: Run) -> list[Tuning]:
    """Search side by side until every method has ``trials`` trials; writes and returns what was chosen.

    ``run`` gets the cells of a round and returns their records, in any order.
    """
    while any(len(one.trials) < trials for one in found):
        cells = [cell for one in found for cell in one.ask(trials)]
        records = {one["key"]: seen(one) for one in run(cells)} if cells else {}
        for one in found:
            one.tell(records)
    out = [one.tuning() for one in found]
    for tuning in out:
        tuned.save(results, tuning)
    for cache in ("encoders", "features"):  # the records are enough to go on
        shutil.rmtree(folder(results) / ".cache" / cache, ignore_errors=True)
    return out
