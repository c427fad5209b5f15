# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The spectrogram spec: validation, geometry, padding rule, rows, tile values, occupied band."""

import json

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from radiofm_ml.spectrogram import (
    MSM_PUBLISHED,
    SpectrogramSpec,
    occupied_band,
    rows_from_iq,
    tile_db,
    tiles_from_iq,
    tiles_from_rows,
)

SMALL = SpectrogramSpec(fft_size=64, hop=32, rows=32, tile_rows=32, tile_cols=64, floor_quantile=0.25,
                        clip_db=(-15.0, 45.0), mean=7.0, std=9.0)


def noise(n, seed=0):
    rng = np.random.default_rng(seed)
    return ((rng.normal(size=n) + 1j * rng.normal(size=n)) / np.sqrt(2)).astype(np.complex64)


@st.composite
def specs(draw):
    fft_size = draw(st.integers(8, 96))
    rows = draw(st.integers(1, 24))
    window = draw(st.sampled_from(["hann", "boxcar", "blackmanharris", ("kaiser", 6.0)]))
    return SpectrogramSpec(fft_size=fft_size, hop=draw(st.integers(1, 150)), window=window,
                           averaging=draw(st.integers(1, 5)), rows=rows, tile_rows=rows, tile_cols=fft_size)


# -- validation ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("change, message", [
    ({"fft_size": 7}, "fft_size must be a whole number of at least 8"),
    ({"fft_size": 64.0}, "fft_size must be a whole number"),
    ({"hop": 0}, "hop must be"),
    ({"hop": True}, "hop must be"),
    ({"averaging": 0}, "averaging must be"),
    ({"rows": -1}, "rows must be"),
    ({"tile_rows": "32"}, "tile_rows must be"),
    ({"tile_cols": 65}, "resize 'none' needs tile_rows = rows and tile_cols = fft_size"),
    ({"scale": "power"}, "scale must be 'db'"),
    ({"reference": "peak"}, "reference must be"),
    ({"resize": "nearest"}, "resize must be"),
    ({"window": "hammock"}, "window 'hammock' is not one of scipy's"),
    ({"window": ("kaiser",)}, "is not one of scipy's"), ({"window": ("hann", "x")}, "must be a name, or"),
    ({"window": 5}, "must be a name, or"), ({"window": ("taylor", 10**9, 30)}, "must be a name, or"),
    *(({"window": ("kaiser", beta)}, "window .'kaiser'.*(taps|must)")
      for beta in (1000, -1000, 1e300, float("nan"), float("inf"))),
    ({"window": ("gaussian", 0)}, "NaN or infinite taps"),
    ({"window": ("general_cosine", [1.0] * 100)}, "must be a name, or"),
    ({"fft_size": 10**9, "tile_cols": 10**9}, "fft_size must be at most 16777216"),
    ({"floor_quantile": 1.5}, "floor_quantile must lie in 0..1"),
    ({"floor_quantile": float("nan")}, "must be finite numbers"),
    ({"mean": None}, "must be finite numbers"),
    ({"std": 0}, "std must be positive"),
    ({"absolute": (0.0, 0.0)}, "not zero"),
    ({"clip_db": (5.0, 5.0)}, "ascending"),
    ({"clip_db": (5.0, float("inf"))}, "must be finite numbers"),
])
def test_what_is_refused(change, message):
    with pytest.raises(ValueError, match=message) as error:
        SpectrogramSpec.from_dict({**SMALL.to_dict(), **change})
    assert str(error.value).startswith("spectrogram spec: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("values, message", [
    ([], "must be a JSON object"),
    ({"fft": 64}, "unknown key 'fft'"),
    ({"clip_db": 3}, "spectrogram spec"),
    ({"clip_db": "ab"}, "could not convert"),
])
def test_what_from_dict_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        SpectrogramSpec.from_dict(values)


@given(specs())
@settings(max_examples=50, deadline=None)
def test_json_round_trip(spec):
    back = SpectrogramSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert back == spec and hash(back) == hash(spec)


# -- geometry and padding --------------------------------------------------------------------------------
def covered(spec, tile):
    """The samples that a tile is computed from, straight from the rule for rows."""
    rows = range(tile * spec.rows * spec.averaging, (tile + 1) * spec.rows * spec.averaging)
    return rows[0] * spec.hop, rows[-1] * spec.hop + spec.fft_size


@given(specs(), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_tiles_lie_where_the_rows_say(spec, tile):
    start, stop = covered(spec, tile)
    assert (tile * spec.stride, tile * spec.stride + spec.samples_per_tile) == (start, stop)
    assert spec.n_rows(stop) // (spec.rows * spec.averaging) == tile + 1  # and one sample less is not enough
    assert spec.n_rows(stop - 1) // (spec.rows * spec.averaging) == tile


@given(specs(), st.integers(1, 200_000))
@settings(max_examples=200, deadline=None)
def test_padding_completes_the_last_tile_and_no_more(spec, n):
    tiles, padded = spec.n_tiles(n), spec.padded_length(n)
    assert tiles >= 1
    assert padded >= n
    assert spec.n_rows(padded) // (spec.rows * spec.averaging) == tiles  # what a stream of that length gives
    whole = spec.n_rows(n) // (spec.rows * spec.averaging)
    assert tiles - whole in (0, 1)
    if tiles == whole:
        assert padded == n
    else:
        assert padded == covered(spec, tiles - 1)[1] and n < padded
        assert spec.tail_start(n) < n  # the completed tile has samples of its own
    used = covered(spec, whole - 1)[1] if whole else 0
    fresh = n - max(used, whole * spec.stride)
    assert (tiles > whole) == (whole == 0 or 2 * fresh >= spec.stride)


def test_no_samples_no_tiles():
    assert (SMALL.n_tiles(0), SMALL.padded_length(0)) == (0, 0)
    assert SMALL.n_tiles(1) == 1 and SMALL.padded_length(1) == SMALL.samples_per_tile


# -- rows ------------------------------------------------------------------------------------------------
@given(specs(), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_rows_against_scipy_in_double(spec, seed):
    iq = noise(spec.samples_per_tile + 37, seed)
    rows = rows_from_iq(torch.from_numpy(iq), spec).numpy()
    taps = spec.window_taps().astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(iq.astype(np.complex128), spec.fft_size)[::spec.hop]
    spectrum = scipy.fft.fftshift(scipy.fft.fft(frames * taps), axes=1)
    power = np.abs(spectrum) ** 2 / taps.sum() ** 2
    n_rows = len(frames) // spec.averaging * spec.averaging
    power = power[:n_rows].reshape(-1, spec.averaging, spec.fft_size).mean(1)
    expected = 10 * np.log10(np.maximum(power, 1e-20))
    assert rows.shape == expected.shape
    strong = expected > expected.max(1, keepdims=True) - 40
    assert np.abs(rows - expected)[strong].max() < 1e-3


def test_a_full_scale_tone_on_a_bin_is_0_db():
    n = np.arange(4096)
    rows = rows_from_iq(torch.from_numpy(np.exp(2j * np.pi * n * 5 / 64).astype(np.complex64)), SMALL).numpy()
    assert np.abs(rows[:, 32 + 5]).max() < 1e-4
    assert rows.argmax(1).tolist() == [37] * len(rows)


def test_silence_is_clamped():
    rows = rows_from_iq(torch.zeros(1000, dtype=torch.complex64), SMALL)
    assert (rows == -200).all()
    assert torch.isfinite(tiles_from_iq(torch.zeros(2000, dtype=torch.complex64), SMALL)).all()


def test_less_than_a_row_gives_none():
    assert rows_from_iq(torch.zeros(63, dtype=torch.complex64), SMALL).shape == (0, 64)
    too_short = torch.zeros(SMALL.samples_per_tile - 1, dtype=torch.complex64)
    assert tiles_from_iq(too_short, SMALL).shape == (0, 32, 64)


# -- tiles -----------------------------------------------------------------------------------------------
def test_level_does_not_matter_to_the_noise_floor_reference():
    iq = torch.from_numpy(noise(3 * SMALL.samples_per_tile))
    loud, quiet = tiles_from_iq(iq, SMALL), tiles_from_iq(iq * 1e-4, SMALL)
    assert loud.shape == (3, 32, 64)
    assert (loud - quiet).abs().max() < 1e-4


def test_tile_values():
    """Noise power is exponential, so its q quantile is -ln(1 - q) of the mean."""
    tile = tiles_from_iq(torch.from_numpy(noise(SMALL.samples_per_tile)), SMALL)
    db = tile_db(tile.numpy(), SMALL)
    assert abs(np.quantile(db, SMALL.floor_quantile)) < 0.05
    assert abs(10 * np.log10((10 ** (db / 10)).mean() * -np.log(1 - 0.25))) < 0.4
    assert db.min() >= SMALL.clip_db[0] - 1e-4 and db.max() <= SMALL.clip_db[1] + 1e-4
    assert np.allclose(tile.numpy(), (db - SMALL.mean) / SMALL.std, atol=1e-5)


def test_gaps_of_zeros_do_not_move_the_floor():
    iq = noise(SMALL.samples_per_tile)
    gap = iq.copy()
    gap[:len(gap) // 2] = 0
    full = tiles_from_iq(torch.from_numpy(iq), SMALL)[0, -8:]
    half = tiles_from_iq(torch.from_numpy(gap), SMALL)[0, -8:]
    assert (full - half).abs().max() < 0.2  # 1.8 dB: it is the quantile of half as many bins


def test_bad_values_stay_where_they_are():
    rows = torch.zeros(1, 32, 64) + torch.randn(1, 32, 64, generator=torch.Generator().manual_seed(1))
    clean = tiles_from_rows(rows, SMALL)
    for value in (float("nan"), float("inf"), -float("inf")):
        bad = rows.clone()
        bad[0, 3, 4] = value
        tile = tiles_from_rows(bad, SMALL)
        assert torch.isfinite(tile).all()
        tile[0, 3, 4] = clean[0, 3, 4]
        assert (tile - clean).abs().max() < 0.02


def test_published_front_end():
    tile = tiles_from_iq(torch.from_numpy(noise(MSM_PUBLISHED.samples_per_tile) * 1e-4), MSM_PUBLISHED)
    assert tile.shape == (1, 224, 224)
    expected = ((-80 - 10 * np.log10(1024 / 1.5) - 2.5 + 155.8) / 147.39 - 0.634) / 0.0664  # E log of noise
    assert abs(tile.mean().item() - expected) < 0.05


# -- occupied band -----------------------------------------------------------------------------------------
WIDE = SpectrogramSpec()


def band(signal, level=1.0, spec=WIDE):
    iq = noise(spec.samples_per_tile, 3) * 0.01 + signal.astype(np.complex64) * level
    tile = tiles_from_iq(torch.from_numpy(iq.astype(np.complex64)), spec)[0].numpy()
    return np.array(occupied_band(tile, spec))


def tone(frequency, n=WIDE.samples_per_tile):
    return np.exp(2j * np.pi * frequency * np.arange(n))


def limited(low, high, n=WIDE.samples_per_tile, seed=5):
    """Noise in a band, at power 1."""
    spectrum = np.fft.fft(noise(n, seed))
    frequency = np.fft.fftfreq(n)
    signal = np.fft.ifft(np.where((frequency >= low) & (frequency < high), spectrum, 0))
    return signal / np.sqrt(np.mean(np.abs(signal) ** 2))


def test_noise_fills_the_band():
    assert band(np.zeros(WIDE.samples_per_tile)).tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("frequency", [-0.31, -0.1, 0.0, 0.2003, 0.4])
def test_a_tone_lies_in_the_middle_of_its_band(frequency):
    low, high = band(tone(frequency), 0.05)
    assert abs((low + high) / 2 - frequency) <= 1 / 256
    assert high - low <= 6 / 256


@pytest.mark.parametrize("low, high", [(-0.2, -0.05), (0.1, 0.3), (-0.35, 0.35), (-0.01, 0.02)])
@pytest.mark.parametrize("level", [0.03, 1.0])
def test_band_limited_signal(low, high, level):
    np.testing.assert_allclose(band(limited(low, high), level * np.sqrt((high - low) * 10)), [low, high],
                               atol=3 / 256)


def test_a_burst_counts():
    signal = limited(0.1, 0.2)
    signal[3000:] = 0
    np.testing.assert_allclose(band(signal, 0.1), [0.1, 0.2], atol=4 / 256)


def test_the_stronger_of_two_signals():
    signal = limited(0.1, 0.3) + 0.2 * limited(-0.4, -0.3, seed=6)
    np.testing.assert_allclose(band(signal, 0.1), [0.1, 0.3], atol=3 / 256)


def test_two_tones_of_one_signal_belong_together():
    low, high = band(tone(0.1) + tone(0.14), 0.1)
    assert low < 0.1 < 0.14 < high < 0.16


def test_a_weak_spur_is_not_the_signal():
    full = limited(-0.5, 0.5)
    assert band(full + 0.12 * tone(0.3), 1.0).tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("frequency", [0.07, 0.1, 0.2003, 0.37])
def test_real_samples_have_their_band_above_dc(frequency):
    """Each of their signals stands twice in the spectrum."""
    signal = tone(frequency).real.astype(np.complex64)
    for seed in range(5):
        noise = 0.05 * np.random.default_rng(seed).standard_normal(WIDE.samples_per_tile)
        tile = tiles_from_iq(torch.from_numpy((signal + noise).astype(np.complex64)), WIDE)[0].numpy()
        low, high = occupied_band(tile, WIDE)
        assert abs((low + high) / 2 - frequency) <= 1 / 256


def test_resized_tiles_have_the_same_band():
    spec = SpectrogramSpec(fft_size=512, hop=256, rows=128, tile_rows=64, tile_cols=96, resize="bicubic")
    signal = limited(0.1, 0.3, spec.samples_per_tile)
    np.testing.assert_allclose(band(signal, 0.1, spec), [0.1, 0.3], atol=3 / 96)


def test_bad_tiles_have_the_whole_band():
    for value in (np.nan, np.inf, -np.inf, 0.0):
        assert occupied_band(np.full((128, 256), value, np.float32), WIDE) == (-0.5, 0.5)


def test_band_on_real_recordings(data_dir):
    """Signals whose band is known from their standard."""
    from radiofm_ml.sigmf.recording import find_recordings, open_recording

    expected = {"wifi_ofdm": (14e6, 18e6), "ble": (0.8e6, 5e6), "lte_v2x_sidelink": (0.1e6, 20e6)}
    for label, (least, most) in expected.items():
        for path in find_recordings(data_dir / "iq" / label):
            recording = open_recording(path)
            iq = np.resize(recording.read(0, WIDE.samples_per_tile), WIDE.samples_per_tile)
            low, high = occupied_band(tiles_from_iq(torch.from_numpy(iq), WIDE)[0].numpy(), WIDE)
            assert least <= (high - low) * recording.sample_rate <= most, path
