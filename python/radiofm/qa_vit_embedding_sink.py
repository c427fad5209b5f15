#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the ViT Embedding Sink: the library's embeddings, exact metadata, overload, end of the stream."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common.origin import Origin
from radiofm_ml.embeddings import Embeddings
from radiofm_ml.engines import open_engine
from radiofm_ml.pipeline import embed_recording
from radiofm_ml.sigmf.recording import open_recording

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from sigmf_files import write_recording  # noqa: E402
from tiny_bundle import SPEC, make_bundle  # noqa: E402

DATA = Path(os.environ.get("RADIOFM_DATA", ROOT.parent / "shared" / "data")) / "iq"
LONG = 60.0  # seconds until a wait counts as a failure
RATE = 1e6

# Embeddings of the flowgraph and of the library: the tiles differ by the STFT's rounding, and bf16 rounds.
MIN_COSINE, MAX_DIFFERENCE = 0.9999, 0.05


class relay(gr.basic_block):
    """Passes messages on, and keeps them."""

    def __init__(self):
        gr.basic_block.__init__(self, name="relay", in_sig=None, out_sig=None)
        self.messages = []
        self.message_port_register_in(pmt.mp("in"))
        self.message_port_register_out(pmt.mp("out"))
        self.set_msg_handler(pmt.mp("in"), self.handle)

    def handle(self, message):
        self.messages.append(message)
        self.message_port_pub(pmt.mp("out"), message)

    def pdus(self):
        return [messages.parse_embedding(m) for m in self.messages]


class gated_engine:
    """Passes on to an engine when the gate is open; can be made to fail."""

    def __init__(self, engine):
        self.engine, self.gate, self.entered, self.error = engine, threading.Event(), threading.Event(), None
        self.gate.set()

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def embed(self, tiles):
        self.entered.set()
        assert self.gate.wait(LONG)
        if self.error is not None:
            raise self.error
        return self.engine.embed(tiles)


def until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("did not happen in time")
        time.sleep(0.002)


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


class qa_vit_embedding_sink(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        cls.bundle = make_bundle(cls.path / "bundle")
        cls.engine = open_engine(cls.bundle)
        cls.tiles = np.random.default_rng(0).normal(0, 1, (200, SPEC.tile_size)).astype(np.float32)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def make(self, tiles, tags=(), **kwargs):
        """Flowgraph tiles -> sink -> relay -> relay; tags as (tile, key, value)."""
        tags = [gr.tag_utils.python_to_tag((at, pmt.intern(key), value)) for at, key, value in tags]
        self.tb = gr.top_block()
        self.source = blocks.vector_source_f(tiles.ravel(), False, SPEC.tile_size, tags)
        self.connect_sink(self.source, **kwargs)

    def connect_sink(self, *upstream, bundle=None, **kwargs):
        self.sink = radiofm.vit_embedding_sink(bundle or self.bundle, **{"overload": "block", **kwargs})
        self.sink._engine = gated_engine(self.sink._engine)
        self.first, self.last, self.status = relay(), relay(), relay()
        self.tb.connect(*upstream, self.sink)
        self.tb.msg_connect(self.sink, "embeddings", self.first, "in")
        self.tb.msg_connect(self.first, "out", self.last, "in")
        self.tb.msg_connect(self.sink, "status", self.status, "in")

    def infos(self):
        return [info for info, _ in self.last.pdus()]

    def vectors(self):
        return np.array([vector for _, vector in self.last.pdus()])

    # -- the library's embeddings -----------------------------------------------------------------------
    def assert_as_the_library(self, path, bundle, **kwargs):
        engine = open_engine(bundle)
        with open_recording(path) as recording:
            expected = embed_recording(recording, engine)
        self.tb = gr.top_block()
        self.source = radiofm.sigmf_source(str(path), pad_to=bundle)
        self.spectrogram = radiofm.iq_to_spectrogram(bundle)
        self.connect_sink(self.source, self.spectrogram, bundle=bundle, **kwargs)
        self.tb.run()
        infos, vectors = self.infos(), self.vectors()
        self.assertEqual([i.sample_start for i in infos], expected.sample_start.tolist())
        self.assertEqual([i.sample_count for i in infos], expected.sample_count.tolist())
        for name in ("sample_rate", "rx_freq", "freq_lower_edge", "freq_upper_edge"):
            values = [np.nan if getattr(i, name) is None else getattr(i, name) for i in infos]
            np.testing.assert_allclose(values, getattr(expected, name), rtol=1e-12)
        self.assertEqual({i.model for i in infos}, {bundle.id})
        self.assertGreater(cosine(vectors, expected.embedding).min(), MIN_COSINE)
        np.testing.assert_allclose(vectors, expected.embedding, atol=MAX_DIFFERENCE)

    def test_same_as_the_library(self):
        rng = np.random.default_rng(3)
        captures = [{"core:sample_start": 0, "core:frequency": 1e8},
                    {"core:sample_start": 3 * SPEC.stride + 100, "core:frequency": 2e8}]
        for n in (9 * SPEC.stride + 40, 9 * SPEC.stride + 700, 50):
            iq = rng.normal(size=(n, 2)).astype(np.float32).view(np.complex64)[:, 0]
            iq += 10 * np.exp(2j * np.pi * 0.2 * np.arange(n)).astype(np.complex64)
            there = [c for c in captures if c["core:sample_start"] < n]
            path = write_recording(self.path / f"r{n}", iq, captures=there, sample_rate=RATE)
            for max_batch in (1, 3, 16):
                with self.subTest(n=n, max_batch=max_batch):
                    self.assert_as_the_library(path, self.bundle, max_batch=max_batch)

    def test_same_as_the_library_without_rate_and_frequency(self):
        path = write_recording(self.path / "bare", self.tiles[:3].ravel().view(np.complex64))
        self.assert_as_the_library(path, self.bundle)

    def test_same_as_the_library_on_real_recordings(self):
        """The shortest recording of each sample type."""
        if not (DATA / "index.csv").is_file():
            self.skipTest(f"no real recordings in {DATA}; set RADIOFM_DATA to run this test")
        shortest = {}
        for path in DATA.glob("*/*.sigmf-meta"):
            with open_recording(path) as recording:
                shortest.setdefault(recording.datatype, []).append((recording.n_samples, path))
        self.assertEqual(set(shortest), {"cu8", "ci8", "ci16_le", "cf32_le"})
        for found in shortest.values():
            with self.subTest(min(found)[1].name):
                self.assert_as_the_library(min(found)[1], self.bundle)

    # -- end of the stream ------------------------------------------------------------------------------
    def test_every_pdu_arrives_every_time(self):
        for overload in ("block", "drop"):
            for run in range(20):
                with self.subTest(overload=overload, run=run):
                    self.make(self.tiles[:33], overload=overload, max_queue=40)
                    self.tb.run()
                    self.assertEqual([i.tile for i in self.infos()], list(range(33)))
                    self.assertEqual((self.sink.embedded(), self.sink.dropped()), (33, 0))

    def test_no_tiles(self):
        self.make(self.tiles[:0], filename=str(self.path / "none.npz"))
        self.tb.run()
        self.assertEqual(self.last.messages, [])
        self.assertEqual(Embeddings.load(self.path / "none.npz").embedding.shape, (0, 64))

    # -- overload ---------------------------------------------------------------------------------------
    def test_drop(self):
        """While the engine is busy the source runs to its end; the newest tiles stay, the rest is counted."""
        self.make(self.tiles, overload="drop", max_batch=4, max_queue=6)
        engine = self.sink._engine
        engine.gate.clear()
        self.tb.start()
        until(lambda: self.sink._next == 200)  # all tiles taken, none embedded
        self.assertEqual(self.last.messages, [])
        engine.gate.set()
        self.tb.wait()
        infos = self.infos()
        numbers = [i.tile for i in infos]
        self.assertEqual(numbers[-6:], list(range(194, 200)))
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertLessEqual(len(numbers), 4 + 6)
        self.assertEqual([i.dropped for i in infos], [tile - k for k, tile in enumerate(numbers)])
        self.assertEqual(self.sink.embedded(), len(numbers))
        self.assertEqual(self.sink.dropped(), 200 - len(numbers))
        expected = self.engine.embed(self.tiles[numbers])
        self.assertGreater(cosine(self.vectors(), expected).min(), MIN_COSINE)

    def test_block(self):
        """While the engine is busy no more is taken than there is room for; then all of it is embedded."""
        self.make(self.tiles, max_batch=4, max_queue=6)
        engine = self.sink._engine
        engine.gate.clear()
        self.tb.start()
        self.assertTrue(engine.entered.wait(LONG))
        until(lambda: self.sink.waiting() == 6)
        self.assertLessEqual(self.sink._next, 4 + 6)
        engine.gate.set()
        self.tb.wait()
        self.assertEqual([(i.tile, i.dropped) for i in self.infos()], [(k, 0) for k in range(200)])
        self.assertEqual((self.sink.embedded(), self.sink.dropped()), (200, 0))
        self.assertLess(self.sink._worker.batches, 200)  # it did work in batches

    def test_overload_may_change(self):
        self.make(self.tiles, overload="block", max_batch=2, max_queue=2)
        engine = self.sink._engine
        engine.gate.clear()
        self.tb.start()
        self.assertTrue(engine.entered.wait(LONG))
        self.sink.set_overload("drop")
        until(lambda: self.sink._next == 200)
        engine.gate.set()
        self.tb.wait()
        self.assertEqual(self.sink.embedded() + self.sink.dropped(), 200)
        self.assertGreater(self.sink.dropped(), 190)

    # -- metadata ---------------------------------------------------------------------------------------
    def test_metadata(self):
        stride, count = SPEC.stride, SPEC.samples_per_tile
        tags = [(1, "rx_time", messages.time_to_pmt(100, 0.75)), (1, "rx_rate", pmt.from_double(2e3)),
                (2, "rx_freq", pmt.from_double(1e8)), (4, "rx_freq", pmt.from_double(2e8)),
                (4, "rx_freq", pmt.from_double(3e8)), (5, "rx_rate", pmt.from_double(4e3)),
                (7, "rx_time", messages.time_to_pmt(2**33, 0.5)),
                (8, "radiofm_pad", pmt.from_uint64(8 * stride + 5))]
        self.make(self.tiles[:9], tags)
        self.tb.run()
        infos = self.infos()
        self.assertEqual([i.sample_start for i in infos], [k * stride for k in range(9)])
        self.assertEqual([i.sample_count for i in infos], [count] * 8 + [5])
        self.assertEqual([i.sample_rate for i in infos], [None] + [2e3] * 4 + [4e3] * 4)
        self.assertEqual([i.rx_freq for i in infos], [None, None, 1e8, 1e8] + [3e8] * 5)
        self.assertIsNone(infos[0].rx_time)
        at = [100.75 + k * stride / 2e3 for k in range(5)]
        at.append(at[4] + stride / 4e3)  # from tile 5 on at the new rate
        for info, expected in zip(infos[1:7], at, strict=True):
            self.assertAlmostEqual(sum(info.rx_time), expected, delta=1e-9)
        self.assertEqual(infos[7].rx_time, (2**33, 0.5))
        self.assertEqual(infos[8].rx_time[0], 2**33)
        self.assertAlmostEqual(infos[8].rx_time[1], 0.5 + stride / 4e3, delta=1e-12)
        self.assertTrue(all(i.freq_lower_edge < i.freq_upper_edge for i in infos[1:]))
        noise = infos[4]  # fills the band
        self.assertEqual((noise.freq_lower_edge, noise.freq_upper_edge), (3e8 - 1e3, 3e8 + 1e3))
        self.assertTrue(all(0 <= i.rx_time[1] < 1 for i in infos[1:]))

    def test_time_keeps_its_digits_in_a_long_run(self):
        origin = Origin(rate=3e6, time=(7, (1_700_000_000, 0.25)))
        seconds, fraction = origin.time_of(7 + 3_000_000 * 10**7 + 1, origin.rate)
        self.assertEqual(seconds, 1_710_000_000)
        self.assertAlmostEqual(fraction, 0.25 + 1 / 3e6, delta=1e-15)

    def test_nothing_known_nothing_said(self):
        self.make(self.tiles[:1])
        self.tb.run()
        keys = pmt.to_python(pmt.car(self.last.messages[0])).keys()
        self.assertEqual(set(keys), {"sample_start", "sample_count", "tile", "dropped", "model", "run"})

    def test_tags_that_cannot_be_read_are_left_out_alone(self):
        no_text = pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd")
        bad = [("rx_rate", pmt.intern("fast")), ("rx_rate", pmt.from_double(-1.0)), ("rx_rate", no_text),
               ("rx_rate", pmt.from_double(float("nan"))), ("rx_freq", pmt.PMT_NIL),
               ("radiofm_pad", pmt.PMT_T), ("rx_time", no_text),
               ("rx_time", pmt.make_tuple(pmt.from_long(-1), pmt.from_long(0))),
               ("rx_freq", pmt.from_double(float("inf")))]
        tags = [(0, "rx_rate", pmt.from_uint64(1000)), *((1, key, value) for key, value in bad),
                (1, "something", no_text), (1, "rx_freq", pmt.from_long(5))]
        self.make(self.tiles[:3], tags)
        self.tb.run()
        self.assertEqual([(i.sample_rate, i.rx_freq, i.rx_time, i.sample_count) for i in self.infos()],
                         [(1e3, f, None, SPEC.samples_per_tile) for f in (None, 5.0, 5.0)])
        self.assertEqual((self.sink.bad_tags(), self.sink.embedded()), (len(bad), 3))
        reasons = [pmt.to_python(m)["reason"] for m in self.status.messages]
        self.assertEqual(len(reasons), 4, reasons)  # of each tag once

    def test_a_key_that_is_not_text_harms_nothing(self):
        self.tb = gr.top_block()
        tag = gr.tag_utils.python_to_tag((1, pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd"), pmt.PMT_T))
        self.connect_sink(blocks.vector_source_f(self.tiles[:3].ravel(), False, SPEC.tile_size, [tag]))
        self.tb.run()
        self.assertEqual((self.sink.embedded(), self.sink.bad_tags()), (3, 0))

    def test_the_rate_that_is_stated_wins_and_a_contradiction_is_said(self):
        tags = [(k, "rx_rate", pmt.from_double(1e6)) for k in range(3)]
        self.make(self.tiles[:3], tags, samp_rate=250e3)
        self.tb.run()
        self.assertEqual([i.sample_rate for i in self.infos()], [250e3] * 3)
        [reason] = [pmt.to_python(m)["reason"] for m in self.status.messages]
        self.assertIn("set to 250000", reason)
        self.assertIn("says 1000000", reason)

    # -- overload 'auto' --------------------------------------------------------------------------------
    def test_files_wait_and_live_sources_do_not(self):
        path = self.path / "tiles.f32"
        self.tiles[:6].tofile(path)
        size = SPEC.tile_size * 4

        def waits(*chain):
            self.tb = gr.top_block()
            self.connect_sink(*chain, overload="auto")
            self.tb.run()
            self.assertEqual(self.sink.overload(), "auto")
            self.assertEqual(self.sink.embedded() + self.sink.dropped(), 6)
            return self.sink.waits()

        def from_file():
            return blocks.file_source(size, str(path), False)

        class device(gr.sync_block):
            """A source that nobody knows."""

            def __init__(self, tiles):
                kind = (np.float32, SPEC.tile_size)
                gr.sync_block.__init__(self, name="device", in_sig=None, out_sig=[kind])
                self.tiles = list(tiles)

            def work(self, input_items, output_items):
                if not self.tiles:
                    return -1
                output_items[0][0] = self.tiles.pop()
                return 1

        write_recording(self.path / "six", np.ones(6 * SPEC.stride + 32, np.complex64), sample_rate=RATE)
        self.assertTrue(waits(radiofm.sigmf_source(str(self.path / "six.sigmf-meta")),
                              radiofm.iq_to_spectrogram(self.bundle)))
        self.assertTrue(waits(from_file()))
        self.assertTrue(waits(blocks.vector_source_f(self.tiles[:6].ravel(), False, SPEC.tile_size),
                              blocks.head(size, 6), blocks.multiply_const_vff([1.0] * SPEC.tile_size)))
        self.assertFalse(waits(from_file(), blocks.throttle(size, 1e3)))
        self.assertFalse(waits(device(self.tiles[:6])))

    def test_two_sources_wait_only_if_both_do(self):
        for live in (False, True):
            self.tb = gr.top_block()
            add = blocks.add_vff(SPEC.tile_size)
            self.connect_sink(add, overload="auto")
            for k in range(2):
                source = blocks.vector_source_f(self.tiles[:4].ravel(), False, SPEC.tile_size)
                throttle = [blocks.throttle(4 * SPEC.tile_size, 1e3)] if live and k else []
                self.tb.connect(source, *throttle, (add, k))
            self.tb.run()
            self.assertEqual(self.sink.waits(), not live)

    def test_a_graph_of_defaults_decides_all_of_a_file(self):
        self.make(self.tiles, overload="auto", max_batch=2, max_queue=2)
        self.tb.run()
        self.assertEqual([i.tile for i in self.infos()], list(range(200)))

    def test_drops_are_said_at_once_and_in_the_end(self):
        self.make(self.tiles, overload="drop", max_batch=4, max_queue=6)
        engine = self.sink._engine
        engine.gate.clear()
        self.tb.start()
        until(lambda: self.status.messages)
        self.assertIn("oldest that wait are dropped", pmt.to_python(self.status.messages[0])["reason"])
        engine.gate.set()
        self.tb.wait()
        until(lambda: len(self.status.messages) == 2)
        self.assertIn(f"{self.sink.dropped()} of 200 were dropped",
                      pmt.to_python(self.status.messages[1])["reason"])

    # -- counters ---------------------------------------------------------------------------------------
    def test_what_was_not_delivered_is_not_embedded(self):
        """Stopped or locked: the sink's counters say what the block behind has got."""
        for overload in ("block", "drop"):
            for delay in (0.0, 0.05, 0.1):
                self.make(self.tiles, overload=overload, max_batch=3, max_queue=8)
                self.source.set_repeat(True)
                store = blocks.message_debug()
                self.tb.msg_connect(self.sink, "embeddings", store, "store")
                self.tb.start()
                until(lambda: store.num_messages() > 3)  # noqa: B023
                time.sleep(delay)
                self.tb.stop()
                self.tb.wait()
                # an embedding that one of its readers has not got is lost
                self.assertEqual(self.sink.embedded(), min(store.num_messages(), len(self.first.messages)))
                self.assertEqual(self.sink.embedded() + self.sink.dropped() + self.sink.failed(),
                                 self.sink._next)
                self.assertEqual(self.sink.waiting(), 0)
                before = store.num_messages()
                self.source.set_repeat(False)
                self.tb.run()  # nothing of the run before comes now
                first, _ = messages.parse_embedding(store.get_message(before))
                self.assertEqual(first.tile, 0 if overload == "block" else first.tile)
                self.assertEqual(self.sink.embedded(), store.num_messages() - before)

    def test_a_batch_in_work_when_it_is_stopped_is_dropped(self):
        self.make(self.tiles, max_batch=4, max_queue=4)
        engine = self.sink._engine
        engine.gate.clear()
        self.tb.start()
        self.assertTrue(engine.entered.wait(LONG))
        self.tb.stop()
        until(lambda: self.sink._stopping)
        engine.gate.set()
        self.tb.wait()
        self.assertEqual((self.sink.embedded(), self.first.messages), (0, []))
        self.assertEqual(self.sink.dropped(), self.sink._next)

    # -- file -------------------------------------------------------------------------------------------
    def test_file(self):
        path = self.path / "out.npz"
        self.make(self.tiles[:20], [(3, "rx_freq", pmt.from_double(1e8))], samp_rate=RATE, filename=str(path))
        for _ in range(2):  # the second run writes it anew
            self.source.rewind()
            self.last.messages.clear()
            self.tb.run()
            file = Embeddings.load(path)
            np.testing.assert_array_equal(file.embedding, self.vectors())
            self.assertEqual(file.sample_start.tolist(), [i.sample_start for i in self.infos()])
            self.assertEqual(file.sample_count.tolist(), [i.sample_count for i in self.infos()])
            np.testing.assert_array_equal(file.rx_freq, [np.nan] * 3 + [1e8] * 17)
            self.assertEqual(file.freq_upper_edge.tolist(), [i.freq_upper_edge for i in self.infos()])
            self.assertEqual(file.model, self.bundle.id)

    def test_file_that_cannot_be_written(self):
        with self.assertRaisesRegex(ValueError, "does not exist; create it"):
            radiofm.vit_embedding_sink(self.bundle, filename=str(self.path / "no" / "x.npz"))
        self.make(self.tiles[:5], filename=str(self.path / "gone.npz"))
        os.mkdir(self.path / "gone.npz")  # meanwhile somebody took the name
        self.tb.run()
        self.assertEqual(len(self.infos()), 5)
        self.assertEqual(self.sink.failed(), 0)

    # -- trouble ----------------------------------------------------------------------------------------
    def test_bad_tiles(self):
        tiles = self.tiles[:6].copy()
        tiles[1] = np.nan
        tiles[3, 5] = np.inf
        self.make(tiles, samp_rate=RATE)
        self.tb.run()
        vectors = self.vectors()
        self.assertTrue(np.isfinite(vectors).all())
        good = [0, 2, 4, 5]
        self.assertGreater(cosine(vectors[good], self.engine.embed(tiles[good])).min(), MIN_COSINE)
        self.assertEqual((self.sink.bad_tiles(), self.sink.embedded(), len(vectors)), (2, 6, 6))

    def test_an_engine_that_fails(self):
        self.make(self.tiles[:12], max_batch=1)
        self.sink._engine.error = RuntimeError("no such luck")
        self.tb.run()
        self.assertEqual((self.sink.failed(), self.sink.embedded(), self.last.messages), (12, 0, []))
        [status] = self.status.messages
        self.assertEqual(pmt.to_python(status), {"command": "embed", "ok": False, "reason": "no such luck"})
        self.sink._engine.error = None
        self.source.rewind()
        self.tb.run()
        self.assertEqual((self.sink.failed(), [i.dropped for i in self.infos()]), (0, [0] * 12))

    def test_stop_while_busy(self):
        for overload in ("block", "drop"):
            with self.subTest(overload):
                self.make(self.tiles, overload=overload, max_batch=2, max_queue=4)
                self.source.set_repeat(True)
                engine = self.sink._engine
                engine.gate.clear()
                self.tb.start()
                self.assertTrue(engine.entered.wait(LONG))
                self.tb.stop()
                engine.gate.set()
                waiter = threading.Thread(target=self.tb.wait, daemon=True)
                waiter.start()
                waiter.join(LONG)
                self.assertFalse(waiter.is_alive())
                self.assertEqual(self.sink.embedded() + self.sink.dropped(), self.sink._next)

    def test_restart(self):
        self.make(self.tiles[:20], [(0, "rx_freq", pmt.from_double(1e8))])
        self.tb.run()
        before = [(i.tile, i.rx_freq) for i in self.infos()]
        vectors = self.vectors()
        self.source.set_data(self.tiles[:20].ravel(), [])
        self.last.messages.clear()
        self.tb.run()
        self.assertEqual(before, [(k, 1e8) for k in range(20)])
        self.assertEqual([(i.tile, i.rx_freq) for i in self.infos()], [(k, None) for k in range(20)])
        np.testing.assert_allclose(self.vectors(), vectors, atol=MAX_DIFFERENCE)
        self.assertEqual(self.sink.embedded(), 20)

    # -- tokens -----------------------------------------------------------------------------------------
    def tokens_into(self, into, **kwargs):
        self.make(self.tiles[:21], [(2, "rx_freq", pmt.from_double(1e8))], samp_rate=RATE, **kwargs)
        self.tb.msg_connect(self.sink, "tokens", into, "in")
        self.tb.run()

    def test_tokens_of_layers(self):
        """With the embedding's keys, from the same pass; a tile in NaN comes as the encoder saw it."""
        tiles = self.tiles[:21].copy()
        tiles[5, 7] = np.nan
        reader = relay()
        self.make(tiles, [(2, "rx_freq", pmt.from_double(1e8))], samp_rate=RATE, token_layers=[3, -1, 0],
                  max_batch=4)
        self.tb.msg_connect(self.sink, "tokens", reader, "in")
        self.tb.run()
        self.assertEqual(self.sink.token_layers(), (3, -1, 0))
        tiles[5, 7] = 0.0
        embedded, expected = self.engine.embed_with_tokens(tiles, [0, 3])
        found = [messages.parse_tokens(m) for m in reader.messages]
        self.assertEqual([info for info, _ in found], self.infos())
        np.testing.assert_allclose(self.vectors(), embedded, atol=MAX_DIFFERENCE)
        for k, (_, layers) in enumerate(found):
            self.assertEqual(set(layers), {3, -1, 0})
            np.testing.assert_array_equal(layers[-1], tiles[k].reshape(SPEC.tile_rows, SPEC.tile_cols))
            for layer in (0, 3):
                np.testing.assert_allclose(layers[layer], expected[layer][k], atol=MAX_DIFFERENCE)

    def test_tokens_only_if_asked_for(self):
        reader = relay()
        self.tokens_into(reader)
        self.assertEqual((len(self.last.messages), reader.messages, self.sink.token_layers()), (21, [], ()))

    def test_tokens_wait_for_a_slow_reader(self):
        """With overload 'block' no more wait than the reader has room for, and all arrive."""
        class slow(relay):
            most = 0

            def max_queue(self):
                return 3

            def handle(self, message):
                self.most = max(self.most, self.to_basic_block().nmsgs(pmt.mp("in")))
                time.sleep(0.003)  # slower than the encoder
                relay.handle(self, message)

        reader = slow()
        radiofm.common.backlog.register(reader)
        self.tokens_into(reader, token_layers=[3], max_batch=16)
        self.assertEqual([messages.parse_tokens(m)[0].tile for m in reader.messages], list(range(21)))
        self.assertLessEqual(reader.most, 3)
        self.assertGreater(reader.most, 0)

    # -- settings ---------------------------------------------------------------------------------------
    def test_settings(self):
        sink = radiofm.vit_embedding_sink(str(self.path / "bundle"), 5.0, "drop", 3, 0.5, 7)
        for name, value, other in (("samp_rate", 5.0, 6.0), ("overload", "drop", "block"),
                                   ("max_batch", 3, 9), ("max_latency", 0.5, 0.0), ("max_queue", 7, 30)):
            self.assertEqual(getattr(sink, name)(), value)
            getattr(sink, f"set_{name}")(other)
            self.assertEqual(getattr(sink, name)(), other)
        self.assertEqual(sink.embedding_size(), 64)
        self.assertIn(sink.engine(), ("torch-bf16", "torch-fp32"))
        for counter in (sink.embedded, sink.dropped, sink.failed, sink.bad_tiles, sink.waiting):
            self.assertEqual(counter(), 0)

    def test_settings_that_are_refused(self):
        sink = radiofm.vit_embedding_sink(self.bundle)
        for name, value in (("samp_rate", -1.0), ("samp_rate", 1e13), ("samp_rate", float("nan")),
                            ("overload", "wait"), ("max_batch", 0), ("max_latency", -0.1), ("max_queue", 0),
                            ("token_layers", [4]), ("token_layers", [0, -2]), ("token_layers", [True])):
            with self.assertRaisesRegex(ValueError, f"ViT Embedding Sink: {name} must"):
                radiofm.vit_embedding_sink(self.bundle, **{name: value})
            with self.assertRaisesRegex(ValueError, f"{name} must"):
                getattr(sink, f"set_{name}")(value)
        for kwargs, message in (({"bundle": ""}, "name a bundle"),
                                ({"bundle": "/no/where"}, "no such bundle"),
                                ({"engine": "abacus"}, "engine must be one of auto, torch"),
                                ({"threads": 0}, "threads must be")):
            with self.assertRaisesRegex(ValueError, message):
                radiofm.vit_embedding_sink(**{"bundle": self.bundle, **kwargs})

    def test_without_torch(self):
        """The module works without torch; the blocks that need it name it and the cure."""
        script = ("import sys; sys.modules['torch'] = None\n"
                  "from gnuradio import radiofm\n"
                  "from gnuradio.radiofm.common import optional\n"
                  "for managed in (False, True):\n"
                  "    optional._externally_managed = lambda: managed\n"
                  "    for block in (radiofm.vit_embedding_sink, radiofm.iq_to_spectrogram):\n"
                  "        try: block('x')\n"
                  "        except ImportError as error: print(error)\n")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LONG)
        self.assertEqual(done.stderr, "")
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 4)
        for line, name in zip(lines, ("ViT Embedding Sink", "IQ to Spectrogram") * 2, strict=True):
            self.assertIn(f"{name} needs the Python package torch; ", line)
        for line in lines[:2]:
            self.assertIn(f"'{sys.executable} -m pip install torch'", line)
        for line in lines[2:]:
            self.assertIn(f"'{sys.executable} -m venv --system-site-packages .venv'", line)
            self.assertIn("'.venv/bin/pip install torch'", line)

    def test_externally_managed_is_what_pip_says(self):
        """pip refuses here if and only if the cure is a virtual environment."""
        from gnuradio.radiofm.common.optional import _externally_managed
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--no-index", "no-such-package-here"],
                              capture_output=True, text=True, timeout=LONG)
        if "No module named pip" in done.stderr:
            self.skipTest("this Python has no pip")
        self.assertEqual("externally-managed-environment" in done.stderr, _externally_managed())


if __name__ == "__main__":
    gr_unittest.run(qa_vit_embedding_sink)
