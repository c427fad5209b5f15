# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signals cut out of a stream: in the right place to the sample and the hertz, and nothing else with them."""

import threading

import numpy as np
import pytest
from radiofm_ml.detect.cutter import CutOut, Cutter
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.spectra import BLOCK
from radiofm_ml.detect.stream import Box
from radiofm_ml.pipeline import _Stored, cut_signals, detect_parts
from radiofm_ml.sigmf.recording import open_recording
from scipy import signal
from sigmf_files import write_recording

RATE = 10e6
COUNT = 409_600


def box(start: int, count: int, low: float, high: float, **more) -> Box:
    return Box(**{"signal": 0, "part": 0, "ended": True, "sample_start": start, "sample_count": count,
                  "freq_lower": low, "freq_upper": high, "snr_db": 10.0, **more})


def noise(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(count) + 1j * rng.standard_normal(count)).astype(np.complex64)


def fed(samples: np.ndarray, pieces: int = 1, rate: float = RATE, **options) -> Cutter:
    cutter = Cutter(rate, **{"history": max(len(samples), BLOCK), **options})
    for piece in np.array_split(samples, pieces):
        cutter.feed(piece)
    return cutter


def positions(cut: CutOut, rate: float = RATE) -> np.ndarray:
    """Of a cut-out's samples in the stream."""
    return cut.start + np.arange(len(cut.samples)) * (rate / cut.rate)


def within(cut: CutOut, rate: float = RATE) -> np.ndarray:
    """Which of a cut-out's samples lie in the box."""
    at = positions(cut, rate)
    return (at >= cut.box.sample_start) & (at < cut.box.sample_start + cut.box.sample_count)


def decibel(error: np.ndarray) -> float:
    return 20 * np.log10(np.abs(error).max())


# -- exactly there ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("oversampling", [1.25, 2, 4, 16])
@pytest.mark.parametrize("low, high", [(1e6, 1.2e6), (-3e6, -1e6), (2e6, 4.9e6), (-5e6, 5e6), (-1e5, 1e5),
                                       (3e5, 3.2e5), (3e5, 3.05e5), (-4.9e6, -4.8e6), (123456.7, 345678.9)])
def test_a_tone_keeps_its_frequency_amplitude_and_phase(low, high, oversampling):
    """Over its whole box: it is long enough for many blocks."""
    middle = (low + high) / 2
    tone = middle + 0.37 * (high - low)
    samples = 3 * np.exp(2j * np.pi * tone * np.arange(COUNT) / RATE)
    wanted = box(150_001, 123_457, low, high)
    cut = fed(samples, oversampling=oversampling).cut(wanted)
    assert cut.samples.dtype == np.complex64 and cut.missing == 0 and cut.box == wanted
    assert positions(cut)[cut.lead] == wanted.sample_start, "the box's first sample is one of the cut-out's"
    expected = 3 * np.exp(2j * np.pi * (tone - middle) * positions(cut) / RATE)
    assert decibel((cut.samples - expected)[within(cut)]) < -68
    assert cut.rate == RATE or oversampling <= cut.rate / (high - low) <= 1.25 * oversampling
    assert cut.lead / cut.rate > 3.9 / (high - low) and cut.lead >= 8


def test_rates_are_simple_fractions_of_the_streams():
    seen = set()
    for width in np.geomspace(50, 1e7, 200):
        cut = fed(noise(BLOCK), history=BLOCK).cut(box(0, BLOCK, -width / 2, width / 2))
        mantissa, _ = np.frexp(cut.rate / RATE)
        seen.add(float(mantissa))
    assert seen == {4 / 8, 5 / 8, 6 / 8, 7 / 8}


@pytest.mark.parametrize("rate", [250e3, 2.4e6, 61.44e6, 1e6 / 3])
@pytest.mark.parametrize("width", [0.002, 0.05, 0.4])
def test_a_burst_lies_on_its_sample(rate, width):
    """A short pulse, far shorter than a block, compared with its formula between the samples as well."""
    count, at, middle = 60_000, 30_011.25, 0.21
    length = 1.5 / width  # samples: so that its spectrum fills the box

    def pulse(t):
        return np.exp(-(((t - at) / length) ** 2))

    t = np.arange(count)
    samples = pulse(t) * np.exp(2j * np.pi * middle * t)
    wanted = box(int(at - 4 * length), int(8 * length), rate * (middle - width / 2),
                 rate * (middle + width / 2))
    cut = fed(samples, rate=rate).cut(wanted)
    assert decibel((cut.samples - pulse(positions(cut, rate)))[within(cut, rate)]) < -65


def test_a_chirp_is_the_chirp_at_the_lower_rate():
    t = np.arange(COUNT)
    low, high, begin, length = -1e6, 1e6, 50_000, 200_000
    sweep = 1.8e6 / RATE / length

    def chirp(t):
        return np.exp(1j * np.pi * sweep * (t - begin - length / 2) ** 2)

    cut = fed(chirp(t) * np.exp(2j * np.pi * 0.1234567 * t)).cut(
        box(begin, length, low + 1234567, high + 1234567))
    assert decibel((cut.samples - chirp(positions(cut)))[within(cut)]) < -80


# -- and nothing else -------------------------------------------------------------------------------------
@pytest.mark.parametrize("low, high", [(0.9e6, 1.3e6), (1.05e6, 1.06e6)])
def test_what_is_beside_it_is_left_out(low, high):
    """Noise within the box as ``scipy.signal.resample`` has it, beside lines that are 60 dB stronger."""
    spectrum = np.fft.fft(noise(COUNT))
    frequency = np.fft.fftfreq(COUNT, 1 / RATE)
    clean = np.fft.ifft(np.where((frequency > low) & (frequency < high), spectrum, 0))
    power = np.mean(np.abs(clean) ** 2)
    t = np.arange(COUNT)
    wanted = box(100_000, 200_000, low, high)
    rate = fed(clean).cut(wanted).rate
    middle, away = (low + high) / 2, rate / 2
    lines = [middle + 1.02 * away, middle - 1.02 * away, middle + rate, middle - 2.3 * rate, -middle, -4.99e6]
    loud = sum(np.exp(2j * np.pi * line * t / RATE) for line in lines) * 1000 * np.sqrt(power)
    cut = fed(clean + loud).cut(wanted)
    down = clean * np.exp(-2j * np.pi * middle * t / RATE)
    reference = signal.resample(np.roll(down, -100_000), int(COUNT * rate / RATE))
    count = int(200_000 * rate / RATE)
    error = cut.samples[cut.lead:cut.lead + count] - reference[:count]
    assert 10 * np.log10(np.mean(np.abs(error) ** 2) / power) < -30, "so 90 dB below the lines"


def test_the_edge_of_the_band_does_not_wrap_around():
    t = np.arange(COUNT)
    other = np.exp(-2j * np.pi * 0.49 * t)
    for wanted in (box(100_000, 100_000, 4.5e6, 5e6), box(100_000, 100_000, 4.8e6, 5.1e6)):
        cut = fed(other).cut(wanted)
        assert decibel(cut.samples) < -75
    whole = fed(other).cut(box(100_000, 100_000, -5e6, 5e6))
    assert abs(np.abs(whole.samples[within(whole)]) - 1).max() < 1e-3


# -- one at a time or many, in pieces or in parts ----------------------------------------------------------
BOXES = [box(30_000, 900, -2e6, -1e6), box(40_000, 300_000, 1e6, 1.1e6), box(40_000, 200_000, 1.1e6, 1.15e6),
         box(35_000, 60_000, -5e6, 5e6), box(100_000, 250_000, 3e6, 3.004e6)]


@pytest.mark.parametrize("pieces", [2, 7, 397, 4001])
def test_pieces_of_any_size_give_the_same(pieces):
    samples = noise(COUNT)
    one, many = fed(samples), fed(samples, pieces)
    for wanted in BOXES:
        np.testing.assert_array_equal(one.cut(wanted).samples, many.cut(wanted).samples)


def test_many_at_once_are_as_one_at_a_time():
    samples = noise(COUNT)
    together = fed(samples)
    for wanted in [*BOXES, *BOXES[::-1]]:
        alone = fed(samples).cut(wanted)
        np.testing.assert_allclose(together.cut(wanted).samples, alone.samples, atol=2e-6)


def test_it_does_not_depend_on_what_comes_later_once_it_is_complete():
    samples = noise(2 * COUNT)
    for wanted in BOXES:
        cutter, late = Cutter(RATE, history=2 * COUNT), fed(samples)
        for piece in np.array_split(samples, 997):
            cutter.feed(piece)
            if cutter.complete(wanted):
                break
        assert cutter.position < len(samples)
        np.testing.assert_allclose(cutter.cut(wanted).samples, late.cut(wanted).samples, atol=2e-6)


def test_a_block_that_was_not_whole_yet_is_made_again():
    samples = noise(COUNT)
    cutter, wanted = Cutter(RATE, history=COUNT), box(30_000, 10_000, 1e6, 2e6)
    cutter.feed(samples[:36_000])
    early = cutter.cut(wanted)
    assert positions(early)[-1] < 36_000
    cutter.feed(samples[36_000:])
    np.testing.assert_allclose(cutter.cut(wanted).samples, fed(samples).cut(wanted).samples, atol=2e-6)


@pytest.mark.parametrize("low, high", [(1e6, 1.3e6), (1e6, 1.01e6)])
def test_parts_go_on_in_phase(low, high):
    samples = noise(COUNT)
    cutter = fed(samples)
    whole = cutter.cut(box(60_000, 245_760, low, high))
    at = 0
    for part in range(4):
        cut = cutter.cut(box(60_000 + 61_440 * part, 61_440, low, high, part=part))
        body = cut.samples[within(cut)]
        # 61,440 samples are a whole number of samples of either cut-out
        expected = whole.samples[whole.lead + at:whole.lead + at + len(body)]
        np.testing.assert_allclose(body, expected, atol=2e-5)
        at += len(body)


# -- edges -------------------------------------------------------------------------------------------------
def test_only_the_margin_fades():
    samples = np.ones(COUNT, np.complex64)
    cut = fed(samples).cut(box(100_000, 100_000, -1e5, 1e5))
    level = np.abs(cut.samples)
    np.testing.assert_allclose(level[within(cut)], 1, atol=1e-3)
    before, after = level[:cut.lead], level[np.flatnonzero(within(cut))[-1] + 1:]
    assert before[0] < 0.02 and after[-1] < 0.02 and len(after) >= cut.lead - 1
    assert (np.diff(before) > 0).all() and (np.diff(after) < 0).all()


@pytest.mark.parametrize("width", [20e3, 1e6])
def test_where_the_stream_begins_and_ends(width):
    cutter = fed(np.ones(COUNT, np.complex64))
    first = cutter.cut(box(0, 50_000, -width / 2, width / 2))
    assert (first.start, first.lead, first.missing) == (0, 0, 0)
    last = cutter.cut(box(350_000, 60_000, -width / 2, width / 2))  # rows go on behind the last sample
    assert COUNT - RATE / last.rate <= positions(last)[-1] < COUNT
    near = cutter.cut(box(40, 50_000, -width / 2, width / 2))
    assert near.start + near.lead * RATE / near.rate == 40 and near.start >= 0


def test_lost_samples_are_counted():
    samples = np.exp(2j * np.pi * 0.1 * np.arange(COUNT))
    cutter = fed(samples, 10, history=100_000)
    assert (cutter.oldest, cutter.position) == (309_600, COUNT)
    cut = cutter.cut(box(250_000, 120_000, 0.8e6, 1.2e6))
    assert (cut.missing, cut.start, cut.lead) == (59_600, 309_600, 0)
    np.testing.assert_allclose(cut.samples[50:within(cut).sum()], 1, atol=1e-3)
    assert cutter.lost == 0
    assert cutter.cut(box(200_000, 100_000, 0.8e6, 1.2e6)) is None
    assert cutter.lost == 1


def test_spectra_in_memory_are_bounded_and_right():
    """More blocks than are kept, used again."""
    samples = noise(1_500_000)
    cutter = fed(samples[:100_000], history=100_000)
    for at in range(100_000, len(samples), 50_000):
        cutter.feed(samples[at:at + 50_000])
        wanted = box(at - 20_000, 40_000, 1e6, 2e6)
        expected = fed(samples[at - 50_000:at + 50_000]).cut(box(30_000, 40_000, 1e6, 2e6))
        turn = np.exp(-2j * np.pi * 0.15 * (at - 50_000))
        body = cutter.cut(wanted)
        np.testing.assert_allclose(body.samples[within(body)], turn * expected.samples[within(expected)],
                                   atol=1e-3)
    assert len(cutter._spectra._slots) <= len(cutter._spectra._kept) == 64


def test_what_is_not_finite_is_silence():
    samples = noise(COUNT)
    samples[150_000:150_003] = np.nan, np.inf, complex(1, -np.inf)
    silent = np.where(np.isfinite(samples), samples, 0)
    wanted = box(100_000, 100_000, 1e6, 2e6)
    np.testing.assert_array_equal(fed(samples).cut(wanted).samples, fed(silent).cut(wanted).samples)


def test_one_thread_feeds_while_another_cuts():
    """However they meet: what is cut out is right, or said to be missing."""
    samples = np.exp(2j * np.pi * 0.1 * np.arange(4_000_000)).astype(np.complex64)
    cutter, cuts = Cutter(RATE, history=150_000), []
    cutter.feed(samples[:150_000])

    def feed():
        for piece in np.array_split(samples[150_000:], 400):
            cutter.feed(piece)

    feeder = threading.Thread(target=feed)
    feeder.start()
    tries = 0
    fed_all = False
    while not fed_all:
        fed_all = not feeder.is_alive()
        tries += 1
        cuts.append(cutter.cut(box(max(0, cutter.position - 148_000), 100_000, 0.8e6, 1.2e6)))
    feeder.join()
    found = [cut for cut in cuts if cut is not None]
    assert cutter.lost == tries - len(found)
    for cut in found:
        inside = within(cut) & (positions(cut) > cut.start + 500)
        np.testing.assert_allclose(cut.samples[inside], 1, atol=2e-3)
        assert cut.start == cut.box.sample_start + cut.missing or not cut.missing
    assert found


def test_arguments():
    for arguments, words in [((0,), "sample_rate"), ((1e6, 1.1), "oversampling"), ((1e6, 2, 100), "history")]:
        with pytest.raises(ValueError, match=words):
            Cutter(*arguments)
    cutter = fed(noise(BLOCK))
    for wrong in (box(0, 100, 1e6, 1e6), box(0, 0, 0, 1e6), box(-1, 100, 0, 1e6), box(0, 100, 0, np.nan)):
        with pytest.raises(ValueError, match="a box must"):
            cutter.cut(wrong)
    with pytest.raises(ValueError, match="within"):
        cutter.cut(box(0, 100, 5e6, 6e6))
    with pytest.raises(ValueError, match="begins at sample"):
        cutter.cut(box(BLOCK, 100, 0, 1e6))


# -- recordings --------------------------------------------------------------------------------------------
STRETCHES = ((1_000_000, 1_200_000, 150e3), (300_000, 2_800_000, -250e3))


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A burst at +150 kHz and a long signal at -250 kHz, 1 MS/s: BPSK of 20 kBd."""
    samples = 0.02 * noise(3_000_000)
    for start, stop, frequency in STRETCHES:
        turn = np.exp(2j * np.pi * frequency / 1e6 * np.arange(start, stop))
        samples[start:stop] += bpsk(start, stop) * turn
    return samples


def bpsk(start: int, stop: int) -> np.ndarray:
    bits = np.random.default_rng(start).choice([-1, 1], (stop - start) // 50 + 1)
    return 0.03 * np.repeat(bits, 50)[:stop - start]


def test_the_signals_of_a_recording(scene, tmp_path):
    settings = Settings(longest=0.5)
    with open_recording(write_recording(tmp_path / "x", scene, sample_rate=1e6)) as recording:
        cuts = list(cut_signals(recording, settings))
        boxes = list(detect_parts(recording, settings))
        assert [cut.box for cut in cuts] == boxes and len(boxes) >= 3, "the long one is in parts"
    ring = fed(scene, rate=1e6)
    for cut in cuts:
        np.testing.assert_allclose(cut.samples, ring.cut(cut.box).samples, atol=1e-6)
        start, stop, frequency = min(STRETCHES, key=lambda s: abs(s[2] - cut.box.freq_lower))
        middle = (cut.box.freq_lower + cut.box.freq_upper) / 2
        at = positions(cut, 1e6)
        inside = (at > start + 100) & (at < stop - 100)
        bits = cut.samples[inside] * np.exp(2j * np.pi * (middle - frequency) * at[inside] / 1e6)
        wanted = bpsk(start, stop)[np.floor(at[inside]).astype(int) - start]
        assert np.corrcoef(bits.real, wanted)[0, 1] > 0.9, "every bit in its place, in phase"


def test_of_real_samples_only_the_upper_half(scene, tmp_path):
    path = write_recording(tmp_path / "real", scene.real.copy(), sample_rate=1e6, datatype="rf32_le")
    with open_recording(path) as recording:
        cuts = list(cut_signals(recording, Settings()))
    assert {round(cut.box.freq_lower / 100e3) for cut in cuts} == {1, 2}
    assert all(cut.box.freq_lower >= 0 for cut in cuts)


def test_a_narrow_signal_at_the_beginning_of_a_recording(tmp_path):
    """Its filter reaches farther back than a block before the first sample."""
    samples = noise(80_000)
    narrow = Box(0, 0, True, 0, 60_000, 100e3, 101e3, 10.0)
    with open_recording(write_recording(tmp_path / "x", samples, sample_rate=4e6)) as recording:
        cut = Cutter(4e6, 2.0, _Stored(recording)).cut(narrow)
    np.testing.assert_allclose(cut.samples, fed(samples, rate=4e6).cut(narrow).samples, atol=1e-6)


def test_a_recording_without_a_rate(tmp_path):
    with open_recording(write_recording(tmp_path / "x", noise(1000))) as recording:
        with pytest.raises(ValueError, match="states no sample rate"):
            next(cut_signals(recording, Settings()))
