"""Views of known strength over the same data: none (the input itself), crops alone; ``full`` is the data set as it is.

Rows that see no views are the same on all of them.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from jepakit.registry import datasets
from jepakit.types import Batch, Card, UsageError
from modalities.ecg.simulated import Simulated
from modalities.ecg.views import zoom
from modalities.image.shapes import Shapes
from modalities.image.views import Policy

# No crop and no change; the crop of Shapes without its mirror images and colours.
POLICIES = {"none": Policy(scale=(1.0, 1.0), ratio=(1.0, 1.0)), "crop": Policy(scale=Shapes.policy.scale)}
STRENGTHS = tuple(POLICIES)


class Viewed(Shapes):
    """Shapes whose views go as far as ``policy``."""

    aside: ClassVar[bool] = True


class Zoomed(Simulated):
    """The simulated hearts, whose views are zooms in time alone, or the recording itself."""

    embedded: ClassVar[bool] = True
    aside: ClassVar[bool] = True
    crops: ClassVar[bool]

    def views(self, batch: Batch) -> Batch:
        return batch.with_x(zoom(batch.x)) if self.crops else batch


def _facts(kind: type[Shapes] | type[Simulated], strength: str, **more: Any) -> dict[str, Any]:
    """What both have. Raises UsageError for a strength that there is not."""
    if strength not in STRENGTHS:
        raise UsageError(
            f"{kind.name}/views- ends in {' or '.join(STRENGTHS)}, not in '{strength}'; full views are those of "
            f"{kind.name}/{kind.dataset}"
        )
    card = Card(
        title=f"{kind.card.title}; views: {strength}",
        licence=kind.card.licence,
        source="modalities/controlled/views.py",
        citation=kind.card.citation,
        unit=kind.card.unit,
        notes=kind.card.notes,
    )
    doc = f"{kind.dataset} with the views {strength}."
    return {"dataset": f"views-{strength}", "card": card, "__module__": __name__, "__doc__": doc, **more}


@datasets.register_family("image/views-")
@functools.cache
def image(strength: str) -> type[Viewed]:
    """The class of ``image/views-none`` and ``image/views-crop``."""
    return type(f"Viewed_{strength}", (Viewed,), _facts(Shapes, strength, policy=POLICIES.get(strength)))


@datasets.register_family("ecg/views-")
@functools.cache
def ecg(strength: str) -> type[Zoomed]:
    """The class of ``ecg/views-none`` and ``ecg/views-crop``."""
    return type(f"Zoomed_{strength}", (Zoomed,), _facts(Simulated, strength, crops=strength == "crop"))
