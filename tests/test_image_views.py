"""Views of images: where pixels go, against coordinates; what is reported; what a data set forbids; small crops."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Batch, Data, Part
from modalities.image.base import ImageModality, PatchTokenizer
from modalities.image.features import BINS, colours, hog
from modalities.image.parts import Images, assemble
from modalities.image.views import PHOTOGRAPH, Drawn, Policy, draw, luma, recolour, resample

SIDE = 32


class Ramp(ImageModality):
    """Red is the column of a pixel, green its row, blue a constant: any warp can be read off the colours."""

    dataset = "ramp"
    policy: ClassVar[Policy] = Policy(scale=(0.2, 1.0), angle=30.0, flip=0.5)
    crop_scale = (0.3, 1.0)

    @classmethod
    def read(cls, root: object) -> dict[Part, Data]:
        place = np.broadcast_to(np.arange(SIDE, dtype=np.uint8) * 8, (SIDE, SIDE))
        noise = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE), dtype=np.uint8)
        x = np.stack([np.stack([place, place.T, noise[k]]) for k in range(4)])
        unit = np.array(["a", "b", "c", "d"])
        one = {part: Images(np.roll(x, k, 0)[k : k + 1], {}, unit[k : k + 1]) for k, part in enumerate(("val", "test"))}
        return assemble("image/ramp", {"train": Images(x[3:], {}, unit[3:]), **one})  # type: ignore[dict-item]


def ramp(n: int = 64) -> tuple[Ramp, Batch]:
    modality = Ramp()
    return modality, modality.data("train").batch(torch.zeros(n, dtype=torch.long))


def expected(action: Tensor, names: tuple[str, ...], side: int, i: int, j: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where output pixel (row i, column j) of the view came from, by the definition of the parameters: source row and
    column in pixels (centres at whole numbers), and whether it lies inside the image."""
    of = {name: action[:, k] for k, name in enumerate(names)}
    down = (i + 0.5) / side - 0.5  # from the centre of the window, in its own sides
    right = (j + 0.5) / side - 0.5
    right = right * torch.where(of["flip"] > 0, -1.0, 1.0)
    down, right = down * of["log_height"].exp(), right * of["log_width"].exp()
    angle = of["angle"] * math.radians(30)
    y = (of["crop_y"] + 1) / 2 + torch.sin(angle) * right + torch.cos(angle) * down
    x = (of["crop_x"] + 1) / 2 + torch.cos(angle) * right - torch.sin(angle) * down
    row, column = y * SIDE - 0.5, x * SIDE - 0.5
    inside = (row > 0) & (row < SIDE - 1) & (column > 0) & (column < SIDE - 1)
    return row, column, inside


@pytest.mark.parametrize("local", [False, True])
def test_the_action_says_where_every_pixel_came_from(local: bool) -> None:
    modality, batch = ramp()
    torch.manual_seed(3)
    view = modality.local_views(batch) if local else modality.views(batch)
    side = view.x.shape[-1]
    assert side == (16 if local else 32)
    action = view.extra["action"]
    assert action.shape == (64, len(modality.actions))
    assert modality.actions == ("crop_y", "crop_x", "log_height", "log_width", "angle", "flip")
    pixels = modality.pixels(view.x) * 255 / 8  # columns and rows again
    seen = 0
    for i, j in ((0, 0), (3, side - 2), (side // 2, side // 3), (side - 1, side - 1), (side - 2, 1)):
        row, column, inside = expected(action, modality.actions, side, i, j)
        assert torch.allclose(pixels[:, 0, i, j][inside], column[inside], atol=1e-3)
        assert torch.allclose(pixels[:, 1, i, j][inside], row[inside], atol=1e-3)
        seen += int(inside.sum())
    assert seen > 200
    area = (action[:, 2] + action[:, 3]).exp()
    low, high = (0.05, 0.3) if local else (0.2, 1.0)
    assert float(area.min()) > low * 0.99 and float(area.max()) < high * 1.01 and 0.2 < float(action[:, 5].mean()) < 0.8


def test_identity_parameters_change_nothing_and_read_zero() -> None:
    one, zero = torch.ones(5), torch.zeros(5)
    still = Drawn(
        y=one / 2, x=one / 2, height=one, width=one, angle=zero, flip=zero, brightness=one, contrast=one, saturation=one,
        hue=zero, grey=zero, blur=zero, solarise=zero,
    )  # fmt: skip
    x = torch.rand(5, 3, SIDE, SIDE)
    assert torch.allclose(recolour(resample(x, still, SIDE), still, PHOTOGRAPH), x, atol=1e-5)
    assert PHOTOGRAPH.actions == (
        "crop_y", "crop_x", "log_height", "log_width", "flip", "brightness", "contrast", "saturation", "hue", "grey",
        "blur", "solarise",
    )  # fmt: skip
    assert torch.equal(still.action(PHOTOGRAPH), torch.zeros(5, 12))


def test_actions_stay_in_unit_range_and_use_it() -> None:
    torch.manual_seed(0)
    action = draw(PHOTOGRAPH, 4000, torch.device("cpu")).action(PHOTOGRAPH)
    assert float(action.abs().max()) <= 1.0001
    assert (action.amax(0) - action.amin(0) > 0.8).all()
    jittered = (action[:, 5] != 0).float().mean()
    assert abs(float(jittered) - 0.8) < 0.03


def test_colour_changes_by_hand() -> None:
    """One pixel colour, changed one way at a time, against numbers worked out by hand."""
    x = torch.tensor([0.5, 0.25, 0.75])[None, :, None, None].expand(1, 3, 8, 8).contiguous()
    grey = 0.299 * 0.5 + 0.587 * 0.25 + 0.114 * 0.75
    one, zero = torch.ones(1), torch.zeros(1)
    names = ("height", "width", "brightness", "contrast", "saturation")
    base = {name: one if name in names else zero for name in Drawn.__dataclass_fields__} | {"y": one / 2, "x": one / 2}
    policy = Policy(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5, grey=0.5, blur=0.5, solarise=0.5)
    cases = {
        "brightness": (one * 1.2, [0.6, 0.3, 0.9]),
        "contrast": (
            one * 0.5,
            [grey / 2 + v / 2 for v in (0.5, 0.25, 0.75)],
        ),  # the mean grey of a flat image is its own
        "saturation": (zero, [grey] * 3),
        "hue": (one / 3, [0.75, 0.5, 0.25]),  # a third of a turn: red → green → blue → red
        "grey": (one, [grey] * 3),
        "blur": (one, [0.5, 0.25, 0.75]),  # a flat image stays as it is
        "solarise": (one, [0.5, 0.25, 0.25]),
    }
    for name, (value, wanted) in cases.items():
        found = recolour(x, Drawn(**{**base, name: value}), policy)[0, :, 4, 4]
        assert torch.allclose(found, torch.tensor(wanted), atol=2e-3), name
    assert torch.allclose(luma(x)[0, 0, 0, 0], torch.tensor(grey))


def test_blur_is_a_gaussian_of_the_reported_width() -> None:
    x = torch.zeros(1, 1, 15, 15)
    x[..., 7, 7] = 1
    policy = Policy(blur=1.0, sigma=(0.5, 1.0))
    drawn = draw(policy, 1, torch.device("cpu"))
    spread = recolour(x, drawn, policy)[0, 0]
    place = torch.arange(15.0) - 7
    variance = float((spread.sum(0) * place**2).sum() / spread.sum())
    width = float(drawn.blur)
    assert abs(variance - width**2) < 0.12 * width**2


def test_views_start_from_the_image_and_not_from_the_training_crop() -> None:
    modality, batch = ramp()
    torch.manual_seed(0)
    cropped = modality.crop(batch)
    assert cropped.x.shape == batch.x.shape and not torch.equal(cropped.x, batch.x)
    reference = torch.random.get_rng_state()
    from_crop = modality.views(cropped)
    torch.random.set_rng_state(reference)
    assert torch.equal(from_crop.x, modality.views(batch).x) and set(from_crop.extra) == {"action"}


def test_views_and_crops_keep_full_precision_under_autocast() -> None:
    modality, batch = ramp(8)
    for make in (modality.views, modality.local_views, modality.crop):
        torch.manual_seed(0)
        plain = make(batch).x
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(make(batch).x, plain)


def test_training_crops_are_ijepas_area_without_a_mirror() -> None:
    modality, batch = ramp(200)
    torch.manual_seed(0)
    column = modality.pixels(modality.crop(batch).x)[:, 0, 16]
    step = (column[:, -2] - column[:, 1]) * 255 / 8 / (SIDE - 3)  # source pixels per pixel
    assert (step > 0).all() and float(step.min()) > 0.45 and float(step.max()) < 1.01


@pytest.mark.parametrize(
    "name", ["image/shapes", "image/mnist5k", "image/cifar10", "image/fashion-mnist", "image/speckle"]
)
def test_policies_respect_labels(name: str) -> None:
    kind = datasets[name].make
    actions = kind.policy.actions
    assert ("flip" in actions) == (name != "image/mnist5k")
    assert ({"saturation", "hue", "grey"} & set(actions) != set()) == (kind.channels == 3)
    assert (kind.crop_scale is None) == (name != "image/cifar10")


def test_views_of_digits_are_batched_standardised_and_repeatable() -> None:
    modality = datasets["image/mnist5k"].make(None)
    data = modality.data("train")
    batch = data.batch(torch.arange(0, 3000, 100))
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(modality.views(batch))
    assert torch.equal(drawn[0].x, drawn[1].x) and drawn[0].x.shape == (30, 1, 28, 28)
    assert torch.equal(drawn[0].labels["digit"], batch.labels["digit"])
    other = modality.views(batch)
    assert (other.x != drawn[0].x).flatten(1).any(1).all()
    pixels = modality.pixels(drawn[0].x)
    assert float(pixels.min()) > -1e-5 and float(pixels.max()) < 1 + 1e-5
    black = (0 - data.scale[0]) / data.scale[1]
    assert torch.isclose(drawn[0].x.amin(), black.squeeze(), atol=1e-4)
    assert modality.local_views(batch).x.shape == (30, 1, 12, 12)  # half of 28 in whole patches of 4


def test_tokens_are_the_patches_and_small_crops_spread_over_the_grid() -> None:
    tokenizer = PatchTokenizer(3, 4, (8, 8), 5)
    x = torch.randn(2, 3, 32, 32)
    tokens = tokenizer(Batch(x))
    assert torch.equal(tokens.pos[0, :10, 0], torch.tensor([0.0] * 8 + [1.0] * 2))
    assert torch.equal(tokens.pos[0, :10, 1], torch.tensor([0.0, 1, 2, 3, 4, 5, 6, 7, 0, 1]))
    patches = Ramp().patches(Batch(x))
    assert torch.equal(patches[1, 9], x[1, :, 4:8, 4:8].flatten())  # row 1, column 1
    assert torch.allclose(tokens.x, patches @ tokenizer.project.weight.flatten(1).T, atol=1e-5)
    small = tokenizer(Batch(x[..., :16, :16]))
    assert small.x.shape == (2, 16, 5) and small.pos[0, :4, 1].tolist() == [0.5, 2.5, 4.5, 6.5]
    with pytest.raises(ValueError, match="no whole patches of 4"):
        tokenizer(Batch(x[..., :30]))


def slow_hog(image: np.ndarray, cell: int) -> np.ndarray:
    """The same descriptor, pixel by pixel (Dalal & Triggs 2005)."""
    c, h, w = image.shape
    rows, columns = h // cell, w // cell
    votes = np.zeros((rows, columns, BINS))
    for i in range(h):
        for j in range(w):
            best = (-1.0, 0.0)
            for k in range(c):
                right = image[k, i, min(j + 1, w - 1)] - image[k, i, max(j - 1, 0)]
                down = image[k, min(i + 1, h - 1), j] - image[k, max(i - 1, 0), j]
                size = math.hypot(right, down)
                if size > best[0]:
                    best = (size, math.atan2(down, right) % math.pi)
            place = best[1] / (math.pi / BINS) - 0.5
            low = math.floor(place)
            votes[i // cell, j // cell, low % BINS] += best[0] * (1 - (place - low)) / cell**2
            votes[i // cell, j // cell, (low + 1) % BINS] += best[0] * (place - low) / cell**2
    out = np.zeros((4 * BINS, rows - 1, columns - 1))
    for i in range(rows - 1):
        for j in range(columns - 1):
            block = np.concatenate([votes[i, j], votes[i, j + 1], votes[i + 1, j], votes[i + 1, j + 1]])
            block = np.minimum(block / math.sqrt((block**2).sum() + 1e-6), 0.2)
            out[:, i, j] = block / math.sqrt((block**2).sum() + 1e-6)
    return out.ravel()


def test_hog_against_a_loop_over_pixels() -> None:
    x = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    found = hog(x, 4)
    assert found.shape == (2, 2 * 2 * 4 * BINS)
    for row, image in zip(found, x, strict=True):
        assert np.allclose(row.numpy(), slow_hog(image.double().numpy(), 4), atol=1e-5)


def test_colour_histogram_by_hand() -> None:
    x = torch.zeros(1, 3, 2, 2)
    x[0, :, 0, 0] = torch.tensor([1.0, 0.5, 0.0])  # cell (3, 2, 0)
    found = colours(x)[0]
    wanted = torch.zeros(64)
    wanted[0], wanted[3 * 16 + 2 * 4] = math.sqrt(0.75), math.sqrt(0.25)
    assert torch.allclose(found, wanted)
