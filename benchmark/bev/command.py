"""``python -m benchmark bev lidar``: what the encoders of finished rows know of every cell, on their own town and on
another.

Encoders are read from ``results/.cache``, nothing is trained again. Written: ``bev_<modality>_<dataset>_<preset>.csv``
with every score, its interval over seeds and scenes, the share of labels and where it was tested. The rows ``hand-made
cells`` are the statistics of a token's cells in place of features. Scores of an encoder are kept in the cache until
code or data change.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark import folds, listing, record, request, source, trained
from benchmark.atomic import atomic, write_bytes
from benchmark.bev import truth
from benchmark.bev.scores import Measure
from benchmark.bev.suite import Facts, Question, Scores, facts, scores
from benchmark.board import Record, row_variant
from benchmark.cache import Cache
from benchmark.cell import again, hash_of
from benchmark.fingerprint import fingerprints
from benchmark.metrics import Metric
from benchmark.probes.heads import device_of_choice
from benchmark.stats import Interval, Resampled
from benchmark.subset import limited
from jepakit.modality import Modality
from jepakit.registry import datasets
from jepakit.types import UsageError

CONTROL = "hand-made cells"
CODE = Path(__file__).with_name("suite.py")
UNIT = Metric("", lambda labels, said: float("nan"), "label", True, lambda labels: 0.0)  # any score between 0 and 1
COLUMNS = (
    "modality", "dataset", "preset", "method", "variant", "seeds", "probe", "metric", "labels", "tested", "mean", "lo", "hi",
)  # fmt: skip
SHOWN = (
    ("cells mIoU", "cells", "miou"), ("IoU full", "completion", "iou full"),
    ("IoU full, conv", "completion-conv", "iou full"), ("centres AP", "centres", "ap"),
    ("objects acc.", "objects", "accuracy"),
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Row:
    """A row of the table: method and variant."""

    method: str
    variant: str


def elsewhere(name: str) -> list[str]:
    """Registered data sets that the probes of ``name`` are tested on too: those called after it that are no folds of
    it."""
    modality = name.partition("/")[0]
    return [
        one
        for one in datasets
        if one.startswith(f"{name}-") and folds.fold(modality, one.removeprefix(f"{modality}/")) is None
    ]


class Study:
    """One data set with its other towns, and the scores of encoders on them."""

    def __init__(self, name: str, root: Path | None, results: Path, limit: int | None) -> None:
        self.cache, self.limit = Cache(results), limit
        self.modalities = {one: limited(datasets[one].make(root), limit) for one in (name, *elsewhere(name))}
        self.own, self.device = self.modalities[name], device_of_choice()
        self.facts: Facts = facts(self.own)
        data = {one: fingerprints(results, one, made) for one, made in self.modalities.items()}
        self.identity = {"code": source.digest([CODE]), "data": data, "limit": limit}

    def parts(self, see: Callable[[Modality, str], truth.Part]) -> tuple[truth.Part, truth.Part, dict[str, truth.Part]]:
        """(train, validation, test parts by data set), as ``see`` gives them."""
        tests = {made.dataset: see(made, "test") for made in self.modalities.values()}
        return see(self.own, "train"), see(self.own, "val"), tests

    def known(self, key: str, make: Callable[[], Scores | None]) -> Scores | None:
        """Scores from the cache, or made and kept."""
        path = self.cache.results / ".cache" / "bev" / f"{hash_of({**self.identity, 'of': key})}.npz"
        stored = load(path)
        if stored is None and (made := make()) is not None:
            save(path, made)
            return made
        return stored

    def of(self, one: Record) -> Scores | None:
        """The scores of one record's encoder, None where it is gone."""

        def make() -> Scores | None:
            encoder = trained.encoder(one, self.own, self.cache)
            if encoder is None:
                return None
            parts = self.parts(lambda made, part: truth.seen(encoder, made, made.data(part), self.device))  # type: ignore[arg-type]
            return scores(*parts, self.facts, one["seed"], self.device)

        return self.known(str(again(one).encoder_key) + str(one["seed"]), make)

    def control(self) -> Scores | None:
        """The scores of hand-made statistics, None where the data set has none."""
        if not hasattr(self.own, "cells"):
            return None

        def make() -> Scores:
            parts = self.parts(lambda made, part: truth.handmade(made, made.data(part)))  # type: ignore[arg-type]
            return scores(*parts, self.facts, 0, self.device)

        return self.known(CONTROL, make)


def save(path: Path, found: Scores) -> None:
    """Questions as JSON texts, values and replicates as arrays."""
    names = np.array([json.dumps(astuple(question)) for question in found])
    values = np.array([one.value for one in found.values()])
    with atomic(path) as file:
        np.savez(file, names=names, values=values, replicates=np.stack([one.replicates for one in found.values()]))


def load(path: Path) -> dict[Question, Measure] | None:
    """What ``save`` wrote; None where there is nothing or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = zip(file["names"], file["values"], file["replicates"], strict=True)
            return {Question(*json.loads(str(name))): Measure(float(value), rows) for name, value, rows in stored}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def interval(seeds: Sequence[Measure]) -> Interval:
    """Mean over seeds with its interval over seeds and scenes."""
    values, replicates = np.array([one.value for one in seeds]), np.stack([one.replicates for one in seeds], 1)
    return Resampled(values, replicates, np.zeros(0), UNIT, tuple(range(len(seeds)))).interval()


def lines(name: str, preset: str, rows: Mapping[Row, Sequence[Scores]]) -> list[dict[str, object]]:
    """The table as a list of its lines, one per row and question."""
    modality, _, dataset = name.partition("/")
    out: list[dict[str, object]] = []
    for row, seeds in sorted(rows.items()):
        for question in sorted(seeds[0]):
            mean, low, high = interval([one[question] for one in seeds])
            place = (modality, dataset, preset, row.method, row.variant, len(seeds))
            asked = (question.probe, question.metric, question.labels, question.tested)
            out.append(dict(zip(COLUMNS, (*place, *asked, mean, low, high), strict=True)))
    return out


def run(chosen: argparse.Namespace, root: Path | None, console: Console) -> None:
    """Score the encoders that are asked for, print the table and write the CSV; with ``--figure`` draw answers too."""
    asked = request.parse(chosen.words)
    record.preflight(chosen.results)
    everything = record.load_all(chosen.results, asked.modality)
    for dataset in asked.datasets:
        name = f"{asked.modality}/{dataset}"
        own = trained.wanted(everything, name, asked.preset, asked.methods)
        if not own:
            raise UsageError(
                f"{name} has no fresh row at preset {asked.preset}; run it first: run {asked.modality} dataset={dataset} "
                f"preset={asked.preset}"
            )
        study = Study(name, root, chosen.results, again(own[0]).limit)
        rows: dict[Row, list[Scores]] = {}
        control = study.control()
        if control is not None:
            rows[Row(CONTROL, "")] = [control]
        for one in own:
            console.print(f"{one['method']} {escape(row_variant(one))} seed {one['seed']}", highlight=False)
            found = study.of(one)
            if found is None:
                console.print(
                    f"  no encoder in the cache; run it again: run {asked.modality} dataset={dataset} "
                    f"method={one['method']} preset={asked.preset} --force",
                    soft_wrap=True, highlight=False,
                )  # fmt: skip
            else:
                rows.setdefault(Row(one["method"], row_variant(one)), []).append(found)
        made = lines(name, asked.preset, rows)
        path = chosen.results / f"bev_{asked.modality}_{dataset}_{asked.preset}.csv"
        write_bytes(path, pd.DataFrame(made, columns=list(COLUMNS)).to_csv(index=False, float_format="%.5g").encode())
        for shown in tables(made, name, asked.preset):
            console.print(shown)
        console.print(f"written: {path}", soft_wrap=True, highlight=False)
        if chosen.figure:
            from benchmark.bev import pictures  # matplotlib takes a second to load

            out = pictures.write(study, own, chosen.figure, chosen.results, asked.preset)
            console.print(f"figure written to {out}", soft_wrap=True, highlight=False)


def tables(made: Sequence[Mapping[str, object]], name: str, preset: str) -> tuple[Table, Table]:
    """Every row with all labels, then cells and centres with few labels and on other towns; the best by cells first."""
    dataset = name.partition("/")[2]
    frame = pd.DataFrame(made, columns=list(COLUMNS)).set_index(["method", "variant"])
    shares = [share for share in sorted(frame["labels"].unique(), reverse=True) if share < 1]
    others = sorted(set(frame["tested"]) - {dataset})

    def column(probe: str, metric: str, labels: float, tested: str) -> pd.DataFrame:
        keep = (frame["probe"] == probe) & (frame["metric"] == metric)
        return frame[keep & (frame["labels"] == labels) & (frame["tested"] == tested)]

    whole = [(title, column(probe, metric, 1.0, dataset)) for title, probe, metric in SHOWN]
    few = []
    for title, probe, metric in (SHOWN[0], SHOWN[3]):
        few += [(f"{title} {share:.0%}", column(probe, metric, share, dataset)) for share in shares]
        few += [(f"→ {other.removeprefix(f'{dataset}-')}", column(probe, metric, 1.0, other)) for other in others]
    order = list(whole[0][1].sort_values("mean", ascending=False).index)
    first = _table(f"{name} · {preset} · what tokens say about cells", whole, order)
    first.caption = "mean over seeds [95 % over seeds and scenes]"
    second = _table(f"{name} · {preset} · few labels, another town", few, order)
    second.caption = "x %: share of the training scenes with labels; → town: fitted here with every label, tested there"
    return first, second


def _table(title: str, columns: Sequence[tuple[str, pd.DataFrame]], order: Sequence[tuple[str, str]]) -> Table:
    made = listing.table(title, "method", *(escape(name) for name, _ in columns))
    for row in order:
        cells = []
        for _, values in columns:
            if row in values.index:
                mean, low, high = values.loc[row, ["mean", "lo", "hi"]]
                cells.append(escape(f"{mean:.3f} [{low:.3f}, {high:.3f}]"))
            else:
                cells.append("")
        made.add_row(escape(" ".join(row).strip()), *cells)
    return made
