# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Scenes: a transmission of a known kind, others beside it, a channel, noise, a receiver, and what is where.

    signal at its own rate --cut, resample, shift--> at the aerial --amplifier, echoes, fading, gain-->
        + neighbours + noise --front end--> samples

Every step carries the boxes along, to the sample and the hertz; what leaves the received band or the stretch
is clipped from them.

**SNR** is the signal's power while it is on over the noise in its own band, between the box's edges, after
the channel: the height of its average power density over the noise's. What the receiver does not take in of a
signal wider than its band counts in neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from radiofm_ml.synth.channel import channel, compress, place, rational, resample, transient
from radiofm_ml.synth.frontend import FrontEnd, white_noise
from radiofm_ml.synth.signals import Emission, Signal, SignalClass, all_classes
from radiofm_ml.synth.waveforms import Rng, log_uniform

NOISE = "noise"  # the label of a scene without a main signal

# Rates that receivers usually have, in samples/s.
COMMON_RATES = (
    8e3, 12e3, 16e3, 24e3, 32e3, 48e3, 62.5e3, 96e3, 125e3, 192e3, 240e3, 250e3, 256e3, 288e3, 384e3, 500e3,
    768e3, 1e6, 1.024e6, 1.25e6, 1.4e6, 1.536e6, 1.8e6, 1.92e6, 2e6, 2.048e6, 2.4e6, 2.56e6, 2.88e6, 3.2e6,
    4e6, 5e6, 6e6, 7.68e6, 8e6, 10e6, 12.5e6, 15.36e6, 16e6, 20e6, 25e6, 30.72e6, 40e6, 50e6, 56e6, 61.44e6,
)  # fmt: skip

LARGEST_RATIO = 500  # of a drawn rate to a signal's own; keeps the resampler's filters short
_LARGEST_DELAY = 3e-6  # seconds: of echoes in cities
_FADE_IN = 0.5  # a window shows at least this share of a burst, or is filled by it to this share


@dataclass(frozen=True)
class Box:
    """An emission as received: samples [start, start + count), ``lower`` to ``upper`` Hz from the centre.

    main: whether it is the scene's own signal and not a neighbour.
    """

    start: int
    count: int
    lower: float
    upper: float
    label: str
    variant: str
    snr_db: float
    main: bool


@dataclass(frozen=True)
class Scene:
    """What a receiver delivers.

    samples      complex64 (n,)
    sample_rate  in samples/s
    frequency    centre frequency in Hz: one at which such a signal is found
    boxes        what is on, by start
    label        of the main signal, 'noise' if there is none; whether it is on say the boxes
    variant      of the main signal
    snr_db       of the main signal (see above), NaN for 'noise'
    front_end    the receiver's name
    """

    samples: np.ndarray
    sample_rate: float
    frequency: float
    boxes: tuple[Box, ...]
    label: str
    variant: str
    snr_db: float
    front_end: str


def compose(
    rng: Rng,
    label: str | None = None,
    n_samples: int = 16512,
    *,
    rate: float | None = None,
    snr_db: float | tuple[float, float] = (0.0, 30.0),
    neighbours: float = 0.3,
    front_end: FrontEnd | int | None = None,
    signal: Signal | None = None,
    on: bool = True,
    labels: tuple[str, ...] | None = None,
) -> Scene:
    """A scene of ``n_samples`` around one signal.

    label       kind of the main signal, one of ``all_classes()`` or 'noise'; drawn from ``labels`` if None
    rate        receiver's samples/s; drawn from the kind's ``rates`` if None
    snr_db      of the main signal, or a range to draw it from
    neighbours  probability of a first neighbour; that of a second one is its square
    front_end   a receiver or its number; any if None
    signal      a transmission of that kind to take a window of, instead of a new one
    on          whether the window is chosen so that the main signal is on in it (where it ever is)
    labels      kinds to draw the main signal and the neighbours from; all if None

    Raises ValueError for an unknown label.
    """
    classes = all_classes()
    names = tuple(labels or classes)
    for name in {*names, *([label] if label else [])} - {NOISE}:
        if name not in classes:
            raise ValueError(f"no signal is called {name!r}; there are: {', '.join(classes)}")
    label = label or str(rng.choice(names))
    snr = float(rng.uniform(*snr_db)) if isinstance(snr_db, tuple) else float(snr_db)
    if not isinstance(front_end, FrontEnd):
        front_end = FrontEnd.draw(rng) if front_end is None else FrontEnd.numbered(front_end)

    x, boxes, frequency, variant = np.zeros(n_samples, np.complex64), [], 0.0, ""
    if label == NOISE:
        rate = rate or draw_rate((min(c.rates[0] for c in classes.values()),
                                  max(c.rates[1] for c in classes.values())), rng)  # fmt: skip
    else:
        kind = classes[label]
        wanted = rate or draw_rate(kind.rates, rng)
        signal = signal or generate(kind, n_samples / wanted, rng)
        rate = rate or signal.sample_rate * float(rational(wanted / signal.sample_rate, LARGEST_RATIO))
        offset = _main_offset(signal, rate, rng)
        x, boxes = _arrive(kind, signal, rate, n_samples, offset, snr, rng, on, main=True)
        frequency, variant = float(rng.uniform(*kind.frequency)) - offset, signal.variant

    others = [c for name, c in classes.items() if name in names and _may_neighbour(c, rate)]
    while others and rng.random() < neighbours:
        neighbours *= neighbours
        y, more = _neighbour(others[int(rng.integers(len(others)))], rate, n_samples, boxes, snr, rng)
        x, boxes = x + y, boxes + more
    samples = front_end.receive(x + white_noise(n_samples, rng), rng)
    boxes = tuple(sorted(boxes, key=lambda b: (b.start, b.lower)))
    return Scene(samples, rate, frequency, boxes, label, variant, snr if label != NOISE else math.nan,
                 front_end.name)  # fmt: skip


def draw_rate(rates: tuple[float, float], rng: Rng) -> float:
    """A receiver's sample rate in the range: every other time a common one, else any."""
    common = [r for r in COMMON_RATES if rates[0] <= r <= rates[1]]
    return float(rng.choice(common)) if common and rng.random() < 0.5 else log_uniform(rng, *rates)


def generate(kind: SignalClass, seconds: float, rng: Rng) -> Signal:
    """A transmission long enough for ``seconds`` and to show what it is: a stretch within the kind's span."""
    return kind.generate(rng, max(1.05 * seconds, log_uniform(rng, *kind.span)))


def window(signal: Signal, count: int, rng: Rng, on: bool = True) -> int:
    """Where to begin, in samples of ``signal``, to take ``count`` of them.

    on: so that half of an emission, chosen at random, lies in it, or that half of it is filled by one.
    """
    last = max(len(signal.iq) - count, 0)
    if on and signal.emissions:
        e = signal.emissions[int(rng.integers(len(signal.emissions)))]
        part = int(_FADE_IN * min(count, e.count))
        low, high = e.start - count + part, e.start + e.count - part
        low, high = max(low, 0), min(high, last)
        if low <= high:
            return int(rng.integers(low, high + 1))
    return int(rng.integers(0, last + 1))


def receive(
    signal: Signal, start: int, rate: float, n: int, offset: float = 0.0, largest: int = 20000
) -> tuple[np.ndarray, list[Emission]]:
    """``n`` samples at ``rate`` of the signal from its sample ``start`` on, moved by ``offset`` Hz.

    Returns complex64 (n,), with nothing of what lies beyond the band folded back into it, and the emissions
    in these samples and this band. The rate is exact to R / largest^2 (``channel.rational``).
    """
    native = signal.sample_rate
    ratio = rational(rate / native, largest)
    margin = transient(ratio)
    skip = math.ceil(margin * ratio)
    first = start - margin
    count = math.ceil((n + skip) / ratio) + margin
    piece = np.zeros(count, np.complex64)
    known = signal.iq[max(first, 0) : first + count]
    piece[max(-first, 0) :][: len(known)] = known

    up, down = ratio.numerator, ratio.denominator
    edge = max((max(abs(e.lower), abs(e.upper)) for e in signal.emissions), default=0.0)
    if abs(offset) + edge <= rate / 2:
        x = place(resample(piece, up, down)[skip : skip + n], offset / rate)
    elif abs(offset) + edge <= native - rate / 2:  # what wraps around lands outside the received band
        x = resample(place(piece, offset / native), up, down)[skip : skip + n]
    else:  # by way of a rate that holds all of it
        wide = math.ceil(2 * (abs(offset) + edge) / rate)
        y = place(resample(piece, up * wide, down), offset / rate / wide)
        x = resample(y, 1, wide)[skip : skip + n]
    moved = (_moved(e, float(ratio), first, skip, n, offset, rate) for e in signal.emissions)
    return x, [e for e in moved if e is not None]


def _moved(e: Emission, ratio: float, first: int, skip: int, n: int, offset: float, rate: float):
    begin = max(math.floor((e.start - first) * ratio) - skip, 0)
    end = min(math.ceil((e.start + e.count - first) * ratio) - skip, n)
    lower, upper = max(e.lower + offset, -rate / 2), min(e.upper + offset, rate / 2)
    return Emission(begin, end - begin, lower, upper) if begin < end and lower < upper else None


def _arrive(kind, signal, rate, n, offset, snr_db, rng, on, main, largest=20000):
    """The signal at the aerial, over noise of mean power 1 in the whole band: samples and boxes."""
    count = math.ceil(n * signal.sample_rate / rate)
    x, emissions = receive(signal, window(signal, count, rng, on), rate, n, offset, largest)
    if not emissions:
        return np.zeros(n, np.complex64), []
    if rng.random() < 0.25:
        x = compress(x, rng)
    x = channel(x, rng, _LARGEST_DELAY * rate)
    active = np.zeros(n, bool)
    for e in emissions:
        active[e.start : e.start + e.count] = True
    power = max(float(np.mean(np.abs(x[active]) ** 2)), 1e-12)
    band = float(np.median([e.upper - e.lower for e in emissions])) / rate
    x = x * np.float32(math.sqrt(10 ** (snr_db / 10) * band / power))
    return x, [Box(e.start, e.count, e.lower, e.upper, kind.label, signal.variant, snr_db, main)
               for e in emissions]  # fmt: skip


def _edges(signal: Signal) -> tuple[float, float]:
    return (min((e.lower for e in signal.emissions), default=0.0),
            max((e.upper for e in signal.emissions), default=0.0))  # fmt: skip


def _main_offset(signal: Signal, rate: float, rng: Rng) -> float:
    """A frequency in the band: in the middle but for the oscillators' error, or anywhere, seldom cut off."""
    error = rng.normal(0, 0.005) * rate
    if rng.random() < 0.3:
        return error
    lower, upper = _edges(signal)
    spill = 0.25 * (upper - lower) if rng.random() < 0.1 else 0.0
    low, high = -rate / 2 - lower - spill, rate / 2 - upper + spill
    return float(rng.uniform(low, high)) if low < high else error


def _may_neighbour(kind: SignalClass, rate: float) -> bool:
    """Whether it is seen at about this rate; the others would show as a line or as noise."""
    return kind.rates[0] / 4 <= rate <= kind.rates[1] * 4


def _neighbour(kind, rate, n, main: list[Box], snr_db: float, rng: Rng):
    """Another signal, weaker than the main one, mostly beside it and sometimes over it."""
    signal = kind.generate(rng, 1.05 * n / rate)
    lower, upper = _edges(signal)
    for _ in range(8):
        offset = float(rng.uniform(-0.48, 0.48)) * rate
        apart = all(offset + upper < b.lower or offset + lower > b.upper for b in main)
        if apart or rng.random() < 0.05:
            snr = snr_db - rng.uniform(0, 15)
            return _arrive(kind, signal, rate, n, offset, snr, rng, on=False, main=False,
                           largest=LARGEST_RATIO)  # fmt: skip
    return np.zeros(n, np.complex64), []

