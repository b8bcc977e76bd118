"""The tiles of the contracts, under the name that tests know them by."""

from benchmark.contracts.toys.tiles import CHANNELS, PATCH, SIDE, Patches, Tiles, cut

__all__ = ["CHANNELS", "PATCH", "SIDE", "Patches", "Tiles", "cut"]
