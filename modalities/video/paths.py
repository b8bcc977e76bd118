"""Paths: how sprites move. Six motions in a round pen whose single moments are all alike.

A sprite moves on a chord of its pen and bounces off the wall, or circles around the middle. It starts at a uniform place of
the pen, and each motion takes uniform places to uniform places; so at every single moment it is anywhere, whatever the
motion, and one frame tells nothing about it. All motions have the same distribution of speeds. Of speeding up and slowing
down, one is the other played backwards, and so are the two circles: what frames without their order cannot tell.
"""

from __future__ import annotations

import numpy as np

MOTIONS = ("horizontal", "vertical", "rising", "falling", "clockwise", "counterclockwise")
CHORD = np.array([0.0, np.pi / 2, -np.pi / 4, np.pi / 4])  # directions of the first four; y points down
ORDERS = ("slowing down", "speeding up")
GAIN = 0.6  # the speed goes from 1 − GAIN to 1 + GAIN times its mean, or back


def places(random: np.random.Generator, n: int, radius: float) -> np.ndarray:
    """Uniform places (n, 2) in a disc around the origin."""
    away = radius * np.sqrt(random.random(n))
    angle = 2 * np.pi * random.random(n)
    return np.stack([away * np.cos(angle), away * np.sin(angle)], 1)


def advance(speed: np.ndarray, order: np.ndarray, time: np.ndarray, last: float) -> np.ndarray:
    """Distance gone (n, t) by each ``time`` of a clip that ends at ``last``; both orders cover speed · last."""
    gain = np.where(order == 1, GAIN, -GAIN)[:, None]
    return np.asarray(speed[:, None] * time * (1 + gain * (time / last - 1)))


def fold(x: np.ndarray, half: np.ndarray) -> np.ndarray:
    """A straight line as a path that is thrown back at −half and at half."""
    phase = np.mod(x + half, 4 * half)
    return np.asarray(np.where(phase < 2 * half, phase - half, 3 * half - phase))


def follow(start: np.ndarray, motion: np.ndarray, side: np.ndarray, gone: np.ndarray, radius: float) -> np.ndarray:
    """Places (n, t, 2) around the middle of the pen after the distances ``gone`` (n, t).

    ``side``: 1 or −1, which way a chord is first gone along.
    """
    circles = motion >= len(CHORD)
    angle = CHORD[np.where(circles, 0, motion)]
    along = np.stack([np.cos(angle), np.sin(angle)], 1)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    there, beside = (start * along).sum(1), (start * across).sum(1)
    half = np.sqrt(np.maximum(radius**2 - beside**2, 1e-12))
    moved = fold(there[:, None] + side[:, None] * gone, half[:, None])
    chord = moved[..., None] * along[:, None] + beside[:, None, None] * across[:, None]
    away = np.maximum(np.sqrt((start**2).sum(1)), 1e-6)
    turn = np.where(motion == len(CHORD), 1.0, -1.0)[:, None] * gone / away[:, None]
    cos, sin = np.cos(turn), np.sin(turn)
    x, y = start[:, :1], start[:, 1:]
    circle = np.stack([cos * x - sin * y, sin * x + cos * y], -1)
    return np.asarray(np.where(circles[:, None, None], circle, chord))
