# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Slow-scan television: Martin, Scottie and Robot colour modes.

Timing and frequencies from J. L. Barber, N7CXI, "Proposal for SSTV Mode Specifications", Dayton 2000: black
at 1500 Hz, white at 2300 Hz, synchronisation at 1200 Hz; a calibration header with the mode's 7-bit VIS code,
the least significant bit first, even parity. The tone goes out on single sideband (where it is a tone at its
own distance from the suppressed carrier) or on narrow FM. Simplified: a random picture (pictures.py), no
morse or FSK identification after it, transmitters without clock error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import firwin, oaconvolve

from radiofm_ml.synth.signals.analogue import keyed
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import turn
from radiofm_ml.synth.signals.pictures import colour_picture

Rng = np.random.Generator
_SSB_RATE, _NFM_RATE = 12000.0, 24000.0


@dataclass(frozen=True)
class Mode:
    """vis: the code. Times in ms: a colour's scan, the synchronisation pulse, the gap between colours."""

    vis: int
    scan: float
    sync: float
    gap: float
    lines: int = 256


MODES = {
    "martin-m1": Mode(44, 146.432, 4.862, 0.572),
    "martin-m2": Mode(40, 73.216, 4.862, 0.572),
    "scottie-s1": Mode(60, 138.240, 9.0, 1.5),
    "scottie-s2": Mode(56, 88.064, 9.0, 1.5),
    "robot-36": Mode(8, 88.0, 9.0, 3.0, 240),
}
_PIXELS = 320


def header(vis: int) -> list[tuple[float, float]]:
    """The calibration header: (milliseconds, Hz) of each tone."""
    bits = [vis >> k & 1 for k in range(7)]
    bits.append(sum(bits) % 2)
    tones = [(300.0, 1900.0), (10.0, 1200.0), (300.0, 1900.0), (30.0, 1200.0)]
    return [*tones, *((30.0, 1100.0 if bit else 1300.0) for bit in bits), (30.0, 1200.0)]


def _scan(values: np.ndarray, milliseconds: float) -> np.ndarray:
    """Pixels (lines, 320), 0 to 1, as tones: (lines, 320, 2) of milliseconds and Hz."""
    tones = 1500.0 + 800.0 * values
    return np.stack([np.full_like(tones, milliseconds / values.shape[1]), tones], axis=-1)


def picture_tones(name: str, rgb: np.ndarray) -> np.ndarray:
    """The tones of all lines in order: (lines, tones of a line, 2), milliseconds and Hz.

    rgb   (lines, 320, 3), 0 to 1
    """
    mode, count = MODES[name], len(rgb)

    def tone(milliseconds: float, hertz: float) -> np.ndarray:
        return np.full((count, 1, 2), (milliseconds, hertz))

    sync, gap = tone(mode.sync, 1200), tone(mode.gap, 1500)
    red, green, blue = (_scan(rgb[..., k], mode.scan) for k in range(3))
    if name.startswith("martin"):
        return np.concatenate([sync, gap, green, gap, blue, gap, red, gap], axis=1)
    if name.startswith("scottie"):  # the pulse comes before red, in the middle of a line
        return np.concatenate([gap, green, gap, blue, sync, gap, red], axis=1)
    r, g, b = (rgb[..., k] for k in range(3))
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    even = np.arange(count)[:, None] % 2 == 0
    chroma = np.where(even, 0.5 + 0.5 * (r - luma) / 0.701, 0.5 + 0.5 * (b - luma) / 0.886)  # R-Y, then B-Y
    separator = tone(4.5, 1500)
    separator[1::2, :, 1] = 2300
    colour = _scan((chroma[:, ::2] + chroma[:, 1::2]) / 2, 44.0)
    return np.concatenate([sync, gap, _scan(luma, mode.scan), separator, tone(1.5, 1900), colour], axis=1)


def _voice_channel(tone: np.ndarray, rate: float) -> np.ndarray:
    """What a transmitter for speech lets through: 300 to 2700 Hz."""
    taps = firwin(129, 1200.0, fs=rate) * np.exp(2j * np.pi * 1500.0 / rate * np.arange(-64, 65))
    return oaconvolve(tone, taps.astype(np.complex64), "same")


def sstv(rng: Rng, duration: float, variant: str | None = None, start: float | None = None) -> Signal:
    """A stretch that begins ``start`` seconds into a transmission (if None anywhere, in a fifth of the cases
    before its header); a negative start is silence before it. Variants: the modes, on 'ssb' or 'nfm'."""
    variant = variant or str(rng.choice(_VARIANTS))
    name, modulation = variant.rsplit("-", 1)
    rate, mode = (_SSB_RATE if modulation == "ssb" else _NFM_RATE), MODES[name]
    n = round(duration * rate)
    lead = header(mode.vis) + ([(mode.sync, 1200.0)] if name.startswith("scottie") else [])
    lead_time = sum(ms for ms, _ in lead) / 1e3
    line_time = picture_tones(name, np.zeros((1, _PIXELS, 3)))[0, :, 0].sum() / 1e3
    if start is None:
        late = rng.random() < 0.8
        whole = lead_time + mode.lines * line_time
        start = rng.uniform(0, max(0.0, whole - duration)) if late else -rng.uniform(0, 0.5 * duration)
    first = min(max(0, int((start - lead_time) / line_time)), mode.lines - 2) // 2 * 2  # even, for Robot
    last = min(max(first, int((start + duration - lead_time) / line_time)) + 1, mode.lines)
    count = last - first  # lines that are seen, of a picture that is larger
    rgb = colour_picture(rng, min(4 * count, mode.lines), _PIXELS)[:count]
    sequence = picture_tones(name, rgb).reshape(-1, 2)
    at = start - lead_time - first * line_time
    if first == 0:
        sequence, at = np.concatenate([np.array(lead), sequence]), start
    ends = np.round(np.cumsum(sequence[:, 0]) * rate / 1e3).astype(np.int64)
    frequency = np.repeat(sequence[:, 1], np.diff(ends, prepend=0))
    skip = round(at * rate)  # samples of the sequence before the stretch, or of silence if negative
    on = frequency[max(skip, 0) : skip + n]
    tone = _voice_channel(turn(on, rate, rng.random()), rate)
    band: tuple[float, float] | None = (1050.0, 2350.0)
    if modulation == "nfm":
        tone, band = turn(rng.uniform(2e3, 4e3) * tone.real, rate), None
    elif rng.random() < 0.4:  # lower sideband, as on 80 and 40 m
        tone, band = tone.conj(), (-2350.0, -1050.0)
    iq = np.zeros(n, np.complex64)
    silence = max(-skip, 0)
    iq[silence : silence + len(tone)] = tone
    truth = {"mode": name, "vis": mode.vis, "line": line_time, "start": start, "first": first, "rgb": rgb}
    return keyed(iq, rate, [(silence if silence else -1, len(tone) + (not silence))], band, variant, truth)


_VARIANTS = tuple(f"{name}-{modulation}" for name in MODES for modulation in ("ssb", "nfm"))
CLASSES = (
    SignalClass("sstv", "Slow-scan television", sstv, (8e3, 96e3), (3.7e6, 146e6), (1.0, 10.0), _VARIANTS),
)
