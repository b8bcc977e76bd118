"""The data sets of sound: official splits and folds, units that never cross, and layouts that are wrong."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import modalities.audio.clips as decoder
from jepakit.registry import datasets
from jepakit.types import PARTS, Data, DataError, Part, UsageError
from modalities.audio.base import in_turn
from modalities.audio.esc import ESC10, Esc50
from modalities.audio.fsdd import SPEAKERS

RATE = 8000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))
    decoder.clips.cache_clear()


def write(path: Path, seed: int, seconds: float = 0.05, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)), rate)


def fsdd(root: Path) -> Path:
    """Two recordings of each digit by each speaker."""
    names = [f"{digit}_{speaker}_{take}" for digit in range(10) for speaker in SPEAKERS for take in range(2)]
    for seed, name in enumerate(names):
        write(root / "audio/fsdd/recordings" / f"{name}.wav", seed)
    return root


def esc10(root: Path) -> Path:
    """One Freesound clip of each class in each fold, one of them in two takes."""
    for number, sound in enumerate(ESC10):
        for fold in range(1, 6):
            for take in "AB" if fold == 2 else "A":
                name = f"{number + 1:03d} - {sound}/{fold}-{1000 * fold + number}-{take}.ogg"
                write(root / "audio/esc10" / name, 100 * fold + 10 * number + ord(take), rate=16_000)
    return root


def parts_of(name: str, root: Path) -> dict[Part, Data]:
    modality = datasets[name].make(root)
    return {part: modality.data(part) for part in PARTS}


def message(name: str, root: Path) -> str:
    """The one sentence of reading a data set whose files have just been changed."""
    decoder.clips.cache_clear()
    with pytest.raises(DataError) as caught:
        parts_of(name, root)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".")
    return text


# Folds ---------------------------------------------------------------------------------------------------------------


def test_groups_take_turns() -> None:
    group = np.array([1, 2, 3, 1])
    assert in_turn(group, 3, 1).tolist() == ["test", "val", "train", "test"]
    assert in_turn(group, 3, 3).tolist() == ["val", "train", "test", "val"]


@pytest.mark.parametrize(("dataset", "make", "folds"), [("fsdd", fsdd, 6), ("esc10", esc10, 5)])
def test_every_clip_is_tested_once_and_no_unit_crosses(
    dataset: str, make: object, folds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path)  # type: ignore[operator]
    base = datasets[f"audio/{dataset}"].make
    monkeypatch.setattr(base, "stored", base.length)  # less work
    assert base.folds == folds and base.fold_of is None
    tested: list[str] = []
    rows = 0
    for fold in range(1, folds + 1):
        name = f"audio/{dataset}-fold{fold}"
        kind = datasets[name].make
        assert (kind.fold_of, kind.fold, kind.folds, kind.dataset) == (dataset, fold, folds, f"{dataset}-fold{fold}")
        assert datasets[name].make is kind and datasets[name].source == datasets[f"audio/{dataset}"].source
        parts = parts_of(name, root)
        units = {part: set(data.unit) for part, data in parts.items()}
        assert not units["train"] & units["val"] and not units["train"] & units["test"]
        assert not units["val"] & units["test"]
        tested += sorted(units["test"])
        rows += len(parts["test"])
        total = sum(len(data) for data in parts.values())
        for data in parts.values():
            assert set(data.labels[kind.question].tolist()) == set(range(10))
    assert len(tested) == len(set(tested)) and rows == total
    first, default = parts_of(f"audio/{dataset}-fold1", root), parts_of(f"audio/{dataset}", root)
    assert all(first[part].fingerprint() == default[part].fingerprint() for part in PARTS)


def test_folds_share_the_decoded_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, read = fsdd(tmp_path), []
    real = decoder.read_clip
    monkeypatch.setattr(decoder, "read_clip", lambda path, remedy: read.append(path) or real(path, remedy))
    for name in ("fsdd-fold1", "fsdd-fold4", "fsdd", "fsdd-fold6"):
        parts_of(f"audio/{name}", root)
    assert len(read) == 120, "each of the 120 files once"


@pytest.mark.parametrize(
    "name", ["fsdd-fold0", "fsdd-fold7", "fsdd-foldx", "fsdd-fold01", "esc10-fold6", "esc50-fold9"]
)
def test_a_fold_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="has no fold"):
        datasets[f"audio/{name}"]


def test_esc10_takes_of_a_freesound_clip_stay_together(tmp_path: Path) -> None:
    parts = parts_of("audio/esc10-fold2", esc10(tmp_path))
    assert len(parts["test"]) == 20 and len(set(parts["test"].unit)) == 10
    modality = datasets["audio/esc10-fold2"].make(tmp_path)
    windows = modality.windows(parts["test"])
    assert windows.x.shape == (20 * 9, 1, 16_384)
    assert windows.record is not None and len(set(windows.record)) == 20


# Layouts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fsdd", "fsdd-fold3", "esc10", "esc50", "speech-commands", "folder-mine"])
def test_missing_data_say_what_to_put_where(name: str, tmp_path: Path) -> None:
    for root, said in ((None, "needs a data root"), (tmp_path, "has no folder audio/")):
        with pytest.raises(DataError, match=said) as caught:
            datasets[f"audio/{name}"].make(root).data("train")
        assert name.partition("-fold")[0] in str(caught.value)


def test_foreign_names_are_refused(tmp_path: Path) -> None:
    root = fsdd(tmp_path)
    write(root / "audio/fsdd/recordings/3_nobody_0.wav", 0)
    assert "3_nobody_0.wav is not named" in message("audio/fsdd", root)
    root = esc10(tmp_path)
    write(root / "audio/esc10/011 - Cat/1-1-A.ogg", 0)
    assert "011 - Cat/1-1-A.ogg is not named as in ESC-10" in message("audio/esc10", root)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    root = fsdd(tmp_path)
    (root / "audio/fsdd/recordings/4_theo_1.wav").write_bytes(b"not a sound")
    text = message("audio/fsdd", root)
    assert "4_theo_1.wav cannot be read as sound" in text and "github.com/Jakobovski" in text


def test_a_missing_speaker_or_digit_is_named(tmp_path: Path) -> None:
    root = fsdd(tmp_path)
    for path in (root / "audio/fsdd/recordings").glob("7_*.wav"):
        path.unlink()
    for path in (root / "audio/fsdd/recordings").glob("*_george_*.wav"):
        path.unlink()
    assert "class 'seven' of task 'digit' has no positive in train" in message("audio/fsdd-fold2", root)
    assert "audio/fsdd has no sound in test" in message("audio/fsdd", root)


def test_copies_of_test_leave_train_and_are_counted(tmp_path: Path) -> None:
    root = fsdd(tmp_path)
    folder = root / "audio/fsdd/recordings"
    (folder / "0_lucas_0.wav").write_bytes((folder / "0_george_0.wav").read_bytes())
    parts = parts_of("audio/fsdd", root)
    assert len(parts["train"]) == 79 and parts["train"].repairs["copies_of_a_later_part_dropped"] == 1
    assert len(parts["test"]) == 20


def esc50(root: Path) -> Path:
    rows = [
        (f"{fold}-{50 * fold + target}-A-{target}.wav", fold, target) for fold in range(1, 6) for target in range(50)
    ]
    (root / "audio/esc50/meta").mkdir(parents=True)
    with (root / "audio/esc50/meta/esc50.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for name, fold, target in rows:
            table.writerow([name, fold, target, Esc50.tasks[0].classes[target], False, name.split("-")[1], "A"])
    for seed, (name, _, _) in enumerate(rows):
        write(root / "audio/esc50/audio" / name, seed, 0.01, 16_000)
    return root


def test_esc50_follows_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = esc50(tmp_path)
    monkeypatch.setattr(Esc50, "stored", Esc50.length)  # a fifth of the work
    parts = parts_of("audio/esc50-fold5", root)
    assert [len(parts[part]) for part in PARTS] == [150, 50, 50]
    assert set(parts["test"].unit) == {str(250 + target) for target in range(50)}
    label = dict(zip(parts["test"].unit, parts["test"].labels["sound"].tolist()))
    assert label["253"] == 3 and Esc50.tasks[0].classes[3] == "cow" and len(set(Esc50.tasks[0].classes)) == 50
    (root / "audio/esc50/audio/1-50-A-0.wav").unlink()
    assert "lacks 1-50-A-0.wav" in message("audio/esc50", root)
    write(root / "audio/esc50/audio/1-50-A-0.wav", 1)
    table = root / "audio/esc50/meta/esc50.csv"
    table.write_text(table.read_text().replace("src_file", "source"))
    assert "is not the table of ESC-50" in message("audio/esc50", root)


def commands(root: Path) -> Path:
    folder = root / "audio/speech-commands"
    seed = 0
    for word in ("yes", "no"):
        for speaker in ("aa", "bb", "cc", "dd"):
            for take in range(2):
                seed += 1
                write(folder / word / f"{speaker}_nohash_{take}.wav", seed, 1.0, 16_000)
    write(folder / "_background_noise_" / "hum.wav", 99)
    (folder / "validation_list.txt").write_text(
        "yes/bb_nohash_0.wav\nyes/bb_nohash_1.wav\nno/bb_nohash_0.wav\nno/bb_nohash_1.wav\n"
    )
    (folder / "testing_list.txt").write_text(
        "yes/cc_nohash_0.wav\nyes/cc_nohash_1.wav\nno/cc_nohash_0.wav\nno/cc_nohash_1.wav\n"
    )
    return root


def test_speech_commands_follow_the_official_lists(tmp_path: Path) -> None:
    root = commands(tmp_path)
    modality = datasets["audio/speech-commands"].make(root)
    assert modality.tasks[0].classes == ("no", "yes")
    units = {part: sorted(set(modality.data(part).unit)) for part in PARTS}
    assert units == {"train": ["aa", "dd"], "val": ["bb"], "test": ["cc"]}
    listed = root / "audio/speech-commands/testing_list.txt"
    text = listed.read_text()
    kind = type(modality)
    listed.write_text(text + "yes/zz_nohash_0.wav\n")
    with pytest.raises(DataError, match=r"lacks yes/zz_nohash_0\.wav"):
        kind.read(root)
    listed.write_text(text + "yes/aa_nohash_0.wav\n")
    with pytest.raises(DataError, match="put speaker aa into test and elsewhere"):
        kind.read(root)
    listed.unlink()
    with pytest.raises(DataError, match=r"testing_list\.txt cannot be read"):
        kind.read(root)


def test_folders_with_parts_and_without(tmp_path: Path) -> None:
    for seed in range(60):
        sound, part = ("dog", "cat")[seed % 2], ("train", "val", "test")[seed % 3]
        write(tmp_path / "audio/folder-three" / part / sound / f"{seed}.wav", seed)
        write(tmp_path / "audio/folder-flat" / sound / f"{seed}.flac", seed)
        write(tmp_path / "audio/folder-two" / ("test" if part == "test" else "train") / sound / f"{seed}.wav", seed)
    three = parts_of("audio/folder-three", tmp_path)
    assert [len(three[part]) for part in PARTS] == [20, 20, 20]
    assert three["val"].unit[0].startswith("val/cat/")
    flat = parts_of("audio/folder-flat", tmp_path)
    assert [len(flat[part]) for part in PARTS] == [36, 12, 12]
    assert len({unit for data in flat.values() for unit in data.unit}) == 60
    for data in flat.values():
        assert torch.bincount(data.labels["label"]).tolist() == [len(data) // 2] * 2
    two = parts_of("audio/folder-two", tmp_path)
    assert [len(two[part]) for part in PARTS] == [36, 4, 20]
    assert datasets["audio/folder-two"].make(tmp_path).tasks[0].classes == ("cat", "dog")


def test_folders_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "audio/folder-one/dog/1.wav", 1)
    with pytest.raises(DataError, match="two or more classes"):
        datasets["audio/folder-one"].make(tmp_path)
    for part, sound in (("train", "dog"), ("train", "cat"), ("test", "cow")):
        for take in range(3):
            write(tmp_path / "audio/folder-cow" / part / sound / f"{take}.wav", take)
    assert "class 'cow' that train does not have" in message("audio/folder-cow", tmp_path)


# The real thing ------------------------------------------------------------------------------------------------------

ROOT = Path(os.environ.get("JEPAKIT_DATA") or "data")


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "audio/fsdd").is_dir(), reason="needs the recordings of FSDD in $JEPAKIT_DATA")
def test_the_recordings_of_fsdd() -> None:
    parts = parts_of("audio/fsdd-fold2", ROOT)
    assert [len(parts[part]) for part in PARTS] == [2000, 500, 500]
    assert set(parts["test"].unit) == {"jackson"} and set(parts["val"].unit) == {"lucas"}
    assert torch.bincount(parts["test"].labels["digit"]).tolist() == [50] * 10


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "audio/esc10").is_dir(), reason="needs ESC-10 in $JEPAKIT_DATA")
def test_the_clips_of_esc10() -> None:
    parts = parts_of("audio/esc10-fold5", ROOT)
    assert [len(parts[part]) for part in PARTS] == [240, 80, 80]
    assert torch.bincount(parts["test"].labels["sound"]).tolist() == [8] * 10
