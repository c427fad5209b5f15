# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What every class of signals keeps to."""

import numpy as np
import pytest
from radiofm_ml.synth.signals import TWENTY, all_classes, lora

CLASSES = all_classes()
VARIANTS = [(label, variant) for label, kind in CLASSES.items() for variant in kind.variants or (None,)]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_labels_are_unique_and_the_twenty_are_there():
    assert set(TWENTY) <= set(CLASSES)
    for label, kind in CLASSES.items():
        assert kind.label == label and kind.title
        for low, high in (kind.rates, kind.frequency, kind.span):
            assert 0 < low <= high


@pytest.mark.parametrize("label", CLASSES)
def test_a_signal_is_what_its_emissions_say(label):
    kind = CLASSES[label]
    duration = min(kind.span[0], 0.5)
    for seed in range(4):  # one in which it is on
        signal = kind.generate(rng(1, seed), duration)
        if signal.emissions:
            break
    assert signal.iq.dtype == np.complex64 and signal.iq.shape == (round(duration * signal.sample_rate),)
    assert np.isfinite(signal.iq).all()
    on = np.zeros(len(signal.iq), bool)
    for e in signal.emissions:
        assert 0 <= e.start and e.count > 0 and e.start + e.count <= len(on)
        assert -signal.sample_rate / 2 <= e.lower < e.upper <= signal.sample_rate / 2
        on[e.start : e.start + e.count] = True
    assert on.any() and not signal.iq[~on].any()
    assert np.mean(np.abs(signal.iq[on].astype(np.complex128)) ** 2) == pytest.approx(1, abs=0.02)
    again = kind.generate(rng(1, seed), duration)
    np.testing.assert_array_equal(again.iq, signal.iq)
    assert again.emissions == signal.emissions and again.variant == signal.variant


@pytest.mark.parametrize("label, variant", VARIANTS)
def test_the_band_holds_the_power(label, variant):
    """Within the edges of the longest emission, and of those at the same time, lies nearly all power."""
    kind = CLASSES[label]
    fixed = {"variant": variant} if variant else {}
    for seed in range(8):
        signal = kind.generate(rng(2, seed), min(kind.span[0], 1.0), **fixed)
        if signal.emissions:
            break
    assert variant is None or signal.variant == variant
    longest = max(signal.emissions, key=lambda e: e.count)
    start, stop = longest.start, longest.start + min(longest.count, 1 << 17)
    x = signal.iq[start:stop] * np.hanning(stop - start)  # where it is cut off, nothing splashes
    f = np.fft.fftfreq(len(x), 1 / signal.sample_rate)
    power = np.abs(np.fft.fft(x)) ** 2
    line = 2 * signal.sample_rate / len(x)  # what a short burst spreads
    inside = np.zeros(len(x), bool)
    for e in signal.emissions:
        if e.start < stop and e.start + e.count > start:
            inside |= (f >= e.lower - line) & (f <= e.upper + line)
    assert power[inside].sum() / power.sum() > 0.93


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("duration", [2.5e-4, 4e-3])
def test_any_duration(label, duration):
    signal = CLASSES[label].generate(rng(3), duration)
    assert len(signal.iq) == round(duration * signal.sample_rate) and np.isfinite(signal.iq).all()
    assert all(0 <= e.start and e.start + e.count <= len(signal.iq) for e in signal.emissions)


# -- LoRa, for which Debian has no decoder -----------------------------------------------------------
@pytest.mark.parametrize("factor", [7, 12])
def test_lora_chirps_carry_their_symbols(factor):
    """A receiver that dechirps and looks for the peak reads preamble, sync word and symbols."""
    symbols = rng(4).integers(0, 1 << factor, 12).tolist()
    x = lora.modulated(symbols, factor, 125e3, 0x34)
    n, step = 1 << factor, lora.OVERSAMPLING << factor
    ramp = (np.arange(step) + 0.5) / step
    down = np.exp(-2j * np.pi * np.cumsum(ramp - 0.5) * n / step)

    def read(at: int) -> int:
        spectrum = np.abs(np.fft.fft(x[at : at + step] * down))
        return int(np.argmax(spectrum[:n] + spectrum[-n:]))  # both sides of the jump from top to bottom

    assert [read(k * step) for k in range(10)] == [0] * 8 + [3 * 8, 4 * 8]
    data = 12 * step + step // 4
    assert [read(data + k * step) for k in range(12)] == symbols
    assert len(x) == data + 12 * step


@pytest.mark.parametrize("factor, rate, reduced", [(7, 1, False), (8, 4, False), (12, 2, True)])
def test_lora_symbols_hold_the_payload(factor, rate, reduced):
    """Undoing Gray mapping, interleaver and code gives header, whitened payload and CRC again."""
    payload = bytes(range(40, 65))
    symbols = lora.symbols_of(payload, factor, rate, reduced)
    nibbles, at = [], 0
    while at < len(symbols):
        first = at == 0
        length, used = (8 if first else 4 + rate), factor - 2 * (first or reduced)
        words = np.zeros((used, length), int)
        for i, symbol in enumerate(symbols[at : at + length]):
            value = (symbol - 1) % (1 << factor)
            bits = [int(b) for b in f"{value ^ value >> 1:0{factor}b}"]
            for j in range(used):
                words[(i - j - 1) % used, i] = bits[j]
        nibbles += [int("".join(map(str, word[3::-1])), 2) for word in words]
        at += length
    assert nibbles[:3] == [len(payload) >> 4, len(payload) & 15, rate << 1 | 1]
    read = [low | high << 4 for low, high in zip(nibbles[5::2], nibbles[6::2], strict=False)]
    assert bytes(lora.whitened(bytes(read[: len(payload)]))) == payload  # whitening is its own inverse
    crc = 0
    for value in payload[:-2]:
        crc ^= value << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    crc ^= payload[-1] ^ payload[-2] << 8
    assert read[len(payload)] | read[len(payload) + 1] << 8 == crc
