#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of IQ to Spectrogram: the reference's tiles at any chunking, exact tags, the end of the stream."""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pmt
import torch
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.spectrogram import SpectrogramSpec, tile_db, tiles_from_iq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tiny_bundle import SPEC, make_bundle  # noqa: E402

DATA = Path(os.environ.get("RADIOFM_DATA", ROOT.parent / "shared" / "data")) / "iq"
CHUNKS = (1, 7, 100, 1 << 20)  # most items that any block may produce at once

# What the C++ STFT and the reference may differ by. Both are float32, and a bin far below its row's strongest
# one holds little but rounding. Measured on the first tiles of 187 real recordings: at most 0.07 dB in a bin
# (both are 0.045 dB from double precision there), at most 0.0015 dB RMS in a recording.
MAX_ERROR_DB, MAX_RMS_DB = 0.15, 0.003


def noise(n, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=n) + 1j * rng.normal(size=n)).astype(np.complex64)


def reference(iq, spec):
    iq = torch.from_numpy(np.asarray(iq, np.complex64))
    return tiles_from_iq(iq, spec).numpy().reshape(-1, spec.tile_size)


class qa_iq_to_spectrogram(gr_unittest.TestCase):
    def make(self, iq, spec, chunk=1 << 20, tags=(), **kwargs):
        """Tiles, and tags as (offset, key, value), of a stream."""
        self.tb = gr.top_block()
        self.source = blocks.vector_source_c(iq, False, 1, list(tags))
        self.block = radiofm.iq_to_spectrogram(spec, **kwargs)
        self.sink = blocks.vector_sink_f(self.block.spec().tile_size)
        self.tb.connect(self.source, self.block, self.sink)
        self.tb.run(chunk)
        return self.result()

    def result(self):
        tiles = np.array(self.sink.data(), np.float32).reshape(-1, self.block.spec().tile_size)
        tags = [(t.offset, pmt.symbol_to_string(t.key), pmt.to_python(t.value)) for t in self.sink.tags()]
        return tiles, sorted(tags, key=lambda tag: tag[:2])

    def assert_same(self, tiles, expected, spec):
        self.assertEqual(tiles.shape, expected.shape)
        error = np.abs(tile_db(tiles, spec) - tile_db(expected, spec))
        self.assertLess(error.max(initial=0), MAX_ERROR_DB)
        self.assertLess(np.sqrt(np.square(error).sum() / max(1, error.size)), MAX_RMS_DB)

    # -- tiles ------------------------------------------------------------------------------------------
    def test_tiles_of_noise(self):
        for change in ({}, {"hop": 64}, {"hop": 100}, {"hop": 5}, {"averaging": 3}, {"floor_quantile": 0.5},
                       {"window": "blackmanharris"}, {"window": ("kaiser", 8.0)},
                       {"fft_size": 60, "tile_cols": 60},
                       {"reference": "absolute", "absolute": (100.0, 50.0)},
                       {"resize": "bicubic", "tile_rows": 20, "tile_cols": 48}):
            spec = replace(SPEC, **change)
            with self.subTest(change):
                iq = noise(spec.stride * 4 + spec.samples_per_tile + 13)
                tiles, _ = self.make(iq, spec)
                self.assertEqual(len(tiles), 5)
                self.assert_same(tiles, reference(iq, spec), spec)

    def test_no_row_is_lost_or_used_twice(self):
        iq = noise(SPEC.stride * 6 + SPEC.samples_per_tile)
        expected = reference(iq, SPEC)
        for chunk in CHUNKS:
            with self.subTest(chunk=chunk):
                tiles, _ = self.make(iq, SPEC, chunk)
                self.assert_same(tiles, expected, SPEC)

    def test_end_of_the_stream(self):
        for extra in (-1, 0, 1, SPEC.stride - 1, SPEC.stride):
            with self.subTest(extra=extra):
                iq = noise(SPEC.samples_per_tile + extra)
                tiles, _ = self.make(iq, SPEC)
                self.assertEqual(len(tiles), {-1: 0, SPEC.stride: 2}.get(extra, 1))
                self.assert_same(tiles, reference(iq, SPEC), SPEC)

    def test_a_padded_recording_gives_the_tiles_of_the_spec(self):
        with tempfile.TemporaryDirectory() as folder:
            from sigmf_files import write_recording

            for n in (5, SPEC.samples_per_tile, SPEC.stride * 2 + 800, SPEC.stride * 2 + 100):
                path = write_recording(Path(folder) / "r", noise(n), sample_rate=1e6)
                self.tb = gr.top_block()
                self.source = radiofm.sigmf_source(str(path), pad_to=SPEC)
                self.block = radiofm.iq_to_spectrogram(SPEC)
                self.sink = blocks.vector_sink_f(SPEC.tile_size)
                self.tb.connect(self.source, self.block, self.sink)
                self.tb.run()
                self.assertEqual(len(self.result()[0]), SPEC.n_tiles(n))

    def test_real_recordings(self):
        """The first tiles of one recording of each label and sample type."""
        if not (DATA / "index.csv").is_file():
            self.skipTest(f"no real recordings in {DATA}; set RADIOFM_DATA to run this test")
        spec, seen = SpectrogramSpec(), set()
        for path in sorted(DATA.glob("*/*.sigmf-meta")):
            with open_recording(path) as recording:
                if (path.parent, recording.datatype) in seen:
                    continue
                seen.add((path.parent, recording.datatype))
                iq = recording.read(0, 3 * spec.stride + 128)
            iq = np.resize(iq, spec.padded_length(len(iq)))
            tiles, _ = self.make(iq, spec)
            with self.subTest(path.name):
                self.assert_same(tiles, reference(iq, spec), spec)
        self.assertEqual({datatype for _, datatype in seen}, {"cu8", "ci8", "ci16_le", "cf32_le"})

    def test_bad_samples(self):
        """NaN and infinity reach the tiles of their rows only, and these stay finite."""
        iq = noise(SPEC.stride * 4 + 32)
        clean, _ = self.make(iq, SPEC)
        iq[SPEC.stride + 300:SPEC.stride + 303] = [np.nan, np.inf, 1e30]
        tiles, _ = self.make(iq, SPEC)
        self.assertTrue(np.isfinite(tiles).all())
        np.testing.assert_array_equal(tiles[[0, 2, 3]], clean[[0, 2, 3]])
        self.assertEqual(self.block.failed(), 0)

    def test_silence(self):
        tiles, _ = self.make(np.zeros(SPEC.stride * 2 + 32, np.complex64), SPEC)
        self.assertTrue(np.isfinite(tiles).all())
        self.assert_same(tiles, reference(np.zeros(SPEC.stride * 2 + 32), SPEC), SPEC)

    # -- tags -------------------------------------------------------------------------------------------
    def test_tags_go_to_the_tile_of_their_sample(self):
        spec = replace(SPEC, averaging=2, hop=30)
        rng = np.random.default_rng(4)
        n = spec.stride * 5 + spec.samples_per_tile
        samples = sorted(rng.integers(0, 6 * spec.stride, 60).tolist()) + [spec.stride - 1, spec.stride, 0]
        tags = [gr.tag_utils.python_to_tag((s, pmt.intern("mark"), pmt.from_long(s), pmt.intern("me")))
                for s in samples]
        expected = sorted((s // spec.stride, "mark", s) for s in samples)
        for chunk in CHUNKS:
            with self.subTest(chunk=chunk):
                tiles, found = self.make(noise(n), spec, chunk, tags)
                self.assertEqual(len(tiles), 6)
                self.assertEqual(found, expected)
        self.assertEqual({pmt.symbol_to_string(t.srcid) for t in self.sink.tags()}, {"me"})

    def test_time_is_that_of_the_first_sample(self):
        """A tag says the time of its own sample, wherever it is; out comes that of the tile's first."""
        rate = 1e5
        tags = []
        for s in (0, 7, SPEC.stride + 500, SPEC.stride * 2, SPEC.stride * 4 - 1):
            tags.append((s, "rx_time", messages.time_to_pmt(1000 + int(s // rate), s % rate / rate)))
        tags.append((0, "rx_freq", pmt.from_double(1e8)))
        tags.append((SPEC.stride * 3 + 9, "radiofm_pad", pmt.from_uint64(SPEC.stride * 3 + 9)))
        tags = [gr.tag_utils.python_to_tag((s, pmt.intern(key), value)) for s, key, value in tags]
        for chunk in CHUNKS:
            with self.subTest(chunk=chunk):
                _, found = self.make(noise(SPEC.stride * 4 + 32), SPEC, chunk, tags, samp_rate=rate)
                times = [(tile, value) for tile, key, value in found if key == "rx_time"]
                self.assertEqual([tile for tile, _ in times], [0, 0, 1, 2, 3])
                for tile, (seconds, fraction) in times:
                    self.assertEqual(seconds, 1000)
                    self.assertAlmostEqual(fraction, tile * SPEC.stride / rate, delta=1e-9)
                self.assertIn((0, "rx_freq", 1e8), found)
                self.assertIn((3, "radiofm_pad", SPEC.stride * 3 + 9), found)

    def test_time_by_the_rate_in_force(self):
        """samp_rate where it is set; else the rx_rate tags from their sample on, also when the rate stands
        with the time."""
        s = SPEC.stride + 640  # row 20 of tile 1
        time = gr.tag_utils.python_to_tag((s, messages.RX_TIME, messages.time_to_pmt(50, 0.25)))
        for stated, rate_at, rate in ((1e3, None, 1e3), (1e3, 10, 1e3), (0, 10, 4e3), (0, s, 4e3)):
            tags = [time]
            if rate_at is not None:
                tags.insert(0, gr.tag_utils.python_to_tag((rate_at, messages.RX_RATE, pmt.from_double(4e3))))
            _, found = self.make(noise(SPEC.stride * 2 + 32), SPEC, tags=tags, samp_rate=stated)
            [(tile, (seconds, fraction))] = [(tile, v) for tile, key, v in found if key == "rx_time"]
            self.assertEqual(tile, 1)
            self.assertAlmostEqual(seconds + fraction, 50.25 - 640 / rate, delta=1e-9)
            self.assertEqual({v for _, key, v in found if key == "rx_rate"} - {rate}, set())

    def test_a_clock_that_is_set_to_zero(self):
        """Within a tile: the next one has a time, whichever row and sample it was."""
        for s in (SPEC.stride + 640, SPEC.stride + 641, 2 * SPEC.stride - 1):
            tag = gr.tag_utils.python_to_tag((s, messages.RX_TIME, messages.time_to_pmt(0, 0.0)))
            tiles, found = self.make(noise(SPEC.stride * 4), SPEC, tags=[tag], samp_rate=1e3)
            self.assertEqual(len(tiles), 3)
            [(tile, key, (seconds, fraction))] = found
            self.assertEqual((tile, key), (2, "rx_time"))
            self.assertAlmostEqual(seconds + fraction, (2 * SPEC.stride - s) / 1e3, delta=1e-9)
            self.assertEqual(self.block.bad_tags(), 0)

    def test_tags_that_cannot_be_read_are_left_out_alone(self):
        no_text = pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd")
        bad = [("rx_time", pmt.from_double(-3.0)), ("rx_rate", pmt.intern("fast")), ("rx_time", pmt.PMT_NIL),
               ("rx_time", no_text), ("rx_rate", no_text), ("rx_freq", no_text),
               ("rx_time", pmt.make_tuple(pmt.from_uint64(2**64 - 1), pmt.from_double(0.0))),
               ("rx_time", pmt.make_tuple(pmt.from_uint64(5), pmt.from_double(float("nan"))))]
        tags = [gr.tag_utils.python_to_tag((s + 40, pmt.intern(key), value))
                for s, (key, value) in enumerate(bad + [("rx_freq", pmt.from_uint64(5)), ("mark", no_text)])]
        tags.append(gr.tag_utils.python_to_tag((50, no_text, pmt.from_long(1))))
        self.tb = gr.top_block()
        self.block, self.sink = radiofm.iq_to_spectrogram(SPEC, 1e3), blocks.vector_sink_f(SPEC.tile_size)
        self.tb.connect(blocks.vector_source_c(noise(SPEC.stride * 2 + 32), False, 1, tags), self.block,
                        self.sink)
        self.tb.run()
        self.assertEqual(len(self.sink.data()), 2 * SPEC.tile_size)
        self.assertEqual((len(self.sink.tags()), self.block.bad_tags()), (3, len(bad)))
        self.assertEqual([pmt.to_python(t.value) for t in self.sink.tags()
                          if pmt.eq(t.key, messages.RX_FREQ)], [5.0])

    # -- life -------------------------------------------------------------------------------------------
    def test_restart(self):
        iq = noise(SPEC.stride * 3 + 77)
        first, _ = self.make(iq, SPEC)
        self.source.rewind()
        self.sink.reset()
        self.tb.run()
        again, _ = self.result()
        np.testing.assert_array_equal(first, again)

    def test_spec_from_a_bundle(self):
        with tempfile.TemporaryDirectory() as folder:
            bundle = make_bundle(folder)
            for ref in (folder, bundle, SPEC):
                self.assertEqual(radiofm.iq_to_spectrogram(ref).spec(), SPEC)

    def test_setters(self):
        block = radiofm.iq_to_spectrogram(SPEC, 2e6)
        self.assertEqual(block.samp_rate(), 2e6)
        block.set_samp_rate(3e6)
        self.assertEqual(block.samp_rate(), 3e6)
        for rate in (-1.0, float("nan"), float("inf"), 1e13, 1e-9, "1e6", None):
            with self.assertRaisesRegex(ValueError, "samp_rate must be"):
                block.set_samp_rate(rate)
            with self.assertRaisesRegex(ValueError, "samp_rate must be"):
                radiofm.iq_to_spectrogram(SPEC, rate)
        self.assertEqual(block.samp_rate(), 3e6)

    def test_what_is_no_bundle(self):
        for ref, message in (("", "name a bundle"), (5, "must be a bundle, its name or a SpectrogramSpec"),
                             ("/no/where", "no such bundle")):
            with self.assertRaisesRegex(ValueError, message):
                radiofm.iq_to_spectrogram(ref)


if __name__ == "__main__":
    gr_unittest.run(qa_iq_to_spectrogram)
