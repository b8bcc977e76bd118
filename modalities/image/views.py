"""Views: random resized crops and colour changes of images, drawn per sample on the device without host synchronisation.

Every parameter of a view is reported: methods that predict across a known transformation (seq-JEPA, Ghaemi et al. 2025)
receive it as the action. All draws come from torch's default generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import kornia
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Pixels = Float[Tensor, "b c h w"]
GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601


@dataclass(frozen=True)
class Policy:
    """How far a view may go; what changes a label of the data set is 0 there.

    scale: smallest and largest share of the area that a crop keeps; ratio: of its width to its height, log-uniform;
    angle: largest rotation in degrees; flip: probability of a mirror image; brightness, contrast, saturation: largest
    deviation of the factor from 1; hue: largest turn of the colour circle; jitter: probability of these four; grey,
    blur, solarise: probabilities; sigma: range of the blur's width in pixels.
    """

    scale: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    angle: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter: float = 0.8
    grey: float = 0.0
    blur: float = 0.0
    sigma: tuple[float, float] = (0.1, 1.0)
    solarise: float = 0.0

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the parameters that this policy varies, in the order of ``Drawn.action``."""
        optional = ("angle", "flip", "brightness", "contrast", "saturation", "hue", "grey", "blur", "solarise")
        varied = tuple(name for name in optional if getattr(self, name) > 0)
        return ("crop_y", "crop_x", "log_height", "log_width", *varied)


# SimCLR's augmentation with the strengths used for 32-pixel photographs (eb_jepa 2026; solo-learn, da Costa et al. 2022).
PHOTOGRAPH = Policy(
    flip=0.5, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, grey=0.2, blur=0.5, solarise=0.1
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """The parameters of one view per sample, each (b,).

    y, x: centre of the crop and height, width: its sides, as shares of the image; angle: radians, positive turns the
    crop window from the x axis towards the y axis (which points down); flip, grey, solarise: 0 or 1; brightness,
    contrast, saturation: factors; hue: turns; blur: width in pixels of the view, 0 for none.
    """

    y: Tensor
    x: Tensor
    height: Tensor
    width: Tensor
    angle: Tensor
    flip: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor
    blur: Tensor
    solarise: Tensor

    def action(self, policy: Policy) -> Float[Tensor, "b a"]:
        """The parameters named by ``policy.actions`` in about unit range, 0 for the identity.

        crop_y, crop_x: centre in [−1, 1]; log_height, log_width: natural logarithms of the sides; the others as
        shares of the largest change that the policy allows.
        """
        columns = {
            "crop_y": 2 * self.y - 1,
            "crop_x": 2 * self.x - 1,
            "log_height": self.height.log(),
            "log_width": self.width.log(),
            "angle": self.angle / math.radians(policy.angle or 1.0),
            "flip": self.flip,
            "brightness": (self.brightness - 1) / (policy.brightness or 1.0),
            "contrast": (self.contrast - 1) / (policy.contrast or 1.0),
            "saturation": (self.saturation - 1) / (policy.saturation or 1.0),
            "hue": self.hue / (policy.hue or 1.0),
            "grey": self.grey,
            "blur": self.blur / policy.sigma[1],
            "solarise": self.solarise,
        }
        return torch.stack([columns[name] for name in policy.actions], 1)


def draw(policy: Policy, n: int, device: torch.device, scale: tuple[float, float] | None = None) -> Drawn:
    """Parameters of ``n`` views; ``scale`` replaces the policy's (local views)."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, device=device)

    def happens(probability: float) -> Tensor:
        return (torch.rand(n, device=device) < probability).float()

    area = uniform(*(scale or policy.scale))
    ratio = uniform(math.log(policy.ratio[0]), math.log(policy.ratio[1])).exp()
    # A side longer than the image is cut to it; the usual code redraws such crops, which a batch cannot.
    width, height = (area * ratio).sqrt().clamp_max(1), (area / ratio).sqrt().clamp_max(1)
    jitter = happens(policy.jitter)
    return Drawn(
        y=0.5 + (1 - height) * uniform(-0.5, 0.5),
        x=0.5 + (1 - width) * uniform(-0.5, 0.5),
        height=height,
        width=width,
        angle=math.radians(policy.angle) * uniform(-1, 1),
        flip=happens(policy.flip),
        brightness=1 + jitter * policy.brightness * uniform(-1, 1),
        contrast=1 + jitter * policy.contrast * uniform(-1, 1),
        saturation=1 + jitter * policy.saturation * uniform(-1, 1),
        hue=jitter * policy.hue * uniform(-1, 1),
        grey=happens(policy.grey),
        blur=happens(policy.blur) * uniform(*policy.sigma),
        solarise=happens(policy.solarise),
    )


def resample(x: Pixels, drawn: Drawn, side: int) -> Pixels:
    """The crop windows of square images, turned and mirrored, as ``side`` × ``side`` pixels (bilinear).

    Pixel centres lie at (i + ½)/side of the window. A crop is hardly ever shrunk (a local view by a tenth), so no
    low-pass filter comes first. Outside the image its border goes on.
    """
    cos, sin, mirror = drawn.angle.cos(), drawn.angle.sin(), 1 - 2 * drawn.flip
    theta = torch.stack(
        [
            torch.stack([drawn.width * mirror * cos, -drawn.height * sin, 2 * drawn.x - 1], 1),
            torch.stack([drawn.width * mirror * sin, drawn.height * cos, 2 * drawn.y - 1], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [len(x), x.shape[1], side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def recolour(x: Pixels, drawn: Drawn, policy: Policy) -> Pixels:
    """Brightness, contrast, saturation, hue, grey, blur, solarise, in this order, on values in [0, 1].

    torchvision draws the order of the first four anew each time; here it is fixed. What the policy does not use costs
    nothing. One-channel images have no saturation, hue or grey.
    """

    def each(value: Tensor) -> Tensor:
        return value[:, None, None, None]

    if policy.brightness:
        x = (x * each(drawn.brightness)).clamp(0, 1)
    if policy.contrast:
        middle = luma(x).mean((1, 2, 3), keepdim=True)
        x = (middle + (x - middle) * each(drawn.contrast)).clamp(0, 1)
    if policy.saturation:
        x = luma(x).lerp(x, each(drawn.saturation)).clamp(0, 1)
    if policy.hue:
        colour, *others = kornia.color.rgb_to_hsv(x).split(1, 1)
        colour = (colour + 2 * math.pi * each(drawn.hue)).remainder(2 * math.pi)
        x = torch.where(each(drawn.hue) == 0, x, kornia.color.hsv_to_rgb(torch.cat([colour, *others], 1)))
    if policy.grey:
        x = torch.where(each(drawn.grey) > 0, luma(x), x)
    if policy.blur:
        width = drawn.blur.clamp_min(policy.sigma[0])[:, None].expand(-1, 2)
        size = 2 * math.ceil(2 * policy.sigma[1]) + 1
        smooth = kornia.filters.gaussian_blur2d(x, (size, size), width)
        x = torch.where(each(drawn.blur) > 0, smooth, x)
    if policy.solarise:
        x = torch.where((each(drawn.solarise) > 0) & (x >= 0.5), 1 - x, x)
    return x


def luma(x: Pixels) -> Float[Tensor, "b 1 h w"]:
    """The grey value of colour pixels; one-channel images are grey already."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.split(1, 1)
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue
