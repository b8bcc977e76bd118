"""Planted collapses: view-based methods without the one part that is said to hold them, each beside the intact method.

``pairs`` has what the papers say and the rule a run must pass, ``arms`` trains, ``table`` tells;
``python -m benchmark.planted``.
"""
