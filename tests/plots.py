"""The plots of the contracts, registered as data sets so that tests can run boards on them."""

from benchmark.contracts.toys.plots import PATCH, SIDE, Pillars, Plots, Town, cut
from jepakit.registry import datasets

datasets.register("plots/plots")(Plots)
datasets.register("plots/plots-town")(Town)

__all__ = ["PATCH", "SIDE", "Pillars", "Plots", "Town", "cut"]
