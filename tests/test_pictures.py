# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pictures of signals: what is measured, and that a picture is the signal's and not the receiver's."""

import numpy as np
import pytest
from radiofm_ml.pictures import NUMBERS, Measured, PictureSpec, measure, pictures
from scipy import signal

SPEC = PictureSpec()


def noise(n, seed=0, power=1.0):
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(n) + 1j * rng.standard_normal(n)) * np.sqrt(power / 2)).astype(np.complex64)


def band_noise(n, rate, centre, width, power=100.0, seed=1):
    """Noise of a flat band, ``power`` over white noise of density 1."""
    spectrum = np.fft.fft(noise(n, seed, power))
    hertz = np.fft.fftfreq(n, 1 / rate)
    return np.fft.ifft(np.where(np.abs(hertz - centre) < width / 2, spectrum, 0)).astype(np.complex64)


@pytest.mark.parametrize(("rate", "centre", "width"), [(1e6, 0.0, 2e5), (1e6, 1.5e5, 1e5), (48e3, -4e3, 1e4)])
def test_the_band_with_95_per_cent_of_the_power_is_measured_whatever_the_box(rate, centre, width):
    x = band_noise(65536, rate, centre, width) + noise(65536)
    for box in ((-rate / 2, rate / 2), (centre - 0.7 * width, centre + 0.7 * width)):
        found = measure(x, rate, box)
        assert found.bandwidth == pytest.approx(0.95 * width, rel=0.06)
        assert found.centre == pytest.approx(centre, abs=0.03 * width)
        assert found.duration == pytest.approx(65536 / rate)
        assert found.duty > 0.9


def test_duty_is_the_share_of_time_with_power():
    x = noise(65536, 3, 100.0) * (np.arange(65536) % 8192 < 2048) + noise(65536, 4, 0.01)
    assert measure(x, 1e6, (-5e5, 5e5)).duty == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(("samples", "kurtosis"), [
    (np.exp(2j * np.pi * 0.01 * np.arange(65536)), 1.0),
    (noise(65536), 2.0),
    (np.exp(2j * np.pi * 0.01 * np.arange(65536)) * (np.arange(65536) % 4096 < 1024), 4.0),
    (np.zeros(4096), 2.0),
    (np.full(64, np.nan), 2.0),
    (np.ones(1), 1.0)], ids=["constant", "noise", "keyed", "silence", "not finite", "a sample"])
def test_kurtosis_tells_how_even_the_power_is(samples, kurtosis):
    with np.errstate(invalid="ignore"):
        found = measure(samples.astype(np.complex64), 1e6, (-5e5, 5e5))
    assert found.kurtosis == pytest.approx(kurtosis, rel=0.04)


def test_only_the_signals_own_samples_count():
    x = np.concatenate([noise(5000, 5, 1e4), band_noise(20000, 1e6, 0, 1e5), noise(5000, 6, 1e4)])
    found = measure(x, 1e6, (-2e5, 2e5), 5000, 25000)
    assert found.bandwidth == pytest.approx(0.95e5, rel=0.06)
    assert found.duration == pytest.approx(0.02)


@pytest.mark.parametrize("count", [1, 2, 15, 100])
def test_a_signal_of_a_few_samples_has_a_picture(count):
    x = np.exp(0.3j * np.arange(count)).astype(np.complex64)
    found = measure(x, 2e6, (-1e6, 1e6))
    made = pictures(x, 2e6, found, SPEC)
    assert made.shape == (1, *SPEC.shape)
    assert np.isfinite(made).all()
    assert np.isfinite(found.numbers()).all() and found.numbers().shape == (NUMBERS,)


def test_samples_that_are_not_numbers_and_silence_have_one_too():
    for x in (np.zeros(3000, np.complex64), np.full(3000, np.nan, np.complex64)):
        found = measure(x, 1e6, (-1e5, 1e5))
        assert np.isfinite(pictures(x, 1e6, found, SPEC)).all()
        assert np.isfinite(found.numbers()).all()


def keyed(rate, seconds=0.05, symbol=1e-4, seed=7):
    bits = np.random.default_rng(seed).integers(0, 2, round(seconds / symbol))
    tone = np.repeat(np.where(bits, 1e4, -1e4), round(symbol * rate))
    return (10 * np.exp(2j * np.pi * np.cumsum(tone) / rate)).astype(np.complex64)


def test_the_picture_is_the_same_at_another_sample_rate_and_frequency():
    """Of the panels that do not follow one noise: at twice the rate, moved by 30 kHz."""
    slow = keyed(2e5) + noise(10000, 8, 0.01)
    fast = signal.resample_poly(keyed(2e5), 2, 1) + noise(20000, 9, 0.02)
    fast = fast * np.exp(2j * np.pi * 3e4 / 4e5 * np.arange(20000)).astype(np.complex64)
    one = pictures(slow, 2e5, measure(slow, 2e5, (-3e4, 3e4)), SPEC)[0]
    other = pictures(fast, 4e5, measure(fast, 4e5, (0, 6e4)), SPEC)[0]
    rows, cols = SPEC.rows, SPEC.cols
    for panel in (np.s_[:rows, :cols], np.s_[rows:, :cols]):
        assert np.corrcoef(one[panel].ravel(), other[panel].ravel())[0, 1] > 0.9


def test_panels_show_the_band_in_their_middle():
    x = band_noise(1 << 17, 1e6, 1e5, 1e5) + noise(1 << 17)
    made = pictures(x, 1e6, Measured(1e5, 1e5, 0.131, 1.0, 2.0), SPEC)[0]
    texture = made[:SPEC.rows, SPEC.cols:].mean(0)
    inside = np.abs(np.arange(SPEC.cols) - SPEC.cols / 2 + 0.5) < SPEC.cols / SPEC.span / 2
    assert texture[inside].min() > texture[~inside].max()


def test_symbol_clock_shows_as_a_line_of_the_cycles():
    """Keying on and off at random, 2,000 symbols/s: the power's spectrum has nulls at its multiples only."""
    bits = np.repeat(np.random.default_rng(2).integers(0, 2, 4000), 50)
    x = (bits * 10 * (np.arange(len(bits)) % 50 < 25) + noise(len(bits), 3, 0.01)).astype(np.complex64)
    made = pictures(x, 1e5, Measured(0.0, 1e4, 2.0, 0.5, 2.0), SPEC)[0]
    cycles = made[SPEC.rows:, SPEC.cols:].mean(0)
    line = round(2000 / (1e4 * SPEC.span / 2) * SPEC.cols)
    assert abs(int(cycles[10:].argmax()) + 10 - line) <= 1


def test_a_long_signal_has_several_looks_and_a_short_one_does_not():
    x = band_noise(1 << 17, 1e6, 0, 5e5)
    found = Measured(0.0, 5e5, 0.131, 1.0, 2.0)
    assert pictures(x, 1e6, found, SPEC, looks=3).shape == (3, *SPEC.shape)
    assert len(pictures(x[:3000], 1e6, found, SPEC, looks=3)) == 1


def test_what_lies_beyond_the_samples_band_counts_as_floor():
    x = noise(40000, 3)
    made = pictures(x, 1e6, Measured(4e5, 4e5, 0.04, 1.0, 2.0), SPEC)[0]
    beyond = made[:SPEC.rows, SPEC.cols - 20:SPEC.cols]
    assert (beyond == np.float32((0 - SPEC.mean) / SPEC.std)).all()


@pytest.mark.parametrize(("values", "words"), [
    ({"rows": 4}, "rows"), ({"cols": 12.5}, "cols"), ({"span": 0.5}, "span"), ({"std": 0.0}, "std"),
    ({"clip_db": (3.0, 1.0)}, "clip_db"), ({"floor_quantile": 2.0}, "floor_quantile"),
    ({"other": 1}, "other")])
def test_a_spec_is_checked(values, words):
    with pytest.raises(ValueError, match=words):
        PictureSpec.from_dict(values)


def test_a_spec_survives_json():
    assert PictureSpec.from_dict(PictureSpec(span=2.0).to_dict()) == PictureSpec(span=2.0)
