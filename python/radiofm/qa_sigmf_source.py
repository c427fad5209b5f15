#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the SigMF Source: samples, tags and their places, padding, the end."""

import importlib
import json
import tarfile
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm

try:
    from radiofm_ml.spectrogram import SpectrogramSpec
except ImportError:
    SpectrogramSpec = None

RATE = 1000.0
CAPTURES = [
    {"core:sample_start": 0, "core:frequency": 100e6, "core:datetime": "2001-09-09T01:46:40.25Z"},
    {"core:sample_start": 3000, "core:frequency": 200e6},
    {"core:sample_start": 7001, "core:frequency": 300e6, "core:datetime": "2001-09-09T01:46:50.000000001Z"},
]


def write_recording(base: Path, data: np.ndarray, captures: list | None = None, **info) -> str:
    """A SigMF pair; ``info`` are ``core:`` keys. Returns the metadata file."""
    meta = {"global": {"core:datatype": "cf32_le", "core:version": "1.2.0",
                       **{f"core:{key}": value for key, value in info.items()}},
            "captures": captures or [{"core:sample_start": 0}], "annotations": []}
    base.with_name(base.name + ".sigmf-data").write_bytes(data.tobytes())
    path = base.with_name(base.name + ".sigmf-meta")
    path.write_text(json.dumps(meta))
    return str(path)


def ramp(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5j).astype(np.complex64)


def rx_tags(sink) -> list[tuple]:
    """(offset, key, value) of the tags, rx_time as (seconds, fraction), sorted."""
    return sorted((t.offset, pmt.symbol_to_string(t.key),
                   (pmt.to_uint64(pmt.tuple_ref(t.value, 0)), pmt.to_double(pmt.tuple_ref(t.value, 1)))
                   if pmt.is_tuple(t.value) else pmt.to_python(t.value)) for t in sink.tags())


class qa_sigmf_source(gr_unittest.TestCase):

    def setUp(self):
        self.tb = gr.top_block()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.x = ramp(10_000)
        self.meta = write_recording(self.path / "x", self.x, CAPTURES, sample_rate=RATE)

    def tearDown(self):
        self.tb = None
        self.folder.cleanup()

    def play(self, *args, head=0, max_items=100_000_000, **kwargs):
        """Samples and tags of a run."""
        self.tb = gr.top_block()
        self.source, self.sink = radiofm.sigmf_source(*args, **kwargs), blocks.vector_sink_c()
        if head:
            self.head = blocks.head(gr.sizeof_gr_complex, head)
            self.tb.connect(self.source, self.head, self.sink)
        else:
            self.tb.connect(self.source, self.sink)
        self.tb.run(max_items)
        return np.array(self.sink.data(), np.complex64), rx_tags(self.sink)

    def test_samples_and_tags_at_any_chunk_size(self):
        wanted = [
            (0, "recording_shift", 0), (0, "rx_freq", 100e6), (0, "rx_rate", RATE),
            (0, "rx_time", (1_000_000_000, 0.25)),
            (3000, "rx_freq", 200e6), (3000, "rx_rate", RATE),
            (7001, "rx_freq", 300e6), (7001, "rx_rate", RATE), (7001, "rx_time", (1_000_000_010, 1e-9))]
        for max_items in (1, 7, 999, 4096, 100_000):
            samples, tags = self.play(self.meta, max_items=max_items)
            np.testing.assert_array_equal(samples, self.x)
            self.assertEqual(tags, wanted)

    def test_stretch(self):
        """The first sample carries the tags of its capture, its time moved to it."""
        samples, tags = self.play(self.meta, start=1500, count=6000)
        np.testing.assert_array_equal(samples, self.x[1500:7500])
        self.assertEqual([t for t in tags if t[1] != "rx_rate"], [
            (0, "recording_shift", 1500), (0, "rx_freq", 100e6), (0, "rx_time", (1_000_000_001, 0.75)),
            (1500, "rx_freq", 200e6),
            (5501, "rx_freq", 300e6), (5501, "rx_time", (1_000_000_010, 1e-9))])
        samples, tags = self.play(self.meta, start=9999)
        np.testing.assert_array_equal(samples, self.x[9999:])
        self.assertEqual(tags[0], (0, "recording_shift", 9999))
        self.assertEqual(tags[3][2][0], 1_000_000_012)
        self.assertAlmostEqual(tags[3][2][1], 0.998000001, delta=1e-12)

    def test_repeat_runs_on_in_time(self):
        meta = write_recording(self.path / "y", self.x[:1500], CAPTURES[:1], sample_rate=RATE)
        samples, tags = self.play(meta, repeat=True, head=4000)
        np.testing.assert_array_equal(samples, np.resize(self.x[:1500], 4000))
        self.assertEqual([t for t in tags if t[1] == "rx_time"], [
            (0, "rx_time", (1_000_000_000, 0.25)), (1500, "rx_time", (1_000_000_001, 0.75)),
            (3000, "rx_time", (1_000_000_003, 0.25))])
        self.assertEqual([t[0] for t in tags if t[1] == "rx_freq"], [0, 1500, 3000])
        self.assertEqual([t for t in tags if t[1] == "recording_shift"],
                         [(0, "recording_shift", 0), (1500, "recording_shift", -1500),
                          (3000, "recording_shift", -3000)])

    def test_repeat_keeps_gaps_between_captures(self):
        """Where the recording paused, the next pass begins after its last sample's time, not before."""
        samples, tags = self.play(self.meta, repeat=True, head=25_000, start=0, count=0)
        times = {offset: value for offset, key, value in tags if key == "rx_time"}
        self.assertEqual(sorted(times), [0, 7001, 10_000, 17_001, 20_000])
        # 7001 samples, a pause, then 2999 samples from 9.750000001 s after the start on
        self.assertEqual(times[10_000], (1_000_000_012, 0.999))
        self.assertEqual(times[20_000][0], 1_000_000_025)
        self.assertAlmostEqual(times[20_000][1], 0.748, delta=1e-9)

    def test_tags_mean_what_the_recording_says(self):
        """Whoever keeps the last tag knows at every sample what the library knows of the file."""
        from radiofm_ml.sigmf.recording import open_recording

        captures = [
            {"core:sample_start": 1000, "core:frequency": 1e8, "core:datetime": "2001-09-09T01:46:40Z"},
            {"core:sample_start": 3000}, {"core:sample_start": 4000, "core:global_index": 9000},
            {"core:sample_start": 5000, "core:frequency": 2e8},
            {"core:sample_start": 6000, "core:frequency": 3e8, "core:datetime": "2001-09-09T02:00:00Z"},
            {"core:sample_start": 7000, "core:global_index": 15_000}]
        for info in ({}, {"offset": 500}):
            meta = write_recording(self.path / "y", self.x, captures, sample_rate=RATE, **info)
            for stretch in ({}, {"start": 2500, "count": 5000}, {"start": 7100}):
                tags = self.play(meta, **stretch)[1]
                with open_recording(meta) as recording:
                    for sample in range(stretch.get("start", 0), stretch.get("start", 0)
                                        + (stretch.get("count") or 10_000 - stretch.get("start", 0)), 97):
                        at = sample - stretch.get("start", 0)
                        frequency = [v for offset, key, v in tags if key == "rx_freq" and offset <= at]
                        self.assertEqual(frequency[-1], recording.capture_at(sample).frequency)
                        time = [(o, v) for o, key, v in tags if key == "rx_time" and o <= at]
                        wanted = recording.time_at(sample)
                        self.assertEqual(bool(time), wanted is not None)
                        if time:
                            found = time[-1][1][0] + time[-1][1][1] + (at - time[-1][0]) / RATE
                            self.assertAlmostEqual(found, sum(wanted), delta=1e-6)

    def test_repeat_can_be_switched_off(self):
        self.source, self.sink = radiofm.sigmf_source(self.meta, repeat=True), blocks.vector_sink_c()
        self.source.set_repeat(False)
        self.tb.connect(self.source, self.sink)
        self.tb.run()
        self.assertEqual(len(self.sink.data()), 10_000)

    def test_what_is_not_known_is_not_tagged(self):
        meta = write_recording(self.path / "y", self.x)
        samples, tags = self.play(meta)
        np.testing.assert_array_equal(samples, self.x)
        self.assertEqual(tags, [(0, "recording_shift", 0)])
        self.assertIsNone(self.source.sample_rate())
        self.assertIsNone(self.source.frequency())
        before_1970 = [{"core:sample_start": 0, "core:datetime": "1969-12-31T23:59:58Z", "core:frequency": 5}]
        self.assertEqual(self.play(write_recording(self.path / "z", self.x, before_1970))[1],
                         [(0, "recording_shift", 0), (0, "rx_freq", 5.0)])

    def test_values_for_other_blocks(self):
        source = radiofm.sigmf_source(self.meta, start=4000, count=100)
        self.assertEqual((source.sample_rate(), source.frequency(), source.n_samples()), (RATE, 200e6, 100))

    def test_restart(self):
        first = self.play(self.meta)
        self.sink.reset()
        self.tb.run()
        np.testing.assert_array_equal(np.array(self.sink.data(), np.complex64), first[0])
        self.assertEqual(rx_tags(self.sink), first[1])

    def test_stop_while_busy(self):
        self.source, self.null = radiofm.sigmf_source(self.meta, repeat=True), blocks.null_sink(8)
        self.tb.connect(self.source, self.null)
        for _ in range(3):
            self.tb.start()
            while self.null.nitems_read(0) < 50_000:
                pass
            self.tb.stop()
            self.tb.wait()

    def test_archive_and_channel(self):
        both = np.stack([self.x, -self.x], 1)
        meta = Path(write_recording(self.path / "y", both, num_channels=2))
        with tarfile.open(self.path / "a.sigmf", "w") as tar:
            for file in (meta, meta.with_suffix(".sigmf-data")):
                tar.add(file, f"a/{file.name}")
        for channel, wanted in ((0, self.x), (1, -self.x)):
            samples, _ = self.play(str(self.path / "a.sigmf"), channel=channel)
            np.testing.assert_array_equal(samples, wanted)

    @unittest.skipIf(SpectrogramSpec is None, "radiofm_ml.spectrogram needs torch")
    def test_padding(self):
        """The last tile is completed by its own samples, cyclically; a tag on the tile says from where on."""
        spec = SpectrogramSpec(fft_size=64, hop=32, rows=8, tile_rows=8, tile_cols=64)
        tile, stride = spec.samples_per_tile, spec.stride
        for n in (1, 10, 100, tile - 1, tile, tile + 1, tile + stride // 2, 3 * stride + 10, 3 * stride + 40,
                  700, 10_000):
            for max_items in (13, 100_000):
                samples, tags = self.play(self.meta, pad_to=spec, count=n, max_items=max_items)
                start = (spec.n_tiles(n) - 1) * stride
                wanted = [i if i < n else start + (i - start) % (n - start) for i in range(len(samples))]
                np.testing.assert_array_equal(samples, self.x[wanted])
                self.assertEqual(len(samples), spec.padded_length(n))
                self.assertGreaterEqual(len(samples), start + tile)
                pads = [(offset, value) for offset, key, value in tags if key == "radiofm_pad"]
                self.assertEqual(pads, [(min(n, start + stride - 1), n)] if len(samples) > n else [])
                self.assertEqual(self.source.n_samples(), len(samples))

    @unittest.skipIf(SpectrogramSpec is None, "radiofm_ml.spectrogram needs torch")
    def test_padding_takes_a_bundle(self):
        bundle = types.SimpleNamespace(spec=SpectrogramSpec())
        tile = bundle.spec.samples_per_tile
        self.assertEqual(len(self.play(self.meta, pad_to=bundle, count=100)[0]), tile)
        with mock.patch("radiofm_ml.bundle.load", return_value=bundle) as load:
            self.assertEqual(len(self.play(self.meta, pad_to="some-name", count=100)[0]), tile)
        load.assert_called_once_with("some-name", "tiles")
        with self.assertRaisesRegex(ValueError, "no-such-bundle"):
            radiofm.sigmf_source(self.meta, pad_to="no-such-bundle")

    def test_wrong_parameters(self):
        for kwargs, match in ((dict(start=10_000), "start must be one of the samples 0..9999"),
                              (dict(start=-1), "start must be"), (dict(count=-1), "count must be"),
                              (dict(start=9000, count=1001), r"count must be 0 \(all\) to 1000"),
                              (dict(channel=1), "no channel 1"), (dict(pad_to=5), "pad_to: bundle must be")):
            with self.assertRaisesRegex(ValueError, match):
                radiofm.sigmf_source(self.meta, **kwargs)
        with self.assertRaisesRegex(ValueError, "nothing.sigmf-meta: no such recording"):
            radiofm.sigmf_source(str(self.path / "nothing.sigmf-meta"))

    @unittest.skipIf(SpectrogramSpec is None, "radiofm_ml.spectrogram needs torch")
    def test_repeat_excludes_padding(self):
        with self.assertRaisesRegex(ValueError, "has no end to pad"):
            radiofm.sigmf_source(self.meta, repeat=True, pad_to=SpectrogramSpec())
        self.source = radiofm.sigmf_source(self.meta, pad_to=SpectrogramSpec())
        self.sink = blocks.vector_sink_c()
        self.source.set_repeat(True)
        self.tb.connect(self.source, self.sink)
        self.tb.run()  # ends

    def test_file_that_shrinks_ends_the_stream(self):
        self.source, self.sink = radiofm.sigmf_source(self.meta), blocks.vector_sink_c()
        self.tb.connect(self.source, self.sink)
        (self.path / "x.sigmf-data").write_bytes(self.x[:10].tobytes())
        self.tb.run()
        self.assertEqual(len(self.sink.data()), 0)

    def test_missing_package_is_named(self):
        real = importlib.import_module

        def without(name, *args):
            if name.startswith("radiofm_ml"):
                raise ModuleNotFoundError("No module named 'sigmf'", name="sigmf")
            return real(name, *args)

        with mock.patch.object(importlib, "import_module", without):
            with self.assertRaisesRegex(ImportError, "SigMF Source needs the Python package sigmf; install"):
                radiofm.sigmf_source(self.meta)


if __name__ == "__main__":
    gr_unittest.run(qa_sigmf_source)
