# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a synthesised transmission is: samples, the boxes where it is on, and what was sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Emission:
    """One burst, or a continuous transmission: a box in time and frequency.

    start, count   samples of ``Signal.iq``
    lower, upper   edges of the occupied band (99 % of the power, or the standard's nominal edges), in Hz
                   from the centre
    """

    start: int
    count: int
    lower: float
    upper: float


@dataclass(frozen=True)
class Signal:
    """A transmission at complex baseband, before any channel, receiver or noise.

    iq            complex64 (n,): mean power 1 over the emissions, exactly 0 outside of them
    sample_rate   samples/s, the generator's own (native) rate
    emissions     when it is on, and where
    variant       which of the standard's forms this is, such as 'gsm' of 'cellular'
    truth         what was sent, as a decoder would say it; for tests
    """

    iq: np.ndarray
    sample_rate: float
    emissions: tuple[Emission, ...]
    variant: str = ""
    truth: dict = field(default_factory=dict)


@dataclass(frozen=True)
class SignalClass:
    """A kind of signal that can be synthesised.

    label       its name (of the 20 classes: the name that the published data set uses)
    title       in words, for people
    generate    generate(rng, duration, **fixed) -> Signal of ``duration`` seconds; random in everything
                that the standard or its users leave open, unless fixed by keyword
    rates       (lowest, highest) receiver sample rate at which it can be recognised, in samples/s: at the
                highest a narrow signal still fills about four of 256 bins
    frequency   (lowest, highest) carrier frequency at which it is usually found, in Hz
    span        (shortest, longest) stretch in seconds that shows what it is: a burst with its pauses
    variants    the values of ``generate``'s keyword ``variant``, () if there is one form only
    """

    label: str
    title: str
    generate: Callable[..., Signal]
    rates: tuple[float, float]
    frequency: tuple[float, float]
    span: tuple[float, float]
    variants: tuple[str, ...] = ()
