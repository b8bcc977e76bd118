"""Selection: the records that words of a command line name, ``modality… key=value,value``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark import folds, record, tuned
from jepakit.registry import did_you_mean

Record = Mapping[str, Any]
# Words that choose by what a record says; ``dataset`` also by the name of all folds, ``tuned`` by yes or no.
FIELDS = ("dataset", "method", "preset", "seed", "status", "tuned")
ALWAYS = {"status": record.STATUSES, "tuned": ("yes", "no")}  # known even where no record has them


@dataclass(frozen=True)
class Selection:
    """modalities: no word for one means all; given: the texts of every key."""

    modalities: tuple[str, ...]
    given: Mapping[str, tuple[str, ...]]

    def one(self, key: str, default: str) -> str:
        """The only text of a key that takes one."""
        return ",".join(self.given.get(key, (default,)))


def parse(words: Sequence[str], keys: Sequence[str]) -> Selection:
    """What ``words`` say; a key is one of ``keys``. Raises UsageError for any other."""
    modalities = []
    given: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            modalities.append(word)
        elif key not in keys:
            raise did_you_mean("word", key, list(keys))
        else:
            given[key] = tuple(text.split(","))
    return Selection(tuple(modalities), given)


def among(records: Iterable[Record], chosen: Selection) -> list[Record]:
    """The records that every word allows. Raises UsageError for a name that none of those left has, if it is not in
    ALWAYS."""
    found = list(records)
    asked = {"modality": chosen.modalities, **{key: chosen.given.get(key, ()) for key in FIELDS}}
    for field, names in asked.items():
        known = sorted({*ALWAYS.get(field, ()), *(word for one in found for word in _called(one, field))})
        for name in names:
            if name not in known:
                raise did_you_mean(field, name, known)
        found = [one for one in found if not names or set(names) & set(_called(one, field))]
    return found


def _called(one: Record, field: str) -> tuple[str, ...]:
    """Words that choose a record by this field."""
    if field == "dataset":
        return tuple(dict.fromkeys((one[field], folds.board(one["modality"], one[field]))))
    if field == "tuned":
        return ("yes" if tuned.trials(one.get("overrides") or {}) else "no",)
    return (str(one[field]),)
