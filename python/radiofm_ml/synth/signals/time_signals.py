# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Long wave: the time signal DCF77 and Loran-C / eLoran.

DCF77: A. Bauch, P. Hetzel, D. Piester, "Zeit- und Frequenzverbreitung mit DCF77", PTB-Mitteilungen 119
(2009) no. 3: 77.5 kHz carrier whose amplitude drops to 15 % for the first 100 or 200 ms of each second
but the last of a minute, with the time in BCD; from 200 ms on 512 chips of pseudo-noise at 77500/120 a
second turn the phase by +-15.6 degrees, inverted for a one (the sign as in the recordings of 2017 that the
tests read). Simplified: weather and warning bits at random, no leap seconds, the antenna's slow rise is a
single pole.
Loran-C: ITU-R M.589 / USCG COMDTINST M16562.4A: groups of eight pulses (t/65us)^2 exp(-2t/65us) on 100 kHz,
1 ms apart, a ninth of the master 2 ms later; phase codes of two group repetition intervals; secondaries at
their emission delays. Simplified: no Eurofix or other data, no blinking, ground wave only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from scipy.signal import lfilter

from radiofm_ml.synth.signals.analogue import continuous
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Burst, assemble

Rng = np.random.Generator
_CHIP_RATE = 77500 / 120
_DCF77_RATE = 20 * _CHIP_RATE
_LORAN_RATE = 60e3


@cache
def pseudo_noise() -> np.ndarray:
    """The 512 chips of a second, 0 and 1: a nine-stage register from all zeros."""
    register, chips = 0, np.empty(512, np.uint8)
    for k in range(512):
        chips[k] = register & 1
        register >>= 1
        if chips[k] or not register:
            register ^= 0x110
    return chips


def _bcd(value: int, width: int) -> list[int]:
    """Units in four bits, then tens, the least significant bit first."""
    return [(value % 10 | value // 10 << 4) >> k & 1 for k in range(width)]


def minute_bits(minute: datetime, civil: list[int]) -> list[int]:
    """The 59 bits that are sent during the minute before ``minute``. civil: bits 1 to 14, for others' use."""
    summer = int(4 <= minute.month <= 9)  # nearly: the clock changes within March and October
    bits = [0, *civil, 0, 0, summer, 1 - summer, 0, 1]
    minutes, hours = _bcd(minute.minute, 7), _bcd(minute.hour, 6)
    date = [
        *_bcd(minute.day, 6), *(minute.isoweekday() >> k & 1 for k in range(3)),
        *_bcd(minute.month, 5), *_bcd(minute.year % 100, 8),
    ]  # fmt: skip
    for part in (minutes, hours, date):
        bits += [*part, sum(part) % 2]
    return bits


def dcf77(rng: Rng, duration: float, start: datetime | None = None) -> Signal:
    """A stretch from ``start`` on (random if None). truth: start, and bits, those of its first minute."""
    rate, n = _DCF77_RATE, round(duration * _DCF77_RATE)
    if start is None:
        start = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=float(rng.uniform(0, 30 * 365)))
    into = start.second + start.microsecond / 1e6
    first = start.replace(second=0, microsecond=0)
    minutes = int((into + duration) // 60) + 1
    civil = rng.integers(0, 2, (minutes, 14)).tolist()
    bits = [minute_bits(first + timedelta(minutes=k + 1), civil[k]) for k in range(minutes)]
    amplitude_bits = np.array([[*b, -1] for b in bits]).ravel()  # no mark in the last second
    phase_bits = np.array([[1] * 10 + [0] * 5 + b[15:] + [0] for b in bits]).ravel()
    t = into + np.arange(n) / rate
    second = t.astype(np.int64)
    within = t - second
    low = within < np.where(amplitude_bits[second] == 1, 0.2, 0.1)
    amplitude = np.where(low & (amplitude_bits[second] >= 0), 0.15, 1.0)
    pole = np.exp(-1 / (0.0008 * rate))  # the antenna's bandwidth
    amplitude = lfilter([1 - pole], [1, -pole], amplitude, zi=[pole * amplitude[0]])[0]
    chip = np.floor((within - 0.2) * _CHIP_RATE + 1e-6).astype(np.int64)
    on = (chip >= 0) & (chip < 512)
    turned = 2.0 * (pseudo_noise()[np.clip(chip, 0, 511)] ^ (phase_bits[second] & 1)) - 1
    iq = amplitude * np.exp(1j * (np.radians(15.6) * on * turned + rng.uniform(0, 2 * np.pi)))
    truth = {"start": start, "bits": bits[0]}
    return continuous(iq.astype(np.complex64), rate, (-_CHIP_RATE, _CHIP_RATE), truth=truth)


# Signs of the eight pulses (nine of the master) in the two intervals of a phase code period.
_MASTER = "++--+-+-+", "+--+++++-"
_SECONDARY = "+++++--+", "+-+-++--"


def eloran(rng: Rng, duration: float, stations: int | None = None) -> Signal:
    """Some stations of a chain, ``stations`` of up to seven (random if None). truth: gri and begin (of an
    interval) in s, parity of the first interval, and the stations' delays in s (0: the master) and levels."""
    rate = _LORAN_RATE
    gri = int(rng.integers(4000, 10000)) * 1e-5
    heard = stations or int(rng.integers(1, 5))
    slots = 0.011 + (gri - 0.022) * (np.arange(6) + rng.uniform(0.1, 0.9, 6)) / 6
    slots = slots[np.concatenate([[True], np.diff(slots) > 0.0105])]  # those that do not meet
    delays = np.concatenate([[0.0], slots])
    pick = np.sort(rng.permutation(len(delays))[:heard])
    levels = 10 ** (rng.uniform(-30, 0, len(pick)) / 20)
    levels[rng.integers(0, len(pick))] = 1.0
    begin, parity = float(rng.uniform(-gri, 0)), int(rng.integers(0, 2))
    bursts = []
    tail = np.arange(int(0.0006 * rate))
    for k in range(int((duration - begin) / gri) + 1):
        for which, level in zip(pick, levels, strict=True):
            signs = (_MASTER if which == 0 else _SECONDARY)[(k + parity) % 2]
            group = begin + k * gri + delays[which]
            at = group + 1e-3 * np.array([0, 1, 2, 3, 4, 5, 6, 7, 9])[: len(signs)]
            first = np.ceil(at * rate).astype(np.int64)
            t = (first[:, None] + tail) / rate - at[:, None]  # after each pulse's own start
            pulse = (t / 65e-6) ** 2 * np.exp(2 - 2 * t / 65e-6)
            phase = np.exp(-2j * np.pi * ((100e3 * group) % 1.0))
            sign = np.array([1.0 if s == "+" else -1.0 for s in signs])
            iq = np.zeros(first[-1] - first[0] + len(tail), np.complex64)
            iq[(first - first[0])[:, None] + tail] = level * phase * sign[:, None] * pulse
            bursts.append(Burst(int(first[0]), iq, band=(-10e3, 10e3)))
    truth = {"gri": gri, "delays": delays[pick].tolist(), "levels": levels.tolist(), "begin": begin}
    return assemble(duration, rate, bursts, truth={**truth, "parity": parity})


CLASSES = (
    SignalClass("dcf77", "DCF77 time signal", dcf77, (8e3, 50e3), (77.5e3, 77.5e3), (1.5, 8.0)),
    SignalClass("eloran", "Loran-C or eLoran", eloran, (12e3, 60e3), (100e3, 100e3), (0.2, 1.5)),
)
