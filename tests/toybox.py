"""Opens and closes the toy box: registers tests/toy.py for one test and takes everything out of the registries again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark import plugin
from jepakit import registry

TOY = Path(__file__).with_name("toy.py")
# A whole board in well under a second; every test that runs cells adds these words.
TINY = ("train.steps=10", "train.batch_size=16", "size.dim=8", "size.depth=1")


@contextmanager
def registries() -> Iterator[None]:
    """Whatever is registered inside the block is forgotten after it."""
    every = (registry.methods, registry.datasets, registry.probes)
    kept = [(one, dict(one._entries), dict(one._families)) for one in every]
    try:
        yield
    finally:
        for one, entries, families in kept:
            one._entries.clear()
            one._entries.update(entries)
            one._families.clear()
            one._families.update(families)


@contextmanager
def toys() -> Iterator[None]:
    """The toy data sets and methods beside the real ones."""
    plugin.everything()
    with registries():
        plugin.load(TOY)
        yield
