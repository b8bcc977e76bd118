"""The waves of the contracts, under the name that tests know them by."""

from benchmark.contracts.toys.waves import Bodies, Linear, Waves

__all__ = ["Bodies", "Linear", "Waves"]
