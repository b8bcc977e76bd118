"""Facts: what a registration says of a method, a probe or a data set is one of the words that the suite knows."""

from __future__ import annotations

from dataclasses import fields

from benchmark.contracts.verdict import need
from benchmark.space import space, tunable
from jepakit.pretrain import Training
from jepakit.registry import methods

FAMILIES = ("jepa", "mae", "contrastive", "supervised", "reference")
AUGMENTATIONS = ("none", "crop", "modality-specific")


def registered(name: str) -> None:
    """Family, augmentation, training settings and space of a method. Raises UsageError for a space that cannot be."""
    info = methods[name].info
    for fact, known in (("family", FAMILIES), ("augmentation", AUGMENTATIONS)):
        need(
            info.get(fact) in known,
            f"{fact}={info.get(fact)!r} is none of {', '.join(known)}; say {fact}=… in @methods.register",
        )
    need(str(info.get("paper", "")).strip(), "no paper is named; say paper=… in @methods.register, or paper='mine'")
    training = info.get("training", {})
    settings = {field.name for field in fields(Training)}
    for key in training:
        need(key in settings, f"training names '{key}', which is no setting of jepakit.pretrain.Training; remove it")
    if tunable(name):
        space(name)
