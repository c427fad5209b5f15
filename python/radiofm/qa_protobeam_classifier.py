#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the ProtoBeam Classifier: every block once and in its place; taught, mirrored, overloaded."""

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
from gnuradio.radiofm.common.prototype_messages import parse_state
from radiofm_ml.engines import open_engine

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import tiny_bundle  # noqa: E402
from tiny_iq_bundle import BLOCK, make_bundle, tones  # noqa: E402

LONG = 60.0  # seconds until a wait counts as a failure
NAMES = ("beam 0", "beam 1", "beam 2", "beam 3")


def until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("did not happen in time")
        time.sleep(0.002)


def command(name, **values):
    return pmt.to_pmt({"command": name, **values})


class collector(gr.basic_block):
    """Keeps the messages of a port."""

    def __init__(self):
        gr.basic_block.__init__(self, name="collector", in_sig=None, out_sig=None)
        self.messages = []
        self.message_port_register_in(pmt.mp("in"))
        self.set_msg_handler(pmt.mp("in"), self.handle)

    def handle(self, message):
        self.messages.append(message)


class dribble(gr.sync_block):
    """Samples in chunks of given sizes, with tags at samples; ``gate`` holds it up before sample ``hold``."""

    def __init__(self, samples, chunks=(), tags=(), hold=None, vlen=1):
        kind = np.complex64 if vlen == 1 else (np.complex64, vlen)
        gr.sync_block.__init__(self, name="dribble", in_sig=None, out_sig=[kind])
        self.samples, self.chunks, self.tags = samples.reshape(-1, vlen), chunks, tags
        self.hold, self.gate = hold, threading.Event()

    def start(self):
        self.at, self.turn = 0, 0
        return True

    def work(self, input_items, output_items):
        if self.at == self.hold and not self.gate.is_set():
            assert self.gate.wait(LONG)
        out = output_items[0].reshape(len(output_items[0]), -1)
        size = self.chunks[self.turn % len(self.chunks)] if len(self.chunks) else len(out)
        stop = min(self.at + min(size, len(out)), len(self.samples))
        if self.hold is not None and self.at < self.hold:
            stop = min(stop, self.hold)
        if stop == self.at:
            return -1
        count = stop - self.at
        out[:count] = self.samples[self.at:stop]
        for offset, key, value in self.tags:
            if self.at <= offset < stop:
                self.add_item_tag(0, offset, pmt.intern(key), value)
        self.at, self.turn = stop, self.turn + 1
        return count


class gated_engine:
    """Passes on to an engine when the gate is open; can be made to fail."""

    def __init__(self, engine):
        self.engine, self.gate, self.entered, self.error = engine, threading.Event(), threading.Event(), None
        self.batches = []
        self.gate.set()

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def embed(self, values):
        self.entered.set()
        assert self.gate.wait(LONG)
        self.batches.append(len(values))
        if self.error is not None:
            raise self.error
        return self.engine.embed(values)


class qa_protobeam_classifier(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        cls.bundle = make_bundle(cls.path / "bundle")
        cls.engine = open_engine(cls.bundle)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def make(self, samples, chunks=(), tags=(), hold=None, **settings):
        settings = {"overload": "block", "normalisation": "none", **settings}
        self.tb = gr.top_block()
        self.block = radiofm.protobeam_classifier(self.bundle, **settings)
        self.block._engine = gated_engine(self.block._engine)
        self.source = dribble(samples, chunks, tags, hold, settings.get("vlen", 1))
        self.tb.connect(self.source, self.block)
        self.out = {}
        for port in ("predictions", "embeddings", "status", "prototypes_out"):
            self.out[port] = collector()
            self.tb.msg_connect((self.block, port), (self.out[port], "in"))
        return self.block

    def send(self, name, **values):
        self.block.to_basic_block()._post(pmt.intern("prototypes"), command(name, **values))

    def predictions(self):
        return [messages.parse_prediction(m) for m in self.out["predictions"].messages]

    def embedded(self):
        pdus = [messages.parse_embedding(m) for m in self.out["embeddings"].messages]
        return [info for info, _ in pdus], np.array([vector for _, vector in pdus])

    def status(self):
        return [pmt.to_python(m) for m in self.out["status"].messages]

    def assert_blocks(self, samples, starts, **settings):
        """Exactly the blocks at ``starts`` come out, as the library embeds them, with their place."""
        infos, vectors = self.embedded()
        self.assertEqual([(i.sample_start, i.sample_count, i.tile, i.dropped) for i in infos],
                         [(start, BLOCK, k, 0) for k, start in enumerate(starts)])
        self.assertEqual({i.model for i in infos}, {self.bundle.id} if starts else set())
        if starts:
            cut = np.stack([samples[start:start + BLOCK] for start in starts])
            np.testing.assert_allclose(vectors, self.engine.embed(cut), rtol=0.05, atol=0.02)
        self.assertEqual([p.info for p in self.predictions()], infos)

    # -- where blocks lie -------------------------------------------------------------------------------
    def test_every_sample_once_at_any_chunks(self):
        samples = tones(np.arange(50) % 4)[:-7]
        for chunks in ((), (1, 63, 64, 65, 127), (7,), (BLOCK,), (1000, 3)):
            with self.subTest(chunks=chunks):
                self.make(samples, chunks)
                self.tb.run()
                self.assert_blocks(samples, list(range(0, 49 * BLOCK, BLOCK)))
                self.assertEqual((self.block.embedded(), self.block.dropped()), (49, 0))
                self.assertEqual(self.block.waiting(), 0)

    def test_hops(self):
        samples = tones(np.arange(40) % 4)
        for hop in (1, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 1000, len(samples) + 5):
            for chunks in ((), (13, 200, 64)):
                with self.subTest(hop=hop, chunks=chunks):
                    part = samples[:400] if hop == 1 else samples
                    self.make(part, chunks, hop=hop, max_queue=5)
                    self.assertEqual(self.block.hop(), hop)
                    self.tb.run()
                    self.assert_blocks(part, list(range(0, len(part) - BLOCK + 1, hop)))

    def test_vectors_are_cut_each_for_itself(self):
        for vlen, hop, within in ((BLOCK, 0, [0]), (150, 0, [0, 64]), (150, 30, [0, 30, 60]),
                                  (200, 500, [0])):
            with self.subTest(vlen=vlen, hop=hop):
                samples = tones(np.arange(3 * vlen) % 4)[:30 * vlen]
                self.make(samples, (1, 2, 5), [(3, "rx_freq", pmt.from_double(1e9))], vlen=vlen, hop=hop,
                          max_queue=2)
                self.tb.run()
                starts = [v * vlen + start for v in range(30) for start in within]
                self.assert_blocks(samples, starts)
                self.assertEqual([i.rx_freq for i in self.embedded()[0]],
                                 [None if start < 3 * vlen else 1e9 for start in starts])

    def test_a_hop_that_changes_while_it_runs(self):
        samples = tones(np.arange(30) % 4)
        self.make(samples, hold=10 * BLOCK)
        self.tb.start()
        until(lambda: len(self.out["predictions"].messages) == 10)
        self.block.set_hop(3 * BLOCK)
        self.source.gate.set()
        self.tb.wait()
        self.assert_blocks(samples, [k * BLOCK for k in [*range(10), *range(10, 30, 3)]])

    def test_too_short_a_stream(self):
        self.make(tones([0])[:-1])
        self.tb.run()
        self.assert_blocks(None, [])

    # -- tags -------------------------------------------------------------------------------------------
    def test_tags(self):
        """A block has what the last tag in it says; times are moved back to its first sample."""
        def time_tag(seconds, fraction):
            return messages.time_to_pmt(seconds, fraction)

        tags = [(0, "rx_rate", pmt.from_double(1e6)), (0, "rx_freq", pmt.from_double(60e9)),
                (0, "rx_time", time_tag(100, 0.5)), (BLOCK + 10, "rx_freq", pmt.from_double(61e9)),
                (4 * BLOCK - 1, "rx_time", time_tag(200, 0.0)), (6 * BLOCK, "rx_rate", pmt.from_double(2e6)),
                (7 * BLOCK, "rx_time", pmt.intern("late")), (9 * BLOCK + 20, "radiofm_pad",
                                                             pmt.from_uint64(9 * BLOCK + 20))]
        for chunks in ((), (5, 61, 130)):
            self.make(tones(range(2)).repeat(5), chunks, tags)
            self.tb.run()
            infos = [p.info for p in self.predictions()]
            self.assertEqual([i.rx_freq for i in infos], [60e9] + 9 * [61e9])
            self.assertEqual([i.sample_rate for i in infos], 6 * [1e6] + 4 * [2e6])
            rates = {"a": 1e-6 * BLOCK, "b": 0.5e-6 * BLOCK}
            since = 200 - (BLOCK - 1) * 1e-6  # of block 3
            expected = [100.5 + k * rates["a"] for k in range(3)] + [since + k * rates["a"] for k in range(4)]
            expected += [expected[6] + k * rates["b"] for k in range(1, 4)]
            np.testing.assert_allclose([sum(i.rx_time) for i in infos], expected, rtol=0, atol=1e-9)
            self.assertEqual([i.sample_count for i in infos], 9 * [BLOCK] + [20])

    def test_tags_that_cannot_be_read_cost_no_block(self):
        """Nor does a clock that is set to 0 within a block: that one keeps the time of the clock before."""
        no_text = pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd")
        good = [(0, "rx_rate", pmt.from_long(1_000_000)), (0, "rx_time", messages.time_to_pmt(100, 0.5)),
                (2 * BLOCK + 5, "rx_time", messages.time_to_pmt(0, 0.0))]
        bad = [(BLOCK + k, key, value) for k, (key, value) in enumerate((
            ("rx_time", pmt.make_tuple(pmt.from_uint64(2**64 - 1), pmt.from_double(0.0))),
            ("rx_time", no_text),
            ("rx_time", pmt.make_tuple(pmt.from_uint64(3), pmt.from_double(float("nan")))),
            ("rx_time", pmt.make_tuple(pmt.from_long(-3), pmt.from_double(0.0))), ("rx_freq", no_text),
            ("rx_rate", pmt.PMT_T), ("radiofm_pad", pmt.from_long(-1))))]
        for chunks in ((), (5, 61, 130)):
            self.make(tones(np.arange(5) % 4), chunks, good + bad)
            self.tb.run()
            infos = [p.info for p in self.predictions()]
            self.assertEqual(len(infos), 5)
            expected = [100.5 + k * BLOCK * 1e-6 for k in range(3)]
            expected += [(k * BLOCK - 2 * BLOCK - 5) * 1e-6 for k in (3, 4)]
            np.testing.assert_allclose([sum(i.rx_time) for i in infos], expected, rtol=0, atol=1e-9)
            self.assertEqual((self.block.bad_tags(), self.block.failed()), (len(bad), 0))

    def test_rate_from_the_parameter_and_nothing_known(self):
        self.make(tones([0, 1]), samp_rate=5e6)
        self.tb.run()
        self.assertEqual([i.sample_rate for i in self.embedded()[0]], [5e6, 5e6])
        self.make(tones([0, 1]))
        self.tb.run()
        keys = pmt.to_python(pmt.car(self.out["embeddings"].messages[0])).keys()
        self.assertEqual(set(keys), {"sample_start", "sample_count", "tile", "dropped", "model", "run"})

    # -- teaching ---------------------------------------------------------------------------------------
    def teach_at(self, order, shots=2):
        """One enrolment a label, of the blocks where it is sent."""
        for label in range(4):
            self.send("enroll", label=NAMES[label], shots=shots, source="at",
                      sample_start=list(order).index(label) * BLOCK)

    def test_taught_by_message_and_decided_from_the_stated_sample_on(self):
        order = np.concatenate([np.repeat(range(4), 2), np.arange(60) % 4])
        samples = tones(order)
        self.make(samples, (37, 250), task="beams")
        self.teach_at(order)
        self.tb.run()
        answers = self.status()
        keys = ("command", "ok", "label", "shots", "sample_start")
        self.assertEqual([tuple(a[key] for key in keys) for a in answers],
                         [("enroll", True, NAMES[k], 2, (2 * k + 1) * BLOCK) for k in range(4)])
        decided = self.predictions()
        self.assertTrue(all(p.unknown for p in decided[:1]))  # nothing was taught yet
        self.assertEqual([p.label for p in decided[8:]], [NAMES[k] for k in order[8:]])
        self.assertEqual({p.task for p in decided}, {"beams"})
        self.assertEqual(decided[-1].labels, NAMES)
        self.assertEqual(self.block.labels(), NAMES)
        # the block of the second shot is decided with the new prototypes, the one before without
        self.assertEqual([len(p.labels) for p in decided[:9]], [0, 1, 1, 2, 2, 3, 3, 4, 4])

    def test_the_port_while_it_runs(self):
        """next, last, undo, save, load, rename and the state of a running flowgraph."""
        order = np.repeat(range(4), 5)
        self.make(tones(order), hold=10 * BLOCK)
        self.tb.start()
        until(lambda: len(self.out["predictions"].messages) == 10)
        file = self.path / "taught.safetensors"
        for sent in ({"name": "enroll", "label": "one", "shots": 5, "source": "last"},
                     {"name": "save", "path": str(file)}, {"name": "remove", "label": "one"},
                     {"name": "undo"}, {"name": "rename", "label": "one", "new_label": "beam 1"},
                     {"name": "enroll", "label": "beam 2", "shots": 3},
                     {"name": "enroll", "label": "beam 9"},
                     {"name": "load", "path": str(self.path / "none")}):
            self.send(**sent)
        until(lambda: len(self.out["status"].messages) == 7)  # all but the enrolment that waits
        self.source.gate.set()
        self.tb.wait()
        self.assertEqual([(a["command"], a["ok"]) for a in self.status()],
                         [("enroll", True), ("save", True), ("remove", True), ("undo", True),
                          ("rename", True), ("enroll", False), ("load", False), ("enroll", True)])
        self.assertEqual(self.status()[0]["sample_start"], 10 * BLOCK)
        last = self.status()[-1]
        self.assertEqual((last["label"], last["sample_start"]), ("beam 2", 12 * BLOCK))
        self.assertEqual([p.label for p in self.predictions()[13:15]], 2 * ["beam 2"])
        self.assertTrue(file.is_file())
        # another receiver begins with what was saved
        self.make(tones([1, 1]), prototypes=str(file))
        self.tb.run()
        self.assertEqual([p.label for p in self.predictions()], 2 * ["one"])

    def test_it_mirrors_another_classifier_and_is_mirrored(self):
        """Receivers behind it take the state over. The stream of one ends later than that of the first, whose
        end does not end it; and being mirrors of each other does not keep them alive."""
        order = np.concatenate([np.repeat(range(4), 2), np.arange(20) % 4])
        self.make(tones(order))
        self.teach_at(order)
        self.tb.run()
        self.send("state")
        second = radiofm.protobeam_classifier(self.bundle, overload="block", normalisation="none")
        source, seen = dribble(tones(order[8:], seed=5), hold=4 * BLOCK), collector()
        self.tb.connect(source, second)
        self.tb.msg_connect((second, "predictions"), (seen, "in"))
        for a, b in ((self.block, second), (second, self.block)):
            self.tb.msg_connect((a, "prototypes_out"), (b, "prototypes"))
        third = radiofm.prototype_classifier(bundle=str(self.bundle.path), normalisation="none")
        plain = collector()
        self.tb.msg_connect((self.block, "prototypes_out"), (third, "prototypes"))
        self.tb.msg_connect((second, "embeddings"), (third, "embeddings"))
        self.tb.msg_connect((third, "predictions"), (plain, "in"))
        self.tb.start()
        until(lambda: self.block.embedded() == len(order) and second.labels() == third.labels() == NAMES)
        source.gate.set()
        self.tb.wait()
        labels = [messages.parse_prediction(m).label for m in seen.messages]
        self.assertEqual(labels[4:], [NAMES[k] for k in order[12:]])
        self.assertEqual([messages.parse_prediction(m).label for m in plain.messages][4:], labels[4:])
        state = parse_state(self.out["prototypes_out"].messages[-1], self.bundle.embedding_size)
        self.assertEqual([p["label"] for p in state["prototypes"]], list(NAMES))

    def test_unknown_and_drift(self):
        order = np.concatenate([np.repeat(range(3), 40), np.arange(60) % 3, np.full(500, 3)])
        self.make(tones(order), false_alarm_rate=0.05)
        for label in range(3):
            self.send("enroll", label=NAMES[label], shots=40, source="at", sample_start=40 * label * BLOCK)
        self.tb.run()
        decided = self.predictions()
        known, strange = decided[120:180], decided[180:]
        right = [p.label == NAMES[k] for p, k in zip(known, order[120:180], strict=True)]
        self.assertGreater(np.mean(right), 0.85)
        self.assertGreater(np.mean([p.unknown for p in strange]), 0.95)
        drift = [a for a in self.status() if a["command"] == "drift"]
        self.assertEqual([a["ok"] for a in drift], [False])
        self.assertGreater(drift[0]["sample_start"], 180 * BLOCK)
        self.assertGreaterEqual(self.block.drift(), 1.0)

    # -- load -------------------------------------------------------------------------------------------
    def test_drop_counts_what_is_lost_and_keeps_the_newest(self):
        samples = tones(np.arange(200) % 4)
        self.make(samples, overload="drop", max_queue=4, max_batch=2, max_latency=0.0, hold=4 * BLOCK)
        self.block._engine.gate.clear()
        self.tb.start()
        until(self.block._engine.entered.is_set)
        self.source.gate.set()
        until(lambda: self.block._next == len(samples))  # the source never waited
        self.block._engine.gate.set()
        self.tb.wait()
        infos, vectors = self.embedded()
        self.assertEqual([i.sample_start for i in infos[-4:]], [k * BLOCK for k in range(196, 200)])
        self.assertEqual([i.tile * BLOCK for i in infos], [i.sample_start for i in infos])
        self.assertEqual([i.dropped for i in infos], [i.tile - k for k, i in enumerate(infos)])
        self.assertEqual((self.block.embedded(), self.block.dropped()), (len(infos), 200 - len(infos)))
        self.assertGreaterEqual(self.block.dropped(), 190)
        cut = np.stack([samples[i.sample_start:i.sample_start + BLOCK] for i in infos])
        np.testing.assert_allclose(vectors, self.engine.embed(cut), rtol=0.05, atol=0.02)

    def test_block_holds_the_source_and_loses_nothing(self):
        samples = tones(np.arange(600) % 4)
        self.make(samples, max_queue=8, max_batch=4)
        self.block._engine.gate.clear()
        self.tb.start()
        until(self.block._engine.entered.is_set)
        until(lambda: self.block.waiting() == 8)
        self.assertLess(len(self.out["embeddings"].messages), 1)
        self.block._engine.gate.set()
        self.tb.wait()
        self.assert_blocks(samples, list(range(0, 600 * BLOCK, BLOCK)))
        self.assertLessEqual(max(self.block._engine.batches), 4)
        self.assertGreater(np.mean(self.block._engine.batches), 2)

    def test_an_encoder_that_fails(self):
        self.make(tones(np.arange(20) % 4), hold=10 * BLOCK)
        self.block._engine.error = RuntimeError("no such luck")
        self.tb.start()
        until(lambda: self.block.failed() == 10)
        self.block._engine.error = None
        self.source.gate.set()
        self.tb.wait()
        self.assertEqual([(a["command"], a["ok"], a["reason"]) for a in self.status()],
                         [("embed", False, "no such luck")])
        infos, _ = self.embedded()
        self.assertEqual([(i.tile, i.dropped) for i in infos], [(10 + k, 10) for k in range(10)])

    def test_bad_samples_spoil_their_block_only(self):
        samples = tones(np.arange(8) % 4)
        bad = samples.copy()
        bad[2 * BLOCK + 5], bad[5 * BLOCK:6 * BLOCK] = np.nan, np.inf
        self.make(bad)
        self.tb.run()
        _, vectors = self.embedded()
        good = [0, 1, 3, 4, 6, 7]
        expected = self.engine.embed(samples.reshape(8, BLOCK))
        np.testing.assert_allclose(vectors[good], expected[good], rtol=0.05, atol=0.02)
        self.assertTrue(np.isfinite(vectors).all())
        self.assertEqual(self.block.bad_blocks(), 2)

    def test_restart_counts_from_zero_and_keeps_what_was_taught(self):
        order = np.concatenate([np.repeat(range(4), 2), np.arange(10) % 4])
        self.make(tones(order))
        self.teach_at(order)
        self.tb.run()
        for port in self.out.values():
            port.messages.clear()
        self.tb.run()
        decided = self.predictions()
        self.assertEqual([p.info.sample_start for p in decided], [k * BLOCK for k in range(18)])
        self.assertEqual([p.label for p in decided], [NAMES[k] for k in order])

    def test_stop_while_busy(self):
        self.make(tones(np.arange(4)), max_queue=4)
        self.tb.disconnect(self.source, self.block)
        endless = blocks.vector_source_c(tones(np.arange(4)), True)
        self.tb.connect(endless, self.block)
        self.tb.start()
        until(lambda: self.block.embedded() > 10)
        self.tb.stop()
        self.tb.wait()
        until(lambda: self.block.waiting() == 0)

    def test_what_was_not_delivered_is_not_embedded(self):
        for overload in ("block", "drop"):
            self.make(tones(np.arange(4)), max_queue=64, overload=overload)
            self.tb.disconnect(self.source, self.block)
            self.tb.connect(blocks.vector_source_c(tones(np.arange(4)), True), self.block)
            self.tb.start()
            until(lambda: self.block.embedded() > 10)
            self.tb.stop()
            self.tb.wait()
            # a block whose message has been lost on one of the ports is lost
            self.assertEqual(self.block.embedded(), min(len(self.out[port].messages)
                                                        for port in ("predictions", "embeddings")))

    def test_stop_in_a_flood_of_commands(self):
        self.make(tones(np.arange(4)))
        self.tb.disconnect(self.source, self.block)
        self.tb.connect(blocks.vector_source_c(tones(np.arange(4)), True), self.block)
        self.tb.start()
        until(lambda: self.block.embedded() > 10)
        block, port = self.block.to_basic_block(), pmt.intern("prototypes")
        one = command("rename", label="a", new_label="b")
        for _ in range(50_000):
            block._post(port, one)
        begin = time.monotonic()
        self.tb.stop()
        self.tb.wait()
        self.assertLess(time.monotonic() - begin, 3.0)

    # -- settings ---------------------------------------------------------------------------------------
    def test_settings(self):
        block = self.make(tones([0]))
        self.assertEqual((block.hop(), block.block(), block.embedding_size()), (BLOCK, BLOCK, 8))
        self.assertTrue(block.engine().startswith("torch-"))
        for name, value in (("hop", 100), ("overload", "drop"), ("max_batch", 3), ("max_latency", 0.5),
                            ("max_queue", 9), ("samp_rate", 2e6), ("normalisation", "l2"),
                            ("metric", "cosine"), ("centre", "stream"), ("false_alarm_rate", 0.1),
                            ("drift_rate", 1e-4), ("task", "angle")):
            getattr(block, f"set_{name}")(value)
            self.assertEqual(getattr(block, name)(), value)
        for name, value in (("hop", -1), ("hop", 1.5), ("hop", True), ("overload", "wait"), ("max_batch", 0),
                            ("samp_rate", -1.0), ("metric", "taxicab"), ("false_alarm_rate", 0.9)):
            with self.assertRaises(ValueError):
                getattr(block, f"set_{name}")(value)
        self.assertEqual((block.hop(), block.overload(), block.metric()), (100, "drop", "cosine"))

    def test_bad_arguments(self):
        tiles = tiny_bundle.make_bundle(self.path / "tiles")
        for settings, words in (({"bundle": ""}, "name a bundle"), ({"bundle": "nothing"}, "no such bundle"),
                                ({"bundle": tiles}, "reads spectrogram tiles, .* raw I/Q is needed"),
                                ({"vlen": 63}, "vlen must be 1 .* at least the 64"), ({"vlen": 0}, "vlen"),
                                ({"hop": -1}, "hop must be"), ({"max_batch": 0}, "max_batch"),
                                ({"overload": "x"}, "overload"), ({"history": 0}, "history"),
                                ({"samp_rate": float("nan")}, "samp_rate"), ({"metric": "x"}, "metric"),
                                ({"prototypes": str(self.path / "none")}, "none"),
                                ({"engine": "abacus"}, "engine")):
            with self.subTest(**settings), self.assertRaisesRegex(ValueError, words) as caught:
                radiofm.protobeam_classifier(**{"bundle": self.bundle, **settings})
            self.assertNotIn("\n", str(caught.exception))

    def test_blocks_of_tiles_refuse_its_bundle(self):
        for make in (radiofm.vit_embedding_sink, radiofm.iq_to_spectrogram):
            for bundle in (self.bundle, str(self.bundle.path)):
                with self.assertRaisesRegex(ValueError, "reads blocks of raw I/Q, .* tiles is needed here"):
                    make(bundle)

    def test_without_torch(self):
        """The module imports, and the block says what is missing."""
        code = ("import sys; sys.modules['torch'] = None\n"
                "from gnuradio import radiofm\n"
                "try:\n radiofm.protobeam_classifier('x')\nexcept ImportError as error:\n print(error)")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        self.assertIn("ProtoBeam Classifier needs the Python package torch; install it", done.stdout)


if __name__ == "__main__":
    gr_unittest.run(qa_protobeam_classifier)
