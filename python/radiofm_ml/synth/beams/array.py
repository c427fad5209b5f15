# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Phased arrays and their codebooks.

The recorded data come from SiBeam heads: 12 elements to transmit and 12 to receive, phase shifters of two
bits, 24 beams about 5 degrees apart with main lobes of 25 to 30 degrees, and a codebook of 12 beams in two
dimensions (DeepBeam, arXiv 2012.14350; the heads: Saha et al., "X60", WiNTECH 2017). Their layout is not
published. Ours gives such lobes: three rows of four, half a wavelength apart, each row a sixth of a
wavelength to the side of the one below, so that all twelve elements differ in azimuth and two bits steer
finely. The 5 beams are of a digital array of four elements, whose weights need no rounding.

Directions are (azimuth, elevation) in degrees; azimuth from broadside, positive to the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CODEBOOKS = (24, 12, 5)
STATES = 4  # of a phase shifter


@dataclass(frozen=True)
class Array:
    """positions: float64 (elements, 2), across and up, in wavelengths."""

    positions: np.ndarray

    @property
    def elements(self) -> int:
        return len(self.positions)

    def steering(self, directions: np.ndarray, stretch: np.ndarray | float = 1.0) -> np.ndarray:
        """Phases of a plane wave at the elements, complex128 (directions, elements, frequencies).

        directions: (D, 2) in degrees. stretch: frequency over the carrier, (F,) or a number: an array of
        phase shifters squints.
        """
        azimuth, elevation = np.deg2rad(np.atleast_2d(directions)).T
        across = np.sin(azimuth) * np.cos(elevation)
        turns = across[:, None] * self.positions[:, 0] + np.sin(elevation)[:, None] * self.positions[:, 1]
        return np.exp(2j * np.pi * turns[..., None] * np.atleast_1d(stretch))


def sibeam() -> Array:
    across = 0.5 * np.arange(4) + np.arange(3)[:, None] / 6
    up = np.broadcast_to(0.5 * np.arange(3)[:, None] - 0.5, across.shape)
    return Array(np.stack([across.ravel() - across.mean(), up.ravel()], axis=1))


def digital() -> Array:
    return Array(np.stack([0.5 * np.arange(4) - 0.75, np.zeros(4)], axis=1))


@dataclass(frozen=True)
class Codebook:
    """directions: float64 (beams, 2) in degrees. states: int (beams, elements), the phase shifters' settings
    in quarter turns, None for a digital array. weights: complex128 (beams, elements), of unit power."""

    array: Array
    directions: np.ndarray
    states: np.ndarray | None
    weights: np.ndarray

    @property
    def beams(self) -> int:
        return len(self.directions)

    def pattern(self, beam: int, azimuth: np.ndarray, elevation: float = 0.0,
                weights: np.ndarray | None = None) -> np.ndarray:
        """Power over that of one element, in dB, (azimuths,), of a perfect array or of ``weights``."""
        weights = self.weights[beam] if weights is None else weights
        azimuth = np.asarray(azimuth, float)
        directions = np.stack([azimuth, np.full(azimuth.shape, elevation)], axis=1)
        field = self.array.steering(directions)[..., 0] @ weights
        return 10 * np.log10(np.maximum(np.abs(field) ** 2, 1e-12))


def codebook(beams: int) -> Codebook:
    """The codebook of 24, 12 or 5 beams. Raises ValueError for others."""
    if beams == 24:  # from left to right, as a sweep goes
        directions = np.stack([np.linspace(-60, 60, 24), np.zeros(24)], axis=1)
    elif beams == 12:
        azimuth, elevation = np.meshgrid(np.linspace(-50, 50, 6), [-20.0, 20.0])
        directions = np.stack([azimuth.ravel(), elevation.ravel()], axis=1)
    elif beams == 5:
        array = digital()
        directions = np.stack([np.linspace(-40, 40, 5), np.zeros(5)], axis=1)
        weights = array.steering(directions)[..., 0].conj() / np.sqrt(array.elements)
        return Codebook(array, directions, None, weights)
    else:
        raise ValueError(f"the codebooks have 24, 12 or 5 beams, not {beams}")
    array = sibeam()
    states = np.stack([_round(array, direction) for direction in directions])
    return Codebook(array, directions, states, 1j**states / np.sqrt(array.elements))


def _round(array: Array, direction: np.ndarray) -> np.ndarray:
    """Settings whose main lobe is nearest to ``direction``, of those that rounding the wanted phases from
    different references gives; among equals the one of the greatest gain."""
    wanted = -np.angle(array.steering(direction)[0, :, 0]) / (2 * np.pi) * STATES
    best, score = None, -np.inf
    azimuth = np.arange(-75, 75.1, 0.25)
    cut = array.steering(np.stack([azimuth, np.full(azimuth.shape, direction[1])], axis=1))[..., 0]
    for reference in np.arange(0, 1, 1 / 64):
        states = np.round(wanted + reference).astype(int) % STATES
        power = np.abs(cut @ 1j**states) ** 2
        away = abs(azimuth[power.argmax()] - direction[0])
        merit = -max(away, 1.0) + 0.01 * power.max() / array.elements**2
        if merit > score:
            best, score = states, merit
    return best
