"""Images: a renderer with known factors, MNIST digits, CIFAR, Fashion-MNIST, Imagenette, any folder, any hub data set."""

from __future__ import annotations

from modalities.image import shapes  # isort: skip  # first: the default
from modalities.image import cifar, digits, folders, hub, idx

__all__ = ["cifar", "digits", "folders", "hub", "idx", "shapes"]
