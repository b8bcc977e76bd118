"""Folders of pictures and saved copies of hub data sets: tiny ones written here, and how they break."""

from __future__ import annotations

from pathlib import Path

import datasets as hub
import numpy as np
import pytest
import torch
from PIL import Image
from test_image_readers import jpeg, tar

from jepakit.registry import datasets
from jepakit.types import PARTS, DataError
from modalities.image.folders import Imagenette


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))


def picture(colour: int, number: int, height: int = 40, width: int = 60) -> bytes:
    return jpeg(np.full((height, width, 3), (colour, 5 * number, 128 - number), dtype=np.uint8), "PNG")


def write_folder(folder: Path, parts: dict[str, int]) -> None:
    for p, (part, each) in enumerate(parts.items()):
        for k, label in enumerate(("apple", "pear")):
            (folder / part / label).mkdir(parents=True)
            for number in range(each):
                (folder / part / label / f"{number}.png").write_bytes(picture(100 * k + 20 * p, number))


def test_any_folder_of_pictures_is_a_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "image" / "folder-fruit"
    write_folder(folder, {"train": 20, "val": 5, "test": 6})
    (folder / "train" / "apple" / "._0.png").write_bytes(b"what some archivers leave")
    (folder / "train" / "apple" / "notes.txt").write_text("x")
    Image.fromarray(np.full((70, 64), 9, np.uint8)).save(folder / "train" / "apple" / "grey.png")
    modality = datasets["image/folder-fruit"].make(tmp_path)
    assert datasets["image/folder-fruit"].make is type(modality) and modality.tasks[0].classes == ("apple", "pear")
    parts = {part: modality.data(part) for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [41, 10, 12]
    x = parts["test"].x
    assert tuple(x.shape[1:]) == (3, 64, 64) and x[0, :, 32, 32].tolist() == [40, 0, 128]
    assert x[11, :, 0, 63].tolist() == [140, 25, 123] and parts["test"].labels["label"].tolist() == [0] * 6 + [1] * 6
    assert parts["train"].unit[20] == "train/apple/grey.png"
    batch = parts["train"].batch(torch.arange(4))
    assert modality.tokenizer(8)(modality.views(modality.crop(batch))).x.shape == (4, 64, 8)


def test_without_a_test_part_the_official_validation_part_is_the_test(tmp_path: Path) -> None:
    write_folder(tmp_path / "image" / "folder-fruit", {"train": 20, "val": 5})
    parts = datasets["image/folder-fruit"].make.read(tmp_path)
    assert [len(parts[part]) for part in PARTS] == [36, 4, 10]
    assert all(unit.startswith("val/") for unit in parts["test"].unit)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    kind, folder = datasets["image/folder-fruit"].make, tmp_path / "image" / "folder-fruit"
    with pytest.raises(DataError, match="has no folder image/folder-fruit; put the pictures there"):
        kind(tmp_path)
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="no folders of two or more classes"):
        kind(tmp_path)
    write_folder(folder, {"train": 3})
    with pytest.raises(DataError, match="needs pictures in train and in val or test"):
        kind.read(tmp_path)
    write_folder(folder, {"val": 2})
    (folder / "val" / "plum").mkdir()
    (folder / "val" / "plum" / "1.png").write_bytes(picture(1, 1))
    with pytest.raises(DataError, match="pictures of a class 'plum' that train does not have"):
        kind.read(tmp_path)
    (folder / "train" / "plum").mkdir()
    with pytest.raises(DataError, match="no picture of class 'plum' in train"):
        kind.read(tmp_path)
    (folder / "train" / "plum" / "1.png").write_bytes(picture(1, 1)[:60])
    with pytest.raises(DataError, match=r"plum/1\.png cannot be read"):
        kind.read(tmp_path)


def test_imagenette_from_its_archive(tmp_path: Path) -> None:
    files = {}
    for part, each in (("train", 10), ("val", 2)):
        for k, name in enumerate(sorted(Imagenette.rename)):
            for number in range(each):
                image = np.full((20, 30, 3), (20 * k, 20 * number, 60 * (part == "val")), dtype=np.uint8)
                files[f"imagenette2-160/{part}/{name}/{name}_{number}.JPEG"] = jpeg(image)
    tar(tmp_path / "image" / "imagenette" / "imagenette2-160.tgz", files)
    parts = Imagenette.read(tmp_path)
    assert [len(parts[part]) for part in PARTS] == [90, 10, 20] and tuple(parts["val"].x.shape[1:]) == (3, 128, 128)
    red = parts["test"].x[:, 0].float().mean((1, 2))
    assert (red - 20 * parts["test"].labels["label"]).abs().max() < 4
    assert Imagenette.tasks[0].classes[3] == "chain saw"


def test_a_hub_data_set_is_read_from_its_saved_copy(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"has no folder image/hub-me--fruit; run `make data MODALITY=image DATASET=hub-me"
    ):
        datasets["image/hub-me--fruit"].make(tmp_path)
    features = hub.Features(
        {"size": hub.ClassLabel(names=["s", "l"]), "img": hub.Image(), "label": hub.ClassLabel(names=["apple", "pear"])}
    )

    def rows(n: int, tone: int) -> hub.Dataset:
        image = [Image.fromarray(np.full((30, 50, 3), (tone - k, 4 * k, k), np.uint8)) for k in range(n)]
        columns = {"img": image, "label": [k % 2 for k in range(n)], "size": [k // 2 % 2 for k in range(n)]}
        return hub.Dataset.from_dict(columns, features=features)

    folder = tmp_path / "image" / "hub-me--fruit"
    hub.DatasetDict({"train": rows(40, 200), "validation": rows(8, 100)}).save_to_disk(folder)
    modality = datasets["image/hub-me--fruit"].make(tmp_path)
    assert [task.name for task in modality.tasks] == ["label", "size"]
    assert "huggingface.co/datasets/me/fruit" in modality.card.source
    parts = {part: modality.data(part) for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [36, 4, 8]
    assert parts["test"].x[5, :, 9, 9].tolist() == [95, 20, 5] and parts["test"].labels["size"].tolist()[:4] == [
        0,
        0,
        1,
        1,
    ]
    (folder / "dataset_dict.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        datasets["image/hub-me--fruit"].make(tmp_path)
