"""Hub: hub-<name>, any image data set of the Hugging Face hub, from the copy that ``make data`` saves below the data root.

A slash in a hub name is written ``--``, as in the hub's own cache: ``image/hub-uoft-cs--cifar10``. Reading never goes to
the network, so a board cannot change under a moving data set.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import Card, Data, DataError, Part, Task
from modalities.image.archives import decode
from modalities.image.base import ImageModality
from modalities.image.parts import Images, assemble, cut_validation
from modalities.image.store import decoded
from modalities.image.views import PHOTOGRAPH, Policy

if TYPE_CHECKING:  # it takes seconds to import, so only what reads such data does
    import datasets as hub

PARTS_BY_NAME: dict[Part, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


def fetch(name: str, folder: Path) -> None:
    """Saves the hub's data set ``name`` (with ``--`` for a slash) into ``folder``.

    Code that a data set may bring is never run. Raises DataError when it cannot be had.
    """
    import datasets as hub

    repository = name.replace("--", "/")
    try:
        hub.load_dataset(repository).save_to_disk(folder)
    except Exception as error:  # the hub's client raises errors of many libraries
        raise DataError(
            f"the hub data set {repository} cannot be fetched ({type(error).__name__}: {str(error).splitlines()[0]}); "
            f"without a network, put what its save_to_disk writes into {folder} by hand"
        ) from error


class HubModality(ImageModality):
    """Pictures resampled to ``side`` pixels; every column of class labels is a task, ``label`` or else the first leads.

    The hub's own parts; where validation is missing it is a seeded tenth of train, and where only validation is
    there beside train it is the test part.
    """

    side: ClassVar[int] = 64
    patch: ClassVar[int] = 8
    policy: ClassVar[Policy] = PHOTOGRAPH
    crop_scale: ClassVar[tuple[float, float] | None] = (0.3, 1.0)

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        _, self.tasks = self.columns(self.features(self.folder(self.root)))

    @classmethod
    def features(cls, folder: Path) -> hub.Features:
        """The columns of the stored copy. Raises DataError when it cannot be read."""
        return next(iter(cls.load(folder).values())).features

    @classmethod
    def load(cls, folder: Path) -> hub.DatasetDict:
        """The stored copy, by part. Raises DataError when it is damaged or has no part named train."""
        import datasets as hub

        try:
            found = hub.load_from_disk(folder)
        except Exception as error:  # as above
            raise DataError(f"the copy in {folder} cannot be read ({error}); delete it and {cls.remedy()}") from error
        if not isinstance(found, hub.DatasetDict) or "train" not in found:
            raise DataError(f"the copy in {folder} has no part named train; this data set cannot be used")
        return found

    @classmethod
    def columns(cls, features: hub.Features) -> tuple[str, tuple[Task, ...]]:
        """Name of the picture column, and the tasks. Raises DataError where either is missing."""
        import datasets as hub

        pictures = [name for name, feature in features.items() if isinstance(feature, hub.Image)]
        labels = [name for name, feature in features.items() if isinstance(feature, hub.ClassLabel)]
        if not pictures or not labels:
            raise DataError(
                f"{cls.name}/{cls.dataset} has no column of {'pictures' if not pictures else 'class labels'} (its columns: "
                f"{', '.join(features)}); choose another data set"
            )
        labels.sort(key=lambda name: name != "label")
        return pictures[0], tuple(Task(name, "class", "accuracy", tuple(features[name].names)) for name in labels)

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        sources = sorted(path for path in folder.rglob("*") if path.is_file())
        arrays = decoded(cls.dataset, sources, lambda: cls._decode(folder))
        _, tasks = cls.columns(cls.features(folder))
        found: dict[Part, Images] = {}
        for part in PARTS_BY_NAME:
            if f"{part}.x" in arrays:
                x = arrays[f"{part}.x"]
                labels = {task.name: arrays[f"{part}.{task.name}"] for task in tasks}
                found[part] = Images(x, labels, np.array([f"{part}{row:06d}" for row in range(len(x))]))
        if "test" not in found and "val" in found:
            found["test"] = found.pop("val")
        if "test" not in found:
            raise DataError(f"{folder} has neither a validation nor a test part; this data set cannot be used")
        if "val" not in found:
            found["train"], found["val"] = cut_validation(found["train"], tasks[0].name)
        return assemble(f"{cls.name}/{cls.dataset}", found)

    @classmethod
    def _decode(cls, folder: Path) -> dict[str, np.ndarray]:
        import datasets as hub

        stored = cls.load(folder)
        picture, tasks = cls.columns(cls.features(folder))
        arrays = {}
        for part, names in PARTS_BY_NAME.items():
            name = next((name for name in names if name in stored), None)
            if name is None:
                continue
            rows = stored[name].cast_column(picture, hub.Image(decode=False))
            x = np.empty((len(rows), cls.channels, cls.side, cls.side), dtype=np.uint8)
            for row, entry in enumerate(rows[picture]):
                x[row] = decode(_content(entry), f"{row} of {name} in {folder}", cls.remedy(), cls.side)
            arrays[f"{part}.x"] = x
            for task in tasks:
                label = [-1 if value is None else value for value in rows[task.name]]
                arrays[f"{part}.{task.name}"] = np.array(label, dtype=np.int64)
        return arrays


def _content(entry: Any) -> bytes:
    """The stored bytes of a picture; nothing where there are none, which no decoder takes for a picture."""
    return (entry or {}).get("bytes") or b""


@datasets.register_family("image/hub-")
@functools.cache
def hub_data(name: str) -> type[HubModality]:
    """The class of ``image/hub-<name>``: pictures of 64 × 64 pixels in 8 × 8 patches."""
    repository = name.replace("--", "/")
    card = Card(
        title=f"{repository} (hub)",
        licence="see its page",
        source=f"https://huggingface.co/datasets/{repository}",
        citation="see its page",
        unit="image",
        notes="Pictures of one person, scene or series can be in two parts if the hub's parts do not prevent it.",
    )
    facts = {"dataset": f"hub-{name}", "card": card, "__module__": __name__, "__doc__": "A data set of the hub."}
    return type("Hub", (HubModality,), facts)
