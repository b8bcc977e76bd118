"""EcgModality: what the ECG data sets share: views, hand-made features and the place of their files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from jepakit.types import Batch, DataError
from modalities.ecg.features import rhythm_and_beat
from modalities.ecg.views import view
from modalities.signals import SignalModality

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
INDEPENDENT = (0, 1, *range(6, 12))  # the other limb leads are sums of I and II (Kim 2024)


class EcgModality(SignalModality):
    """An ECG data set: subclasses add ``dataset``, ``card``, ``tasks`` and ``read``."""

    name: ClassVar[str] = "ecg"
    board = (
        "ecgjepa", "ecgjepa-kim", "ijepa", "lejepa", "mae", "simclr", "supervised", "random_init", "raw_features",
    )  # fmt: skip

    def views(self, batch: Batch) -> Batch:
        return batch.with_x(view(batch.x, self.rate))

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """RR statistics, median beat, beat-to-beat deviation and band powers of the whole recording."""
        return rhythm_and_beat(batch.x, self.rate)

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """The folder of this data set below the data root; DataError when either is missing."""
        name = f"{cls.name}/{cls.dataset}"
        if root is None:
            raise DataError(
                f"{name} needs a data root; run `make data MODALITY={cls.name}` or set JEPAKIT_DATA (or --data) to the "
                f"folder that holds {name}"
            )
        folder = root / cls.name / cls.dataset
        if not folder.is_dir():
            raise DataError(
                f"the data root {root} has no folder {name}; run `make data MODALITY={cls.name}` or set JEPAKIT_DATA "
                f"(or --data) to the folder that holds it"
            )
        return folder
