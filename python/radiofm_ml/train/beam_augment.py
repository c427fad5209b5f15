# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Augmentation of blocks of I/Q samples, and virtual front ends made of recordings of one antenna.

*Augmentation* changes what says nothing about the beam, each block by itself: phase, time, amplitude, a
carrier a little off, and more noise.

A *virtual front end* changes what does say something, alike for all blocks of a beam: as another antenna
excites other paths with each of its beams, each beam's blocks go through a short random filter and a loss of
that beam's, and all of them through one filter and one I/Q imbalance of the receiver. So recordings of one
antenna give as many new ones as one likes, and an encoder that must tell their beams apart from a few shots
learns to compare channels, and not what the beams of its own antenna look like.

Noise is the receiver's and is not filtered with the signal. So virtual front ends are made of recordings
at the highest gain, where there is least of it, and each block is brought to one of the receiver's gains: the
signal scaled as its recordings at that gain are, and white noise added up to their floor (``Receiver``).

All on complex64 tensors (N, L), reproducible from the random generator's seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from radiofm_ml.data.beam_blocks import BeamBlocks

FADING_TAPS = 8
MEASURED = 50  # blocks of each gain and beam that the receiver is measured on



@dataclass(frozen=True)
class BeamAugmentation:
    """Ranges.

    snr_db    noise is added, at a ratio to the block's own power that is drawn between the two
    gain_db   largest change of the amplitude
    cfo       largest offset of the carrier, cycles per sample
    fading    strength of a short random echo, as amplitude: what a channel that drifts changes
    leak      largest DC, over the rms
    """

    phase: bool = True
    shift: bool = True
    snr_db: tuple[float, float] = (0.0, 30.0)
    gain_db: float = 6.0
    cfo: float = 1e-4
    fading: float = 0.0
    leak: float = 0.0


@dataclass(frozen=True)
class VirtualFrontEnd:
    """Ranges.

    taps          length of a beam's filter; its taps fall off exponentially, with a constant up to a third
    strength      of its echoes together, as amplitude against the first tap: drawn for each front end,
                  evenly on a logarithmic scale
    loss_db       largest loss of a beam against its recording
    level_db      largest change of the receiver's gain, of all blocks alike
    receiver      strength of the filter that all beams have in common
    imbalance     largest I/Q imbalance, as amplitude of the image
    share         of the episodes that are of virtual front ends; the others are of recordings as they are
    """

    taps: int = 12
    strength: tuple[float, float] = (0.05, 1.0)
    loss_db: float = 6.0
    level_db: float = 2.0
    receiver: float = 0.2
    imbalance: float = 0.05
    share: float = 1.0


@dataclass(frozen=True)
class Receiver:
    """What recordings say about the receiver's gains, ascending. scale: float32 (gains,), amplitude of the
    signal over that at the highest gain; floor: float32 (gains,), power of the noise."""

    scale: torch.Tensor
    floor: torch.Tensor

    @classmethod
    def measure(cls, blocks: BeamBlocks) -> Receiver:
        """Floors are those of the emptiest tenth of the band, in the beam that has least there."""
        gains, beams = np.unique(blocks.gain), np.unique(blocks.beam)
        power, floor = np.empty((len(gains), len(beams))), np.empty(len(gains))
        for i, gain in enumerate(gains):
            lowest = []
            for j, beam in enumerate(beams):
                x = blocks.iq[(blocks.gain == gain) & (blocks.beam == beam)][:MEASURED]
                if not len(x):
                    raise ValueError(f"no block of {blocks.labels[beam]} at gain {gain}; give all or none")
                density = (np.abs(np.fft.fft(x)) ** 2).mean(0) / x.shape[1]
                bands = [part.mean() for part in np.array_split(density, min(64, len(density)))]
                power[i, j], _ = density.mean(), lowest.append(np.quantile(bands, 0.1))
            floor[i] = min(lowest)
        strong = np.argsort(power[-1])[len(beams) // 2:]
        signal = np.maximum(power[:, strong] - floor[:, None], 1e-20)
        scale = np.sqrt(np.median(signal / signal[-1], axis=1))
        return cls(torch.tensor(scale, dtype=torch.float32), torch.tensor(floor, dtype=torch.float32))


def augment(x: torch.Tensor, config: BeamAugmentation, rng: np.random.Generator) -> torch.Tensor:
    """Blocks (N, L) changed, each by itself."""
    count, length = x.shape
    if config.fading:
        x = torch.fft.ifft(torch.fft.fft(x) * _response(count, length, FADING_TAPS, config.fading, rng))
    if config.shift:
        starts = rng.integers(length, size=count).tolist()
        x = torch.stack([row.roll(-start) for row, start in zip(x, starts, strict=True)])
    if config.phase or config.cfo:
        start = _uniform(rng, 0.0, 2 * math.pi if config.phase else 0.0, count)
        x = x * _rotation(start, 2 * math.pi * _uniform(rng, -config.cfo, config.cfo, count), length)
    if config.gain_db:
        x = x * 10 ** (_uniform(rng, -config.gain_db, config.gain_db, count) / 20)
    rms = _power(x).mean(1, keepdim=True).sqrt()
    if config.leak:
        x = x + rms * config.leak * _uniform(rng, 0.0, 1.0, count) * noise((count, 1), rng)
    return x + rms * 10 ** (-_uniform(rng, *config.snr_db, count) / 20) * noise(x.shape, rng)


def virtual_front_end(x: torch.Tensor, label: torch.Tensor, config: VirtualFrontEnd, receiver: Receiver,
                      rng: np.random.Generator) -> torch.Tensor:
    """Blocks (N, L), at the highest gain, of beams ``label`` (N,) as another front end would deliver them,
    each at one of the gains of ``receiver``."""
    labels, length = int(label.max()) + 1, x.shape[1]
    strength = math.exp(rng.uniform(*(math.log(v) for v in config.strength)))
    response = _response(labels, length, config.taps, strength, rng)
    response = response * _response(1, length, config.taps, config.receiver, rng)
    loss = 10 ** (-_uniform(rng, 0.0, config.loss_db, labels) / 20)
    gain = torch.from_numpy(rng.integers(len(receiver.scale), size=len(x)))
    amplitude = loss[label] * receiver.scale[gain, None]
    missing = (receiver.floor[gain, None] - amplitude.square() * receiver.floor[-1]).clamp_min(0).sqrt()
    x = torch.fft.ifft(torch.fft.fft(x) * (response[label] * amplitude))
    x = (x + missing * noise(x.shape, rng)) * 10 ** (rng.uniform(-1, 1) * config.level_db / 20)
    image = config.imbalance * rng.uniform() * np.exp(2j * np.pi * rng.uniform())
    return x + image * x.conj()


def noise(shape: Sequence[int], rng: np.random.Generator) -> torch.Tensor:
    """Complex white Gaussian noise of power 1."""
    parts = rng.standard_normal((*shape, 2), np.float32)
    return torch.view_as_complex(torch.from_numpy(parts)) * math.sqrt(0.5)


def _uniform(rng: np.random.Generator, low: float, high: float, count: int) -> torch.Tensor:
    """float32 (count, 1)"""
    return torch.from_numpy(rng.uniform(low, high, (count, 1)).astype(np.float32))


def _power(x: torch.Tensor) -> torch.Tensor:
    return x.real.square() + x.imag.square()


def _rotation(start: torch.Tensor, step: torch.Tensor, length: int) -> torch.Tensor:
    """exp(j (start + step n)), complex64 (N, length), as a product: of every 64th sample and the 63 after."""
    coarse = start + step * torch.arange(0, length, 64)
    fine = step * torch.arange(min(64, length))
    one = torch.ones(())
    rotations = torch.polar(one.expand_as(coarse), coarse)[:, :, None] * torch.polar(
        one.expand_as(fine), fine)[:, None]
    return rotations.flatten(1)[:, :length]


def _response(count: int, length: int, taps: int, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Frequency responses (count, length), mean power 1: a first tap and echoes behind it."""
    decay = _uniform(rng, 0.5, taps / 3, count)
    echoes = noise((count, taps), rng) * torch.exp(-torch.arange(taps) / decay)
    echoes[:, 0] = 0
    echoes = strength * echoes / _power(echoes).sum(1, keepdim=True).sqrt().clamp_min(1e-6)
    echoes[:, 0] = 1
    response = torch.fft.fft(echoes, length)
    return response / _power(response).mean(1, keepdim=True).sqrt()
