# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Encoder of blocks of I/Q samples by their second-order statistics.

What tells beams apart at a receiver is the channel that each beam excites: a short impulse response and a
level, seen through payload that is random and through a phase that nobody knows. Averaged over such payload,
what is left of the channel is the block's autocorrelation; its samples themselves are noise to a classifier.
So the network is built on estimates of that, and learns which ones to make and how to compare them:

    block --[RMS = 1]--> periodogram --> log energies of learned filters, autocorrelation, kurtosis --> MLP

- *Filter bank*: complex filters, begun as a windowed Fourier transform. The mean of |y_f|^2 over the block
  is, by Parseval's theorem, the periodogram weighted with |W_f|^2: so no filter is ever run, and a thousand
  blocks cost a matrix product. Logarithms make of a filter in the channel or front end an offset, which
  centring by a domain's mean takes away.
- *Autocorrelation* at the first lags, over the energy: the same information, but white noise is in none of
  it, while the logarithms of a weak signal's energies show little but noise.
- *Kurtosis*: the mark of the modulation, of bursts and of compression by an amplifier.

Turning the phase or shifting the block in a circle changes none of these. There is no normalisation layer
that would learn the statistics of one antenna; features are standardised by constants measured once, on the
first training blocks (``fit_features``).

N blocks of L samples, F filters, D values of the embedding.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import torch
from torch import nn

from radiofm_ml.arguments import is_whole

NORMALISATIONS = ("none", "rms")
_TINY = 1e-12
_LEAST_SCALE = 1e-7


@dataclass(frozen=True)
class IQEncoderConfig:
    """Shape of an encoder.

    normalise       'rms': each block is divided by its root mean square, and energies are in log units;
                    'none': blocks as they come, and their moments as they are
    level           with 'rms': the level taken away, in log units, is one feature more
    filters, taps   F complex filters of so many samples
    lags            the autocorrelation's, from 1 on
    hidden, depth   width and number of hidden layers of the MLP
    embedding_size  D
    """

    normalise: str = "rms"
    level: bool = False
    filters: int = 96
    taps: int = 64
    lags: int = 48
    hidden: int = 256
    depth: int = 2
    embedding_size: int = 64

    def __post_init__(self):
        if self.normalise not in NORMALISATIONS:
            raise ValueError(f"normalise must be one of {', '.join(NORMALISATIONS)}, got {self.normalise!r}")
        if not isinstance(self.level, bool):
            raise ValueError(f"level must be true or false, got {self.level!r}")
        if self.level and self.normalise == "none":
            raise ValueError("level is taken away with normalise 'rms' only")
        for f in fields(self):
            if f.name in ("normalise", "level"):
                continue
            value, low = getattr(self, f.name), 0 if f.name in ("depth", "lags") else 1
            if not is_whole(value, low, 65536):
                raise ValueError(f"{f.name} must be a whole number from {low} to 65536, got {value!r}")

    @property
    def features(self) -> int:
        """Length of the vector of statistics that the MLP reads."""
        return self.filters + 2 * self.lags + 1 + self.level

    @property
    def shortest(self) -> int:
        """The fewest samples that a block may have."""
        return max(self.taps, self.lags + 1)

    def to_dict(self) -> dict:
        return {"kind": "iq-cnn", **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict) -> IQEncoderConfig:
        """Raises ValueError naming the key."""
        known = {f.name for f in fields(cls)}
        for key in values.keys() - known:
            raise ValueError(f"unknown key {key!r}")
        return cls(**values)


class IQEncoder(nn.Module):
    """float32 (N, L, 2), I and Q last, to embeddings float32 (N, D). See the module's text."""

    def __init__(self, config: IQEncoderConfig):
        super().__init__()
        self.config = config
        real, imaginary = _fourier(config.filters, config.taps)
        self.real, self.imaginary = nn.Parameter(real), nn.Parameter(imaginary)
        self._kept = None  # see _responses
        self.register_buffer("offset", torch.zeros(config.features))
        self.register_buffer("scale", torch.ones(config.features))
        widths = [config.features] + [config.hidden] * config.depth
        layers = [part for a, b in zip(widths, widths[1:], strict=False)
                  for part in (nn.Linear(a, b), nn.GELU())]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], config.embedding_size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp((self.statistics(x) - self.offset) / self.scale).float()

    def statistics(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (N, features): energies (F), the autocorrelation's real and its imaginary part (a value a
        lag each), the envelope's fourth moment (normalised: kurtosis), and the level if asked for. Raises
        ValueError for another shape."""
        if x.ndim != 3 or x.shape[2] != 2 or x.shape[1] < self.config.shortest:
            raise ValueError(f"blocks must be (N, L, 2) with L of at least {self.config.shortest} samples, "
                             f"got {tuple(x.shape)}")
        length, lags = x.shape[1], self.config.lags
        with torch.autocast(x.device.type, enabled=False):  # squares of small numbers need their digits
            samples = torch.view_as_complex(x.float().contiguous())
            envelope = _power(samples)
            fourth = envelope.square().mean(1, keepdim=True)
            spectrum = _power(torch.fft.fft(samples)) / length**2  # (N, L), sums to the power
            power = envelope.mean(1, keepdim=True)
            if self.config.normalise == "rms":
                power = power.clamp_min(_TINY)
                spectrum, fourth = spectrum / power, fourth / power.square()
            energies = spectrum @ self._responses(length).T
            if self.config.normalise == "rms":
                energies = energies.clamp_min(_TINY).log()
            acf = torch.fft.ifft(spectrum, norm="forward")[:, 1:lags + 1]
            parts = [energies, acf.real, acf.imag, fourth]
            if self.config.level:
                parts.append(power.log())
            return torch.cat(parts, 1)

    def _responses(self, length: int) -> torch.Tensor:
        """Power of the filters' frequency responses, float32 (F, length); kept when they do not train."""
        state = length, self.real.device, self.real._version, self.imaginary._version
        if self.real.requires_grad or self._kept is None or self._kept[0] != state:
            made = _power(torch.fft.fft(torch.complex(self.real, self.imaginary), length))
            self._kept = None if self.real.requires_grad else (state, made)
            return made
        return self._kept[1]

    @torch.no_grad()
    def fit_features(self, x: torch.Tensor) -> None:
        """Measure the constants that standardise the features, on blocks (N, L, 2)."""
        features = self.statistics(x)
        self.offset.copy_(features.mean(0))
        self.scale.copy_(features.std(0, unbiased=False).clamp_min(_LEAST_SCALE))


def _power(x: torch.Tensor) -> torch.Tensor:
    return x.real.square() + x.imag.square()


def _fourier(filters: int, taps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Windowed Fourier transform, real and imaginary part, (filters, taps), of unit energy."""
    n = torch.arange(taps, dtype=torch.float64)
    window = torch.sin(math.pi * (n + 0.5) / taps)
    window = window / window.square().sum().sqrt()
    angle = 2 * math.pi * n * torch.arange(filters, dtype=torch.float64)[:, None] / filters
    return (window * angle.cos()).float(), (window * angle.sin()).float()
