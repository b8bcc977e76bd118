"""PTB-XL: the official layout, written here with wfdb: class counts, folds, labels, windows and units."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

from jepakit.registry import datasets
from jepakit.types import PARTS, Data, DataError
from modalities.ecg.ptbxl import PtbXl

LEADS = [
    "I",
    "II",
    "III",
    "AVR",
    "AVL",
    "AVF",
    "V1",
    "V2",
    "V3",
    "V4",
    "V5",
    "V6",
]  # as spelled in the official headers

# The statement table of PTB-XL 1.0.3: diagnostic statements by class and subclass, form and rhythm statements.
DIAGNOSTIC = {
    "NORM": {"NORM": "NORM"},
    "MI": {
        "AMI": "AMI ASMI ALMI INJAS INJAL INJLA",
        "IMI": "IMI ILMI IPLMI IPMI INJIN INJIL",
        "LMI": "LMI",
        "PMI": "PMI",
    },
    "STTC": {
        "STTC": "NDT DIG LNGQT ANEUR EL",
        "NST_": "NST_",
        "ISC_": "ISC_",
        "ISCA": "ISCAL ISCAS ISCLA ISCAN",
        "ISCI": "ISCIN ISCIL",
    },
    "CD": {
        "LAFB/LPFB": "LAFB LPFB",
        "IRBBB": "IRBBB",
        "_AVB": "1AVB 2AVB 3AVB",
        "IVCD": "IVCD",
        "CRBBB": "CRBBB",
        "CLBBB": "CLBBB",
        "WPW": "WPW",
        "ILBBB": "ILBBB",
    },
    "HYP": {"LVH": "LVH", "LAO/LAE": "LAO/LAE", "RVH": "RVH", "RAO/RAE": "RAO/RAE", "SEHYP": "SEHYP"},
}
FORM = tuple(
    "NDT NST_ DIG LNGQT ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S)".split()  # noqa: SIM905
)
RHYTHM = tuple("SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU".split())  # noqa: SIM905
CLASS_OF = {
    code: (superclass, subclass)
    for superclass, subclasses in DIAGNOSTIC.items()
    for subclass, codes in subclasses.items()
    for code in codes.split()
}
STATEMENTS = sorted({*CLASS_OF, *FORM, *RHYTHM})
COLUMNS = ["ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", "filename_lr", "filename_hr"]


def recording(ecg: int, samples: int = 1000) -> np.ndarray:
    """(samples, 12) mV: a sine per lead whose frequency names the lead, whose phase names the recording."""
    time = np.arange(samples) / samples * 10
    return np.stack([0.5 * np.sin(2 * np.pi * (1 + lead / 4) * time + ecg) for lead in range(12)], 1)


def write_signal(path: Path, signal: np.ndarray, rate: int) -> None:
    wfdb.wrsamp(
        path.name, rate, ["mV"] * 12, LEADS, signal, fmt=["16"] * 12, adc_gain=[1000.0] * 12, baseline=[0] * 12,
        write_dir=str(path.parent),
    )  # fmt: skip


def write_tree(root: Path, *, without: str = "") -> Path:
    """30 recordings of 20 patients, two to four per fold; training folds carry every statement except ``without``."""
    folder = root / "ecg" / "ptbxl"
    (folder / "records100" / "00000").mkdir(parents=True)
    (folder / "records500" / "00000").mkdir(parents=True)
    with (folder / "scp_statements.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "description", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"])
        for code in STATEMENTS:
            flags = [1.0 if code in group else "" for group in (CLASS_OF, FORM, RHYTHM)]
            writer.writerow([code, f"text, of {code}", *flags, *CLASS_OF.get(code, ("", ""))])
    with (folder / "ptbxl_database.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for ecg in range(1, 31):
            low, high = f"records100/00000/{ecg:05d}_lr", f"records500/00000/{ecg:05d}_hr"
            fold = (ecg - 1) % 10 + 1
            if fold <= 8:
                codes = [code for i, code in enumerate(STATEMENTS) if i % 8 == fold - 1]
            else:
                codes = ["SR", "PVC"] if ecg < 20 else ["NORM", "LVH"]
            cell = {code: float(100 * (i % 2)) for i, code in enumerate(codes) if code != without}
            writer.writerow([ecg, f"{1000 + (ecg - 1) % 20}.0", 60.0, 1, repr(cell), fold, low, high])
            if ecg != 12:  # this one is only there at 500 Hz
                write_signal(folder / low, recording(ecg), 100)
            else:
                write_signal(folder / high, recording(ecg, 5000), 500)
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def parts(tree: Path) -> dict[str, Data]:
    modality = datasets["ecg/ptbxl"].make(tree)
    return {part: modality.data(part) for part in PARTS}


def test_this_files_table_is_the_official_one() -> None:
    assert len(STATEMENTS) == 71 and len(CLASS_OF) == 44 and len(FORM) == 19 and len(RHYTHM) == 12


def test_class_counts_and_alphabetical_order(tree: Path) -> None:
    modality = PtbXl(tree)
    assert [task.name for task in modality.tasks] == [
        "all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm",
    ]  # fmt: skip
    assert [len(task.classes) for task in modality.tasks] == [71, 44, 23, 5, 19, 12]
    assert all(task.metric == "macro_auroc" and task.kind == "multilabel" for task in modality.tasks)
    assert all(list(task.classes) == sorted(task.classes) for task in modality.tasks)
    assert modality.task("superdiagnostic").classes == ("CD", "HYP", "MI", "NORM", "STTC")
    assert modality.grid == (25,) and (modality.length, modality.patch) == (250, 10)
    assert [task.name for task in PtbXl(None).tasks] == [task.name for task in modality.tasks]


def test_folds_units_and_records(parts: dict[str, Data]) -> None:
    record = {part: parts[part].record.tolist() for part in PARTS}
    assert record["val"] == ["9", "19", "29"] and record["test"] == ["10", "20", "30"]
    assert record["train"] == [str(ecg) for ecg in range(1, 31) if (ecg - 1) % 10 < 8]
    assert parts["test"].unit.tolist() == ["1009", "1019", "1009"]  # patient_id, shared by two recordings
    units = [set(parts[part].unit) for part in PARTS]
    assert not (units[0] & units[1] or units[0] & units[2] or units[1] & units[2])
    rows = [row.numpy().tobytes() for part in PARTS for row in parts[part].x]
    assert len(set(rows)) == 30


def test_labels_follow_the_statements(tree: Path, parts: dict[str, Data]) -> None:
    modality = PtbXl(tree)

    def names(part: str, row: int, task: str) -> set[str] | None:
        hot = parts[part].labels[task][row]
        if bool(hot.isnan().all()):
            return None
        assert not bool(hot.isnan().any())
        return {name for name, value in zip(modality.task(task).classes, hot.tolist(), strict=True) if value}

    # ECG 10: SR with likelihood 0 and PVC with 100; both count.
    assert names("test", 0, "all") == {"SR", "PVC"}
    assert names("test", 0, "rhythm") == {"SR"} and names("test", 0, "form") == {"PVC"}
    assert names("test", 0, "diagnostic") is None and names("test", 0, "superdiagnostic") is None
    # ECG 30: NORM and LVH.
    assert names("test", 2, "diagnostic") == {"NORM", "LVH"} and names("test", 2, "superdiagnostic") == {"NORM", "HYP"}
    assert names("test", 2, "rhythm") is None and names("test", 2, "form") is None
    for row, ecg in enumerate(parts["train"].record.tolist()):
        fold = (int(ecg) - 1) % 10
        expected = {code for i, code in enumerate(STATEMENTS) if i % 8 == fold}
        assert names("train", row, "all") == expected
        assert names("train", row, "subdiagnostic") == {CLASS_OF[code][1] for code in expected if code in CLASS_OF}


def test_signals_are_standardised_per_lead_in_the_usual_order(parts: dict[str, Data]) -> None:
    x = parts["train"].x.float()
    assert parts["train"].x.dtype == torch.float16 and x.shape == (24, 12, 1000)
    assert x.mean((0, 2)).abs().max() < 0.01 and (x.std((0, 2)) - 1).abs().max() < 0.01
    for row, ecg in ((0, 1), (23, 28)):
        for lead in range(12):
            assert np.corrcoef(x[row, lead], recording(ecg)[:, lead])[0, 1] > 0.999


def test_a_recording_that_is_only_there_at_500_hz_is_resampled(parts: dict[str, Data]) -> None:
    row = parts["train"].record.tolist().index("12")
    for lead in range(12):
        mine = parts["train"].x[row, lead].float().numpy()[20:-20]
        assert np.corrcoef(mine, recording(12)[20:-20, lead])[0, 1] > 0.999
    assert parts["train"].repairs["resampled_from_500_hz"] == 1


def test_seven_half_overlapping_windows_per_recording(tree: Path, parts: dict[str, Data]) -> None:
    windows = PtbXl(tree).windows(parts["test"])
    assert windows.x.shape == (21, 12, 250)
    assert windows.record.tolist() == [record for record in ("10", "20", "30") for _ in range(7)]
    for k in range(7):
        assert torch.equal(windows.x[7 + k], parts["test"].x[1, :, 125 * k : 125 * k + 250])
    assert windows.labels["all"].shape == (21, 71)
    crop = PtbXl(tree).crop(parts["train"].batch(torch.arange(24)))
    assert crop.x.shape == (24, 12, 250)


def test_classes_absent_outside_train_are_counted_not_fatal(parts: dict[str, Data]) -> None:
    # Test carries SR, PVC, NORM, LVH: of 71 + 44 + 23 + 5 + 19 + 12 classes 4 + 2 + 2 + 2 + 1 + 1 occur.
    assert parts["test"].repairs["classes_without_positive_test"] == 174 - 12
    assert "classes_without_positive_train" not in parts["train"].repairs


def test_a_class_absent_from_train_is_an_error(tmp_path: Path) -> None:
    root = write_tree(tmp_path, without="WPW")
    with pytest.raises(DataError, match=r"class 'WPW' of task 'all' has no positive in train"):
        PtbXl(root).data("test")


def test_reading_twice_gives_the_same_fingerprint(tree: Path, parts: dict[str, Data]) -> None:
    again = PtbXl.read(tree)
    assert all(torch.equal(again[part].x, parts[part].x) for part in PARTS)


def test_test_fold_does_not_touch_train(tree: Path, parts: dict[str, Data], tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    write_signal(root / "ecg" / "ptbxl" / "records100" / "00000" / "00010_lr", 3 * recording(10) + 1, 100)
    changed = PtbXl(root)
    assert torch.equal(changed.data("train").x, parts["train"].x)
    assert not torch.equal(changed.data("test").x, parts["test"].x)


@pytest.mark.parametrize("name", ["ptbxl_database.csv", "scp_statements.csv"])
def test_missing_tables_and_columns_are_named(tmp_path: Path, name: str) -> None:
    root = write_tree(tmp_path)
    file = root / "ecg" / "ptbxl" / name
    text = file.read_text()
    file.write_text(text.replace("strat_fold", "fold").replace("diagnostic_class", "klass"))
    with pytest.raises(DataError, match=r"has no column '(strat_fold|diagnostic_class)'.*make data"):
        PtbXl.read(root)
    file.unlink()
    with pytest.raises(DataError, match=f"{name} is missing.*make data"):
        PtbXl.read(root)


def test_a_record_listed_but_not_there_is_named(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    (root / "ecg" / "ptbxl" / "records100" / "00000" / "00003_lr.dat").unlink()
    with pytest.raises(DataError, match=r"00003_lr\.dat is missing.*half-copied.*make data MODALITY=ecg"):
        PtbXl(root).data("train")
