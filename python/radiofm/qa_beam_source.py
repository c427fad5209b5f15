#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the Beam Source: the simulator's samples, changed at exact samples, told in tags and messages."""

import subprocess
import sys
import time

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from radiofm_ml.synth.beams import BLOCK, SAMPLE_RATE, BeamSimulator

LONG = 60.0  # seconds until a wait counts as a failure


def stream(front_end="a", beam=0, seed=0, rx_gain=50.0, **settings):
    """What the block is to send, straight from the library."""
    made = BeamSimulator(front_end, rx_gain_db=rx_gain, seed=seed, **settings).stream(
        np.random.default_rng([seed, 1]))
    made.beam = beam
    return made


class collector(gr.basic_block):
    """Keeps the messages of a port."""

    def __init__(self):
        gr.basic_block.__init__(self, name="collector", in_sig=None, out_sig=None)
        self.messages = []
        self.message_port_register_in(pmt.mp("in"))
        self.set_msg_handler(pmt.mp("in"), self.handle)

    def handle(self, message):
        self.messages.append(pmt.to_python(message))


class qa_beam_source(gr_unittest.TestCase):
    def run_source(self, count, *sent, block=None, chunk=None, **settings):
        """Samples, tags by key, status, truth of a run of ``count`` samples; sent: control messages."""
        self.block = block or radiofm.beam_source(**settings)
        self.tb, sink = gr.top_block(), blocks.vector_sink_c()
        status, truth = collector(), collector()
        if chunk:
            self.block.set_max_noutput_items(chunk)
        self.tb.connect(self.block, blocks.head(gr.sizeof_gr_complex, count), sink)
        self.tb.msg_connect((self.block, "status"), (status, "in"))
        self.tb.msg_connect((self.block, "truth"), (truth, "in"))
        for message in sent:
            message = pmt.to_pmt(message) if isinstance(message, dict) else message
            self.block.to_basic_block()._post(pmt.intern("control"), message)
        self.tb.run()
        tags = {}
        for tag in sink.tags():
            if tag.offset < count:
                key = pmt.symbol_to_string(tag.key)
                tags.setdefault(key, []).append((tag.offset, pmt.to_python(tag.value)))
        return np.array(sink.data(), np.complex64), tags, status.messages, truth.messages

    def test_a_fixed_beam_is_the_simulators(self):
        samples, tags, status, truth = self.run_source(9000, front_end="b", beam=7, rx_gain=60.0, seed=3)
        np.testing.assert_array_equal(samples, stream("b", 7, 3, 60.0).samples(9000))
        self.assertEqual(tags, {"rx_rate": [(0, SAMPLE_RATE)], "rx_freq": [(0, 60.48e9)], "beam": [(0, 7)],
                                "front_end": [(0, "b")], "rx_gain": [(0, 60.0)], "angle": [(0, 0.0)]})
        self.assertEqual(status, [])
        self.assertEqual(truth[:1], [{"sample_start": 0, "label": "beam 7", "beam": 7, "front_end": "b",
                                      "rx_gain": 60.0, "angle": 0.0}])
        self.assertEqual((self.block.front_end(), self.block.beam(), self.block.rx_gain()), ("b", 7, 60.0))

    def test_a_sweep_changes_the_beam_at_exact_samples(self):
        """Dwells that are no multiple of a block, any chunks, all beams of a codebook and then again."""
        dwell, count = 3000, 7 * 3000 + 100
        wanted = stream("a", 0, codebook=5)
        parts = []
        for k in range(8):
            wanted.beam = k % 5
            parts.append(wanted.samples(min(dwell, count - k * dwell)))
        for chunk in (None, 700, 4096):
            samples, tags, _, truth = self.run_source(count, dwell=dwell, codebook=5, chunk=chunk)
            np.testing.assert_array_equal(samples, np.concatenate(parts))
            self.assertEqual(tags["beam"], [(k * dwell, k % 5) for k in range(8)])
            self.assertEqual([len(tags[key]) for key in ("front_end", "rx_gain", "angle")], [1] * 3)
            self.assertEqual([(t["sample_start"], t["label"]) for t in truth[:8]],
                             [(k * dwell, f"beam {k % 5}") for k in range(8)])

    def test_messages_take_effect_at_the_block_that_they_name(self):
        samples, tags, status, truth = self.run_source(
            10 * BLOCK, {"front_end": "c", "rx_gain": 60, "sample_start": 3 * BLOCK - 5},
            {"beam": 4, "angle": 9.5, "sample_start": 5 * BLOCK},
            {"front_end": 17, "sample_start": 5 * BLOCK + 1}, beam=2)
        wanted = stream(beam=2)
        parts = [wanted.samples(3 * BLOCK)]
        wanted.front_end, wanted.rx_gain_db = "c", 60.0
        parts.append(wanted.samples(2 * BLOCK))
        wanted.beam, wanted.angle = 4, 9.5
        parts.append(wanted.samples(BLOCK))
        wanted.front_end = 17
        parts.append(wanted.samples(4 * BLOCK))
        np.testing.assert_array_equal(samples, np.concatenate(parts))
        self.assertEqual(tags["front_end"], [(0, "a"), (3 * BLOCK, "c"), (6 * BLOCK, "17")])
        self.assertEqual(tags["beam"], [(0, 2), (5 * BLOCK, 4)])
        self.assertEqual(tags["rx_gain"], [(0, 50.0), (3 * BLOCK, 60.0)])
        self.assertEqual(tags["angle"], [(0, 0.0), (5 * BLOCK, 9.5)])
        self.assertEqual([(s["command"], s["ok"], s["sample_start"]) for s in status],
                         [("control", True, k * BLOCK) for k in (3, 5, 6)])
        self.assertEqual((status[0]["front_end"], status[0]["rx_gain"]), ("c", 60.0))
        self.assertNotIn("beam", status[0])
        self.assertEqual([t["sample_start"] for t in truth], [0, 3 * BLOCK, 5 * BLOCK, 6 * BLOCK])

    def test_from_a_sweep_to_a_beam_and_back(self):
        _, tags, _, _ = self.run_source(
            10 * BLOCK, {"beam": 9, "sample_start": 2 * BLOCK}, {"beam": -1, "sample_start": 4 * BLOCK},
            {"front_end": "d", "sample_start": 5 * BLOCK}, {"dwell": 2 * BLOCK, "sample_start": 6 * BLOCK},
            dwell=1500)
        at = 4 * BLOCK
        swept = [(at + k * 1500, k) for k in range(3)]  # not begun anew by another front end
        slow = [(at + 4500 + k * 2 * BLOCK, 3 + k) for k in range(3)]
        self.assertEqual(tags["beam"], [(0, 0), (1500, 1), (3000, 2), (2 * BLOCK, 9), *swept,
                                        *[s for s in slow if s[0] < 10 * BLOCK]])
        self.assertEqual(tags["front_end"], [(0, "a"), (5 * BLOCK, "d")])

    def test_setters_while_it_runs(self):
        """They hold from a block on; where, the answer says, and the samples show."""
        block = radiofm.beam_source(beam=1)
        tb, sink = gr.top_block(), blocks.vector_sink_c()
        status = collector()
        throttle = blocks.throttle(gr.sizeof_gr_complex, 200e3)
        tb.connect(block, throttle, sink)
        tb.msg_connect((block, "status"), (status, "in"))
        tb.start()
        deadline = time.monotonic() + LONG
        while block.sent() < 3 * BLOCK and time.monotonic() < deadline:
            time.sleep(0.005)
        block.set_beam(20)
        block.set_rx_gain(40)
        while len(status.messages) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        changed = status.messages[-1]["sample_start"]
        while len(sink.data()) < changed + 100 and time.monotonic() < deadline:
            time.sleep(0.005)
        tb.stop()
        tb.wait()
        self.assertEqual(changed % BLOCK, 0)
        self.assertGreaterEqual(changed, 3 * BLOCK)
        samples = np.array(sink.data(), np.complex64)
        wanted = stream(beam=1)
        first = status.messages[0]["sample_start"]
        before = wanted.samples(first)
        wanted.beam = 20
        between = wanted.samples(changed - first)
        wanted.rx_gain_db = 40.0
        np.testing.assert_array_equal(samples, np.concatenate(
            [before, between, wanted.samples(len(samples) - changed)]))

    def test_bad_messages_change_nothing(self):
        sent = ({"beam": 24}, {"beam": "x"}, {"front_end": "z"}, {"front_end": -1}, {"rx_gain": 99.0},
                {"angle": 90.0}, {"dwell": 0}, {"rain": 1}, {}, {"beam": 3, "rx_gain": float("nan")},
                {"beam": 2.5}, {"sample_start": 5}, {"beam": 1, "sample_start": -1}, pmt.intern("beam"),
                pmt.PMT_NIL, pmt.cons(pmt.PMT_NIL, pmt.PMT_NIL))
        samples, tags, status, _ = self.run_source(2 * BLOCK, *sent, beam=5)
        self.assertEqual([(s["command"], s["ok"]) for s in status], [("control", False)] * len(sent))
        words = ("beam", "beam", "front_end", "front_end", "rx_gain", "angle", "dwell", "'rain' is not known",
                 "dict", "rx_gain", "beam", "nothing to change", "sample_start", "dict", "dict", "dict")
        for answer, word in zip(status, words, strict=True):
            self.assertIn(word, answer["reason"])
        np.testing.assert_array_equal(samples, stream(beam=5).samples(2 * BLOCK))
        self.assertEqual(tags["beam"], [(0, 5)])

    def test_again_the_same(self):
        block = radiofm.beam_source(dwell=BLOCK, seed=4)
        later = {"beam": 3, "sample_start": 10**9}
        first, tags, _, _ = self.run_source(3 * BLOCK, later, block=block)
        self.assertEqual(block.waiting(), 0)  # what was too late is not for the next run
        again, tags_again, _, _ = self.run_source(3 * BLOCK, block=block)
        np.testing.assert_array_equal(first, again)
        self.assertEqual(tags, tags_again)
        other, _, _, _ = self.run_source(3 * BLOCK, dwell=BLOCK, seed=5)
        self.assertFalse(np.array_equal(first, other))

    def test_settings(self):
        block = radiofm.beam_source("12", beam=np.int64(3), geometry="obstacle", codebook=12)
        self.assertEqual((block.front_end(), block.beam(), block.dwell()), ("12", 3, 30720))
        for name, value in (("front_end", "e"), ("beam", 12), ("dwell", 0), ("rx_gain", None), ("angle", 91)):
            with self.assertRaisesRegex(ValueError, f"Beam Source: .*{name}"):
                getattr(block, f"set_{name}")(value)
        self.assertEqual(block.waiting(), 0)
        for name, value in (("front_end", "e"), ("beam", 24), ("beam", -2), ("beam", True), ("dwell", 0.5),
                            ("rx_gain", -1), ("angle", float("nan")), ("geometry", "moon"), ("codebook", 7),
                            ("seed", -1), ("seed", 1.5)):
            with self.subTest(**{name: value}), self.assertRaisesRegex(ValueError, f"Beam Source: .*{name}"):
                radiofm.beam_source(**{name: value})

    def test_needs_no_torch(self):
        code = ("import sys; sys.modules['torch'] = None\nfrom gnuradio import radiofm\n"
                "radiofm.beam_source()\nprint('made')")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.stdout, "made\n", done.stderr)


if __name__ == "__main__":
    gr_unittest.run(qa_beam_source)
