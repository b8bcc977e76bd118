"""Contracts: what every method, data set and probe owes. ``python -m benchmark check FILE`` asks a contributor's file, the
suite's own tests ask everything that is registered; both through the functions of this folder."""
