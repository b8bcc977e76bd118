"""Plan: a request becomes cells; every method is built once beforehand, so that nonsense is found before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import budget, record, space, tuned, values
from benchmark.cell import Cell, resolve
from benchmark.equal import Equal
from benchmark.fingerprint import fingerprints
from benchmark.request import Request
from benchmark.subset import limited
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.registry import datasets, did_you_mean, methods
from jepakit.types import DataError, UsageError


@dataclass
class Plan:
    """The cells to have, in the order they are run (all methods of a seed, then the next seed), and why some methods
    are missing."""

    cells: list[Cell] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    modalities: dict[str, Modality] = field(default_factory=dict)


def plan(
    request: Request, root: Path | None, results: Path, *, remember: bool = True, device: str = "auto",
    threads: int | None = None,
) -> Plan:  # fmt: skip
    """Resolve a request. A method that cannot run on a data set is skipped unless it was asked for by name.

    ``device`` and ``threads`` of the cells are only needed where seconds are to be equal (``budget=seconds``).

    Raises UsageError: a method named by the person that cannot run, a setting no method has, DataError of the data.
    """
    out = Plan()
    rows = {name: request.rows(name) for name in (f"{request.modality}/{dataset}" for dataset in request.datasets)}
    _known_settings(request, tuple(dict.fromkeys(method for names in rows.values() for method in names)))
    for name, names in rows.items():  # wrong settings are found before any data are read
        for method in names:
            resolve(name, method, request.preset, request.seeds[0], _own(request, method), {})
    for name, names in rows.items():
        modality = out.modalities[name] = datasets[name].make(root)
        data = fingerprints(results, name, modality, remember=remember)
        seed = request.seeds[0]
        equal: Equal | None = None
        if "budget" in request.overrides:
            plain = {key: text for key, text in request.overrides.items() if not key.startswith("recipe.")}
            row = resolve(name, budget.REFERENCE, request.preset, seed, plain, data)
            equal = Equal(row, limited(modality, row.limit), results, device=device, threads=threads, remember=remember)
        able: dict[str, dict[str, str]] = {}
        for method in names:
            try:
                words = _own(request, method) | _chosen(request, method, name, results)
                first = resolve(name, method, request.preset, seed, words, data)
                if equal is not None:
                    words |= equal.words(first)
                    first = resolve(name, method, request.preset, seed, words, data)
                if record.find(results, first) is None:  # a method that ran before can be built
                    buildable(first, limited(modality, first.limit))
                able[method] = words
            except DataError:
                raise
            except UsageError as error:
                if request.methods is not None:
                    raise
                out.skipped[f"{method} on {name}"] = str(error)
        for seed in request.seeds:
            out.cells += [resolve(name, method, request.preset, seed, words, data) for method, words in able.items()]
    return out


def together(
    requests: Sequence[Request], root: Path | None, results: Path, *, remember: bool = True, device: str = "auto",
    threads: int | None = None,
) -> Plan:  # fmt: skip
    """The cells of all requests, each once. Raises as ``plan`` does."""
    whole = Plan()
    for asked in requests:
        one = plan(asked, root, results, remember=remember, device=device, threads=threads)
        whole.cells += one.cells
        whole.skipped |= one.skipped
        whole.modalities |= one.modalities
    whole.cells = list({cell.key: cell for cell in whole.cells}.values())
    return whole


def buildable(cell: Cell, modality: Modality) -> None:
    """Build the objective once. A crash without any setting given is the method's own fault and becomes its record."""
    try:
        objective = pretrain.build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
        pretrain.check_batch(objective, cell.training)
    except UsageError:
        raise
    except Exception as error:
        given = [key for key in cell.overrides if key.startswith(("size.", "recipe."))]
        if given:
            text = " ".join(str(error).split())[:200]
            raise UsageError(
                f"method '{cell.method}' cannot be built with {', '.join(given)} as given ({type(error).__name__}: {text}); "
                "choose other values"
            ) from error


def _own(request: Request, method: str) -> dict[str, str]:
    """The overrides that concern a method: a recipe setting applies to those methods that have it."""
    known = values.keywords(methods[method].make)
    return {
        key: text
        for key, text in request.overrides.items()
        if not key.startswith("recipe.") or key.partition(".")[2] in known
    }


def _chosen(request: Request, method: str, name: str, results: Path) -> dict[str, str]:
    """The override with what a search chose, empty where nothing was asked for or a row takes no step."""
    if not (request.tuned and space.tunable(method)):
        return {}
    return {tuned.WORD: tuned.load(results, name, request.preset, method, _own(request, method)).word}


def _known_settings(request: Request, names: tuple[str, ...]) -> None:
    known = sorted({key for method in names for key in values.keywords(methods[method].make)})
    for key in request.overrides:
        prefix, _, name = key.partition(".")
        if prefix == "recipe" and name not in known:
            owner = f"'{names[0]}' recipe setting" if len(names) == 1 else "recipe setting of these methods"
            raise did_you_mean(owner, name, known)
