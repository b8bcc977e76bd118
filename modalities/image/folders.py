"""Folders: ImageNet's layout, <part>/<class>/<picture>: Imagenette, and folder-<name> for any other."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, DataError, Part, Task
from modalities.image.archives import decode, members
from modalities.image.base import ImageModality
from modalities.image.parts import Images, assemble, cut_validation
from modalities.image.store import decoded
from modalities.image.views import PHOTOGRAPH, Policy

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
SEPARATOR = "\n"  # between the stored class names: no folder name holds one


def is_picture(name: str) -> bool:
    """Whether the name says picture; hidden files (``._x.jpg`` of some archivers) are none."""
    return name.lower().endswith(SUFFIXES) and not name.rpartition("/")[2].startswith(".")


class FolderModality(ImageModality):
    """Pictures in <folder>/{train,val,test}/<class>/: the middle square, resampled to ``side`` pixels.

    Without ``test`` the official ``val`` is the test part, as on ImageNet, and validation is a seeded tenth of each class
    of train; so it is without ``val``. Classes are the folders of train, by name.
    """

    side: ClassVar[int] = 64
    patch: ClassVar[int] = 8
    policy: ClassVar[Policy] = PHOTOGRAPH
    crop_scale: ClassVar[tuple[float, float] | None] = (0.3, 1.0)
    archive: ClassVar[str | None] = None
    rename: ClassVar[dict[str, str]] = {}  # folder → class name

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        if not self.tasks:  # classes that only the folder knows
            self.tasks = (Task("label", "class", "accuracy", self.classes(self.folder(self.root))),)

    @classmethod
    def classes(cls, folder: Path) -> tuple[str, ...]:
        """Names of the class folders in label order. Raises DataError where train has fewer than two."""
        if cls.rename:
            return tuple(sorted(cls.rename))
        train = folder / "train"
        names = sorted(path.name for path in train.iterdir() if path.is_dir()) if train.is_dir() else []
        if len(names) < 2:
            raise DataError(f"{train} has no folders of two or more classes; {cls.remedy()}")
        return tuple(names)

    @classmethod
    def remedy(cls) -> str:
        return "put the pictures there as {train,val,test}/<class>/<picture>"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        archive = folder / cls.archive if cls.archive else None
        if archive is not None and archive.is_file() and not (folder / "train").is_dir():
            arrays = decoded(cls.dataset, [archive], lambda: cls._from_archive(archive))
        else:
            files = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_picture(path.name)]
            files = [path for path in files if len(path.relative_to(folder).parts) == 3]
            arrays = decoded(
                cls.dataset,
                files,
                lambda: cls._collect(
                    [path.relative_to(folder).as_posix() for path in files],
                    (decode(path, str(path), cls.remedy(), cls.side) for path in files),
                ),
            )
        return cls._split(arrays, folder)

    @classmethod
    def _from_archive(cls, archive: Path) -> dict[str, np.ndarray]:
        names, pictures = [], []
        for name, content in members(archive, cls.remedy(), is_picture):
            parts = name.split("/")[-3:]  # the archive may have a folder above train and val
            if len(parts) == 3:
                names.append("/".join(parts))
                pictures.append(decode(content, f"{name} in {archive.name}", cls.remedy(), cls.side))
        order = np.argsort(np.array(names))
        return cls._collect([names[k] for k in order], (pictures[k] for k in order))

    @classmethod
    def _collect(cls, names: list[str], pictures: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """All pictures in one array, so that decoding never holds two copies, with their paths."""
        x = np.empty((len(names), 3, cls.side, cls.side), dtype=np.uint8)
        for row, picture in enumerate(pictures):
            x[row] = picture
        return {"x": x, "path": np.array(names, dtype=str)}

    @classmethod
    def _split(cls, arrays: dict[str, np.ndarray], folder: Path) -> dict[Part, Data]:
        pieces = np.array([path.split("/") for path in arrays["path"]], dtype=str).reshape(-1, 3)
        found = set(pieces[:, 0])
        if "train" not in found or not found & {"val", "test"}:
            raise DataError(f"{folder} needs pictures in train and in val or test; {cls.remedy()}")
        known = cls.classes(folder)
        empty = sorted(set(known) - set(pieces[pieces[:, 0] == "train", 1]))
        if empty:
            raise DataError(f"{folder} has no picture of class '{empty[0]}' in train; {cls.remedy()}")
        foreign = sorted(set(pieces[:, 1]) - set(known))
        if foreign:
            raise DataError(f"{folder} has pictures of a class '{foreign[0]}' that train does not have; {cls.remedy()}")

        def part(name: str) -> Images:
            rows = np.flatnonzero(pieces[:, 0] == name)
            label = np.searchsorted(np.array(known), pieces[rows, 1]).astype(np.int64)
            return Images(arrays["x"][rows], {"label": label}, arrays["path"][rows])

        train, test = part("train"), part("test" if "test" in found else "val")
        if {"val", "test"} <= found:
            val = part("val")
        else:
            train, val = cut_validation(train, "label")
        return assemble(f"{cls.name}/{cls.dataset}", {"train": train, "val": val, "test": test})


@datasets.register("image/imagenette")
class Imagenette(FolderModality):
    """Ten easy classes of ImageNet at 128 × 128 pixels in 8 × 8 patches of 16."""

    dataset: ClassVar[str] = "imagenette"
    card: ClassVar[Card] = Card(
        title="Imagenette 2, 160-pixel edition",
        licence="Apache-2.0 (the selection); the pictures keep ImageNet's terms: research use",
        source="https://github.com/fastai/imagenette",
        citation="Howard 2019, github fastai/imagenette; Russakovsky et al. 2015, IJCV 115:211-252",
        unit="image",
        notes="Split: the official val is the test part; validation is a seeded 10 % of each class of train.",
    )
    side: ClassVar[int] = 128
    patch: ClassVar[int] = 16
    archive: ClassVar[str | None] = "imagenette2-160.tgz"
    rename: ClassVar[dict[str, str]] = {
        "n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw",
        "n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump",
        "n03445777": "golf ball", "n03888257": "parachute",
    }  # fmt: skip
    tasks = (Task("label", "class", "accuracy", tuple(rename.values())),)

    @classmethod
    def remedy(cls) -> str:
        return "run `make data MODALITY=image DATASET=imagenette`"


@datasets.register_family("image/folder-")
@functools.cache
def folder_data(name: str) -> type[FolderModality]:
    """The class of ``image/folder-<name>``: pictures of 64 × 64 pixels in 8 × 8 patches."""
    card = Card(
        title=f"Folder of pictures '{name}'",
        licence="the owner's",
        source="the data root",
        citation="none",
        unit="image",
    )
    facts = {"dataset": f"folder-{name}", "card": card, "__module__": __name__, "__doc__": "Pictures in folders."}
    return type("Folder", (FolderModality,), facts)
