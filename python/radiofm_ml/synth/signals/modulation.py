# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pulse shapes, modulators, and bursts put together to a Signal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import oaconvolve, upfirdn, welch
from scipy.special import erf

from radiofm_ml.synth.signals.base import Emission, Signal

Rng = np.random.Generator


# -- pulses: ``sps`` samples a symbol, an odd number of taps, symmetric ------------------------------
@cache
def gaussian(bt: float, sps: int, span: int = 4) -> np.ndarray:
    """A rectangle of one symbol through a Gaussian low-pass of bandwidth ``bt``/symbol: a frequency pulse
    that sums to ``sps``."""
    t = np.arange(-span * sps // 2, span * sps // 2 + 1) / sps
    k = np.pi * bt * np.sqrt(2 / np.log(2))
    taps = (erf(k * (t + 0.5)) - erf(k * (t - 0.5))) / 2
    return taps * (sps / taps.sum())


@cache
def root_raised_cosine(rolloff: float, sps: int, span: int = 8) -> np.ndarray:
    """Root-raised-cosine pulse, unit energy, ``span`` symbols long."""
    t = np.arange(-span * sps // 2, span * sps // 2 + 1) / sps
    with np.errstate(divide="ignore", invalid="ignore"):
        taps = np.sin(np.pi * t * (1 - rolloff)) + 4 * rolloff * t * np.cos(np.pi * t * (1 + rolloff))
        taps /= np.pi * t * (1 - (4 * rolloff * t) ** 2)
    taps[t == 0] = 1 - rolloff + 4 * rolloff / np.pi
    pole = np.isclose(np.abs(t), 1 / (4 * rolloff))
    angle = np.pi / (4 * rolloff)
    taps[pole] = rolloff / np.sqrt(2) * ((1 + 2 / np.pi) * np.sin(angle) + (1 - 2 / np.pi) * np.cos(angle))
    return taps / np.sqrt((taps**2).sum())


@cache
def raised_cosine(rolloff: float, sps: int, span: int = 8) -> np.ndarray:
    """Raised-cosine (Nyquist) pulse, 1 at its middle and 0 at the other symbols' middles."""
    t = np.arange(-span * sps // 2, span * sps // 2 + 1) / sps
    pole = np.isclose(np.abs(2 * rolloff * t), 1)
    taps = np.sinc(t) * np.cos(np.pi * rolloff * t) / np.where(pole, 1, 1 - (2 * rolloff * t) ** 2)
    taps[pole] = np.pi / 4 * np.sinc(1 / (2 * rolloff))
    return taps


@cache
def rectangle(sps: int) -> np.ndarray:
    """One symbol held."""
    return np.ones(sps)


def shape(symbols: np.ndarray, pulse: np.ndarray, sps: int) -> np.ndarray:
    """Symbols through a pulse: ``len(symbols)·sps`` samples, symbol k from sample ``k·sps`` on (its middle at
    ``(k + 1/2)·sps``); the pulse's tails are cut at both ends."""
    x = upfirdn(pulse, np.asarray(symbols, np.float64), sps)
    first = (len(pulse) - sps) // 2
    return x[first : first + len(symbols) * sps]


# -- modulators --------------------------------------------------------------------------------------
def turn(frequency: np.ndarray, sample_rate: float, phase: float = 0.0) -> np.ndarray:
    """Unit amplitude at the given instantaneous frequency in Hz; complex64."""
    cycles = np.cumsum(np.asarray(frequency, np.float64) / sample_rate) + phase
    angle = ((cycles % 1.0) * (2 * np.pi)).astype(np.float32)
    out = np.empty(len(angle), np.complex64)
    np.cos(angle, out=out.real)
    np.sin(angle, out=out.imag)
    return out


def fsk(
    levels: np.ndarray, sps: int, sample_rate: float, pulse: np.ndarray | None = None, phase: float = 0.0
) -> np.ndarray:
    """Continuous-phase FSK: ``levels`` are the symbols' frequencies in Hz; the pulse sums to ``sps``
    (default: the rectangle)."""
    return turn(shape(levels, rectangle(sps) if pulse is None else pulse, sps), sample_rate, phase)


def tones(
    bits: np.ndarray, length: float | np.ndarray, pair: tuple[float, float], sample_rate: float
) -> np.ndarray:
    """Audio frequency-shift keying: bit b as a tone of ``pair[b]`` Hz, continuous in phase, for ``length``
    samples (which need not be whole)."""
    ends = np.round(np.cumsum(np.broadcast_to(length, len(bits)))).astype(np.int64)
    frequency = np.repeat(np.asarray(pair)[bits], np.diff(ends, prepend=0))
    return np.sin(2 * np.pi * np.cumsum(frequency / sample_rate))


def ramped(x: np.ndarray, samples: int) -> np.ndarray:
    """A burst with raised-cosine edges of ``samples`` each, as transmitters rise and fall."""
    samples = min(int(samples), len(x) // 2)
    if samples < 1:
        return x
    edge = (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(np.float32)
    x = x.copy()
    x[:samples] *= edge
    x[len(x) - samples :] *= edge[::-1]
    return x


def keyed(levels: np.ndarray, edge: int) -> np.ndarray:
    """Amplitude steps (0 … 1) with raised-cosine edges of ``edge`` samples."""
    window = np.hanning(max(int(edge), 1) + 2)[1:-1]
    return oaconvolve(levels, window / window.sum(), "same").clip(0, None)


def four_levels(bits: np.ndarray, deviation: float) -> np.ndarray:
    """Pairs of bits as the frequencies of four-level FSK: 01, 00, 10, 11 are +1, +1/3, -1/3, -1 of
    ``deviation`` (DMR, P25, NXDN)."""
    first, second = (np.asarray(bits[k::2], np.int8) for k in (0, 1))
    return deviation / 3 * (1 - 2 * first) * (1 + 2 * second)


# -- bursts ------------------------------------------------------------------------------------------
class Burst(NamedTuple):
    """A transmission of its own. start: samples from the beginning, may be negative. band: (lower, upper)
    edges in Hz, measured if None. message: what a decoder would say."""

    start: int
    iq: np.ndarray
    message: Any = None
    band: tuple[float, float] | None = None


def occupied_band(x: np.ndarray, sample_rate: float, share: float = 0.99) -> tuple[float, float]:
    """Edges in Hz between which ``share`` of the power lies, as much cut below as above."""
    middle = max(0, len(x) // 2 - (1 << 15))
    piece = x[middle : middle + (1 << 16)]  # of a long one the middle says it all, unless it is a pause
    x = piece if piece.any() else x
    size = int(min(len(x), 4096))
    f, power = welch(x, sample_rate, nperseg=size, return_onesided=False, detrend=False)
    order = np.argsort(f)
    rising = np.cumsum(power[order])
    rising /= rising[-1]
    half = sample_rate / size / 2
    low = f[order][np.searchsorted(rising, (1 - share) / 2)] - half
    high = f[order][min(np.searchsorted(rising, (1 + share) / 2), size - 1)] + half
    return float(low), float(high)


def start_of(rng: Rng, count: int, length: int) -> int:
    """Where a burst of ``length`` samples starts in ``count``: whole and anywhere if it fits, else so that
    it is on all the time."""
    low, high = sorted((0, count - length))
    return int(rng.integers(low, high + 1))


def in_turn(
    rng: Rng,
    count: int,
    make: Callable[[], tuple[np.ndarray, Any]],
    gap: tuple[float, float],
) -> list[Burst]:
    """Bursts one after another in ``count`` samples, with pauses of ``gap`` (shortest, longest) samples.

    make   draws the next burst: its samples, and its message
    """
    bursts, at = [], None
    while at is None or at < count:
        iq, message = make()
        at = start_of(rng, count, len(iq)) if at is None else at
        bursts.append(Burst(int(at), iq, message))
        at += len(iq) + float(np.exp(rng.uniform(*np.log(gap))))
    return bursts


def assemble(
    duration: float,
    sample_rate: float,
    bursts: Iterable[Burst],
    variant: str = "",
    truth: dict | None = None,
) -> Signal:
    """The Signal of these bursts; what lies outside of ``duration`` seconds is cut.

    ``truth["messages"]`` lists the messages of the bursts that are there whole, in the order of ``bursts``.
    """
    count = round(duration * sample_rate)
    iq, on = np.zeros(count, np.complex64), np.zeros(count, bool)
    emissions, messages = [], []
    for burst in bursts:
        begin, end = max(burst.start, 0), min(burst.start + len(burst.iq), count)
        if end <= begin:
            continue
        iq[begin:end] += burst.iq[begin - burst.start : end - burst.start]
        on[begin:end] = True
        band = burst.band or occupied_band(burst.iq, sample_rate)
        emissions.append(Emission(begin, end - begin, *band))
        if burst.message is not None and end - begin == len(burst.iq):
            messages.append(burst.message)
    power = float(np.vdot(iq, iq).real) / max(int(on.sum()), 1)
    if power > 0:
        iq /= np.float32(np.sqrt(power))
    return Signal(iq, sample_rate, tuple(emissions), variant, {"messages": messages, **(truth or {})})
