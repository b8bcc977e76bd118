"""jepakit: the shared library of a benchmark for joint-embedding predictive architectures.

Importing the package is cheap; torch is loaded by its modules: ``from jepakit import nn, masking, targets``.
"""

__version__ = "0.1.0"
