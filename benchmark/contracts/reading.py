"""Reading: what the parts of a data set owe: the tasks they promise, units apart, no copies, finite numbers, equal bits."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark import leaks, metrics
from benchmark.contracts.questions import KINDS
from benchmark.contracts.verdict import Fault, need
from benchmark.request import is_embedded
from jepakit.modality import Modality
from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Task, UsageError

RESIDENT = (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16)
Parts = dict[str, Data]


def root_of(name: str, root: Path | None) -> Path | None:
    """Where the data set is read from: nowhere for an embedded one."""
    return None if is_embedded(name) else root


@functools.lru_cache(maxsize=2)
def _parts(kind: Callable[[Path | None], Modality], root: Path | None) -> tuple[Modality, Parts]:
    modality = kind(root)
    return modality, {part: modality.data(part) for part in PARTS}


def read(name: str, root: Path | None) -> tuple[Modality, Parts]:
    """The data set and its parts, read once. Raises DataError for missing files."""
    kind: Any = datasets[name].make
    return _parts(kind, root_of(name, root))


def parts(name: str, root: Path | None) -> str:
    """Every part can be read, none is empty, and missing files are a DataError with the remedy."""
    modality, found = read(name, root)
    for part, data in found.items():
        need(isinstance(data, Data), f"data('{part}') gives {type(data).__name__}; give a jepakit.types.Data")
        need(len(data), f"the {part} part has no row; split the data anew")
    need(
        isinstance(modality, Modality) and isinstance(modality.grid, tuple) and all(side > 0 for side in modality.grid),
        f"grid={getattr(modality, 'grid', None)!r} is no tuple of token counts per axis; set it in __init__",
    )
    if not is_embedded(name):
        with tempfile.TemporaryDirectory() as empty:
            try:
                datasets[name].make(Path(empty)).data("train")
            except DataError as error:
                need(
                    len(str(error).split()) > 5,
                    f"missing files are told by '{error}' alone; name the file and the remedy",
                )
            except Exception as error:
                raise Fault(
                    f"missing files end in {type(error).__name__}; raise DataError with the file and the remedy"
                ) from error
            else:
                raise Fault("it reads from an empty data root; say embedded = True when it needs no files")
    return ", ".join(f"{len(data)} {part}" for part, data in found.items())


def card(name: str, root: Path | None) -> None:
    """The card is complete, and the class says the name that it is registered by."""
    kind = datasets[name].make
    stated = f"{getattr(kind, 'name', '?')}/{getattr(kind, 'dataset', '?')}"
    need(
        stated == name, f"it is registered as {name} but says {stated}; let name and dataset of the class agree with it"
    )
    found = getattr(kind, "card", None)
    need(isinstance(found, Card), "it has no card; state card = Card(title, licence, source, citation, unit)")
    assert isinstance(found, Card)
    empty = [
        field.name for field in fields(Card) if field.name != "notes" and not str(getattr(found, field.name)).strip()
    ]
    need(not empty, f"its card does not say {', '.join(empty)}; a number without that cannot be quoted")


def tasks(name: str, root: Path | None) -> str:
    """Every task has labels of its kind in every part, and no part has a class that train lacks."""
    modality, found = read(name, root)
    need(modality.tasks, "it asks nothing; state tasks = (Task(...), …), the headline first")
    names = [task.name for task in modality.tasks]
    need(len(set(names)) == len(names), f"two tasks are named alike ({', '.join(names)}); give each its own name")
    for task in modality.tasks:
        metrics.get(task.metric)
        need(task.kind in KINDS, f"task '{task.name}' is of kind {task.kind!r}; use one of {', '.join(KINDS)}")
        for part, data in found.items():
            need(
                task.name in data.labels,
                f"task '{task.name}' has no labels in {part}; put them into Data.labels under the name of the task",
            )
            _label(task, data.labels[task.name], f"the labels of '{task.name}' in {part}", modality)
        _classes(task, found)
    return ", ".join(names)


def _label(task: Task, label: Tensor, what: str, modality: Modality) -> None:
    wanted = {
        "class": (torch.int64, 1, "int64 (n,), -1 where unknown"),
        "dense": (torch.int64, 2, "int64 (n, tokens), -1 where unlabelled"),
        "multilabel": (torch.float32, 2, "float32 (n, classes) of 0 and 1"),
        "regression": (torch.float32, 1, "float32 (n,), NaN where unknown"),
    }[task.kind]
    need(
        label.dtype == wanted[0] and label.ndim == wanted[1],
        f"{what} are {str(label.dtype).removeprefix('torch.')} of shape {tuple(label.shape)}; give {wanted[2]}",
    )
    if task.kind in ("class", "dense"):
        low, high, most = int(label.min()), int(label.max()), len(task.classes)
        need(most > 1, f"task '{task.name}' names no classes; state Task(…, classes=(…)) in the order of the codes")
        need(
            low >= -1 and high < most,
            f"{what} run from {low} to {high}; {most} classes have the codes 0 to {most - 1}, -1 where unknown",
        )
    elif task.kind == "multilabel":
        known = torch.isnan(label) | (label == 0) | (label == 1)
        need(
            known.all() and label.shape[1] == len(task.classes),
            f"{what} are not 0 and 1 for each class; give {wanted[2]}",
        )
    else:
        need(not torch.isinf(label).any(), f"{what} have infinite values; give NaN where the value is unknown")


def _classes(task: Task, found: Parts) -> None:
    if task.kind == "regression":
        values = found["train"].labels[task.name]
        need(
            len(values[values.isfinite()].unique()) > 1,
            f"task '{task.name}' has one value only in train; leave the task out",
        )
        return
    shown: dict[str, set[int]] = {}
    for part, data in found.items():
        label = data.labels[task.name]
        codes = (label == 1).any(0).nonzero()[:, 0] if task.kind == "multilabel" else label.unique()
        shown[part] = {int(code) for code in codes if code >= 0}
    need(
        len(shown["train"]) > (task.kind != "multilabel"),
        f"task '{task.name}' has fewer than two classes in train; split again, or leave the task out",
    )
    for part in ("val", "test"):
        foreign = [task.classes[code] for code in sorted(shown[part] - shown["train"])]
        need(
            not foreign,
            f"class '{foreign[0] if foreign else ''}' of task '{task.name}' is in {part} but not in train; split again, or "
            "refuse such data with DataError (modalities.signals.check_classes)",
        )


def units(name: str, root: Path | None) -> str:
    """No unit (patient, recording, …) is in two parts."""
    _, found = read(name, root)
    for part, data in found.items():
        need(
            data.unit.dtype.kind in "UO" and all(isinstance(unit, str) for unit in data.unit[:100]),
            f"the units of {part} are {data.unit.dtype}; give a name per row, as strings",
        )
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        both = leaks.shared_units(found[one], found[other])
        need(
            not both,
            f"{len(both)} units are in {one} and in {other} (such as '{both[0] if both else ''}'); split by unit, then cut "
            "windows",
        )
    card = datasets[name].make.card
    return (
        ", ".join(f"{len(set(data.unit.tolist()))} in {part}" for part, data in found.items()) + f" (unit: {card.unit})"
    )


def copies(name: str, root: Path | None) -> None:
    """No row is, value by value, in two parts."""
    _, found = read(name, root)
    for one, other in (("train", "test"), ("val", "test"), ("train", "val")):
        both = int(leaks.copies(found[other], found[one]).sum())
        need(
            not both,
            f"{both} rows are in {one} and, value by value, in {other}; drop them from {one} and count them in Data.repairs",
        )


def resident(name: str, root: Path | None) -> str:
    """Inputs are held in a small type, are finite, and integers come with the scale that standardises them."""
    _, found = read(name, root)
    for part, data in found.items():
        kind = str(data.x.dtype).removeprefix("torch.")
        need(
            data.x.dtype in RESIDENT and data.x.device.type == "cpu",
            f"the input of {part} is {kind} on {data.x.device.type}; keep it on the CPU as float32 or smaller (integers "
            "with a scale)",
        )
        need(
            data.x.is_floating_point() or data.scale is not None,
            f"the input of {part} is {kind} without a scale; give Data.scale, mean and deviation of train",
        )
        if data.scale is not None:
            need(
                bool((data.scale[1] > 0).all()) and all(bool(one.isfinite().all()) for one in data.scale),
                f"the scale of {part} has a deviation of 0 or worse; leave out what is constant in train",
            )
            same = all(torch.equal(a, b) for a, b in zip(data.scale, found["train"].scale or data.scale))
            need(same, f"the scale of {part} is not that of train; standardise every part with statistics of train")
        columns = {"the input": data.x, **{f"the side input '{key}'": one for key, one in data.extra.items()}}
        for what, column in columns.items():
            rows = column.flatten(1) if column.ndim > 1 else column[:, None]
            if column.is_floating_point() and not rows.isfinite().all():
                bad = int((~rows.isfinite().all(1)).nonzero()[0])
                raise Fault(
                    f"{what} of {part} is not finite in row {bad}; mend or drop such rows and count them in Data.repairs"
                )
    x = found["train"].x
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape[1:])}"


def again(name: str, root: Path | None) -> None:
    """Read anew, under other global seeds, the parts are the same bit by bit."""
    _, found = read(name, root)
    kind = datasets[name].make
    before = {part: data.fingerprint() for part, data in found.items()}
    torch.manual_seed(987)
    np.random.seed(987)  # noqa: NPY002 - what a data set must not draw from
    # A class of its own, so that no cache answers.
    fresh = type(f"Again{kind.__name__}", (kind,), {"__module__": kind.__module__})(root_of(name, root))
    for part in PARTS:
        need(
            fresh.data(part).fingerprint() == before[part],
            f"the {part} part is another one when it is read again; draw from np.random.default_rng with a fixed seed and "
            "sort what a folder lists",
        )


def refusal(call: Callable[[], object]) -> str | None:
    """The sentence with which a call is refused, None where it is not."""
    try:
        call()
    except UsageError as error:
        return str(error)
    return None
