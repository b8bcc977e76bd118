"""Data sets of video files: surveillance fights in folds that share no source, and folders in three layouts."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold
from test_video_clips import encode

from benchmark import folds
from jepakit.registry import datasets
from jepakit.types import PARTS, DataError, UsageError
from modalities.video.fight import FOLDS, UNKNOWN, SurveillanceFight, split, table
from modalities.video.folders import FolderModality, folder_data

REAL = Path(os.environ.get("JEPAKIT_DATA", "")) / "video" / "surveillance_fight" / "index.csv"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))


def fights(root: Path) -> Path:
    """Two clips of each source video, one of a fight, and one of an unknown source; the files are of four frames."""
    folder = root / "video" / "surveillance_fight"
    rows = []
    for place, (video, part) in enumerate(
        [*((one, PARTS[min(k, 2)]) for k, group in enumerate(FOLDS) for one in group), (UNKNOWN, "train")]
    ):
        for label in (0, 1):
            path = f"{('noFight', 'fight')[label]}/{place:03d}.mp4"
            rows.append({"path": path, "label": label, "source_video": video, "split": part})
    for n, row in enumerate(rows):  # all of them different: copies across parts would be dropped
        encode(folder / str(row["path"]), [30 + 2 * n, 200, 30 + 37 * n % 200, 30 + 61 * n % 200], size=(32, 32))
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_every_source_is_tested_once_and_those_unknown_never() -> None:
    videos = [video for group in FOLDS for video in group]
    assert len(videos) == len(set(videos)) == 44
    source = np.array([*videos, UNKNOWN, UNKNOWN])
    tested: list[str] = []
    for fold in range(1, 6):
        part = split(source, fold)
        groups = {one: set(source[part == one]) for one in PARTS}
        assert groups["test"] == set(FOLDS[fold - 1]) and groups["val"] == set(FOLDS[fold % 5])
        assert UNKNOWN in groups["train"] and sum(map(len, groups.values())) == 45
        tested += groups["test"]
    assert sorted(tested) == sorted(videos)
    with pytest.raises(DataError, match="no fold holds source video other"):
        split(np.array(["other"]), 1)


@pytest.mark.skipif(not REAL.is_file(), reason="needs the data root")
def test_the_folds_are_those_of_scikit_learn_and_balanced() -> None:
    rows = table(REAL, "x")
    source, label = (np.array([row[key] for row in rows]) for key in ("source_video", "label"))
    known = np.flatnonzero(source != UNKNOWN)
    drawn = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(known, label[known], source[known])
    for fold, (_, test) in zip(FOLDS, drawn, strict=True):
        assert set(source[known[test]]) == set(fold)
        assert 50 <= len(test) <= 60 and 0.4 < (label[known[test]] == "1").mean() < 0.65


def test_fights_are_read_in_the_single_split_and_in_folds(tmp_path: Path) -> None:
    folder = fights(tmp_path)
    single, third = SurveillanceFight(tmp_path), datasets["video/surveillance_fight-fold3"].make(tmp_path)
    assert folds.members("video", "surveillance_fight-folds") == tuple(
        f"surveillance_fight-fold{k}" for k in range(1, 6)
    )
    assert single.grid == third.grid == (8, 4, 4)
    parts = {part: third.data(part) for part in PARTS}
    assert set(parts["test"].unit) == set(FOLDS[2]) and parts["test"].x.shape[1:] == (3, 16, 64, 64)
    assert not set(parts["train"].unit) & {*FOLDS[2], *FOLDS[3]}
    assert set(single.data("test").unit) == {*FOLDS[2], *FOLDS[3], *FOLDS[4]}
    repairs = single.data("test").repairs
    assert repairs["clips_with_frames_repeated"] == len(single.data("test"))  # four frames, sixteen wanted
    for wrong in ("0", "6", "x"):
        with pytest.raises(UsageError, match="has no fold"):
            datasets[f"video/surveillance_fight-fold{wrong}"]
    (folder / "fight" / "000.mp4").unlink()
    with pytest.raises(DataError, match=r"lacks fight/000.mp4, which index.csv lists \(1 of 90 missing\)"):
        SurveillanceFight.read(tmp_path)


def test_a_broken_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    with pytest.raises(DataError, match="cannot be read"):
        table(path, "x")
    path.write_text("path,label,source_video,split\na.mp4,1,a,train\nb.mp4,2,a,train\n")
    with pytest.raises(DataError, match=r"line 3 of .* has no label 0 or 1"):
        table(path, "x")
    path.write_text("path,label,source_video,split\na.mp4,1,a,train\nb.mp4,0,a,test\n")
    with pytest.raises(DataError, match="puts source video a into two parts"):
        table(path, "x")


def some(path: Path, level: int) -> None:
    encode(path, [level, level + 20, level + 40], size=(32, 32))


def made(root: Path, name: str) -> FolderModality:
    return folder_data(name)(root)


def test_the_layout_of_kinetics(tmp_path: Path) -> None:
    base = tmp_path / "video" / "folder-k"
    for k, (part, label) in enumerate([(part, label) for part in ("train", "val") for label in ("run", "jump")]):
        for one in range(2):
            some(base / part / label / f"{one}.{('mp4', 'avi')[one]}", 20 * k + 9 * one)
    modality = made(tmp_path, "k")
    assert modality.tasks[0].classes == ("jump", "run")
    test = modality.data("test")  # the official validation, as there is no test
    assert sorted(test.unit) == ["val/jump/0.mp4", "val/jump/1.avi", "val/run/0.mp4", "val/run/1.avi"]
    assert (
        test.labels["label"].tolist() == [0, 0, 1, 1] and len(modality.data("train")) == len(modality.data("val")) == 2
    )
    some(base / "val" / "swim" / "0.mp4", 99)
    from modalities.video import folders

    folders._listing.cache_clear()
    with pytest.raises(DataError, match="videos of a class 'swim' that train does not have"):
        FolderModality.read.__func__(folder_data("k"), tmp_path)  # type: ignore[attr-defined]


def test_the_lists_of_ucf101_keep_groups_whole(tmp_path: Path) -> None:
    base = tmp_path / "video" / "folder-u"
    names = {"train": [], "test": []}
    for label in ("Archery", "Bowling"):
        for group in range(1, 5):
            for clip in range(2):
                name = f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"
                some(base / name, 3 * (group + 4 * clip) + 40 * (label == "Bowling"))
                names["test" if group == 1 else "train"].append(name)
    (base / "trainlist01.txt").write_text("".join(f"{name} 1\n" for name in names["train"]))
    (base / "testlist01.txt").write_text("\n".join(names["test"]))
    modality = made(tmp_path, "u")
    units = {part: set(modality.data(part).unit) for part in PARTS}
    assert units["test"] == {"Archery/g01", "Bowling/g01"} and len(units["val"]) == 2 and len(units["train"]) == 4
    assert not units["train"] & units["val"] and len(modality.data("val")) == 4
    (base / names["test"][0]).unlink()
    from modalities.video import folders

    folders._listing.cache_clear()
    with pytest.raises(DataError, match=r"lacks Archery/v_Archery_g01_c00.avi, which testlist01.txt lists"):
        made(tmp_path, "u")


def test_the_labels_of_something_something(tmp_path: Path) -> None:
    base = tmp_path / "video" / "folder-s"
    entries = {"train": [], "validation": []}
    for k in range(6):
        encode(base / "videos" / f"{k}.webm", [9 * k, 9 * k + 50], size=(32, 32), codec="libvpx")
        entries["train" if k < 4 else "validation"].append({"id": k, "template": f"Pushing [something] {'LR'[k % 2]}"})
    for name, found in entries.items():
        (base / f"{name}.json").write_text(json.dumps(found))
    modality = made(tmp_path, "s")
    assert modality.tasks[0].classes == ("Pushing something L", "Pushing something R")
    assert {part: len(modality.data(part)) for part in PARTS} == {"train": 2, "val": 2, "test": 2}
    (base / "train.json").write_text("{")
    from modalities.video import folders

    folders._listing.cache_clear()
    with pytest.raises(DataError, match=r"train.json is no list of entries"):
        made(tmp_path, "s")


def test_a_folder_of_no_known_layout_says_what_to_do(tmp_path: Path) -> None:
    some(tmp_path / "video" / "folder-n" / "a.mp4", 5)
    with pytest.raises(DataError, match="no videos of two or more classes to train on; put the videos there as"):
        made(tmp_path, "n")
