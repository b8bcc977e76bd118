"""PTB-XL in its official layout: 21,799 twelve-lead recordings of 10 s, six multi-label tasks, ten patient-wise folds."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.signal import resample_poly

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.ecg.base import INDEPENDENT, LEADS, EcgModality
from modalities.ecg.records import AGAIN, need, ordered, read_record
from modalities.signals import add_counts, mend, standardise

TASKS = ("all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm")
SAMPLES = 1000  # ten seconds at 100 Hz
LARGEST = 2**53  # of a number in a table of floats
_INSIDE = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)


@datasets.register("ecg/ptbxl")
class PtbXl(EcgModality):
    """Pre-trained and probed on crops of 2.5 s; the seven half-overlapping windows of a recording share its ``record``.

    Both published aggregations (maximum over windows, Strodthoff et al.; mean, Weimann & Conrad) can be formed from
    ``record``; the tasks name the mean. Standardisation is per lead (Weimann & Conrad), not by one scalar.
    """

    dataset: ClassVar[str] = "ptbxl"
    card: ClassVar[Card] = Card(
        title="PTB-XL, a large publicly available electrocardiography dataset, 1.0.3",
        licence="CC BY 4.0",
        source="https://physionet.org/content/ptb-xl/1.0.3/",
        citation="Wagner et al. 2020, Scientific Data 7:154; protocol: Strodthoff et al. 2021, IEEE JBHI 25(5):1519-1528",
        unit="patient_id",
        notes="Folds 1-8 / 9 / 10. A statement counts whatever its likelihood; recordings without a statement of a task are "
        "unlabelled for it (NaN). 100 Hz; a recording that is only there at 500 Hz is resampled. Flat leads are kept and "
        "counted, because the published protocol keeps every recording.",
    )
    channels: ClassVar[int] = 12
    length: ClassVar[int] = 250
    patch: ClassVar[int] = 10
    rate: ClassVar[float] = 100.0
    independent: ClassVar[tuple[int, ...] | None] = INDEPENDENT

    tasks = tuple(Task(name, "multilabel", "macro_auroc") for name in TASKS)

    def __init__(self, root: Path | None = None) -> None:
        """The classes are those of ``scp_statements.csv``: without the data the tasks have names only."""
        super().__init__(root)
        file = None if root is None else Path(root) / self.name / self.dataset / "scp_statements.csv"
        if file is not None and file.is_file():
            known = read_statements(file)
            self.tasks = tuple(Task(name, "multilabel", "macro_auroc", classes_of(known, name)) for name in TASKS)

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        statements = read_statements(need(folder / "scp_statements.csv"))
        table = read_table(need(folder / "ptbxl_database.csv"))
        parts: dict[Part, Data] = {}
        signals: dict[Part, np.ndarray] = {}
        repairs: dict[Part, dict[str, int]] = {}
        rows = {part: table[part_of(table["strat_fold"]) == part] for part in PARTS}
        for part in PARTS:
            if rows[part].empty:
                raise DataError(f"{folder / 'ptbxl_database.csv'} has no recording in the fold(s) of '{part}'; {AGAIN}")
            signals[part], repairs[part] = cls._recordings(folder, rows[part])
        standardise(signals)
        for part in PARTS:
            # Half precision holds a standardised, clipped signal to 0.004 standard deviations and halves the memory.
            x = torch.from_numpy(signals.pop(part)).half()
            codes = [list(cell) for cell in rows[part]["scp_codes"]]
            labels = {name: torch.from_numpy(multi_hot(codes, statements, name)) for name in TASKS}
            unit = rows[part]["patient_id"].astype(int).astype(str).to_numpy(dtype=str)
            record = rows[part].index.astype(str).to_numpy(dtype=str)
            parts[part] = Data(x, labels, unit, record, repairs=repairs[part])
        return parts

    @classmethod
    def _recordings(cls, folder: Path, rows: pd.DataFrame) -> tuple[np.ndarray, dict[str, int]]:
        """Signals (n, 12, 1000) in mV at 100 Hz, and the repairs."""
        x = np.empty((len(rows), len(LEADS), SAMPLES), dtype=np.float32)
        repairs: dict[str, int] = {}
        for i, (low, high) in enumerate(zip(rows["filename_lr"], rows["filename_hr"], strict=True)):
            path = folder / low
            if not path.with_name(path.name + ".hea").is_file() and (folder / f"{high}.hea").is_file():
                path = folder / high
            record = read_record(path)
            signal, more = mend(ordered(record, LEADS, path), path.name, LEADS, flat="keep")
            if path == folder / high:
                signal = resample_poly(signal, int(cls.rate), int(record.rate), axis=1, padtype="line")
                more["resampled_from_500_hz"] = 1
            if signal.shape[1] != SAMPLES:
                raise DataError(f"the record {path} has {signal.shape[1]} samples at 100 Hz, not {SAMPLES}; {AGAIN}")
            x[i] = signal
            add_counts(repairs, more)
        return x, repairs


def part_of(fold: pd.Series[int]) -> pd.Series[str]:
    """Folds 1-8 train, 9 validation, 10 test."""
    return fold.map(lambda k: "train" if 1 <= k <= 8 else {9: "val", 10: "test"}.get(k, "none"))


def read_statements(file: Path) -> pd.DataFrame:
    """scp_statements.csv with its flags and classes. Raises DataError when it is another table."""
    table = _table(file)
    wanted = ("diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise DataError(f"{file} has no column '{missing[0]}'; {AGAIN}")
    return table


def read_table(file: Path) -> pd.DataFrame:
    """ptbxl_database.csv with ``scp_codes`` parsed. Raises DataError naming the column or row that is wrong."""
    table = _table(file)
    for column in ("patient_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr"):
        if column not in table.columns:
            raise DataError(f"{file} has no column '{column}'; {AGAIN}")
    try:
        table["scp_codes"] = [ast.literal_eval(cell) for cell in table["scp_codes"]]
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise DataError(f"{file} has a cell in scp_codes that is not a dictionary ({error}); {AGAIN}") from error
    for row, cell in table["scp_codes"].items():
        if not isinstance(cell, dict):
            raise DataError(f"{file} has a cell in scp_codes that is not a dictionary (row {row}); {AGAIN}")
    for column in ("patient_id", "strat_fold"):
        number = pd.to_numeric(table[column], errors="coerce")
        bad = table.index[~np.isfinite(number) | (number.abs() > LARGEST)]
        if len(bad):
            raise DataError(f"{file} has no whole number in '{column}' of row {bad[0]}; {AGAIN}")
        table[column] = number
    for column in ("filename_lr", "filename_hr"):  # a path that leaves the folder is no path of this data set
        for row, name in table[column].items():
            if not _INSIDE.fullmatch(str(name)):
                raise DataError(f"{file} has a path in '{column}' of row {row} that leaves the folder; {AGAIN}")
    return table


def _table(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file, index_col=0)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{file} cannot be read as a table ({' '.join(str(error).split())}); {AGAIN}") from error


def label_of(statements: pd.DataFrame, task: str) -> dict[str, str]:
    """Statement → class of one task; statements that do not belong to the task are absent."""
    if task == "all":
        return {str(code): str(code) for code in statements.index}
    if task in ("subdiagnostic", "superdiagnostic"):
        column = {"subdiagnostic": "diagnostic_subclass", "superdiagnostic": "diagnostic_class"}[task]
        chosen = statements[(statements["diagnostic"] == 1) & statements[column].notna()]
        return {str(code): str(name) for code, name in chosen[column].items()}
    return {str(code): str(code) for code in statements.index[statements[task] == 1]}


def classes_of(statements: pd.DataFrame, task: str) -> tuple[str, ...]:
    """The classes of a task in alphabetical order: 71 / 44 / 23 / 5 / 19 / 12 with the official table."""
    return tuple(sorted(set(label_of(statements, task).values())))


def multi_hot(codes: list[list[str]], statements: pd.DataFrame, task: str) -> np.ndarray:
    """(n, classes) float32, 1 where any statement of the class is listed; a row without one is NaN throughout."""
    mapping = label_of(statements, task)
    place = {name: i for i, name in enumerate(classes_of(statements, task))}
    hot = np.zeros((len(codes), len(place)), dtype=np.float32)
    for i, listed in enumerate(codes):
        found = [place[mapping[code]] for code in listed if code in mapping]
        hot[i, found] = 1.0
        if not found:
            hot[i] = np.nan
    return hot
