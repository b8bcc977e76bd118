"""Request: the ``key=value`` words of the command line, checked name by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark import budget, folds, tuned, values
from benchmark.plugin import NAME
from jepakit.registry import datasets, did_you_mean, methods, probes
from jepakit.types import UsageError

LISTS = ("dataset", "method", "seed", "probe")
WORDS = (*LISTS, "seeds", "preset", "limit", "jobs", "budget", tuned.WORD)
PREFIXES = ("train", "size", "recipe")


@dataclass(frozen=True)
class Request:
    """What was asked for. datasets: short names; methods: names, or None for the rows of each data set's own
    board, with ``everything`` for every method that can run; overrides: texts by key; tuned: with the settings that a
    search chose for each method."""

    modality: str
    datasets: tuple[str, ...]
    methods: tuple[str, ...] | None
    seeds: tuple[int, ...]
    preset: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None
    everything: bool = False
    tuned: bool = False

    @property
    def boards(self) -> tuple[str, ...]:
        """Names of the boards that are asked for: the data sets, all folds of one under one name."""
        return folds.whole(self.modality, self.datasets)

    def rows(self, name: str) -> tuple[str, ...]:
        """The methods to run on the data set ``name`` = "<modality>/<dataset>"."""
        if self.methods is not None:
            return self.methods
        board: tuple[str, ...] = datasets[name].make.board
        return tuple(methods) if self.everything or not board else board


def parse(words: Sequence[str]) -> Request:
    """``ecg dataset=mitbih method=ecgjepa,mae seed=0,1,2 train.lr=1e-3`` → Request.

    The word without an equals sign is the modality; defaults: its suite or default data set, the rows of its own board,
    the preset's seeds; method=all is every method that can run; dataset=<name>-folds is every fold of a data set
    (``benchmark.folds``), dataset=suite the fixed list of a modality that has one.
    Commas separate the items of dataset, method, seed and probe and the numbers of a pair
    (train.weight_decay=0.01,0.1). Raises UsageError.
    """
    known = sorted({name.partition("/")[0] for name in datasets})
    modality = next((word for word in words if "=" not in word), None)
    if modality is None:
        raise UsageError(
            f"say which modality to run, for example `run {(known or ['ecg'])[0]}`; known: {', '.join(known)}"
        )
    if modality not in known:
        raise did_you_mean("modality", modality, known)
    pairs = list(words)
    pairs.remove(modality)
    given = _pairs(pairs)
    preset = budget.preset(given.pop("preset", budget.DEFAULT)).of(modality)
    jobs = given.pop("jobs", "auto")
    method = given.pop("method", None)
    equal = given.get("budget", "samples")
    if equal not in budget.EQUAL:
        raise did_you_mean("budget", equal, list(budget.EQUAL))
    if equal == "samples":  # the ordinary board
        given.pop("budget", None)
    chosen = values.parse(tuned.WORD, given.pop(tuned.WORD, "no"), bool)
    request = Request(
        modality=modality,
        datasets=_datasets(modality, given.pop("dataset", None)),
        methods=None if method in (None, "all") else _methods(str(method)),
        everything=method == "all",
        seeds=_seeds(given.pop("seed", None), given.pop("seeds", None), preset.seeds),
        preset=preset.name,
        jobs=None if jobs == "auto" else count("jobs", jobs),
        overrides=given,
        tuned=chosen,
    )
    if chosen and tuned.SEED in request.seeds:
        raise UsageError(f"seed {tuned.SEED} chose the settings; a tuned row takes other seeds")
    for name in given.get("probe", "").split(",") if "probe" in given else ():
        probes[name]
    return request


def count(key: str, text: str) -> int:
    """A whole number from 1 on."""
    number: int = values.parse(key, text, int)
    if number < 1:
        raise UsageError(f"{key} takes a whole number from 1 on or auto, not '{text}'")
    return number


def _pairs(words: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"'{word}' is not of the form key=value; for example method={word} or dataset={word}")
        if key not in WORDS and key.partition(".")[0] not in PREFIXES:
            raise did_you_mean("key", key, [*WORDS, "train.lr", "train.steps", "size.dim", "recipe.<setting>"])
        if not value:
            raise UsageError(f"{key} has no value; write {key}=… or leave it out")
        if given.get(key, value) != value:
            raise UsageError(f"{key} is given twice, as '{given[key]}' and '{value}'; keep one")
        if key in LISTS and "" in value.split(","):
            raise UsageError(f"{key}={value} has an empty item; separate names by single commas without spaces")
        given[key] = value
    return given


def _datasets(modality: str, text: str | None) -> tuple[str, ...]:
    known = [name.partition("/")[2] for name in datasets if name.startswith(f"{modality}/")]
    suite = budget.SUITES.get(modality, ())
    if text is None:
        return suite or (default_dataset(modality),)
    chosen: dict[str, None] = {}
    names = known if text == "all" else text.split(",")
    for name in (one for word in names for one in (suite if word == budget.SUITE_WORD and suite else (word,))):
        if not NAME.fullmatch(name):  # it becomes a folder, and families take any name
            raise UsageError(f"{name!r} is no name of a data set; a name holds letters, digits, . _ + - only")
        found = folds.members(modality, name)
        if not found and f"{modality}/{name}" not in datasets:
            every = [one + folds.ALL for one in known if folds.count(modality, one)]
            raise did_you_mean(f"{modality} data set", name, [*known, *every, *([budget.SUITE_WORD] if suite else [])])
        chosen |= dict.fromkeys(found or (name,))
    return tuple(chosen)


def default_dataset(modality: str) -> str:
    """The data set that runs when none is named: the embedded one, else the first that was registered."""
    known = [name for name in datasets if name.startswith(f"{modality}/")]
    embedded = [name for name in known if is_embedded(name)]
    return (embedded or known)[0].partition("/")[2]


def is_embedded(name: str) -> bool:
    """Whether a data set needs no files: it says ``embedded`` or is the modality's simulator."""
    return bool(getattr(datasets[name].make, "embedded", name.endswith("/simulated")))


def _methods(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    for name in chosen:
        methods.ready(name)
    return chosen


def _seeds(listed: str | None, count: str | None, default: int) -> tuple[int, ...]:
    if listed is not None and count is not None:
        raise UsageError("give either seed=0,1,2 or seeds=3, not both")
    if listed is not None:
        seeds = tuple(dict.fromkeys(values.parse("seed", word, int) for word in listed.split(",")))
        if min(seeds) < 0:
            raise UsageError(f"seed takes whole numbers from 0 on, not '{listed}'")
        return seeds
    number = default if count is None else values.parse("seeds", count, int)
    if not 1 <= number <= 1000:
        raise UsageError(f"seeds takes a count from 1 to 1000, not '{count}'")
    return tuple(range(number))
