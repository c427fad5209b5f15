# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Detection at several resolutions at once, and signals that fill the band or lie at its middle."""

import numpy as np
import pytest
from radiofm_ml.detect.boxes import Region, occupied
from radiofm_ml.detect.finder import Finder, Found, best, find, groups, main_format
from radiofm_ml.detect.lively import fills_the_band, is_keyed
from radiofm_ml.detect.noise import Noise
from radiofm_ml.detect.rows import formats, row_format, rows_of
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.stream import Box
from scipy import signal

RATE = 10e6
FORMS = formats(RATE)
FAST, MAIN, FINE = FORMS


def white(n: int, seed: int = 0) -> np.ndarray:
    """Noise of power 1."""
    return (np.random.default_rng(seed).standard_normal(2 * n, np.float32) / np.sqrt(2)).view(np.complex64)


def band_limited(n: int, width: float, seed: int = 1) -> np.ndarray:
    """Noise of power 1 in ``width`` of the band, at its middle."""
    x = signal.oaconvolve(white(n + 400, seed), signal.firwin(401, width), "valid")
    return (x / np.sqrt(np.mean(np.abs(x) ** 2))).astype(np.complex64)


def tone(n: int, frequency: float) -> np.ndarray:
    return np.exp(2j * np.pi * frequency / RATE * np.arange(n)).astype(np.complex64)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A carrier at -2 MHz that no fast row shows, and a burst of 100 us and 2 MHz that no fine row shows."""
    x = white(1 << 19)
    x += 0.075 * tone(len(x), -2e6)
    x[200_000:201_000] += 2 * band_limited(1000, 0.2) * tone(1000, 2e6)
    return x


def test_what_one_resolution_cannot_hold(scene):
    carrier, burst = sorted(find([scene], RATE), key=lambda box: box.freq_lower)
    assert carrier.freq_lower < -2e6 < carrier.freq_upper and carrier.freq_upper - carrier.freq_lower < 60e3
    assert carrier.sample_count > 0.95 * len(scene)
    assert burst.sample_start == pytest.approx(200_000, abs=FAST.stride)
    assert burst.sample_count == pytest.approx(1000, abs=2 * FAST.stride)
    assert burst.freq_lower == pytest.approx(1e6, abs=0.3e6)
    assert burst.freq_upper == pytest.approx(3e6, abs=0.3e6)
    for form, missed in ((FAST, carrier), (FINE, burst)):
        boxes = list(find([scene], RATE, Settings(), [form]))
        sizes = [box.sample_count for box in boxes if box.freq_lower < missed.freq_upper
                 and box.freq_upper > missed.freq_lower]
        assert not any(0.5 < size / missed.sample_count < 2 for size in sizes)


def test_boxes_do_not_depend_on_how_rows_come(scene):
    rows = [np.concatenate(list(rows_of([scene], form))) for form in FORMS]
    results = []
    for sizes in ((7, 100, 30), (512, 3, 11), (10_000, 10_000, 10_000)):
        finder, boxes, at = Finder(FORMS), [], [0, 0, 0]
        while any(at[k] < len(rows[k]) for k in (0, 1, 2)):
            for number, size in enumerate(sizes):
                boxes += finder.take(number, rows[number][at[number]:at[number] + size])
                at[number] += size
        results.append(boxes + finder.flush())
    assert results[0] and results[0] == results[1] == results[2]


def test_a_long_signal_comes_in_parts_with_one_number():
    x = white(1 << 22, 3)
    x[300_000:4_000_000] += band_limited(3_700_000, 0.05) * tone(3_700_000, 1e6)
    boxes = list(find(np.split(x, 64), RATE, Settings(longest=0.1)))
    assert {box.signal for box in boxes} == {0}
    assert [box.part for box in boxes] == list(range(len(boxes))) and len(boxes) >= 2
    assert [box.ended for box in boxes] == [False] * (len(boxes) - 1) + [True]


def test_a_burst_beside_a_long_signal_is_not_held_back():
    x = white(1 << 23, 4)
    x += band_limited(len(x), 0.05) * tone(len(x), 1e6)
    x[1_000_000:1_100_000] += band_limited(100_000, 0.05) * tone(100_000, -2e6)
    finder, taken, came = Finder(FORMS), [0, 0, 0], None
    rows = [np.concatenate(list(rows_of([x], form))) for form in FORMS]
    for until in range(0, len(x), 1 << 17):
        for number, form in enumerate(FORMS):
            stop = until // form.stride
            for box in finder.take(number, rows[number][taken[number]:stop]):
                if box.freq_upper < 0 and came is None:
                    came = until
            taken[number] = max(taken[number], stop)
    assert came is not None and came < 1_100_000 + 4 * 1_000_000  # a few blocks of 0.1 s, not ``longest``


def box(start: int, count: int, lower: float, upper: float, snr: float = 10.0) -> Box:
    return Box(0, 0, True, start, count, lower, upper, snr)


def test_the_main_format_is_the_middle_one():
    assert [main_format(forms) for forms in (FORMS, FORMS[::-1], (FAST, FINE), (FINE, FAST), (FAST,))] == [
        1, 1, 1, 0, 0]


ROWS = [8000, 1000, 500]  # that each format has had


def test_short_bursts_are_taken_from_the_fast_format():
    burst = [Found(0, box(10_000, 1024, 0, 1e6)), Found(1, box(8192, 8192, 0, 1e6, 1.0))]
    train = [Found(0, box(50_000 + 5000 * i, 1000, -1e6, 0)) for i in range(5)]
    train.append(Found(1, box(48_000, 26_000, -1e6, 0, 3.0)))
    long = [Found(0, box(100_000 + 5000 * i, 1000, 2e6, 3e6)) for i in range(5)]  # and what is between them
    long.append(Found(1, box(98_000, 26_000, 2e6, 3e6, 9.0)))
    others = groups([*burst, *train, *long])
    assert sorted(map(len, others)) == [2, 6, 6]
    assert best(burst, FORMS, ROWS) == [burst[0].box]
    assert best(train, FORMS, ROWS) == [found.box for found in train[:5]]
    assert best(long, FORMS, ROWS) == [long[5].box]


@pytest.mark.parametrize("number, count, width, snr, stays", [
    (0, 6000, 1e6, 11.0, True), (0, 6000, 1e6, 9.0, False),  # what a fast format alone sees is strong …
    (0, 30_000, 1e6, 11.0, False), (0, 300, 9.9e6, 90.0, False),  # … and short, and no click
    (1, 6000, 1e6, 0.0, True),
    (2, 500_000, 30e3, 2.0, True), (2, 500_000, 30e3, 0.0, False),  # what a fine one alone sees is narrow …
    (2, 500_000, 500e3, 20.0, False), (2, 10_000, 30e3, 2.0, False),  # … and long
])
def test_what_one_format_alone_sees(number, count, width, snr, stays):
    lone = [Found(number, box(0, count, 0, width, snr))]
    assert len(best(lone, FORMS, ROWS)) == stays


def test_where_the_main_format_had_few_rows_the_fast_one_tells():
    frame = [Found(0, box(0, 30_000, 0, 1e6, 4.0)), Found(1, box(0, 30_000, 0, 1e6, 4.0))]
    assert best(frame, FORMS, [60, 15, 7]) == [frame[0].box]
    assert not best([Found(0, box(0, 30_000, 0, 1e6, 2.0))], FORMS, [60, 15, 7])


def test_a_box_ends_where_the_signals_own_skirts_do():
    density = np.full(200, 1.0)
    density[80:120] = 1 + 10**4.0  # 40 dB
    density[60:80] = density[120:140] = 1 + 10**0.6  # skirts, 34 dB below
    power = np.tile(density, (30, 1)).astype(np.float32)
    assert occupied(Region(0, 30, 60, 140), power) == Region(0, 30, 80, 120)
    power[:, 80:120] = 1 + 10**3.0  # 24 dB above them: they belong to it
    assert occupied(Region(0, 30, 60, 140), power) == Region(0, 30, 60, 140)
    power[:5] = power[25:] = 1.5
    assert occupied(Region(0, 30, 80, 120), power) == Region(5, 25, 80, 120)


def test_a_signal_in_silence_keeps_its_band():
    power = np.ones((30, 200), np.float32)
    power[5:25, 80:120] = 1e38  # what whitening gives at most: in single precision a row's sum is infinite
    assert occupied(Region(0, 30, 60, 140), power) == Region(5, 25, 80, 120)


# -- always on ----------------------------------------------------------------------------------------------
def ofdm(n: int, seed: int = 5) -> np.ndarray:
    """52 of 64 carriers, 64-QAM, cyclic prefix 16: the shape of 802.11a, at the band's own rate."""
    rng = np.random.default_rng(seed)
    symbols = n // 80 + 1
    levels = np.arange(-7, 8, 2)
    carriers = np.zeros((symbols, 64), complex)
    used = np.r_[1:27, 38:64]
    carriers[:, used] = rng.choice(levels, (symbols, 52)) + 1j * rng.choice(levels, (symbols, 52))
    body = np.fft.ifft(carriers, axis=1)
    x = np.concatenate([body[:, -16:], body], axis=1).ravel()[:n]
    return (x / np.sqrt(np.mean(np.abs(x) ** 2))).astype(np.complex64)


@pytest.mark.parametrize("n", [20_000, 400_000])
def test_a_frame_that_fills_the_recording_is_boxed(n):
    """As 802.11a and LTE look in a recording of their own: on all the time, with a power that its content
    changes from symbol to symbol."""
    load = np.repeat(10 ** np.random.default_rng(6).normal(0, 0.1, n // 80 + 1), 80)[:n].astype(np.float32)
    x = 30 * load * ofdm(n) + white(n)
    boxes = list(find([x], 20e6))
    assert len(boxes) == 1
    assert boxes[0].sample_count > 0.85 * n and 15e6 < boxes[0].freq_upper - boxes[0].freq_lower < 19e6


@pytest.mark.parametrize("n", [20_000, 60_000, 1_000_000])
def test_noise_behind_a_steep_filter_is_the_receivers(n):
    filtered = signal.oaconvolve(white(n + 128, 6), signal.firwin(129, 0.8), "valid").astype(np.complex64)
    quantised = filtered + 1e-3 * white(n, 7)
    assert list(find([quantised], 20e6)) == []
    form = row_format(20e6, 512, averaging=4)
    rows = np.concatenate(list(rows_of([quantised], form)))
    assert not fills_the_band(rows[:500], Noise(3.7))


def test_a_keyed_carrier_at_the_middle_is_a_signal():
    """A time signal: 12 kS/s, its power 7 dB lower for 0.1 s of each second; a receiver's own line is not."""
    n, rate = 20 * 12_000, 12e3
    keyed = np.where(np.arange(n) % 12_000 < 1200, 0.4, 1.0).astype(np.float32)
    for level, found in ((keyed, True), (np.ones(n, np.float32), False)):
        boxes = list(find([white(n, 8) + 3 * level], rate))
        most = [box for box in boxes if box.freq_lower < 0 < box.freq_upper and box.sample_count > 0.9 * n]
        assert bool(most) == found


def test_is_keyed_wants_more_than_chance():
    noise, rng = Noise(7), np.random.default_rng(9)
    rows = 10 * np.log10(rng.gamma(7, 1 / 7, (200, 21)))
    assert not is_keyed(rows, slice(7, 14), np.zeros(21), noise)
    rows[:, 10] = 30 + np.where(np.arange(200) % 10 < 2, -6, 0)
    assert is_keyed(rows, slice(7, 14), np.zeros(21), noise)


def test_a_burst_over_the_whole_band_is_no_gain_step():
    x = white(400_000, 10)
    x[100_000:300_000] += 30 * band_limited(200_000, 0.4, 11) + 3 * white(200_000, 12)
    boxes = list(find([x], RATE))
    longest = max(boxes, key=lambda b: b.sample_count * (b.freq_upper - b.freq_lower))
    assert longest.sample_start == pytest.approx(100_000, abs=2 * FINE.stride)
    assert longest.sample_count == pytest.approx(200_000, abs=4 * FINE.stride)


def test_arguments():
    with pytest.raises(ValueError, match="formats"):
        Finder([])
    with pytest.raises(ValueError, match="one sample rate"):
        Finder([row_format(1e6), row_format(2e6)])
    with pytest.raises(ValueError, match="rows must be"):
        Finder(FORMS).take(0, np.zeros((3, 5)))
