#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the RadioFM Receiver: finds, names after a command, annotates in absolute hertz, is retuned."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common import backlog, lifetime
from gnuradio.radiofm.common.tuning import tuning

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]
from signal_scene import CENTRE, NARROW, RATE, WIDE, scene, signal_bundle  # noqa: E402


def tag(offset, key, value):
    made = gr.tag_t()
    made.offset, made.key, made.value = offset, pmt.intern(key), value
    return made


class commander(lifetime.Held, gr.sync_block):
    """Sends commands with the first samples, and ends with its stream."""

    def __init__(self, commands):
        gr.sync_block.__init__(self, name="commander", in_sig=[np.complex64], out_sig=None)
        self.message_port_register_out(pmt.intern("commands"))
        self._commands = list(commands)

    def work(self, input_items, output_items):
        while self._commands:
            self.message_port_pub(pmt.intern("commands"), pmt.to_pmt(self._commands.pop(0)))
        return len(input_items[0])


class answers(backlog.Reader, lifetime.Held, gr.basic_block):
    """Keeps what is said, and ends with the last of the blocks inside.
    (Message Debug ends with the first.)"""

    def __init__(self):
        gr.basic_block.__init__(self, name="answers", in_sig=None, out_sig=None)
        self.said = []
        self.read_messages({pmt.intern("answers"): self.keep})

    def keep(self, message):
        self.said.append(pmt.to_python(message))


class qa_receiver(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.bundle = str(signal_bundle(Path(cls.folder.name) / "bundle").path)
        cls.iq = scene()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_receiver(self, name, tags=(), commands=(), **options):
        """The annotations that it writes of the scene, the metadata, predictions and answers."""
        file = Path(self.folder.name) / f"{name}.sigmf-meta"
        tb = gr.top_block()
        source = blocks.vector_source_c(self.iq, False, 1, list(tags))
        receiver = radiofm.receiver(self.bundle, RATE, annotations=str(file), **options)
        predictions, statuses = blocks.message_debug(), answers()
        tb.connect(source, receiver)
        tb.msg_connect(receiver, "predictions", predictions, "store")
        tb.msg_connect(receiver, "status", statuses, "answers")
        sender = commander(commands)
        tb.connect(source, sender)
        tb.msg_connect(sender, "commands", receiver, "commands")
        tb.run()
        meta = json.loads(file.read_text())
        read = [messages.parse_prediction(predictions.get_message(i))
                for i in range(predictions.num_messages())]
        return meta["annotations"], meta, read, statuses.said

    def found(self, annotations, emissions, centre):
        """The annotation of each emission, one at most."""
        return [[a for a in annotations
                 if a["core:freq_lower_edge"] < centre + at < a["core:freq_upper_edge"]
                 and a["core:sample_start"] < (begin + end) / 2
                 < a["core:sample_start"] + a["core:sample_count"]] for begin, end, at, _ in emissions]

    def test_finds_and_names_in_absolute_hertz(self):
        """Without rx_freq tags, and taught by time and frequency."""
        commands = [{"command": "enroll", "label": label, "source": "at", "sample_start": (begin + end) // 2,
                     "frequency": CENTRE + at}
                    for label, which in (("narrow", NARROW), ("wide", WIDE))
                    for begin, end, at, _ in which[:2]]
        annotations, meta, predictions, said = self.run_receiver(
            "named", commands=commands, center_freq=CENTRE, record=True)
        self.assertEqual([s["ok"] for s in said if s["command"] == "enroll"], [True] * 4, said)
        for label, emissions in (("narrow", NARROW[2:]), ("wide", WIDE[2:])):
            for (begin, _, at, width), ours in zip(emissions, self.found(annotations, emissions, CENTRE),
                                                     strict=True):
                self.assertEqual([a["core:label"] for a in ours], [label])
                middle = (ours[0]["core:freq_lower_edge"] + ours[0]["core:freq_upper_edge"]) / 2
                self.assertLess(abs(middle - CENTRE - at), max(2000, width / 10))
                self.assertLess(abs(ours[0]["core:sample_start"] - begin), 8192)
        self.assertEqual([c["core:frequency"] for c in meta["captures"]], [CENTRE])
        self.assertTrue(all(p.info.rx_freq == CENTRE for p in predictions))

    def test_the_frequency_that_is_set_counts_and_else_the_tags(self):
        tags = [tag(0, "rx_freq", pmt.from_double(868e6))]
        for name, centre, then in (("set", CENTRE, CENTRE), ("tags", 0.0, 868e6)):
            annotations, *_ = self.run_receiver(name, tags, center_freq=centre)
            self.assertTrue(all(self.found(annotations, WIDE, then)))

    def test_retuned_while_it_runs(self):
        """The tag stands on one sample; other tags stay, and 0 gives back the stream's own."""
        block = tuning("RadioFM Receiver", 100e6)
        given = tag(5, "rx_freq", pmt.from_double(1e6)), tag(7, "other", pmt.PMT_T)
        tb = gr.top_block()
        head, sink = blocks.vector_source_c(np.zeros(50_000), True, 1, list(given)), blocks.tag_debug(8, "")
        sink.set_display(False)
        sink.set_save_all(True)
        tb.connect(head, blocks.throttle(8, 1e6), block, sink)
        tb.start()
        for centre in (200e6, 0.0):
            time.sleep(0.3)
            block.set_center_freq(centre)
        time.sleep(0.3)
        tb.stop()
        tb.wait()
        seen = [(t.offset, pmt.to_double(t.value)) for t in sink.current_tags()
                if pmt.symbol_to_string(t.key) == "rx_freq"]
        values = [value for _, value in seen]
        self.assertEqual(values[:3], [100e6, 200e6, 1e6])
        self.assertEqual(set(values[3:]), {1e6})
        self.assertEqual(seen[0][0], 0)
        self.assertTrue(0 < seen[1][0] < seen[2][0])
        others = [t.offset % 50_000 for t in sink.current_tags() if pmt.symbol_to_string(t.key) == "other"]
        self.assertEqual(set(others), {7})

    def test_retuned_through_the_setter(self):
        """Predictions of what comes then lie elsewhere, by the difference."""
        tb = gr.top_block()
        receiver, predictions = radiofm.receiver(self.bundle, RATE, CENTRE), blocks.message_debug()
        tb.connect(blocks.vector_source_c(self.iq, True), blocks.throttle(8, 2 * RATE), receiver)
        tb.msg_connect(receiver, "predictions", predictions, "store")
        tb.start()

        def centres():
            return {messages.parse_prediction(predictions.get_message(i)).info.rx_freq
                    for i in range(predictions.num_messages())}

        for centre in (CENTRE, 868e6):
            receiver.set_center_freq(centre)
            end = time.monotonic() + 60
            while centre not in centres() and time.monotonic() < end:
                time.sleep(0.1)
        tb.stop()
        tb.wait()
        self.assertEqual(centres(), {CENTRE, 868e6})

    def test_false_alarm_rate_through_the_setter(self):
        tb = gr.top_block()
        receiver, statuses = radiofm.receiver(self.bundle, RATE, CENTRE), answers()
        tb.connect(blocks.vector_source_c(self.iq), receiver)
        tb.msg_connect(receiver, "status", statuses, "answers")
        receiver.set_false_alarm_rate(0.2)
        tb.run()
        self.assertEqual([s["rate"] for s in statuses.said if s["command"] == "false_alarm_rate"], [0.2])

    def test_refuses(self):
        for options, word in (({"center_freq": float("nan")}, "center_freq"),
                              ({"samp_rate": -1}, "samp_rate"), ({"record": True}, "annotations"),
                              ({"false_boxes": 0}, "false_boxes")):
            with self.assertRaisesRegex(ValueError, word):
                radiofm.receiver(self.bundle, **{"samp_rate": RATE, **options})

    def test_nothing_imports_qt(self):
        radiofm.receiver(self.bundle, RATE)
        self.assertNotIn("PyQt5", sys.modules)
        self.assertNotIn("pyqtgraph", sys.modules)


if __name__ == "__main__":
    gr_unittest.run(qa_receiver)
