"""Tuned: what a search chose for a method, the file it stands in, and how a row says that it uses it.

A tuned cell has one override, ``tuned`` = "<trials> <key>=<text> …": how many trials were made and the settings they led to.
The text of the override is the whole truth, so a record can be asked again without the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark.atomic import write_bytes
from benchmark.budget import STEPS
from jepakit.types import UsageError

SCHEMA = 1
SEED = 1000  # of every trial: the seeds of boards (0, 1, …) stay fresh
WORD = "tuned"
SILENT = ("probe", WORD, STEPS)  # overrides that do not belong to the question a search was asked


@dataclass(frozen=True)
class Trial:
    """One trial: settings as words of the command line, how it ended, validation score (None: none)."""

    number: int
    settings: Mapping[str, str]
    status: str
    value: float | None
    reason: str | None = None
    key: str = ""


@dataclass(frozen=True)
class Tuning:
    """A finished search: what was searched where, all trials, and what was chosen (no settings: the published ones).

    overrides: words that every trial had; space: per setting its bounds (or choices) and scale, see ``benchmark.space``;
    task, probe, metric, part: what a value is; chosen: number of the best trial.
    """

    modality: str
    dataset: str
    preset: str
    method: str
    overrides: Mapping[str, str]
    space: Mapping[str, list[Any]]
    sampler: str
    task: str
    probe: str
    metric: str
    chosen: int
    settings: Mapping[str, str]
    trials: tuple[Trial, ...]
    part: str = "val"
    seed: int = SEED
    schema: int = SCHEMA
    higher_is_better: bool = field(default=True)

    @property
    def word(self) -> str:
        """The override of a cell that uses it."""
        return " ".join([str(len(self.trials)), *(f"{key}={text}" for key, text in sorted(self.settings.items()))])


def trials(overrides: Mapping[str, str]) -> int:
    """How many trials led to these overrides; 0: nothing was tuned."""
    return int(overrides[WORD].split()[0]) if WORD in overrides else 0


def expanded(overrides: Mapping[str, str]) -> dict[str, str]:
    """The overrides with the chosen settings in place of the word that holds them."""
    settings = overrides.get(WORD, "").split()[1:]
    return {key: text for key, text in overrides.items() if key != WORD} | dict(word.split("=", 1) for word in settings)


def shown(overrides: Mapping[str, str]) -> str:
    """The overrides as one string for people and rows: a tuned row is called so, whatever was chosen for it."""
    return " ".join(key if key == WORD else f"{key}={text}" for key, text in sorted(overrides.items()))


def path(results: Path, name: str, preset: str, method: str, overrides: Mapping[str, str]) -> Path:
    """Where the search for ``method`` on ``name`` = "<modality>/<dataset>" under these overrides is kept."""
    given = _question(overrides)
    mark = "." + hashlib.sha256(shown(given).encode()).hexdigest()[:8] if given else ""
    return results / "hpo" / name / preset / f"{method}{mark}.json"


def _question(overrides: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in overrides.items() if key not in SILENT}


def save(results: Path, tuning: Tuning) -> Path:
    """Write the file (sorted, no time stamp: the same search gives the same bytes) and return its path."""
    place = path(results, f"{tuning.modality}/{tuning.dataset}", tuning.preset, tuning.method, tuning.overrides)
    text = json.dumps(asdict(tuning), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(place, text.encode())
    return place


def load(results: Path, name: str, preset: str, method: str, overrides: Mapping[str, str]) -> Tuning:
    """The search that was made for exactly this question.

    Raises UsageError with the command that makes it, when there is none or its file is damaged.
    """
    modality, _, dataset = name.partition("/")
    words = [f"{key}={text}" for key, text in sorted(_question(overrides).items())]
    again = " ".join([f"hpo {modality} dataset={dataset} method={method} preset={preset}", *words])
    place = path(results, name, preset, method, overrides)
    try:
        stored = json.loads(place.read_bytes())
        if stored.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        tuning = Tuning(**{**stored, "trials": tuple(Trial(**one) for one in stored["trials"])})
        best = tuning.trials[tuning.chosen]
        if dict(best.settings) != dict(tuning.settings) or [x.number for x in tuning.trials] != [
            *range(len(tuning.trials))
        ]:
            raise ValueError("trials that do not fit its choice")
    except FileNotFoundError:
        raise UsageError(
            f"'{method}' was not tuned on {name} like this; first run `python -m benchmark {again}`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"{place} is damaged ({type(error).__name__}); run `python -m benchmark {again}` again"
        ) from None
    return tuning
