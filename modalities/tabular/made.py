"""Made tables: rows from a known law, so that it is known which columns matter, which repeat others and which are noise.

Every table has a hidden state of four numbers. Relevant columns are one of these each; redundant ones are mixtures of them
with noise; the rest is noise of its own, with the same marginal laws. Some columns are shown as categories: quarters of
the number behind them; of the others one value in twenty is missing.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from jepakit.registry import datasets
from jepakit.types import Card
from modalities.tabular.base import TabularModality

STATE = 4
ROWS = {"train": 1200, "val": 400, "test": 1000}
DIGITS = 3  # of every number: what a processor does to the last bits is rounded away
GAPS = 0.05  # share of the numbers that nobody wrote down
BLUR = 0.5  # standard deviation of the noise of redundant columns, and of the answers
QUARTERS = (-0.6745, 0.0, 0.6745)  # of the normal law
SHOWN = {"relevant": STATE, "redundant": 6, "noise": 10}
CODED = (1, 5, 12)  # columns shown as categories: one relevant, one redundant, one noise


class Made(TabularModality):
    """A subclass says what is asked of the ``state`` (n, 4)."""

    embedded: ClassVar[bool] = True
    seed: ClassVar[int]

    @classmethod
    @abstractmethod
    def answer(cls, state: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The target of every row."""

    @classmethod
    def roles(cls) -> dict[str, str]:
        """relevant, redundant or noise, by column."""
        kinds = [kind for kind, number in SHOWN.items() for _ in range(number)]
        order = np.random.default_rng(cls.seed).permutation(len(kinds))  # no position gives a role away
        return {f"c{place:02d}": kinds[at] for place, at in enumerate(order)}

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        order = np.random.default_rng(cls.seed).permutation(sum(SHOWN.values()))
        mixing = np.random.default_rng(cls.seed + 1).standard_normal((STATE, SHOWN["redundant"]))
        mixing /= np.sqrt((mixing**2).sum(0))
        return {
            part: cls._part(rows, np.random.default_rng([cls.seed, number]), mixing, order)
            for number, (part, rows) in enumerate(ROWS.items())
        }

    @classmethod
    def _part(cls, rows: int, random: np.random.Generator, mixing: np.ndarray, order: np.ndarray) -> pd.DataFrame:
        state = random.standard_normal((rows, STATE))
        blurred = sum(state[:, [k]] * mixing[k] for k in range(STATE))
        blurred = (blurred + BLUR * random.standard_normal(blurred.shape)) / np.sqrt(1 + BLUR**2)
        noise = random.standard_normal((rows, SHOWN["noise"]))
        every = np.concatenate([state, blurred, noise], 1).round(DIGITS)
        gone = random.random(every.shape) < GAPS
        frame = pd.DataFrame(index=range(rows))
        for place, at in enumerate(order):
            name, value = f"c{place:02d}", every[:, at]
            frame[name] = (
                np.array(list("abcd"))[np.searchsorted(QUARTERS, value)]
                if at in CODED
                else np.where(gone[:, at], np.nan, value)
            )
        frame[cls.target] = cls.answer(state, random)
        return frame


def _card(title: str) -> Card:
    return Card(
        title=title,
        licence="Apache-2.0",
        source="modalities/tabular/made.py",
        citation="this repository",
        unit="row",
        notes="4 relevant, 6 redundant and 10 noise columns in an order drawn once; three of them are categories.",
    )


@datasets.register("tabular/made_linear")
class Linear(Made):
    """Three classes by which of three directions of the state is largest."""

    dataset = "made_linear"
    card = _card("Made rows: three classes parted by planes")
    seed = 300

    @classmethod
    def answer(cls, state: np.ndarray, random: np.random.Generator) -> np.ndarray:
        a, b, c, d = state.T
        votes = np.stack([a + 0.5 * b, b - 0.5 * c, c + d], 1) + BLUR * random.standard_normal((len(state), 3))
        return votes.argmax(1)


@datasets.register("tabular/made_pairs")
class Pairs(Made):
    """Two classes by the sign of products of pairs: no column tells anything by itself."""

    dataset = "made_pairs"
    card = _card("Made rows: two classes by products of pairs")
    seed = 310

    @classmethod
    def answer(cls, state: np.ndarray, random: np.random.Generator) -> np.ndarray:
        a, b, c, d = state.T
        return (a * b + c * d + BLUR * random.standard_normal(len(state)) > 0).astype(np.int64)


@datasets.register("tabular/made_steps")
class Steps(Made):
    """A value with a step, a bend, a slope and a product, in the manner of Friedman 1991."""

    dataset = "made_steps"
    regression: ClassVar[bool] = True
    card = _card("Made rows: a value of steps, bends and slopes (RMSE in its units)")
    seed = 320

    @classmethod
    def answer(cls, state: np.ndarray, random: np.random.Generator) -> np.ndarray:
        a, b, c, d = state.T
        value = 2.0 * (a > 0) + np.abs(b) + c + 0.5 * a * d + BLUR * random.standard_normal(len(state))
        return value.round(DIGITS)


@datasets.register("tabular/made_shells")
class Shells(Made):
    """Two classes by the length of the state: inside or outside a sphere."""

    dataset = "made_shells"
    card = _card("Made rows: inside or outside a sphere")
    seed = 330

    @classmethod
    def answer(cls, state: np.ndarray, random: np.random.Generator) -> np.ndarray:
        square = sum(state[:, k] ** 2 for k in range(STATE))
        # 3.357 is the median of chi-squared with four degrees of freedom.
        return (square + BLUR * random.standard_normal(len(state)) > 3.357).astype(np.int64)
