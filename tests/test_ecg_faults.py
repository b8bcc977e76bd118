"""Faults of ECG folders: each ends in one sentence that names the file and the remedy."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import wfdb

from jepakit.registry import datasets
from jepakit.types import PARTS, DataError
from modalities.ecg.ludb import Ludb
from modalities.ecg.mitbih import DS1, DS2, MitBih
from modalities.ecg.records import read_record

LEADS = ["i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"]
RECORDS = 24


def write_ludb(root: Path) -> Path:
    """24 records of noise in LUDB's layout with all labels present."""
    folder = root / "ecg" / "ludb"
    (folder / "data").mkdir(parents=True)
    random = np.random.default_rng(0)
    axes = ("normal", "left axis deviation", "vertical", "horizontal")
    with (folder / "ludb.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "Sex", "Age", "Rhythms", "Electric axis of the heart", "Hypertrophies"])
        for number in range(1, RECORDS + 1):
            writer.writerow(
                [
                    number,
                    "F\n",
                    "51\n",
                    "Sinus rhythm" if number % 2 else "Atrial fibrillation",
                    f"Electric axis of the heart: {axes[number % 4]}",
                    "Left ventricular hypertrophy" if number % 3 else "",
                ]
            )
            write_signal(folder / "data" / str(number), random.normal(0, 0.2, (5000, 12)))
            beats = np.arange(400, 4600, 400)
            where = (beats[:, None] + np.array([-70, -50, -30, -25, 0, 25, 80, 120, 160])).ravel()
            symbols = ["(", "p", ")", "(", "N", ")", "(", "t", ")"] * len(beats)
            wfdb.wrann(str(number), "ii", where, symbols, write_dir=str(folder / "data"))
    return root


def write_signal(path: Path, signal: np.ndarray, rate: int = 500, leads: list[str] = LEADS) -> None:
    c = signal.shape[1]
    wfdb.wrsamp(
        path.name, rate, ["mV"] * c, leads, signal, fmt=["16"] * c, adc_gain=[1000.0] * c, baseline=[0] * c,
        write_dir=str(path.parent),
    )  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ludb(tmp_path_factory.mktemp("ludb"))


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original / "ecg", tmp_path / "ecg")
    return tmp_path


def message(root: Path) -> str:
    """The one sentence of reading LUDB at ``root``."""
    with pytest.raises(DataError) as caught:
        Ludb.read(root)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".")
    return text


def test_the_small_tree_itself_is_readable(root: Path) -> None:
    parts = Ludb.read(root)
    assert sum(len(parts[part]) for part in PARTS) == RECORDS
    assert all(part.x.shape[1:] == (12, 1000) for part in parts.values())


@pytest.mark.parametrize("name", ["ecg/mitbih", "ecg/ludb", "ecg/ptbxl"])
@pytest.mark.parametrize("given", [None, "empty", "nowhere"])
def test_a_root_without_the_data_says_how_to_get_them(tmp_path: Path, name: str, given: str | None) -> None:
    (tmp_path / "empty").mkdir()
    modality = datasets[name].make(None if given is None else tmp_path / given)
    with pytest.raises(DataError, match=r"make data MODALITY=ecg.*JEPAKIT_DATA") as caught:
        modality.data("train")
    assert name in str(caught.value)


@pytest.mark.parametrize("file", ["ludb.csv", "data/7.hea", "data/7.dat", "data/7.ii"])
def test_a_half_copied_folder_names_the_missing_file(root: Path, file: str) -> None:
    (root / "ecg" / "ludb" / file).unlink()
    text = message(root)
    assert file in text and "missing" in text and "make data" in text


def test_a_truncated_signal_is_named(root: Path) -> None:
    file = root / "ecg" / "ludb" / "data" / "5.dat"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "5.dat is truncated (119000 bytes, 5.hea asks for 120000)" in message(root)


def test_a_signal_longer_than_its_header_is_named(root: Path) -> None:
    file = root / "ecg" / "ludb" / "data" / "5.dat"
    file.write_bytes(file.read_bytes() + b"\0" * 24)
    assert "5.dat is longer than its header says" in message(root)


def test_a_header_that_lies_about_length_leads_or_content_is_named(root: Path) -> None:
    folder = root / "ecg" / "ludb" / "data"
    header = (folder / "5.hea").read_text()
    (folder / "5.hea").write_text(header.replace("5 12 500 5000", "5 12 500 4000"))
    assert "5.dat is longer than its header says" in message(root)
    (folder / "5.hea").write_text(header.replace(" v6", " x9"))
    assert "has no lead V6" in message(root)
    (folder / "5.hea").write_text(header.replace("5 12 500 5000", "5 12 250 5000"))
    assert "has 250 Hz instead of 500" in message(root)
    (folder / "5.hea").write_text("this is no header\n")
    assert "5.hea cannot be read" in message(root)
    (folder / "5.hea").write_text(header)
    data = bytearray((folder / "5.dat").read_bytes())
    data[1000] ^= 0x10
    (folder / "5.dat").write_bytes(bytes(data))
    assert "does not have the checksum in 5.hea" in message(root)


def test_dead_leads_are_named_and_gaps_mended(root: Path) -> None:
    folder = root / "ecg" / "ludb" / "data"
    signal = wfdb.rdrecord(str(folder / "9")).p_signal
    broken = signal.copy()
    broken[100:110, 3] = np.nan
    write_signal(folder / "9", broken)
    parts = Ludb.read(root)
    (part,) = [part for part in PARTS if "9" in parts[part].unit]
    assert parts[part].repairs["nan_samples_interpolated"] == 10
    broken[:, 3] = 0.1
    write_signal(folder / "9", broken)
    assert "record 9 is flat in lead aVR" in message(root)
    broken[:, 3] = np.nan
    write_signal(folder / "9", broken)
    assert "record 9 has no valid sample in lead aVR" in message(root)


def test_broken_annotations_and_tables_are_named(root: Path) -> None:
    folder = root / "ecg" / "ludb"
    table = (folder / "ludb.csv").read_text()
    (folder / "ludb.csv").write_text(table.replace("Hypertrophies", "Something"))
    assert "ludb.csv is not the table of LUDB" in message(root)
    (folder / "ludb.csv").write_text(table.replace("Left ventricular hypertrophy", ""))
    with pytest.raises(DataError, match=r"class 'present' of task 'hypertrophy' has no positive in train"):
        Ludb(root).data("val")


def test_train_does_not_depend_on_test(original: Path, root: Path) -> None:
    before = Ludb.read(original)
    number = before["test"].unit[0]
    path = root / "ecg" / "ludb" / "data" / number
    write_signal(path, 5 * wfdb.rdrecord(str(path)).p_signal + 1)
    after = Ludb.read(root)
    assert after["train"].fingerprint() == before["train"].fingerprint()
    assert after["val"].fingerprint() == before["val"].fingerprint()
    assert after["test"].fingerprint() != before["test"].fingerprint()


def test_format_212_with_an_odd_number_of_samples_is_not_called_truncated(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(0, 0.2, (333, 1))
    wfdb.wrsamp("r", 360, ["mV"], ["MLII"], signal, fmt=["212"], write_dir=str(tmp_path))
    assert read_record(tmp_path / "r").signal.shape == (1, 333)
    file = tmp_path / "r.dat"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"r\.dat is truncated"):
        read_record(tmp_path / "r")


def test_mitbih_needs_a_rhythm_of_every_class_in_train(tmp_path: Path) -> None:
    """Original-length or not, the reader takes any record set that has the listed files; here none has an F beat."""
    folder = tmp_path / "ecg" / "mitbih"
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    for record in (*DS1, *DS2):
        write_signal(folder / str(record), random.normal(0, 0.2, (4000, 2)), 360, ["MLII", "V1"])
        where = np.arange(100, 4000, 300)
        symbols = [("N", "A", "V", "Q")[i % 4] for i in range(len(where))]
        wfdb.wrann(str(record), "atr", where, symbols, write_dir=str(folder))
    parts = MitBih.read(tmp_path)
    # Beats at 100 … 3700: the first lies closer than 180 samples to an end; every fourth is Q.
    assert len(parts["test"]) == 21 * 9 and parts["test"].repairs["beats_q_dropped"] == 21 * 3
    assert parts["test"].repairs["beats_at_ends_dropped"] == 21
    with pytest.raises(DataError, match=r"class 'F' of task 'beat' has no positive in train"):
        MitBih(tmp_path).data("train")
    (folder / "208.dat").unlink()
    with pytest.raises(DataError, match=r"208\.dat is missing"):
        MitBih.read(tmp_path)
