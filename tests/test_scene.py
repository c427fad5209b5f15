# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Scenes: every step keeps the boxes; sets are reproducible, labelled and resumable."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from radiofm_ml.cli.app import app
from radiofm_ml.heads.boxes import tile_slices
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.sigmf.sample_types import SampleType
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.synth import dataset
from radiofm_ml.synth.channel import place, rational
from radiofm_ml.synth.dataset import SceneSettings
from radiofm_ml.synth.frontend import FrontEnd
from radiofm_ml.synth.recordings import write_recordings
from radiofm_ml.synth.scene import NOISE, compose, receive
from radiofm_ml.synth.signals import Emission, Signal, all_classes
from typer.testing import CliRunner

SPEC = SpectrogramSpec(fft_size=64, hop=32, rows=32, tile_rows=32, tile_cols=64)
PLAIN = FrontEnd("plain", None, 0j, 0.0, 0j, (), 0)
LABELS = ("ert", "fsk-sensor")


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def burst(rate=1e6, n=40000, start=10000, count=15000, tone=20e3, band=4e3) -> Signal:
    """A tone that is on for a while."""
    x = np.zeros(n, np.complex64)
    x[start : start + count] = np.exp(2j * np.pi * tone / rate * np.arange(count))
    return Signal(x, rate, (Emission(start, count, tone - band, tone + band),))


# -- steps -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "rate, offset",
    [(1e6, 0.0), (3.2e6, -1.1e6), (48e3 * 5, 30e3), (100e3, -10e3), (2.5e6, 1.2e6), (1.024e6, -200e3)],
)
def test_energy_lies_in_the_box(rate, offset):
    n = int(0.03 * rate)
    x, (box,) = receive(burst(), 4000, rate, n, offset)
    assert x.dtype == np.complex64 and len(x) == n
    assert box.start == pytest.approx(6000 * rate / 1e6, abs=2)
    assert box.count == pytest.approx(15000 * rate / 1e6, abs=2)
    assert (box.lower, box.upper) == (16e3 + offset, 24e3 + offset)
    power = np.abs(x) ** 2
    assert power[box.start : box.start + box.count].sum() > 0.995 * power.sum()
    assert power[box.start + 50 : box.start + box.count - 50].mean() == pytest.approx(1, abs=0.01)
    spectrum = np.abs(np.fft.fft(x)) ** 2
    f = np.fft.fftfreq(n, 1 / rate)
    assert spectrum[(f >= box.lower) & (f <= box.upper)].sum() > 0.97 * spectrum.sum()


@pytest.mark.parametrize(
    "rate, offset, tone", [(200e3, 130e3, 20e3), (900e3, -500e3, -80e3), (1e6, 560e3, 60e3), (1e5, 9e5, 60e3)]
)
def test_what_is_out_of_the_band_is_gone(rate, offset, tone):
    """... and not folded back into it, whichever way the signal is moved."""
    x, boxes = receive(burst(tone=tone), 0, rate, int(0.04 * rate), offset)
    assert boxes == []
    assert np.mean(np.abs(x) ** 2) < 1e-3


def test_a_wide_signal_is_clipped_to_the_band():
    spectrum = rng(1).standard_normal((1 << 16, 2)) @ [1, 1j]
    spectrum[np.abs(np.fft.fftfreq(1 << 16, 1e-6)) > 450e3] = 0
    noise = np.fft.ifft(spectrum, norm="ortho").astype(np.complex64)
    wide = Signal(noise, 1e6, (Emission(0, 1 << 16, -450e3, 450e3),))
    x, (box,) = receive(wide, 0, 250e3, 8000, 400e3)
    assert (box.lower, box.upper) == (-50e3, 125e3)
    spectrum = np.abs(np.fft.fft(x)) ** 2
    below = np.fft.fftfreq(len(x), 1 / 250e3) < -60e3
    assert spectrum[below].mean() < 0.02 * spectrum[~below].mean()


def test_ratios_are_exact_or_say_how_far():
    assert rational(0.24) == pytest.approx(0.24, abs=0) and rational(12.5).numerator == 25
    for ratio in (0.0123456, 0.5772, 3.14159, 55.4321):
        assert abs(float(rational(ratio, 500)) / ratio - 1) < max(ratio, 1 / ratio) / 500**2


def test_place_keeps_its_phase_over_long_stretches():
    n, offset = 1 << 20, 0.123456789
    turned = place(np.ones(n, np.complex64), offset)
    exact = np.exp(2j * np.pi * ((offset * np.arange(n)) % 1.0))
    assert np.abs(turned - exact).max() < 1e-6


# -- scenes ------------------------------------------------------------------------------------------
def test_the_snr_is_that_of_the_signal_in_its_own_band():
    """Power density in the box over that outside of it, through a front end without faults."""
    for seed, label in enumerate(("ert", "wireless-m-bus")):
        kind, n = all_classes()[label], 1 << 14
        scene = compose(rng(seed), label, n, rate=8 * kind.rates[0], snr_db=15.0, neighbours=0,
                        front_end=PLAIN)  # fmt: skip
        box = max((b for b in scene.boxes if b.main), key=lambda b: b.count)
        x = scene.samples[box.start : box.start + box.count]
        f = np.fft.fftfreq(len(x), 1 / scene.sample_rate)
        power = np.abs(np.fft.fft(x)) ** 2
        inside = (f >= box.lower) & (f <= box.upper)
        away = (f < box.lower - 0.1 * scene.sample_rate) | (f > box.upper + 0.1 * scene.sample_rate)
        snr = power[inside].mean() / power[away].mean() - 1
        assert 10 * np.log10(snr) == pytest.approx(15, abs=2.5)  # fading, and a stretch of it only


def test_a_scene_is_reproducible_and_its_boxes_lie_in_it():
    for seed in range(4):
        a, b = (compose(rng(seed), None, 4096, labels=LABELS, neighbours=0.6) for _ in range(2))
        np.testing.assert_array_equal(a.samples, b.samples)
        assert a.boxes == b.boxes and a.samples.shape == (4096,) and a.samples.dtype == np.complex64
        assert np.isfinite(a.samples).all()
        for box in a.boxes:
            assert 0 <= box.start and box.count > 0 and box.start + box.count <= 4096
            assert -a.sample_rate / 2 <= box.lower < box.upper <= a.sample_rate / 2
        assert any(box.main and box.label == a.label for box in a.boxes)


def test_noise_has_no_main_signal():
    scene = compose(rng(1), NOISE, 2048, neighbours=0)
    assert scene.boxes == () and np.isnan(scene.snr_db)


def test_an_unknown_label_is_named():
    with pytest.raises(ValueError, match="no signal is called 'smoke'"):
        compose(rng(1), "smoke")
    with pytest.raises(ValueError, match="no signal is called 'smoke'"):
        SceneSettings(("ert", "smoke"))


def test_front_ends_are_who_they_are():
    same, again, other = FrontEnd.numbered(3), FrontEnd.numbered(3), FrontEnd.numbered(4)
    assert same.name == "front-end-3" and (same.image, same.dc) == (again.image, again.dc)
    assert (same.image, same.dc, same.spurs, same.phase_noise) != (
        other.image, other.dc, other.spurs, other.phase_noise)  # fmt: skip
    x = (rng(5).standard_normal((1000, 2)) @ [1, 1j]).astype(np.complex64)
    for number in range(12):
        y = FrontEnd.numbered(number).receive(x, rng(6))
        assert y.dtype == np.complex64 and len(y) == 1000 and np.isfinite(y).all()
        np.testing.assert_array_equal(y, FrontEnd.numbered(number).receive(x, rng(6)))


# -- tiles -------------------------------------------------------------------------------------------
def test_labelled_tiles_show_what_they_say():
    settings = SceneSettings(LABELS, range(10, 14), neighbours=0.5)
    made = dataset.labelled_tiles(6, SPEC, 1, settings)
    assert made.tiles.shape == (12, 32, 64) and made.tiles.dtype == np.uint8
    assert made.labels.tolist() == [0] * 6 + [1] * 6 and made.names == LABELS
    assert set(made.front_ends) <= set(range(10, 14))
    assert len(set(made.groups[:6]) & set(made.groups[6:])) == 0 and len(set(made.groups)) < 12
    for boxes, label in zip(made.boxes, made.labels, strict=True):
        assert boxes.dtype == np.int32 and (boxes[:, 4] == label).any()
        assert (boxes[:, :4] >= 0).all() and (boxes[:, 1] <= 32).all() and (boxes[:, 3] <= 64).all()
        assert (boxes[:, 0] < boxes[:, 1]).all() and (boxes[:, 2] < boxes[:, 3]).all()
    fewer = dataset.labelled_tiles(2, SPEC, 1, settings)
    np.testing.assert_array_equal(fewer.tiles, made.tiles[[0, 1, 6, 7]])


def test_boxes_lie_on_the_signal_in_the_tile():
    """In strong scenes without neighbours, boxes are brighter than what is around them."""
    made = dataset.labelled_tiles(8, SPEC, 2, SceneSettings(("ert",), snr_db=(25, 30), neighbours=0))
    for tile, boxes in zip(made.tiles.astype(float), made.boxes, strict=True):
        inside = np.zeros(tile.shape, bool)
        for a, b, c, d, _ in boxes:
            inside[a:b, c:d] = True
        if 0.02 < inside.mean() < 0.9:
            assert tile[inside].mean() > tile[~inside].mean() + 5


def test_zoom_bounds_the_receivers_rate_and_leaves_other_sets_as_they_are():
    kind = all_classes()["ert"]
    any_rate = SceneSettings(("ert",), range(2), neighbours=0.0)
    whole, zoomed, same = (dataset.labelled_tiles(24, SPEC, 6, replace(any_rate, zoom=zoom))
                           for zoom in (None, 1.5, 100))  # fmt: skip
    assert zoomed.rates.min() > 0.99 * kind.rates[0] and zoomed.rates.max() < 1.51 * kind.rates[0]
    assert whole.rates.max() > 2 * kind.rates[0] and len(np.unique(zoomed.rates)) > 4
    np.testing.assert_array_equal(same.tiles, whole.tiles)  # beyond the kind's own range
    with pytest.raises(ValueError, match="zoom must be 1 or above"):
        replace(any_rate, zoom=0.5)


def test_tiles_in_which_nothing_is_on_are_noise():
    made = dataset.labelled_tiles(24, SPEC, 3, SceneSettings(("ert",), on=False, neighbours=0))
    assert made.names == ("ert", NOISE) and set(made.labels) == {0, 1}
    for label, snr, boxes in zip(made.labels, made.snr_db, made.boxes, strict=True):
        area = sum((b - a) * (d - c) for a, b, c, d, _ in boxes) / 32 / 64
        assert np.isnan(snr) == (label == 1)
        assert area < dataset.MIN_AREA if label == 1 else area >= dataset.MIN_AREA


def test_slices_are_those_that_segmentation_paints():
    rows, cols = tile_slices(32 * 4, 32 * 8, -0.25, 0.0, SPEC)
    assert (cols.start, cols.stop) == (16, 32) and rows.stop - rows.start == 8


# -- files -------------------------------------------------------------------------------------------
@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(dataset, "SHARD_TILES", 8)


def test_shards_are_resumed_and_read_back(tmp_path, small_shards):
    settings = SceneSettings(LABELS, on=False)
    paths = dataset.write_shards(tmp_path, SPEC, 16, 5, settings)
    assert [p.name for p in paths] == ["scenes-00000.npy", "scenes-00001.npy"]
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix == ".npy"}
    paths[1].unlink()
    dataset.write_shards(tmp_path, SPEC, 16, 5, settings)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix == ".npy"} == before
    read = dataset.read_shards(tmp_path)
    first = dataset.labelled_tiles(4, SPEC, 5, settings)
    np.testing.assert_array_equal(read.tiles[:8], first.tiles)
    np.testing.assert_array_equal(read.labels[:8], first.labels)
    assert read.names == (*LABELS, NOISE) and len(read.tiles) == len(read.boxes) == 16
    for a, b in zip(read.boxes, first.boxes, strict=False):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="other parameters"):
        dataset.write_shards(tmp_path, SPEC, 16, 6, settings)
    with pytest.raises(ValueError, match="other parameters"):
        dataset.write_shards(tmp_path, SPEC, 16, 5, replace(settings, zoom=2))
    note = tmp_path / "spec.json"
    older = {key: value for key, value in json.loads(note.read_text()).items() if key != "zoom"}
    note.write_text(json.dumps(older))
    dataset.write_shards(tmp_path, SPEC, 16, 5, settings)
    assert json.loads(note.read_text())["zoom"] is None
    paths[0].with_suffix(".truth.npz").unlink()
    with pytest.raises(ValueError, match="scenes-00000.npy: cannot be read"):
        dataset.read_shards(tmp_path)


def test_the_last_shard_is_as_small_as_it_may_be_and_grows(tmp_path, small_shards):
    settings = SceneSettings(LABELS, range(3), neighbours=0.0)
    paths = dataset.write_shards(tmp_path, SPEC, 11, 5, settings)
    small = dataset.read_shards(tmp_path)
    assert np.bincount(small.labels).tolist() == [6, 6] and len(paths) == 2
    first = paths[0].stat().st_mtime_ns
    assert dataset.write_shards(tmp_path, SPEC, 10, 5, settings) == paths  # more than that are there
    assert len(dataset.read_shards(tmp_path).tiles) == 12
    dataset.write_shards(tmp_path, SPEC, 16, 5, settings)
    grown = dataset.read_shards(tmp_path)
    assert paths[0].stat().st_mtime_ns == first and len(grown.tiles) == len(grown.boxes) == 16
    for label in range(2):
        np.testing.assert_array_equal(
            grown.tiles[grown.labels == label][:6], small.tiles[small.labels == label]
        )


def test_recordings_are_annotated_and_resumed(tmp_path):
    paths = write_recordings(tmp_path, 2, 4096, 7, SceneSettings(LABELS), datatype="ci8")
    assert len(paths) == 4
    kept = paths[0].read_bytes()
    paths[1].unlink()
    write_recordings(tmp_path, 2, 4096, 7, SceneSettings(LABELS), datatype="ci8")
    assert paths[0].read_bytes() == kept and paths[1].exists()
    with open_recording(paths[0]) as recording:
        assert recording.n_samples == 4096 and recording.datatype == "ci8" and not recording.warnings
        assert recording.label == "ert" and recording.meta["global"]["radiofm:front_end"] in range(100)
        low, high = (recording.captures[0].frequency + s * recording.sample_rate / 2 for s in (-1, 1))
        assert any(a.label == "ert" for a in recording.annotations)
        assert all(low <= a.freq_lower < a.freq_upper <= high for a in recording.annotations)
    rows = list(csv.DictReader((tmp_path / "index.csv").open()))
    assert [row["label"] for row in rows] == ["ert"] * 2 + ["fsk-sensor"] * 2
    assert len({row["session"] for row in rows}) == 4


@pytest.mark.parametrize("name", ["ci8", "cu8", "ci16_be", "cu16_le", "ci32_le", "cf32_le", "rf64_le"])
def test_samples_survive_their_datatype(name):
    kind = SampleType.parse(name)
    x = np.array([0, 0.5, -0.25 + 0.75j, -1 - 1j, 2 + 2j], np.complex64)
    y = np.empty(5, np.complex64)
    kind.to_complex(kind.from_complex(x), y)
    if not kind.is_complex:
        x = x.real.astype(np.complex64)
    if not kind.is_float:
        x = np.clip(x.view(np.float32), -1, 1).view(np.complex64)
    assert np.abs(y - x).max() < (1e-6 if kind.component.itemsize > 2 else 0.02)


def test_commands(tmp_path, small_shards):
    runner = CliRunner()
    done = runner.invoke(app, ["synth", "signals", str(tmp_path / "a"), "--labels", "ert", "--count", "1",
                               "--samples", "2048", "--datatype", "cf32_le", "--snr", "10:10"])  # fmt: skip
    assert done.exit_code == 0, done.output
    meta = json.loads(next((tmp_path / "a").glob("*.sigmf-meta")).read_text())
    assert meta["annotations"] and meta["annotations"][0]["core:label"] == "ert"
    listed = runner.invoke(app, ["synth", "classes"])
    assert listed.exit_code == 0 and "ert" in listed.output
    wrong = runner.invoke(app, ["synth", "tiles", str(tmp_path / "b"), "--snr", "10"])
    assert isinstance(wrong.exception, ValueError) and "--snr must be two numbers" in str(wrong.exception)
