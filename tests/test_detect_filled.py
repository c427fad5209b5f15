# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signals that fill the received band, and what a receiver's stop band holds."""

from dataclasses import replace

import numpy as np
import pytest
from radiofm_ml.detect.filled import FilledBand
from radiofm_ml.detect.finder import Found, best, find
from radiofm_ml.detect.rows import formats, row_format, rows_of
from radiofm_ml.detect.stream import Box
from scipy import signal

RATE = 1.92e6
FORM = row_format(RATE, 1024, averaging=8)
BLOCKS, CARRIERS = 10, 128  # resource blocks and subcarriers


def noise(count: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(count, 2)) @ [1, 1j]
    return (x / np.sqrt(2)).astype(np.complex64)


def loaded_ofdm(seconds: float, seed: int = 0) -> np.ndarray:
    """A downlink that is wider than the receiver: subcarriers of 15 kHz in resource blocks that are in use
    or not for a subframe of a millisecond. Mean power 0.56."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * 1e3)
    used = rng.random((frames, BLOCKS)) < 0.5
    level = np.repeat(np.where(used, 1.0, 0.35), CARRIERS // BLOCKS + 1, axis=1)[:, :CARRIERS]
    symbols = level[:, None] * np.exp(2j * np.pi * rng.integers(4, size=(frames, 14, CARRIERS)) / 4)
    body = np.fft.ifft(symbols, axis=2) * np.sqrt(CARRIERS)
    return np.concatenate([body[..., -9:], body], axis=2).ravel().astype(np.complex64)


def keyed(seconds: float) -> np.ndarray:
    """A strong keyed carrier, whose skirts reach over the band."""
    count = round(seconds * RATE)
    on = np.repeat(np.random.default_rng(1).integers(2, size=count // 500 + 1), 500)[:count]
    return (30 * on * np.exp(2j * np.pi * 0.1 * np.arange(count))).astype(np.complex64)


def bands(samples: np.ndarray) -> list:
    filled = FilledBand(FORM, 1.0)
    found = [box for rows in rows_of([samples], FORM) for box in filled.feed(rows)]
    return found + filled.flush()


def test_a_signal_wider_than_the_receiver_is_found():
    x = loaded_ofdm(0.5)
    found = list(find([x + 0.1 * noise(len(x))], RATE))
    widest = max(found, key=lambda box: box.energy)
    assert widest.freq_upper - widest.freq_lower > 0.9 * RATE
    assert widest.sample_start == 0 and widest.sample_count > 0.95 * len(x) and widest.ended


def test_it_begins_and_ends_with_its_blocks_and_comes_in_parts():
    x = np.concatenate([noise(1_500_000), loaded_ofdm(2.6), noise(1_500_000)])
    found = bands(x + 0.1 * noise(len(x), 1))
    assert [box.ended for box in found] == [False] * (len(found) - 1) + [True] and len(found) >= 3
    block = FilledBand(FORM, 1.0).block * FORM.stride
    stop = len(x) - 1_500_000
    assert abs(found[0].sample_start - 1_500_000) <= block
    assert abs(found[-1].sample_start + found[-1].sample_count - stop) <= block
    for a, b in zip(found, found[1:], strict=False):
        assert abs(a.sample_start + a.sample_count - b.sample_start) <= FORM.stride


@pytest.mark.parametrize("samples", [
    noise(2_000_000),
    signal.lfilter(*signal.butter(4, 0.6), noise(2_000_000)).astype(np.complex64),
    noise(2_000_000) * (1 + 0.5 * np.sin(np.arange(2_000_000) / 3e5)).astype(np.float32),
    noise(1_920_000) + keyed(1.0),
], ids=["noise", "filtered noise", "slow gain", "a keyed carrier"])
def test_noise_and_narrow_signals_fill_nothing(samples):
    assert bands(samples) == []


def test_too_few_rows_tell_nothing():
    assert bands(loaded_ofdm(0.02)) == []


def test_the_noise_of_a_box_is_that_of_the_receiver():
    """Power in full scale: of noise of a known density and of a signal of known power beside it."""
    x = 0.01 * noise(1_000_000)
    wave = signal.lfilter(signal.firwin(301, 0.15), 1, noise(300_000, 1))
    wave *= np.exp(2j * np.pi * 0.2 * np.arange(300_000)) / np.std(wave)
    x[300_000:600_000] += (0.1 * wave).astype(np.complex64)
    (box,) = find([x], RATE)
    assert box.noise_db == pytest.approx(10 * np.log10(1e-4 / RATE), abs=1.0)
    assert 10 * np.log10(box.energy) == pytest.approx(10 * np.log10(0.01 * 300_000), abs=1.5)


def test_a_click_in_a_receivers_stop_band_is_no_signal():
    """Behind a steep filter nothing is heard: what stands there above nothing was not received."""
    x = signal.lfilter(signal.firwin(401, 0.7, window=("kaiser", 12)), 1, noise(600_000)).astype(np.complex64)
    x[200_000:200_400] += 0.003 * noise(400, 1)  # 50 dB below the noise in the passband
    x += 1e-5 * noise(len(x), 2)
    x[400_000:440_000] += 0.3 * np.exp(2j * np.pi * 0.1 * np.arange(40_000))
    boxes = list(find([x], RATE))
    assert len(boxes) == 1
    assert boxes[0].freq_lower < 0.1 * RATE < boxes[0].freq_upper


def steady(count: int, width: float, seed: int = 0) -> np.ndarray:
    """A signal that is always on in ``width`` of the band and repeats the same symbols, so that its spectrum
    is one of lines, as that of GSM's dummy bursts is."""
    burst = noise(2500, seed)
    return signal.lfilter(signal.firwin(257, width), 1, np.resize(burst, count)).astype(np.complex64)


def test_a_wide_signal_that_is_always_on_is_told_from_a_receivers_shape():
    x = 30 * steady(400_000, 0.4) + noise(400_000, 1)
    (box,) = find([x], RATE)
    assert box.sample_count > 0.95 * len(x)
    assert box.freq_upper - box.freq_lower == pytest.approx(0.4 * RATE, rel=0.2)


def test_a_receivers_hump_of_noise_is_no_signal():
    wide = signal.lfilter(signal.firwin(11, 0.3), 1, noise(1_000_000)).astype(np.complex64)
    assert list(find([30 * wide + noise(1_000_000, 1)], RATE)) == []


def test_of_a_recording_of_few_rows_what_is_sure_is_kept():
    """A frame that fills it, which the fast format takes for the floor."""
    forms = formats(20e6)
    frame = Box(0, 0, True, 0, 30_000, -8.8e6, 9e6, 35.0)
    faint, sure = Box(0, 0, True, 20_000, 10_000, -10e6, -8.5e6, 1.0), replace(frame, freq_lower=-9e6)
    few, enough = (62, 15, 7), (248, 60, 28)
    assert best([Found(0, faint), Found(1, frame)], forms, few) == [frame]
    assert best([Found(0, sure), Found(1, frame)], forms, few) == [sure]
    assert best([Found(0, sure), Found(1, frame)], forms, enough) == [frame]
