# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Detection: the floor of every bin, what is one signal, and boxes as a stream."""

import json

import numpy as np
import pytest
from command import radiofm
from radiofm_ml.detect.boxes import Cuts, Joins, Region, cut, join
from radiofm_ml.detect.floor import FloorTracker, bridge, envelope
from radiofm_ml.detect.rows import row_format, rows_of
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.stream import Detector, RowFormat
from radiofm_ml.detect.threshold import independent_bins, independent_rows, threshold
from radiofm_ml.pipeline import detect_jobs
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.jobs import plan
from radiofm_ml.sigmf.recording import open_recording
from sigmf_files import write_recording

RATE, BINS = 10e6, 1024
LOOKS = 7.0
FORM = row_format(RATE, BINS)
FREQUENCY = np.linspace(-1, 1, BINS, endpoint=False)
# A receiver: its passband sags and ripples, its filter falls by 25 dB at the edges.
SHAPE = (2 * np.cos(3 * FREQUENCY) + 0.7 * np.sin(50 * FREQUENCY)
         - 25 * np.clip((np.abs(FREQUENCY) - 0.88) / 0.12, 0, 1)).astype(np.float32)


def noise(rows: int, seed: int = 0, looks: float = LOOKS) -> np.ndarray:
    """Rows of averaged noise power (rows, BINS), mean 1."""
    return np.random.default_rng(seed).gamma(looks, 1 / looks, (rows, BINS)).astype(np.float32)


def in_db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power) + SHAPE


def with_signal(power: np.ndarray, rows: slice, bins: slice, snr_db: float, seed: int = 1) -> np.ndarray:
    place = power[rows, bins]
    rng = np.random.default_rng(seed)
    place += 10 ** (snr_db / 10) * rng.gamma(LOOKS, 1 / LOOKS, place.shape)
    return power


def tracker() -> FloorTracker:
    return FloorTracker(LOOKS, 0.3)


# -- floor ------------------------------------------------------------------------------------------------
def errors(floor: np.ndarray, bins: slice = slice(None)) -> np.ndarray:
    return np.abs(floor - SHAPE)[:, bins]


def test_the_floor_follows_the_receivers_shape():
    tracked, rows = tracker(), noise(1024)
    for block in np.split(in_db(rows), 4):
        floor = tracked.floor(block)
        assert np.quantile(errors(floor), 0.99) < 1.0 and errors(floor).mean() < 0.35


@pytest.mark.parametrize("bins, snr_db", [(slice(200, 203), 20), (slice(300, 420), 8), (slice(600, 840), 25)])
def test_what_is_always_on_does_not_lift_it(bins, snr_db):
    power = with_signal(noise(256), slice(None), bins, snr_db)
    inside = slice(bins.start + 1, bins.stop - 1)
    floor = tracker().floor(in_db(power))
    assert (np.mean(floor[:, inside] - SHAPE[inside]) < 2.0), "of a signal that stands 8 dB above or more"


def test_a_line_at_the_middle_is_the_receivers():
    """What does not change, as an offset of the converter does; noise of its own would be a signal."""
    power = noise(256)
    power[:, 511:514] += 1000
    floor = tracker().floor(in_db(power))
    assert floor[:, 512].mean() > SHAPE[512] + 25


def test_a_busy_band_does_not_lift_it():
    """Signals over two thirds of the band for most of the time."""
    power = noise(256)
    for number, start in enumerate(range(100, 900, 120)):
        with_signal(power, slice(5 * number + 8, 230 + 3 * number), slice(start, start + 90), 12, number)
    floor = tracker().floor(in_db(power))
    assert np.mean(floor - SHAPE) < 0.5 and np.quantile(errors(floor, slice(60, 960)), 0.95) < 2.0


@pytest.mark.parametrize("step_db", [-6, 4, 12])
def test_a_gain_step_moves_it(step_db):
    rows = in_db(noise(256))
    rows[130:] += step_db
    floor = tracker().floor(rows)
    wanted = SHAPE + np.where(np.arange(256) >= 130, step_db, 0)[:, None]
    assert np.abs(floor - wanted).mean() < 0.5
    assert np.abs(floor - wanted)[[120, 125, 135, 140]].mean() < 0.6


def test_a_gain_step_with_signals_moves_it():
    """A receiver changes its gain, and its shape a little, as a strong signal begins."""
    power = noise(256)
    with_signal(power, slice(180, 256), slice(300, 600), 20)
    rows, changed = in_db(power), 6 + 2.5 * np.sin(2 * FREQUENCY).astype(np.float32)
    rows[180:] += changed
    floor, beside = tracker().floor(rows), np.r_[150:280, 620:870]
    wanted = SHAPE + np.where(np.arange(256)[:, None] >= 180, changed, 0)
    assert np.abs(floor - wanted)[:, beside].mean() < 0.6
    assert np.abs(floor - wanted)[200:, beside].mean() < 0.7


def test_a_converters_noise_does_not_follow_the_gain():
    """The gain drifts down by 12 dB, and what is added behind it shows at the edges of the band."""
    level = 10 ** ((SHAPE - 12 * np.linspace(0, 1, 256)[:, None]) / 10) + 10**-2.6
    rows = (10 * np.log10(noise(256) * level)).astype(np.float32)
    followed = tracker()
    power = np.empty_like(rows)
    followed.whiten(rows, power)
    edges = np.r_[:20, BINS - 20:BINS]
    assert np.mean(power[200:, edges]) < 1.4, "3 would be a signal"
    floor = tracker().floor(rows)
    np.testing.assert_allclose(10 * np.log10(power), rows - floor, atol=0.01)


def test_envelope_and_bridge():
    level = np.zeros(100)
    level[40:60] = 10
    assert envelope(level, 0.5).max() <= 5 + 0.5 and (envelope(level, 0.5) <= level).all()
    assert np.abs(bridge(level, 0.5)).max() < 0.5  # steep flanks on both sides: a signal
    slope = np.concatenate([np.zeros(50), -0.4 * np.arange(50)])
    np.testing.assert_allclose(bridge(slope, 0.5), slope)  # a filter's edge


# -- threshold ----------------------------------------------------------------------------------------------
def test_independent_values():
    hann = row_format(1e6, 256).window
    assert independent_rows(hann, 256, 8) == pytest.approx(8)
    assert independent_rows(hann, 128, 8) == pytest.approx(8 / (1 + 2 * 7 / 8 / 36), rel=0.01)  # Welch
    assert independent_bins(np.ones(256), 5) == pytest.approx(5)
    assert independent_bins(hann, 3) == pytest.approx(3 / (1 + 2 * (2 / 3 * 4 / 9 + 1 / 3 / 36)), rel=0.01)


def test_a_lower_rate_is_a_higher_threshold():
    highs = [threshold(rate, 2.8e4, 42, 7.6) for rate in (10, 1, 0.1, 0.01)]
    assert highs == sorted(highs) and 1.4 < highs[0] < highs[-1] < 2.5


# -- what is one signal --------------------------------------------------------------------------------------
def boxes_of(mask: np.ndarray) -> set[tuple[int, int, int, int]]:
    return {(b.t0, b.t1, b.f0, b.f1) for b in cut(mask, 0, 0, Cuts())}


def test_touching_signals_are_told_apart():
    mask = np.zeros((60, 100), bool)
    mask[5:30, 10:40] = True
    mask[30:55, 20:80] = True  # follows at once, in a wider band
    assert boxes_of(mask) == {(5, 30, 10, 40), (30, 55, 20, 80)}
    mask = np.zeros((60, 100), bool)
    mask[5:50, 10:40] = True
    mask[20:35, 40:90] = True  # beside it, for a shorter time
    assert boxes_of(mask) == {(5, 50, 10, 40), (20, 35, 40, 90)}


def test_signals_that_cross_are_both_found():
    """Though in most rows the carrier fills few bins, and in most bins the burst few rows."""
    mask = np.zeros((200, 260), bool)
    mask[:, 10:18] = True
    mask[80:103] = True
    # the 10 bins below the carrier may be its skirt
    assert boxes_of(mask) == {(0, 80, 10, 18), (80, 103, 10, 18), (103, 200, 10, 18), (80, 103, 18, 260)}


def test_clicks_at_the_ends_of_a_signal_are_none():
    mask = np.zeros((200, 260), bool)
    mask[20:180, 100:120] = True
    mask[20:24], mask[176:180] = True, True
    assert boxes_of(mask) == {(20, 180, 100, 120)}


def test_one_signal_stays_one():
    mask = np.zeros((60, 100), bool)
    mask[5:50, 10:40] = True
    ragged = mask & (np.random.default_rng(0).random(mask.shape) > 0.05)
    assert boxes_of(ragged) == {(5, 50, 10, 40)}


def test_parts_of_one_signal_are_joined():
    tones = [Region(10, 50, 100, 104, 12), Region(11, 50, 105, 109, 12)]
    assert join(tones, Joins()) == [Region(10, 50, 100, 109, 12)]
    bursts = [Region(10, 20, 100, 110, 12), Region(24, 33, 101, 110, 11), Region(38, 50, 100, 111, 12)]
    assert join(bursts, Joins()) == [Region(10, 50, 100, 111, 12)]
    others = [Region(10, 50, 100, 110, 12), Region(10, 30, 112, 120, 12), Region(80, 90, 100, 110, 12)]
    assert len(join(others, Joins())) == 3  # another end; too long a pause


# -- the stream ---------------------------------------------------------------------------------------------
def found(rows: np.ndarray, chunk: int = 100) -> list:
    detector = Detector(FORM)
    boxes = [box for i in range(0, len(rows), chunk) for box in detector.feed(rows[i:i + chunk])]
    return boxes + detector.flush()


def overlap(box, rows: slice, bins: slice) -> float:
    """Intersection over union with a place in rows and bins."""
    start, stop = FORM.sample(rows.start), FORM.sample(rows.stop)
    low, high = FORM.frequency(bins.start), FORM.frequency(bins.stop)
    time = min(box.sample_start + box.sample_count, stop) - max(box.sample_start, start)
    band = min(box.freq_upper, high) - max(box.freq_lower, low)
    both = max(time, 0) * max(band, 0)
    areas = box.sample_count * (box.freq_upper - box.freq_lower) + (stop - start) * (high - low)
    return both / (areas - both)


PLACES = [(slice(40, 90), slice(200, 260), 10), (slice(60, 400), slice(300, 306), 15),
          (slice(150, 160), slice(500, 700), 8), (slice(300, 520), slice(720, 860), 6)]


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    power = noise(900, 3)
    for number, (rows, bins, snr) in enumerate(PLACES):
        with_signal(power, rows, bins, snr, number)
    return in_db(power)


def test_signals_are_found_where_they_are(scene):
    boxes = found(scene)
    assert len(boxes) == len(PLACES)
    for rows, bins, snr in PLACES:
        box = max(boxes, key=lambda b: overlap(b, rows, bins))
        assert overlap(box, rows, bins) > 0.7 and box.ended and box.part == 0
        assert box.snr_db == pytest.approx(snr, abs=1.5)


@pytest.mark.parametrize("chunk", [1, 37, 900])
def test_the_boxes_do_not_depend_on_how_rows_come(scene, chunk):
    assert found(scene, chunk) == found(scene)


def test_each_box_comes_soon_after_its_end(scene):
    detector, came = Detector(FORM), {}
    for i in range(0, len(scene), 50):
        for box in detector.feed(scene[i:i + 50]):
            came[box.signal] = i + 50 - (box.sample_start + box.sample_count) / FORM.stride
    assert came and max(came.values()) < 2 * 245 + 50  # two blocks of 0.1 s


def test_a_long_signal_comes_in_parts():
    power = with_signal(noise(6000, 4), slice(500, 5600), slice(400, 480), 10)
    boxes = found(in_db(power))
    assert {box.signal for box in boxes} == {0} and len(boxes) >= 2
    assert [box.part for box in boxes] == list(range(len(boxes)))
    assert [box.ended for box in boxes] == [False] * (len(boxes) - 1) + [True]
    for box, following in zip(boxes, boxes[1:], strict=False):
        assert abs(box.sample_start + box.sample_count - following.sample_start) <= 3 * FORM.stride


def test_noise_makes_few_boxes():
    assert len(found(in_db(noise(2000, 5)))) == 0


def test_what_is_not_finite_is_silence(scene):
    spoilt = scene.copy()
    spoilt[700:702] = np.nan
    spoilt[710, 5] = np.inf
    assert len(found(spoilt)) >= len(PLACES)


def test_arguments():
    with pytest.raises(ValueError, match="rows must be"):
        Detector(FORM).feed(np.zeros((4, 100)))
    with pytest.raises(ValueError, match="false_boxes"):
        Settings(false_boxes=0)
    with pytest.raises(ValueError, match="sample_rate"):
        RowFormat(0, 64, 32, 1, np.ones(64))
    with pytest.raises(ValueError, match="window"):
        RowFormat(1e6, 64, 32, 1, np.ones(60))


def test_rows_are_those_of_the_stft():
    rng = np.random.default_rng(6)
    iq = (rng.standard_normal(40000) + 1j * rng.standard_normal(40000)).astype(np.complex64)
    form = row_format(1e6, 256, 100, 4)
    whole = np.concatenate(list(rows_of([iq], form)))
    pieces = np.concatenate(list(rows_of(np.split(iq, [10, 11, 5000, 23456]), form)))
    np.testing.assert_allclose(whole, pieces, atol=1e-4)
    assert len(whole) == (40000 - 256) // 100 // 4 + (1 if ((40000 - 256) // 100 + 1) % 4 == 0 else 0)
    frames = [np.abs(np.fft.fftshift(np.fft.fft(iq[k * 100:k * 100 + 256] * form.window)))**2
              for k in range(4, 8)]
    wanted = 10 * np.log10(np.mean(frames, 0) / form.window.sum()**2)
    np.testing.assert_allclose(whole[1], wanted, atol=1e-2)


# -- recordings -------------------------------------------------------------------------------------------
@pytest.fixture
def recording(tmp_path):
    """A burst at +150 kHz and a long signal at -250 kHz of 100 MHz, 1 MS/s, as SigMF."""
    rng = np.random.default_rng(9)
    n, rate = 3_000_000, 1e6
    iq = 0.02 * rng.standard_normal(2 * n).astype(np.float32).view(np.complex64)
    for start, stop, frequency in ((1_000_000, 1_200_000, 150e3), (300_000, 2_800_000, -250e3)):
        symbols = np.repeat(rng.choice([-1, 1], (stop - start) // 50 + 1), 50)[:stop - start]
        iq[start:stop] += 0.02 * symbols * np.exp(2j * np.pi * frequency / rate * np.arange(stop - start))
    path = write_recording(tmp_path / "x", iq, captures=[{"core:sample_start": 0, "core:frequency": 100e6}],
                           sample_rate=rate)
    return path


def test_the_signals_of_a_recording_become_annotations(recording, tmp_path):
    out = tmp_path / "out.sigmf-meta"
    (outcome,) = detect_jobs(plan(recording, out, ".sigmf-meta"), Settings(longest=0.5))
    assert outcome.error is None and outcome.result == 2
    found = json.loads(out.read_text())["annotations"]
    assert [a["core:label"] for a in found] == ["signal"] * 2
    long, burst = sorted(found, key=lambda a: a["core:sample_start"])
    for note, start, stop, frequency in ((long, 300_000, 2_800_000, 99.75e6),
                                         (burst, 1_000_000, 1_200_000, 100.15e6)):
        assert note["core:sample_start"] == pytest.approx(start, abs=9000)
        assert note["core:sample_start"] + note["core:sample_count"] == pytest.approx(stop, abs=9000)
        assert note["core:freq_lower_edge"] < frequency < note["core:freq_upper_edge"]
        assert 10e3 < note["core:freq_upper_edge"] - note["core:freq_lower_edge"] < 120e3


def test_the_command(recording, tmp_path):
    text = radiofm("detect", recording, "-o", tmp_path / "out.sigmf-meta", "--min-level-db", 3)
    assert text == "" and len(json.loads((tmp_path / "out.sigmf-meta").read_text())["annotations"]) == 2
    quiet = write_recording(tmp_path / "quiet", np.zeros(10, np.complex64), sample_rate=1e6)
    radiofm("detect", quiet, "-o", tmp_path / "q.sigmf-meta")
    assert json.loads((tmp_path / "q.sigmf-meta").read_text())["annotations"] == []
    rateless = write_recording(tmp_path / "rateless", np.zeros(10000, np.complex64))
    assert "states no sample rate" in radiofm("detect", rateless, "-o", tmp_path / "r.sigmf-meta", code=1)


def test_boxes_and_names_live_in_one_file(recording, tmp_path):
    """Neither detect nor annotate takes the other's annotations away; each replaces its own."""
    out = tmp_path / "out.sigmf-meta"
    radiofm("detect", recording, "-o", out)
    with open_recording(recording) as opened, AnnotationWriter(out, opened) as writer:
        writer.add(0, 1000, "mine")
    radiofm("detect", recording, "-o", out)
    labels = sorted(a["core:label"] for a in json.loads(out.read_text())["annotations"])
    assert labels == ["mine", "signal", "signal"]
