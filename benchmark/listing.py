"""Listing: what there is to run (``python -m benchmark ls [methods]``): methods, data sets, probes, presets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table
from scipy.special import expit

from benchmark import folds
from benchmark.board import Record
from benchmark.budget import DEFAULT, PRESETS, SUITES, Preset
from benchmark.cell import Cell
from benchmark.overall import Standing
from benchmark.request import default_dataset, is_embedded
from benchmark.space import space, words
from benchmark.tuned import Tuning
from jepakit.registry import datasets, methods, probes


def table(title: str, *columns: str) -> Table:
    """The one look of every listing."""
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def tables(root: Path | None) -> list[Table]:
    """One table per kind of thing."""
    return [_methods(), _datasets(root), _probes(), _presets()]


def _methods() -> Table:
    made = table("methods (method=…)", "name", "family", "paper", "augmentation")
    for name in methods:
        info = methods[name].info
        facts = (info.get("family", "jepa"), info.get("paper") or methods[name].doc, info.get("augmentation", "none"))
        made.add_row(name, *(escape(str(fact)) for fact in facts))
    return made


def costs(records: Iterable[Record]) -> Table:
    """All methods with what a sample of them costs at the size of the default preset: GFLOP to encode and per training
    step, over the data sets of ``records`` (least–most; empty where none was run), rows without overrides only."""
    found: dict[str, list[Record]] = {}
    for one in records:
        if one["preset"] == DEFAULT and not one["variant"]:
            found.setdefault(one["method"], []).append(one["cost"])
    heads = ("name", "family", "paper", "stages", "augmentation", "GFLOP encode", "GFLOP step")
    made = table(f"methods (method=…), cost per sample at preset={DEFAULT}", *heads)
    for column in (3, 5, 6):
        made.columns[column].justify = "right"
    for name in methods:
        info = methods[name].info
        facts = (info.get("family", "jepa"), info.get("paper") or methods[name].doc, info.get("stages", 1),
                 info.get("augmentation", "none"))  # fmt: skip
        spans = (span(cost.get(key) for cost in found.get(name, [])) for key in ("gflop_encode", "gflop_step"))
        made.add_row(name, *(escape(str(fact)) for fact in facts), *spans)
    return made


def span(numbers: Iterable[float | None]) -> str:
    """``0.012`` or ``0.012–0.31``, three digits; empty for none."""
    known = [number for number in numbers if number is not None]
    ends = [f"{end:.3g}" for end in (min(known), max(known))] if known else []
    return "–".join(dict.fromkeys(ends))


def _datasets(root: Path | None) -> Table:
    made = table("data sets (run <modality> dataset=…)", "name", "title", "licence", "unit", "here?")
    for name in datasets:
        card = datasets[name].make.card
        modality, _, short = name.partition("/")
        suite = SUITES.get(modality)
        default = " (default)" if short == default_dataset(modality) and not suite else ""
        default += " (suite)" if suite and short in suite else ""
        if count := folds.count(modality, short):
            default += f" ({count} folds: {short}{folds.ALL})"
        made.add_row(name + default, escape(card.title), escape(card.licence), escape(card.unit), presence(name, root))
    return made


def presence(name: str, root: Path | None) -> str:
    """``embedded``, ``yes`` (a folder with files below the data root) or ``no``."""
    if is_embedded(name):
        return "embedded"
    folder = root / name if root else None
    return (
        "yes"
        if folder and folder.is_dir() and any(folder.iterdir())
        else f"no: make data MODALITY={name.split('/')[0]}"
    )


def spaces(cells: Iterable[Cell]) -> Table:
    """What a search may change of each published cell: the words at the two ends, or all choices."""
    made = table("spaces (trial 0 is the method as published)", "data set", "method", "setting", "from", "to")
    for cell in cells:
        dimensions = space(cell.method)
        ends = [words(cell, dimensions, {one.key: one.values[at] for one in dimensions}) for at in (0, -1)]
        for one in dimensions:
            made.add_row(cell.name, cell.method, one.key, *(escape(end[one.key]) for end in ends))
    return made


def tunings(found: Iterable[Tuning]) -> Table:
    """What searches chose. failed: trials without a validation score or that collapsed."""
    heads = ("data set", "method", "trials", "failed", "validation", "as published", "tuned", "chosen")
    made = table("tuned (run … tuned=yes)", *heads)
    for one in found:
        scores = ["" if x.value is None else f"{x.value:.3f}" for x in (one.trials[0], one.trials[one.chosen])]
        settings = " ".join(f"{key}={text}" for key, text in sorted(one.settings.items())) or "as published"
        failed = str(sum(x.status != "ok" for x in one.trials))
        place = (f"{one.modality}/{one.dataset}", one.method, str(len(one.trials)), failed)
        made.add_row(*place, f"{one.metric} ({one.probe})", *scores, escape(settings))
    return made


def strengths(standings: Iterable[Standing]) -> Table:
    """The Bradley–Terry view: strength in log-odds, 0 = the average method of its standings."""
    heads = ("preset", "method", "trials", "strength", "beats the average", "mean rank", "win rate", "coverage")
    made = table("Bradley-Terry across data sets, ridge-penalised (95 % intervals)", *heads)
    for one in sorted(standings, key=lambda x: (x.preset, x.hpo_trials > 0, -(x.bt or 0.0), x.method)):
        if one.bt is None:
            continue
        made.add_row(
            one.preset, escape(one.method), str(one.hpo_trials),
            f"{one.bt:+.2f}{_around(one.bt_lo, one.bt_hi, '+.2f')}", f"{expit(one.bt):.0%}",
            f"{one.mean_rank:.2f}{_around(one.mean_rank_lo, one.mean_rank_hi, '.2f')}",
            "" if one.win_rate is None else f"{one.win_rate:.0%}", f"{one.coverage:.0%}",
        )  # fmt: skip
    if not made.row_count:
        made.add_row("no published board with fresh rows", *[""] * 7)
    return made


def _around(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f" [{format(low, form)}, {format(high, form)}]"


def _probes() -> Table:
    made = table("probes (probe=…)", "name", "tasks", "what it is")
    for name in probes:
        made.add_row(name, ", ".join(probes[name].info.get("kinds", ("all",))), escape(probes[name].doc))
    return made


def _budgets() -> Iterator[tuple[Preset, str]]:
    """Every preset with its name, and below it what it is for a modality that has a budget of its own."""
    for preset in PRESETS.values():
        yield preset, preset.name + (" (default)" if preset.name == DEFAULT else "")
        for modality in preset.modalities:
            yield preset.of(modality), f"  {modality}"


def _presets() -> Table:
    made = table("presets (preset=…)", "name", "encoder", "predictor", "training", "seeds", "probes", "about")
    for preset, name in _budgets():
        size = preset.size
        training = f"{preset.training['steps']:,} × {preset.training['batch_size']}"
        if preset.limit:
            training += f", {preset.limit} rows"
        made.add_row(
            name,
            f"{size.dim} × {size.depth}",
            f"{size.predictor_dim} × {size.predictor_depth}",
            training,
            str(preset.seeds),
            ", ".join(preset.probes),
            escape(preset.about),
        )
    return made
