# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Waveform families, at baseband, in samples: no sample rate, only fractions of it.

Each family is a function ``(n, rng) -> complex64 (n,)`` with unit mean power while it is on; the parameters
(symbol length, deviation, subcarriers, framing) are drawn at random from ranges wide enough to cover the same
modulation seen at many sample rates. These are families of modulation, not standards: nothing here decodes.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import firwin, lfilter, oaconvolve, upfirdn

Rng = np.random.Generator


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _unit_power(x: np.ndarray) -> np.ndarray:
    """Scale to mean power 1 over the samples that are on (within 30 dB of the peak)."""
    power = np.abs(x) ** 2
    on = power > power.max() * 1e-3
    return (
        (x / np.sqrt(max(power[on].mean(), 1e-12))).astype(np.complex64)
        if on.any()
        else x.astype(np.complex64)
    )


def _root_raised_cosine(sps: int, beta: float, span: int = 8) -> np.ndarray:
    t = np.arange(-span * sps // 2, span * sps // 2 + 1) / sps + 1e-8  # off the removable singularities
    taps = np.sin(np.pi * t * (1 - beta)) + 4 * beta * t * np.cos(np.pi * t * (1 + beta))
    return taps / (np.pi * t * (1 - (4 * beta * t) ** 2))


def _fm(frequency: np.ndarray) -> np.ndarray:
    """Constant envelope with the given frequency (cycles per sample)."""
    return np.exp(2j * np.pi * np.cumsum(frequency))


def _low_passed(n: int, cutoff: float, rng: Rng) -> np.ndarray:
    """Gaussian noise below ``cutoff`` (cycles per sample), unit variance: speech- or music-like."""
    step = max(1, int(0.2 / cutoff))
    coarse = lfilter(firwin(33, min(0.95, 2 * cutoff * step)), 1.0, rng.standard_normal(n // step + 40))[33:]
    x = np.interp(np.arange(n) / step, np.arange(len(coarse)), coarse)
    return x / max(x.std(), 1e-9)


def bursts(n: int, rng: Rng, length: tuple[float, float] | None = None) -> np.ndarray:
    """A 0/1 gate: bursts of one length with random or regular gaps."""
    on = int(log_uniform(rng, *(length or (200, 20000))))
    off = on * log_uniform(rng, 0.1, 10)
    jitter = rng.choice([0.0, 0.0, 1.0])
    gate, at = np.zeros(n, np.float32), int(rng.uniform(-on, off))
    while at < n:
        gate[max(at, 0) : max(at + on, 0)] = 1
        at += on + max(8, int(off * (1 + jitter * rng.uniform(-0.9, 2))))
    return gate


def linear(n: int, rng: Rng) -> np.ndarray:
    """PSK and QAM with root-raised-cosine pulses."""
    sps, order = int(log_uniform(rng, 2, 200)), int(rng.choice([2, 4, 8, 16, 64]))
    count = n // sps + 20
    if order <= 8:
        symbols = np.exp(2j * np.pi * rng.integers(0, order, count) / order)
    else:
        side = int(np.sqrt(order))
        symbols = (2 * rng.integers(0, side, count) - side + 1) + 1j * (
            2 * rng.integers(0, side, count) - side + 1
        )
    return upfirdn(_root_raised_cosine(sps, rng.uniform(0.15, 0.5)), symbols, sps)[4 * sps : 4 * sps + n]


def fsk(n: int, rng: Rng) -> np.ndarray:
    """2- and 4-level FSK, plain or Gaussian-shaped (FSK, GFSK, MSK, GMSK)."""
    sps, levels = int(log_uniform(rng, 4, 500)), int(rng.choice([2, 2, 4]))
    index = log_uniform(rng, 0.3, 8 if sps > 20 else 1.5)
    symbols = np.repeat((2 * rng.integers(0, levels, n // sps + 2) - levels + 1) / (levels - 1), sps)[:n]
    if rng.random() < 0.6 and sps < 200:
        t = np.arange(-sps, sps + 1) / sps
        pulse = np.exp(-2 * (np.pi * rng.uniform(0.3, 1.0) * t) ** 2 / np.log(2))
        symbols = oaconvolve(symbols, pulse / pulse.sum(), "same")
    return _fm(symbols * min(index / sps / 2 * (levels - 1), 0.3))


def ook(n: int, rng: Rng) -> np.ndarray:
    """On-off keying with PWM, PPM, Manchester or plain bits, in repeated packets."""
    unit, coding = int(log_uniform(rng, 8, 600)), rng.choice(["pwm", "ppm", "manchester", "nrz"])
    bits = rng.integers(0, 2, int(rng.integers(12, 90)))
    one, zero = {
        "pwm": ([1, 0, 0], [1, 1, 0]),
        "ppm": ([1, 0, 0], [1, 0, 0, 0, 0]),
        "manchester": ([1, 0], [0, 1]),
        "nrz": ([1], [0]),
    }[coding]
    chips = np.concatenate(
        [
            [1, 0] * int(rng.integers(0, 8)),
            *[one if b else zero for b in bits],
            [0] * int(rng.integers(4, 60)),
        ]
    )
    packet = np.repeat(chips, unit).astype(np.float32)
    packet = np.tile(packet, max(1, int(rng.integers(1, 12))))
    period = (
        len(packet)
        + int(log_uniform(rng, 2, 10) * unit)
        + int(n * rng.choice([0.0, 0.3, 1.0]) * rng.random())
    )
    gate = np.zeros(n, np.float32)
    for at in range(int(rng.uniform(-len(packet), n / 3)), n, period):
        gate[max(at, 0) : max(at + len(packet), 0)] = packet[max(-at, 0) : max(-at, 0) + n - max(at, 0)][
            : n - max(at, 0)
        ]
    edge = max(1, unit // 10)
    gate = np.convolve(gate, np.ones(edge) / edge, "same")
    drift = _fm(np.full(n, 0.0) + np.linspace(0, log_uniform(rng, 1e-5, 3e-3), n))
    return (gate * (1 - (d := rng.choice([0.0, 0.0, 0.1]))) + d) * drift


def ofdm(n: int, rng: Rng) -> np.ndarray:
    """OFDM: cyclic prefix, unused edges and DC, pilots; downlink-like (always on, blocks that come and go)
    or packets."""
    nfft = int(2 ** rng.integers(5, 12))
    used = int(nfft * rng.uniform(0.15, 0.95)) // 2 * 2
    prefix = max(1, int(nfft * rng.choice([1 / 4, 1 / 8, 1 / 14, 1 / 16, 1 / 32])))
    count = min(n // (nfft + prefix) + 2, 4096)
    order = int(rng.choice([2, 4, 4, 8]))
    grid = np.exp(2j * np.pi * (rng.integers(0, order, (count, used)) + 0.5) / order)
    if rng.random() < 0.5:  # scheduled blocks: 12 subcarriers by 7 symbols, on at random
        load = rng.random((count // 7 + 1, used // 12 + 1)) < rng.uniform(0.1, 1.0)
        grid = grid * np.repeat(np.repeat(load, 7, 0)[:count], 12, 1)[:, :used]
    if rng.random() < 0.7:
        every = int(rng.integers(3, 15))
        grid[:: int(rng.choice([1, 3, 4, 7])), rng.integers(0, every) :: every] = log_uniform(rng, 0.7, 2.0)
    if rng.random() < 0.5:  # synchronisation in the centre of the band at regular symbols
        width = min(used, max(8, used // int(rng.integers(1, 17))))
        centre = slice(used // 2 - width // 2, used // 2 + width // 2)
        grid[int(rng.integers(0, 20)) :: int(rng.integers(10, 140)), centre] = np.exp(
            2j * np.pi * rng.random()
        )
    bins = np.zeros((count, nfft), np.complex64)
    bins[:, np.r_[1 : used // 2 + 1, nfft - used // 2 : nfft]] = grid[:, : used // 2 * 2]
    symbols = np.fft.ifft(bins, axis=1)
    x = np.concatenate([symbols[:, -prefix:], symbols], 1).ravel()
    x = np.resize(x, n)
    return x * bursts(n, rng, (nfft * 3, nfft * 100)) if rng.random() < 0.4 else x


def analog_fm(n: int, rng: Rng) -> np.ndarray:
    """Frequency modulation by speech-, music- or multiplex-like noise, narrow to broadcast-wide."""
    deviation = log_uniform(rng, 0.003, 0.15)
    audio = _low_passed(n, deviation * rng.uniform(0.05, 0.6), rng)
    if rng.random() < 0.3:
        audio = audio + 0.3 * np.sin(2 * np.pi * deviation * rng.uniform(0.1, 0.5) * np.arange(n))
    return _fm(deviation * 0.5 * np.clip(audio, -2, 2))


def video_fm(n: int, rng: Rng) -> np.ndarray:
    """Frequency modulation by a line-structured picture, like analog video links."""
    line = int(log_uniform(rng, 150, 3000))
    picture = np.repeat(rng.random((8, 40)), 12, 0)
    lines = picture[np.arange(n // line + 1) % len(picture)]
    x = np.repeat(lines, line // 40 + 1, 1)[:, :line].ravel()
    x = np.resize(x, n)
    x[np.arange(n) % line < line // 14] = -0.5
    return _fm(log_uniform(rng, 0.05, 0.25) * (x - 0.3))


def analog_am(n: int, rng: Rng) -> np.ndarray:
    """AM with carrier, double or single sideband."""
    audio = _low_passed(n, log_uniform(rng, 0.002, 0.08), rng)
    kind = rng.choice(["am", "dsb", "ssb"])
    if kind == "am":
        return 1 + rng.uniform(0.3, 0.8) * np.clip(audio, -1.2, 1.2) + 0j
    if kind == "dsb":
        return audio + 0j
    from scipy.signal import hilbert

    return hilbert(audio)


def pulses(n: int, rng: Rng) -> np.ndarray:
    """Trains of short pulses: pulse-position replies, radar, or long-wave groups with a slow tail."""
    kind = rng.choice(["ppm", "radar", "group"])
    x = np.zeros(n, np.complex64)
    if kind == "ppm":
        half = int(rng.integers(1, 8))
        chips = int(rng.integers(56, 121))
        for at in rng.integers(0, n, int(log_uniform(rng, 2, 200))):
            bits = rng.integers(0, 2, chips)
            packet = np.repeat(np.stack([bits, 1 - bits], 1).ravel(), half)[: n - at] * log_uniform(
                rng, 0.1, 1
            )
            x[at : at + len(packet)] += packet * np.exp(
                2j * np.pi * (rng.random() + rng.normal(0, 0.02) * np.arange(len(packet)))
            )
        return x
    width, period = int(log_uniform(rng, 4, 400)), int(log_uniform(rng, 200, 20000))
    t = np.arange(width * 4)
    pulse = (t < width).astype(float) if kind == "radar" else (t / width) ** 2 * np.exp(-2 * t / width)
    pulse = pulse * np.exp(
        2j * np.pi * (rng.uniform(-0.1, 0.1) * t + rng.choice([0, 0.1]) * t**2 / width / 8)
    )
    for at in range(int(rng.integers(0, period)), n, period):
        for k in range(int(rng.integers(1, 9)) if kind == "group" else 1):
            start = at + k * width * 6
            piece = pulse[: max(0, n - start)]
            x[start : start + len(piece)] += piece
    return x


def chirp(n: int, rng: Rng) -> np.ndarray:
    """Chirp spread spectrum (cyclically shifted symbols) and plain sweeps."""
    bandwidth, length = log_uniform(rng, 0.02, 0.8), int(log_uniform(rng, 100, 30000))
    count = n // length + 1
    shift = rng.random(count) if rng.random() < 0.7 else np.zeros(count)
    ramp = (np.arange(length) / length + shift[:, None]) % 1.0 - 0.5
    return _fm(bandwidth * rng.choice([-1, 1]) * ramp.ravel()[:n])


def spread(n: int, rng: Rng) -> np.ndarray:
    """Direct sequence: a repeated chip code carries slow symbols (offset QPSK with half-sine chips, or
    BPSK)."""
    sps, code = int(log_uniform(rng, 2, 40)), rng.choice([-1.0, 1.0], int(rng.choice([11, 32, 64, 127])))
    count = n // (sps * len(code)) + 2
    chips = (rng.choice([-1.0, 1.0], count)[:, None] * code).ravel()
    if rng.random() < 0.5:
        return np.repeat(chips, sps)[:n] + 0j
    half_sine = np.sin(np.pi * (np.arange(2 * sps) + 0.5) / (2 * sps))
    i, q = (upfirdn(half_sine, c, 2 * sps)[: n + sps] for c in (chips[0::2], chips[1::2]))
    m = min(len(i), len(q) + sps, n)
    x = np.zeros(n, np.complex64)
    x[:m] = i[:m] + 1j * np.concatenate([np.zeros(sps), q])[:m]
    return np.resize(x[:m], n)


def tone(n: int, rng: Rng) -> np.ndarray:
    """Carriers: steady, keyed like morse, or with amplitude dips like time signals."""
    x = np.ones(n, np.complex64)
    kind = rng.choice(["steady", "keyed", "dips", "several"])
    if kind == "keyed":
        unit = int(log_uniform(rng, 100, 10000))
        x = x * np.repeat(rng.choice([0, 1, 1, 1], n // unit + 1), unit)[:n]
    elif kind == "dips":
        period = int(log_uniform(rng, 2000, 60000))
        x = (
            np.where(np.arange(n) % period < period * rng.choice([0.1, 0.2]), rng.uniform(0.05, 0.5), 1.0)
            + 0j
        )
    elif kind == "several":
        k = np.arange(n)
        x = sum(
            np.exp(2j * np.pi * (rng.uniform(-0.3, 0.3) * k + rng.random()))
            for _ in range(int(rng.integers(2, 8)))
        )
    return x


def tdma(n: int, rng: Rng) -> np.ndarray:
    """Gaussian-shaped constant envelope in time slots with guard ramps and slot powers, pure-tone slots
    among them."""
    sps = int(log_uniform(rng, 2, 30))
    slot = int(156.25 * sps)
    x = _fm(
        np.convolve(np.repeat(rng.choice([-1, 1], n // sps + 2), sps)[:n], np.ones(sps) / sps, "same")
        / 4
        / sps
    )
    power = rng.choice([1.0, 1.0, rng.choice([0.0, 0.3, 1.0])], 8)
    if rng.random() < 0.4:
        tone_slot = (np.arange(n) // slot) % int(rng.choice([10, 8, 51])) == 0
        x = np.where(tone_slot, _fm(np.full(n, 1 / 4 / sps)), x)
    gain = power[(np.arange(n) // slot) % 8]
    gain[np.arange(n) % slot < int(8 * sps)] *= rng.choice([0.05, 1.0])
    return x * gain


def hopping(n: int, rng: Rng) -> np.ndarray:
    """GFSK packets on random channels."""
    x, at = np.zeros(n, np.complex64), 0
    slot, spacing = int(log_uniform(rng, 500, 20000)), log_uniform(rng, 0.02, 0.1)
    sps = max(2, int(0.8 / spacing))
    channels = max(1, int(0.8 / spacing))
    while at < n:
        length = min(int(slot * rng.uniform(0.3, 0.9)), n - at)
        bits = np.repeat(rng.choice([-1, 1], length // sps + 1), sps)[:length]
        hop = (rng.integers(0, channels) - channels // 2) * spacing
        x[at : at + length] = _fm(hop + 0.25 / sps * np.convolve(bits, np.ones(sps) / sps, "same")[:length])
        at += slot
    return x


def noise(n: int, rng: Rng) -> np.ndarray:
    """Nothing: the front end's noise will be all there is."""
    return np.zeros(n, np.complex64)


FAMILIES = {
    "psk-qam": linear,
    "fsk": fsk,
    "ook": ook,
    "ofdm": ofdm,
    "fm": analog_fm,
    "fm-video": video_fm,
    "am": analog_am,
    "pulses": pulses,
    "chirp": chirp,
    "dsss": spread,
    "tone": tone,
    "tdma": tdma,
    "hopping": hopping,
    "noise": noise,
}
BURSTY = {"psk-qam", "fsk", "chirp", "dsss", "tone", "fm"}  # the others bring their own framing


def waveform(family: str, n: int, rng: Rng) -> np.ndarray:
    """``n`` samples of a family, complex64, unit power while on (``noise`` is all zero)."""
    x = FAMILIES[family](n, rng)
    if family in BURSTY and rng.random() < 0.5:
        x = x * bursts(n, rng)
    return x.astype(np.complex64) if family == "noise" else _unit_power(x)
