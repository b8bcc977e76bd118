"""Log-mel spectra and the field's hand-made features of sound: MFCC in five segments, MFCC and log-mel statistics."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchaudio.functional import create_dct, melscale_fbanks

SEGMENTS, COEFFICIENTS = 5, 20
LAGS = 8  # samples between two ears, to either side
FLOOR = 1e-6  # added to the power: 60 dB below a sound of root mean square 1
ACTIVE = 12.0  # a frame within e^-12 (52 dB) of the loudest belongs to the sound


class LogMel(nn.Module):
    """Waveform (b, t) → log power in mel bands (b, bands, t // hop), Hann windows of ``window`` samples centred on the
    hops."""

    hann: Tensor
    banks: Tensor

    def __init__(self, rate: float, window: int, hop: int, bands: int) -> None:
        super().__init__()
        self.window, self.hop = window, hop
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        banks = melscale_fbanks(window // 2 + 1, 0.0, rate / 2, bands, int(rate))
        self.register_buffer("banks", banks.mT.contiguous(), persistent=False)

    def forward(self, x: Float[Tensor, "b t"]) -> Float[Tensor, "b m f"]:
        with torch.autocast(x.device.type, enabled=False):  # log of a small power: never in half precision
            wave, frames = x.float(), x.shape[-1] // self.hop
            # Frames are centred on hop/2, 3·hop/2 …, so that each lies in the middle of the samples that it stands for.
            margin = (self.window - self.hop) // 2
            wave = nn.functional.pad(wave, (margin, self.window))
            pieces = wave.unfold(-1, self.window, self.hop)[:, :frames]
            spectrum = torch.fft.rfft(pieces * self.hann).abs().square() / self.hann.square().sum()
            return (spectrum @ self.banks.mT + FLOOR).log().mT


def active(mel: Float[Tensor, "b m f"]) -> Float[Tensor, "b f"]:
    """1.0 from the first to the last frame whose loudest band is near the loudest of the clip; else 0."""
    peak = mel.amax(1)
    loud = peak >= peak.amax(1, keepdim=True) - ACTIVE
    return (loud.cummax(1).values & loud.flip(1).cummax(1).values.flip(1)).to(mel.dtype)


def moments(x: Float[Tensor, "b c f"], weight: Float[Tensor, "b f"]) -> Float[Tensor, "b e"]:
    """Mean and standard deviation over the weighted frames."""
    share = (weight / weight.sum(1, keepdim=True).clamp_min(1))[:, None]
    mean = (x * share).sum(-1)
    return torch.cat([mean, ((x - mean[..., None]).square() * share).sum(-1).sqrt()], 1)


def usual(mel: Float[Tensor, "b m f"]) -> Float[Tensor, "b e"]:
    """Twenty MFCC averaged in five equal segments of the sounding part, and mean and deviation of MFCC and of the bands."""
    sounding = active(mel)
    mfcc = create_dct(COEFFICIENTS, mel.shape[1], "ortho").to(mel).mT @ mel
    done = sounding.cumsum(1)
    place = ((done - 0.5) / done[:, -1:].clamp_min(1) * SEGMENTS).clamp(0, SEGMENTS - 1).floor()
    means = []
    for segment in range(SEGMENTS):
        weight = sounding * (place == segment)
        # a sound of fewer frames than segments leaves some empty: those take the mean of the whole
        weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, sounding)
        means.append(moments(mfcc, weight)[:, :COEFFICIENTS])
    return torch.cat([*means, moments(mfcc, sounding), moments(mel, sounding)], 1)


def between(x: Float[Tensor, "b 2 t"]) -> Float[Tensor, "b e"]:
    """What two ears tell apart: the phase correlation (GCC-PHAT) at lags of up to ``LAGS`` samples, positive where the
    second channel is later, and the difference of their levels in dB."""
    with torch.autocast(x.device.type, enabled=False):
        first, second = torch.fft.rfft(x.float(), n=2 * x.shape[-1]).unbind(1)
        cross = first.conj() * second
        phase = torch.fft.irfft(cross / cross.abs().clamp_min(1e-9))
        power = x.float().square().mean(-1).clamp_min(1e-12)
    lags = torch.arange(-LAGS, LAGS + 1, device=x.device)
    return torch.cat([phase[:, lags], 10 * (power[:, 1:] / power[:, :1]).log10()], 1)
