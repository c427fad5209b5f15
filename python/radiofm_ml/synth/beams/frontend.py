# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Front ends: a transmitting head with its array and a receiving one, each with its faults.

A front end has a name, "a" to "d" for the four antennas of the recorded data set, or a number, 0 and up, from
which all that is particular to it follows. All are of one family; none equals another. As in the recordings,
antenna "b" (their TX antenna 1) is heard by one receiving head and the other three by another; every numbered
one is heard by a receiver of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from radiofm_ml.arguments import is_whole
from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams.array import STATES

NAMED = ("a", "b", "c", "d")
_SEED = 0x4245414D  # keeps these draws apart from other uses of small seeds
RECEIVER_OF = {"a": 1, "b": 0, "c": 1, "d": 1}


@dataclass(frozen=True)
class Transmitter:
    """elements    complex128 (E,): gain of each element's chain
    shifters    complex128 (E, 4): gain of each phase shifter in each setting, over the perfect one
    gain_polynomial  complex128 (E, 3): relative change of an element's gain over the band, coefficients of
                the 1st to 3rd power of frequency, which is 1 at the edges
    pointing    degrees in azimuth by which the head is mounted askew
    ripple      complex128 (4,): echoes in its filter, 1 to 4 samples late, over the direct
    saturation  power of its amplifier over the mean, and ampm, radians there
    image       gain of the conjugate (IQ imbalance)
    leak        of the local oscillator, over the rms of the signal
    """

    elements: np.ndarray
    shifters: np.ndarray
    gain_polynomial: np.ndarray
    pointing: float
    ripple: np.ndarray
    saturation: float
    ampm: float
    image: complex
    leak: complex


@dataclass(frozen=True)
class Receiver:
    """elements, gain_polynomial as in Transmitter, for its fixed broadside beam; gain: amplitude over the
    nominal; image: gain of the conjugate; dc: in units of RMS."""

    elements: np.ndarray
    gain_polynomial: np.ndarray
    gain: float
    image: complex
    dc: complex


@dataclass(frozen=True)
class FrontEnd:
    """cfo: cycles per sample between the two heads. phase_noise: radians per root of a sample, of both."""

    name: str
    transmitter: Transmitter
    receiver: Receiver
    cfo: float
    phase_noise: float


def key(name: str | int) -> tuple[int, int]:
    """A seed for each front end: named and numbered ones never share one. Raises ValueError."""
    if isinstance(name, str) and name in NAMED:
        return 0, NAMED.index(name)
    if is_whole(name, 0):
        return 1, int(name)
    raise ValueError(f"front_end must be one of {', '.join(NAMED)} or a number from 0, got {name!r}")


@lru_cache(maxsize=512)
def front_end(name: str | int, elements: int = 12) -> FrontEnd:
    """A front end whose arrays have this many elements; always the same one. Raises ValueError."""
    kind, number = key(name)
    rng = np.random.default_rng([_SEED, c.VERSION, elements, kind, number])
    receiver = RECEIVER_OF[name] if kind == 0 else number
    receiver_rng = np.random.default_rng([_SEED, c.VERSION, elements, 2 + kind, receiver])
    return FrontEnd(
        name=name if kind == 0 else f"front-end-{number}",
        transmitter=_transmitter(rng, elements),
        receiver=_receiver(receiver_rng, elements),
        cfo=float(rng.normal(0, c.CFO_HZ)) / c.SAMPLE_RATE,
        phase_noise=float(rng.uniform(0.3, 1.0)) * c.PHASE_NOISE,
    )


def perfect(elements: int = 12) -> FrontEnd:
    """One without faults, for reference."""
    one = np.ones(elements, complex)
    flat = np.zeros((elements, 3), complex)
    transmitter = Transmitter(one, np.ones((elements, STATES), complex), flat, 0.0, np.zeros(4, complex),
                              np.inf, 0.0, 0j, 0j)
    return FrontEnd("perfect", transmitter, Receiver(one, flat, 1.0, 0j, 0j), 0.0, 0.0)


def _transmitter(rng: np.random.Generator, elements: int) -> Transmitter:
    return Transmitter(
        elements=_gains(rng, elements, c.ELEMENT_GAIN_DB, c.ELEMENT_PHASE_DEG),
        shifters=_gains(rng, (elements, STATES), c.SHIFTER_GAIN_DB, c.SHIFTER_PHASE_DEG),
        gain_polynomial=_normal(rng, (elements, 3)) * c.GAIN_POLYNOMIAL,
        pointing=float(rng.normal(0, c.POINTING_DEG)),
        ripple=_normal(rng, 4) * c.RIPPLE * 0.7 ** np.arange(4),
        saturation=float(10 ** (rng.uniform(*c.PA_BACKOFF_DB) / 10)),
        ampm=float(np.deg2rad(rng.uniform(*c.PA_AMPM_DEG))),
        image=complex(_normal(rng) * c.IMAGE),
        leak=complex(_normal(rng) * c.LEAK),
    )


def _receiver(rng: np.random.Generator, elements: int) -> Receiver:
    return Receiver(
        elements=_gains(rng, elements, c.RX_ELEMENT_GAIN_DB, c.RX_ELEMENT_PHASE_DEG),
        gain_polynomial=_normal(rng, (elements, 3)) * c.RX_GAIN_POLYNOMIAL,
        gain=float(10 ** (rng.normal(0, c.RX_GAIN_ERROR_DB) / 20)),
        image=complex(_normal(rng) * c.RX_IMAGE),
        dc=complex(_normal(rng) * c.RX_DC),
    )


def _normal(rng: np.random.Generator, shape=()) -> np.ndarray:
    """Complex, standard deviation 1."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def _gains(rng: np.random.Generator, shape, decibels: float, degrees: float) -> np.ndarray:
    level, angle = rng.normal(0, decibels, shape), rng.normal(0, degrees, shape)
    return 10 ** (level / 20) * np.exp(1j * np.deg2rad(angle))
