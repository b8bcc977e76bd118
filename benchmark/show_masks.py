"""Figures of what a method sees and asks for: ``python -m benchmark show-masks ijepa image dataset=shapes``.

Samples go through the method's own training step, so the drawn sets are those of its masker after tokenizer and target, and
the drawn views those that its encoder gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # a file is written, no window opened

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from benchmark import cell, request
from benchmark.atomic import atomic
from benchmark.strips import picture, strip
from jepakit.masking import Masker
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.pretrain import build
from jepakit.randomness import reseed
from jepakit.registry import datasets
from jepakit.types import Batch, Data, Split, UsageError

BATCH = 16  # samples in the step that is drawn: some maskers and losses need more than are shown
CONTEXT, COLOURS = "#0072B2", ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#666666", "#F0E442")
PALE = 0.82  # how far hidden places fade to white


@dataclass(frozen=True)
class Masks:
    """One split, as sets of tokens. grid: token axes, row-major, n = ∏ grid; context: (b, m, n) True where a context sees;
    target: (b, m, t, n) True where a group is asked for, in the order of the groups; place: of the electrodes, where tokens
    are said to lie in space (right, front, up; then time)."""

    grid: tuple[int, ...]
    context: Bool[np.ndarray, "b m n"]
    target: Bool[np.ndarray, "b m t n"]
    place: Float[np.ndarray, "c 3"] | None = None


@dataclass(frozen=True)
class Sound:
    """A spectrogram (bands, frames), lowest band first: what tiles are cut from."""

    bands: Float[np.ndarray, "m f"]


@dataclass(frozen=True)
class Heads:
    """Electrodes (right, front, up) that are drawn on a head, one head per stretch of time."""

    place: Float[np.ndarray, "c 3"]


Ground = np.ndarray | Sound | Heads  # what a set of tokens lies on


@dataclass(frozen=True)
class Scene:
    """What is drawn. x: the inputs as the objective got them (b, …); masks: each split of the step; views, small: the views
    and small crops that it asked for, in order, shaped like inputs; leads: the channels that channel tokens are made of;
    sound: the spectrograms (b, bands, frames) whose tiles are tokens, and the grid of the tiles."""

    x: Float[np.ndarray, "b ..."]
    masks: tuple[Masks, ...]
    views: tuple[np.ndarray, ...]
    small: tuple[np.ndarray, ...]
    leads: tuple[int, ...] = ()
    sound: tuple[np.ndarray, tuple[int, ...]] | None = None

    def under(self, sample: int, masks: Masks) -> Ground:
        """What the tokens of ``masks`` lie on in ``sample``: a head, a spectrogram, the input, or only its leads for channel
        tokens of a signal."""
        if masks.place is not None:
            return Heads(masks.place)
        if self.sound is not None and masks.grid == self.sound[1]:
            return Sound(self.sound[0][sample])
        x: np.ndarray = self.x[sample]
        return x[list(self.leads)] if x.ndim == 2 and len(masks.grid) == 2 and self.leads else x


def flags(index: torch.Tensor, count: int) -> np.ndarray:
    """Indices (…, k) as membership (…, count)."""
    made = torch.zeros(*index.shape[:-1], count, dtype=torch.bool)
    return made.scatter(-1, index.cpu(), True).numpy()


def masks_of(
    split: Split, grid: tuple[int, ...], pos: torch.Tensor | None = None, valid: torch.Tensor | None = None
) -> Masks:
    """The sets behind a split on ``grid``; ``pos`` (b, n, p): coordinates of the tokens; ``valid`` (b, n): no padding."""
    count = int(np.prod(grid))
    apart = pos is not None and len(grid) == 2 and pos.shape[-1] == 4  # channels by times, each at (x, y, z, time)
    place = pos[0, :: grid[-1], :3].cpu().numpy() if pos is not None and apart else None
    real = np.ones((1, 1, count), bool) if valid is None else valid[:, None].cpu().numpy()
    return Masks(grid, flags(split.context, count) & real, flags(split.target, count) & real[:, :, None], place)


def spectrograms(modality: Modality, batch: Batch) -> tuple[np.ndarray, tuple[int, ...]] | None:
    """The spectrograms of a batch and the grid of their tiles, where the data set has any."""
    if not hasattr(modality, "spectral"):
        return None
    tokens = modality.spectral()
    (rows, columns), (high, wide) = tokens.grid, tokens.tile
    tiles = tokens.patches(batch).unflatten(2, (high, wide)).unflatten(1, (rows, columns))  # b rows columns high wide
    return tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2).numpy(), (rows, columns)


@contextmanager
def _recorded(owner: Any, name: str, into: list[np.ndarray]) -> Iterator[None]:
    """Keeps what a modality's ``views`` or ``local_views`` gives while the block runs."""
    original = getattr(owner, name)

    def told(batch: Batch) -> Batch:
        made: Batch = original(batch)
        into.append(made.x.numpy())
        return made

    setattr(owner, name, told)
    try:
        yield
    finally:
        delattr(owner, name)


def scene(objective: Objective, modality: Modality, batch: Batch, progress: float = 0.0, seed: int = 0) -> Scene:
    """One training step on ``batch`` and what it looked at. ``modality`` is the object that the objective was built with.

    Raises UsageError for a method that neither hides tokens nor looks at views.
    """
    masks: list[Masks] = []
    views: list[np.ndarray] = []
    small: list[np.ndarray] = []
    outer = {id(inner) for m in objective.modules() if isinstance(m, Masker) for inner in m.children()}
    hooks = [
        # A masker inside another one (Columns) speaks of other tokens; the outer one's split is what is used.
        m.register_forward_hook(
            lambda masker, given, split: masks.append(masks_of(split, masker.grid, given[0].pos, given[0].valid))
        )
        for m in objective.modules()
        if isinstance(m, Masker) and id(m) not in outer
    ]
    reseed(seed, 0)
    try:
        with _recorded(modality, "views", views), _recorded(modality, "local_views", small), torch.no_grad():
            if objective.trains:
                objective(batch, progress)
    finally:
        for hook in hooks:
            hook.remove()
    if not (masks or views or small):
        raise UsageError(
            "this method hides no tokens and looks at no views; there is nothing to draw, name another one"
        )
    try:
        leads = tuple(getattr(modality.channelwise(), "leads", ()))
    except UsageError:  # no channel axis
        leads = ()
    return Scene(
        batch.x.numpy(),
        tuple(masks),
        tuple(views),
        tuple(small),
        leads,
        spectrograms(modality, batch) if masks else None,
    )


# Drawing -------------------------------------------------------------------------------------------------------------


def spread(member: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A set on a grid of two axes as pixels: (h, w) bool."""
    rows, columns = (np.arange(size) * side // size for size, side in zip(shape, member.shape))
    pixels: np.ndarray = member[np.ix_(rows, columns)]
    return pixels


def draw_plane(axes: Axes, image: np.ndarray, member: np.ndarray, colour: str) -> None:
    """The image where the set is, faded elsewhere, the set's tokens outlined."""
    inside = spread(member, (image.shape[0], image.shape[1]))[..., None]
    axes.imshow(np.where(inside, image, image * (1 - PALE) + PALE), interpolation="nearest")
    high, wide = image.shape[0] / member.shape[0], image.shape[1] / member.shape[1]
    for row, column in np.argwhere(member):
        for (dr, dc), ends in {
            (-1, 0): ((0, 0), (0, 1)), (1, 0): ((1, 0), (1, 1)), (0, -1): ((0, 0), (1, 0)), (0, 1): ((0, 1), (1, 1)),
        }.items():  # fmt: skip
            r, c = row + dr, column + dc
            if not (0 <= r < member.shape[0] and 0 <= c < member.shape[1] and member[r, c]):
                (top, left), (bottom, right) = ends
                x = ((column + left) * wide - 0.5, (column + right) * wide - 0.5)
                axes.plot(x, ((row + top) * high - 0.5, (row + bottom) * high - 0.5), color=colour, lw=1.2)


def draw_signal(axes: Axes, x: np.ndarray, member: np.ndarray | None, colour: str) -> None:
    """Channels (c, t) one above another; tokens of the set shaded. ``member``: (tokens,) or (channels, tokens)."""
    gap = 1.5 * float(np.quantile(np.abs(x), 0.995)) or 1.0
    many = x.shape[0]
    for channel, row in enumerate(x):
        axes.plot(np.arange(x.shape[1]), row - channel * gap, color="#222222", lw=0.6)
    if member is not None:
        rows = member[None] if member.ndim == 1 else member
        step, band = x.shape[1] / rows.shape[1], gap * many / len(rows)
        for r, row in enumerate(rows):
            edges = np.flatnonzero(np.diff(np.r_[False, row, False].astype(int)))
            for begin, end in edges.reshape(-1, 2):
                top = gap / 2 - r * band
                axes.fill_between([begin * step, end * step], top - band, top, color=colour, alpha=0.3, lw=0)
    axes.set_xlim(0, x.shape[1])
    axes.set_ylim(0.3 * gap - many * gap, 0.8 * gap)


def draw_cells(axes: Axes, member: np.ndarray, colour: str) -> None:
    """The set alone on its grid, for inputs without a picture; leading axes stand side by side."""
    flat = member.reshape(-1, *member.shape[-2:]) if member.ndim > 1 else member[None, None]
    line = np.concatenate([np.pad(one.astype(float), ((0, 0), (0, 1)), constant_values=np.nan) for one in flat], 1)
    rgba = np.ones((*line.shape, 4))
    rgba[line == 0] = (0.92, 0.92, 0.92, 1)
    rgba[line == 1] = matplotlib.colors.to_rgba(colour)
    axes.imshow(rgba, interpolation="nearest", aspect="equal" if member.ndim > 1 else "auto")


def draw_sound(axes: Axes, bands: np.ndarray, member: np.ndarray, colour: str) -> None:
    """The spectrogram where the set is, faded elsewhere, low tones below."""
    low, high = np.quantile(bands, (0.01, 0.99))
    image = plt.get_cmap("magma")(np.clip((bands - low) / max(high - low, 1e-9), 0, 1))[..., :3]
    draw_plane(axes, image, member, colour)
    axes.set_aspect("auto")
    axes.invert_yaxis()


def flattened(place: Float[np.ndarray, "c 3"]) -> Float[np.ndarray, "c 2"]:
    """The head seen from above, rolled flat: distance from the middle is the angle from the vertical, 1 at a right angle."""
    centred = place - [0.0, -1.5, 4.0]  # roughly the middle of the sphere that 10-20 electrodes lie on, in centimetres
    direction = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    angle = np.arccos(direction[:, 2]) / (np.pi / 2)
    along = direction[:, :2] / np.maximum(np.linalg.norm(direction[:, :2], axis=1, keepdims=True), 1e-9)
    flat: np.ndarray = along * angle[:, None]
    return flat


def draw_heads(axes: Axes, place: np.ndarray, member: np.ndarray, colour: str) -> None:
    """One head per stretch of time from left to right, nose up; electrodes of the set (c, times) filled."""
    at = flattened(place)
    edge = 1.08 * float(np.linalg.norm(at, axis=1).max())
    for time in range(member.shape[1]):
        middle = 2.8 * edge * time
        axes.add_patch(Circle((middle, 0), edge, fill=False, color="#888888", lw=0.8))
        nose = edge * np.array([[-0.13, 0, 0.13], [0.99, 1.16, 0.99]])
        axes.plot(nose[0] + middle, nose[1], color="#888888", lw=0.8)
        inside = member[:, time]
        axes.scatter(at[~inside, 0] + middle, at[~inside, 1], s=9, facecolors="white", edgecolors="#AAAAAA", lw=0.6)
        axes.scatter(at[inside, 0] + middle, at[inside, 1], s=18, color=colour)
    axes.set_xlim(-1.4 * edge, max(2.8 * edge * (member.shape[1] - 1), 0) + 1.4 * edge)
    axes.set_ylim(-1.1 * edge, 1.3 * edge)
    axes.set_aspect("equal")
    axes.set_anchor("W")


def draw(axes: Axes, x: Ground, member: np.ndarray | None, colour: str) -> None:
    """One panel: the input ``x`` of one sample with the set ``member`` (shaped like the grid; None: the input alone)."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if isinstance(x, Heads | Sound):
        if member is None:
            raise ValueError("heads and spectrograms are drawn with a set")
        if isinstance(x, Heads):
            draw_heads(axes, x.place, member.reshape(len(x.place), -1), colour)
        else:
            draw_sound(axes, x.bands, member, colour)
        return
    image = picture(x)
    if x.ndim == 4 and x.shape[0] in (1, 3) and (member is None or member.ndim == 3):
        image, member = strip(x, member)
        axes.set_anchor("W")
    if image is not None and (member is None or member.ndim == 2):
        if member is None:
            axes.imshow(image, interpolation="nearest")
        else:
            draw_plane(axes, image, member, colour)
    elif x.ndim == 2 and (member is None or member.ndim == 1 or member.shape[0] == x.shape[0]):
        draw_signal(axes, x, member, colour)
    elif member is not None:
        draw_cells(axes, member, colour)
    else:
        axes.text(0.5, 0.5, " × ".join(map(str, x.shape)), ha="center", va="center", transform=axes.transAxes)


Panel = tuple[str, Ground, np.ndarray | None, str]


def panels(seen: Scene, sample: int) -> list[Panel]:
    """(title, input, set or None, colour) of every panel of one sample, in the order of drawing."""
    out: list[Panel] = [("input", seen.x[sample], None, CONTEXT)]
    for number, masks in enumerate(seen.masks):
        x = seen.under(sample, masks)
        several = f"{number + 1}: " if len(seen.masks) > 1 else ""
        for m in range(masks.context.shape[1]):
            which = f" {m + 1}" if masks.context.shape[1] > 1 else ""
            context = masks.context[sample, m]
            title = f"{several}context{which} · {context.sum()} of {context.size}"
            out.append((title, x, context.reshape(masks.grid), CONTEXT))
            for t in range(masks.target.shape[2]):
                group = masks.target[sample, m, t]
                label = f"{several}target{which}" + (f" group {t + 1}" if masks.target.shape[2] > 1 else "")
                colour = COLOURS[t % len(COLOURS)]
                out.append((f"{label} · {group.sum()}", x, group.reshape(masks.grid), colour))
    out += [(f"view {i + 1}", view[sample], None, CONTEXT) for i, view in enumerate(seen.views)]
    out += [(f"small crop {i + 1}", view[sample], None, CONTEXT) for i, view in enumerate(seen.small)]
    return out


def figure(seen: Scene, samples: int, title: str) -> Figure:
    """``samples`` of the scene: side by side for pictures, one above another for signals and films."""
    per_sample = [panels(seen, sample) for sample in range(min(samples, len(seen.x)))]
    signals = seen.x.ndim in (3, 5)
    across = 1 if signals else len(per_sample[0])
    down = sum(len(one) for one in per_sample) if signals else len(per_sample)
    size = (10.0, 0.9 + 1.25 * down) if signals else (1.9 * across, 0.5 + 2.1 * down)
    drawn, grid = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    drawn.suptitle(title, fontsize=11, x=0.01, ha="left")
    places = iter(grid.flatten())
    for sample, own in enumerate(per_sample):
        for label, x, member, colour in own:
            axes = next(places)
            draw(axes, x, member, colour)
            name = f"sample {sample + 1} · {label}" if signals and label == "input" else label
            axes.set_title(name, fontsize=8, loc="left", color="black" if member is None else colour, pad=3)
    return drawn


def first_rows(data: Data, seed: int) -> torch.Tensor:
    """Rows of the step that is drawn, drawn from all of the training part."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(len(data), generator=generator)[:BATCH]


def show(
    method: str,
    words: Sequence[str],
    root: Path | None,
    results: Path,
    *,
    out: Path | None = None,
    rows: int = 3,
    progress: float = 0.0,
) -> Path:
    """Draw ``rows`` training samples of the data set in ``words`` as ``method`` sees them; the path of the PNG.

    ``words``: as for ``run`` (modality, dataset=, seed=, preset=, size.*, recipe.*). ``progress``: the share of the run that
    is over, for methods that change on the way. Raises UsageError.
    """
    if rows < 1 or not 0 <= progress < 1:
        raise UsageError(f"--rows is a number from 1 on and --progress from 0 to below 1, not {rows} and {progress}")
    asked = request.parse([*words, f"method={method}"])
    if asked.methods is None or len(asked.methods) != 1 or len(asked.datasets) != 1:
        raise UsageError("a figure shows one method on one data set; call show-masks once for each")
    name = f"{asked.modality}/{asked.datasets[0]}"
    seed = asked.seeds[0]
    own = cell.resolve(name, method, asked.preset, seed, asked.overrides, {})
    modality: Modality = datasets[name].make(root)
    objective = build(method, modality, own.size, seed, dict(own.settings)).train()
    data = modality.data("train")
    reseed(seed, 1)
    batch = modality.crop(data.batch(first_rows(data, seed)))
    try:
        seen = scene(objective, modality, batch, progress, seed)
    except UsageError as error:
        raise UsageError(f"{method}: {error}") from None
    drawn = figure(seen, rows, f"{method} on {name}" + (f" · {own.variant}" if own.variant else ""))
    path = out or results / "figures" / f"masks_{method}_{name.replace('/', '_')}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            drawn.savefig(file, dpi=130, format="png")
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name another file with --out") from None
    finally:
        plt.close(drawn)
    return path
