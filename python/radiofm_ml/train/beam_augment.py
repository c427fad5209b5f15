# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Augmentation of blocks of I/Q samples, and virtual front ends made of recordings of one antenna.

*Augmentation* changes what says nothing about the beam, each block by itself: phase, time, amplitude, a
carrier a little off, and more noise.

A *virtual front end* changes what does say something, alike for all blocks of a beam: as another antenna
excites other paths with each of its beams, each beam's blocks go through a short random filter and a gain of
that beam's, and all of them through one filter and one I/Q imbalance of the receiver. So recordings of one
antenna give as many new ones as one likes, and an encoder that must tell their beams apart from a few shots
learns to compare channels, and not what the beams of its own antenna look like.

All on complex64 tensors (N, L), reproducible from the generator's seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BeamAugmentation:
    """Ranges. snr_db: noise is added, at a ratio to the block's own power that is drawn between the two.
    cfo: largest offset of the carrier, cycles per sample. gain_db: largest change of the amplitude."""

    phase: bool = True
    shift: bool = True
    snr_db: tuple[float, float] = (0.0, 30.0)
    gain_db: float = 6.0
    cfo: float = 1e-4


@dataclass(frozen=True)
class VirtualFrontEnd:
    """Ranges.

    taps          length of a beam's filter; its taps fall off exponentially, with a constant up to a third
    strength      of its echoes together, as amplitude against the first tap: drawn for each front end,
                  evenly on a logarithmic scale
    gain_db       largest difference of a beam's level
    receiver      strength of the filter that all beams have in common
    imbalance     largest I/Q imbalance, as amplitude of the image
    """

    taps: int = 24
    strength: tuple[float, float] = (0.1, 1.0)
    gain_db: float = 6.0
    receiver: float = 0.3
    imbalance: float = 0.05


def augment(x: torch.Tensor, config: BeamAugmentation, generator: torch.Generator) -> torch.Tensor:
    """Blocks (N, L) changed, each by itself."""
    count, length = x.shape

    def uniform(low, high):
        return low + (high - low) * torch.rand(count, 1, generator=generator)

    if config.shift:
        start = torch.randint(length, (count, 1), generator=generator)
        x = x.gather(1, (start + torch.arange(length)) % length)
    angle = uniform(0.0, 2 * math.pi) if config.phase else torch.zeros(count, 1)
    if config.cfo:
        angle = angle + 2 * math.pi * uniform(-config.cfo, config.cfo) * torch.arange(length)
    amplitude = 10 ** (uniform(-config.gain_db, config.gain_db) / 20)
    x = x * torch.polar(amplitude.expand_as(angle), angle)
    level = (x.abs().square().mean(1, keepdim=True) * 10 ** (-uniform(*config.snr_db) / 10)).sqrt()
    return x + level * noise(x.shape, generator)


def virtual_front_end(x: torch.Tensor, way: torch.Tensor, config: VirtualFrontEnd,
                      generator: torch.Generator) -> torch.Tensor:
    """Blocks (N, L) of beams ``way`` (N,) as another front end would deliver them."""
    ways, length = int(way.max()) + 1, x.shape[1]
    low, high = (math.log(v) for v in config.strength)
    strength = math.exp(low + (high - low) * torch.rand((), generator=generator).item())
    response = _response(ways, length, config.taps, strength, generator)
    gain = config.gain_db * (2 * torch.rand(ways, 1, generator=generator) - 1)
    response = response * 10 ** (gain / 20) * _response(1, length, config.taps, config.receiver, generator)
    x = torch.fft.ifft(torch.fft.fft(x) * response[way])
    size, turn = torch.rand(2, generator=generator).tolist()
    image = torch.polar(torch.tensor(config.imbalance * size), torch.tensor(2 * math.pi * turn))
    return x + image * x.conj()


def noise(shape, generator: torch.Generator) -> torch.Tensor:
    """Complex white Gaussian noise of power 1."""
    return torch.view_as_complex(torch.randn(*shape, 2, generator=generator)) * math.sqrt(0.5)


def _response(count: int, length: int, taps: int, strength: float, generator) -> torch.Tensor:
    """Frequency responses (count, length), mean power 1: a first tap and echoes behind it."""
    decay = 0.5 + (taps / 3 - 0.5) * torch.rand(count, 1, generator=generator)
    echoes = noise((count, taps), generator) * torch.exp(-torch.arange(taps) / decay)
    echoes[:, 0] = 0
    echoes = strength * echoes / echoes.abs().square().sum(1, keepdim=True).sqrt().clamp_min(1e-6)
    echoes[:, 0] = 1
    response = torch.fft.fft(echoes, length)
    return response / response.abs().square().mean(1, keepdim=True).sqrt()
