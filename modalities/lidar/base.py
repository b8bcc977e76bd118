"""LidarModality: what the LiDAR data sets share: points on a ground plan, pillar tokens, views and hand-made features."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import Modality
from jepakit.types import Batch, Data, DataError, Part, Task, UsageError
from modalities.lidar import features
from modalities.lidar.pillars import PillarTokenizer
from modalities.lidar.raster import Raster
from modalities.lidar.views import Policy, real_first, view
from modalities.signals import check_classes


@functools.lru_cache(maxsize=2)
def _parts(kind: type[LidarModality], root: Path | None) -> dict[Part, Data]:
    """Every part of one data set, read once per process: boards build the same modality once per cell."""
    parts = kind.read(root)
    return check_classes(f"{kind.name}/{kind.dataset}", kind(root).tasks, parts)


class LidarModality(Modality):
    """Clouds of at most ``most`` points over a ground plan. A subclass states the facts and how to ``read``.

    ``Batch.x`` (b, P, 4): x (forward), y (left) and z (up) in metres, z above the ground below the sensor, and intensity in
    [0, 1]. Real points come first, ``extra["points"]`` (b,) says how many; the other rows lie far outside the plan
    (x = −327.68 m), so that the tokens of a cloud follow from ``x`` alone. ``extra["occupied"]`` (b, n): whether a
    point lies in the token. Tokens are squares of ``raster.patch`` × ``raster.patch`` cells, rows along x.

    height: metres that count as one unit of z; policy: what views may change.
    """

    name: ClassVar[str] = "lidar"
    board = (
        "adljepa", "adljepa-sigreg", "ijepa", "lejepa", "point2vec", "mae", "occupancy-mae", "bevmae", "bevcontrast",
        "simclr", "vicreg", "supervised", "random_init", "raw_features",
    )  # fmt: skip
    raster: ClassVar[Raster] = Raster((-25.6, -25.6), 0.8, (16, 16), 4)
    most: ClassVar[int] = 2048
    height: ClassVar[float] = 3.0
    policy: ClassVar[Policy] = Policy()
    tasks: tuple[Task, ...] = ()

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(None if root is None else Path(root))
        self.grid = self.raster.grid
        self.actions = self.policy.actions

    @classmethod
    @abstractmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        """All parts. Raises DataError naming the file and the remedy."""

    def data(self, part: Part) -> Data:
        return _parts(type(self), self.root)[part]

    def tokenizer(self, dim: int) -> nn.Module:
        return PillarTokenizer(self.raster, self.height, dim)

    @property
    def patch_values(self) -> int:
        return 3 * self.raster.patch**2

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, n, patch² · 3): log(1 + count), mean z and largest z of every cell of a token, row-major; 0 where empty."""
        count, mean, highest, _, _ = self.raster.statistics(batch.x).split(1, -1)
        return self.raster.by_token(torch.cat([count.log1p(), mean, highest], -1)).flatten(2)

    def cells(self, batch: Batch) -> Float[Tensor, "b r c 5"]:
        """Count, largest z, mean z, span of z and mean intensity of every cell (b, rows, columns, 5), 0 where empty."""
        return features.cells(batch.x, self.raster)

    def views(self, batch: Batch) -> Batch:
        """Turned, mirrored, scaled, thinned and shaken; labels and truths by place no longer fit and stay behind."""
        moved, action = view(batch.x, self.policy)
        x, number = real_first(moved, self.raster.index(moved) < self.raster.count)
        dense = {task.name for task in self.tasks if task.kind == "dense"}
        return replace(
            batch,
            x=x,
            labels={name: column for name, column in batch.labels.items() if name not in dense},
            extra={"points": number, "occupied": self.raster.occupied(x), "action": action},
        )

    def intensity(self, batch: Batch) -> Tensor:
        raise UsageError(
            f"{self.name}/{self.dataset} holds points, not pictures; methods on ratios of intensities cannot run"
        )

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        return features.whole(batch.x, self.raster, self.height)

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """The folder of this data set below the data root; DataError when either is missing."""
        name = f"{cls.name}/{cls.stored()}"
        if root is None:
            raise DataError(f"{name} needs a data root; set JEPAKIT_DATA (or --data) to the folder that holds {name}")
        folder = root / cls.name / cls.stored()
        if not folder.is_dir():
            raise DataError(
                f"the data root {root} has no folder {name}; {cls.remedy()} or set JEPAKIT_DATA (or --data) to the folder "
                "that holds it"
            )
        return folder

    @classmethod
    def stored(cls) -> str:
        """Name of the folder below ``lidar``: the folds of a data set share one."""
        return cls.dataset

    @classmethod
    def remedy(cls) -> str:
        """What to do when the files are missing or broken."""
        return f"put the files of {cls.card.title} there"
