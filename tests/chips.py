"""The chips of the contracts, under the name that tests know them by."""

from benchmark.contracts.toys.chips import Chips

__all__ = ["Chips"]
