"""Cell: one run of a board, resolved, with the identity and key of everything that can change its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmark import budget, source, tuned, values
from benchmark.budget import STEPS
from jepakit.pretrain import Training
from jepakit.registry import Entry, datasets, did_you_mean, methods, probes
from jepakit.types import Size, UsageError

# Raised by hand when the harness itself changes a number (the order of seeds, what is fed to a probe …).
SUITE = 1

PRETRAINING = ("jepakit/pretrain.py", "benchmark/subset.py")
SCORING = (
    "benchmark/features.py",
    "benchmark/metrics.py",
    "benchmark/diagnostics/__init__.py",
    "benchmark/probes/evaluate.py",
)
KEYS = ("train", "size", "recipe", "limit", "probe", "budget", tuned.WORD)


@dataclass(frozen=True)
class Cell:
    """A request with every setting resolved. ``overrides`` are the words a person gave (how ``is_stale`` asks the same
    question again); ``data`` holds the fingerprint of each part. Plain data, so it travels to worker processes."""

    modality: str
    dataset: str
    method: str
    preset: str
    seed: int
    size: Size
    training: Training
    settings: Mapping[str, Any]
    probes: tuple[str, ...]
    limit: int | None
    data: Mapping[str, str]
    overrides: Mapping[str, str] = field(default_factory=dict)
    budget: str = "samples"

    @property
    def name(self) -> str:
        """The registered name of the data set."""
        return f"{self.modality}/{self.dataset}"

    @property
    def variant(self) -> str:
        """What a person asked for as one string; empty for a plain cell of the preset. Rows of a board never mix
        variants."""
        return tuned.shown({key: text for key, text in self.overrides.items() if key != STEPS})

    def pretraining(self) -> dict[str, Any]:
        """Everything that can change the encoder: the identity without the preset's name and the probe stage."""
        return {
            "suite": SUITE,
            "modality": self.modality,
            "dataset": self.dataset,
            "method": self.method,
            "seed": self.seed,
            "size": asdict(self.size),
            "training": asdict(self.training),
            "settings": {name: _content(value) for name, value in self.settings.items()},
            "limit": self.limit,
            "data": dict(self.data),
            "code": {
                "method": code_of(methods[self.method]),
                "data": code_of(datasets[self.name]),
                "pretraining": source.digest(source.CHECKOUT / name for name in PRETRAINING),
            },
        }

    def identity(self) -> dict[str, Any]:
        """Everything that can change a number of this cell, as plain JSON; no paths, no device names."""
        full = self.pretraining()
        scoring = [source.CHECKOUT / name for name in SCORING] + [probes[name].source for name in self.probes]
        full["code"]["scoring"] = source.digest(scoring)
        full |= {"preset": self.preset, "probes": list(self.probes)}
        if self.budget != "samples":  # a row with the steps of the preset still belongs to another board
            full["budget"] = self.budget
        if trials := tuned.trials(self.overrides):  # a row of its own, even where a search chose what was published
            full["hpo_trials"] = trials
        plain: dict[str, Any] = values.literal(full)
        return plain

    @property
    def key(self) -> str:
        """First 16 hex digits of the sha256 of the identity: the name of the record."""
        return hash_of(self.identity())

    @property
    def encoder_key(self) -> str:
        """Key of the pre-trained encoder: cells that differ only in their probes share it."""
        return hash_of(values.literal(self.pretraining()))

    @property
    def feature_key(self) -> str:
        """Key of the frozen features: the encoder's, and the code that extracts them."""
        code = source.digest([source.CHECKOUT / "benchmark/features.py"])
        return hash_of({"encoder": self.encoder_key, "code": code})


def _content(value: Any) -> Any:
    """A setting as it counts: of a file of weights what is in it, not where it lies (the text where it is not here)."""
    if not (isinstance(value, str) and value.endswith(".safetensors") and Path(value).is_file()):
        return value
    with Path(value).open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def hash_of(identity: Mapping[str, Any]) -> str:
    """sha256[:16] of canonical JSON (sorted keys, no spaces, floats by repr)."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_of(entry: Entry[Any]) -> str:
    """Hash of the file that defines a registered thing and of all project modules it imports."""
    return source.digest([entry.source])


def resolve(
    name: str, method: str, preset: str, seed: int, overrides: Mapping[str, str], data: Mapping[str, str]
) -> Cell:
    """The cell of ``name`` = "<modality>/<dataset>" with settings from, in rising priority, the defaults, the preset, the
    method's registration and ``overrides`` (texts by key: train.lr, size.dim, recipe.keep, limit, probe, budget, tuned).

    Raises UsageError for unknown names and impossible values.
    """
    modality, _, dataset = datasets[name].name.partition("/")
    entry, chosen, asked = methods[method], budget.preset(preset).of(modality), overrides
    overrides = tuned.expanded(asked)
    for key in overrides:
        if key.partition(".")[0] not in KEYS or (key.startswith("budget.") and key != STEPS):
            raise did_you_mean("key", key, list(KEYS))
    known = values.fields(Training)
    given = {**chosen.training, **entry.info.get("training", {})}
    for word in given:
        if word not in known:
            raise did_you_mean(f"training setting (of method '{method}')", word, list(known))
    training = replace(Training(**given), **values.pick("train", overrides, known, "train"))
    if STEPS in overrides:
        training = replace(training, steps=values.parse(STEPS, overrides[STEPS], int))
    equal = overrides.get("budget", "samples")
    if equal not in budget.EQUAL:
        raise did_you_mean("budget", equal, list(budget.EQUAL))
    _check(training, "train", above_zero=("steps", "batch_size", "lr", "accumulate"))
    sizes = values.fields(Size)
    sizes.pop("steps")  # the planned steps are the training's
    size = replace(chosen.size, **values.pick("size", overrides, sizes, "size"), steps=training.steps)
    _check(size, "size", above_zero=tuple(sizes))
    for width, heads in (("dim", "heads"), ("predictor_dim", "predictor_heads")):
        if getattr(size, width) % getattr(size, heads):
            raise UsageError(
                f"size.{width}={getattr(size, width)} is not a multiple of size.{heads}={getattr(size, heads)}; change one"
            )
    limit = values.parse("limit", overrides["limit"], int | None) if "limit" in overrides else chosen.limit
    if limit is not None and limit < 1:
        raise UsageError(f"limit takes a whole number above 0 or none, not '{limit}'")
    names = tuple(dict.fromkeys(overrides["probe"].split(","))) if "probe" in overrides else chosen.probes
    for probe in names:
        probes[probe]
    if seed < 0:
        raise UsageError(f"a seed is a whole number from 0 on, not {seed}")
    settings = values.pick("recipe", overrides, values.keywords(entry.make), f"'{method}' recipe")
    return Cell(
        modality, dataset, method, preset, seed, size, training, settings, names, limit, dict(data), dict(asked), equal
    )


def _check(settings: Any, prefix: str, above_zero: tuple[str, ...]) -> None:
    for one in fields(settings):
        value = getattr(settings, one.name)
        for number in value if isinstance(value, tuple) else (value,):
            low = 0 if number is None or one.name not in above_zero else number <= 0
            if low or (number is not None and number < 0):
                raise UsageError(f"{prefix}.{one.name}={number} makes no sense; it must be above 0")


def again(record: Mapping[str, Any], data: Mapping[str, str] | None = None) -> Cell:
    """The cell that today's code makes of a record's request, on the data as they were then or on those given.

    Raises UsageError or KeyError where method, data set, probe or a setting does not exist here.
    """
    name = f"{record['modality']}/{record['dataset']}"
    then = data or record["identity"]["data"]
    return resolve(name, record["method"], record["preset"], record["seed"], record["overrides"], then)


def is_stale(record: Mapping[str, Any], data: Mapping[str, str] | None = None) -> bool:
    """True when the current code would give another key for the same request.

    The data are taken as they were then, unless today's fingerprints are given. A record whose method, data set or probe
    is not registered here cannot be checked and counts as stale.
    """
    try:
        return again(record, data).key != str(record["key"])
    except (UsageError, KeyError):
        return True
