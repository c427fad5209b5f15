#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Teach Panel: what it counts, says and asks for; and in a flowgraph with a classifier."""

import importlib.util
import os
import time
import unittest

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common.messages import Prediction, Signal, TileInfo
from gnuradio.radiofm.qt.panel import Panel, difference

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HAS_QT = all(importlib.util.find_spec(name) for name in ("PyQt5", "pyqtgraph"))
RATE = 1e6


def tile(number, label, dropped=0, labels=("a", "b"), rate=RATE, signal=None):
    info = TileInfo(number * 100_000, 100_000, rate, tile=number, dropped=dropped, signal=signal)
    return Prediction(info, "x", label, 0.9, label == "unknown", labels, np.zeros(len(labels), np.float32))


class Model(gr_unittest.TestCase):
    def setUp(self):
        self.time, self.sent = 100.0, []
        self.panel = Panel(self.sent.append, lambda: self.time)

    def said(self):
        return [note.text for note in self.panel.notes]

    def test_shares_and_when_last_heard(self):
        self.panel.add_state({"a": 5, "b": 1, "c": 2})
        for number, label in enumerate("aaab"):
            self.panel.add_prediction(tile(number, label))
        self.time += 30
        self.panel.add_prediction(tile(5, "unknown"))
        self.assertEqual([row.texts() for row in self.panel.rows()],
                         [("a", "5", "60 %", "30 s ago"), ("b", "1", "20 %", "30 s ago"),
                          ("c", "2", "0 %", "never"), ("unknown", "", "20 %", "now")])
        self.time += 31  # the first four are more than a minute old
        self.assertEqual([row.texts()[2] for row in self.panel.rows()], ["0 %", "0 %", "0 %", "100 %"])

    def test_one_label_has_no_share(self):
        """Whatever comes is 100 % of it."""
        self.panel.add_state({"a": 5, "not a": 1})
        self.panel.add_prediction(tile(0, "a", labels=("a", "not a")))
        self.assertEqual(self.panel.rows()[0].texts(), ("a", "5", "", "now"))
        self.assertIn("too few", self.panel.honesty())

    def test_without_a_state_labels_come_from_predictions(self):
        self.panel.add_prediction(tile(0, "a"))
        self.panel.answered("enroll", True, "", "a", 3)
        self.assertEqual(self.panel.shots, {"a": 3, "b": 0})

    def test_embedded_dropped_waiting(self):
        self.assertEqual(self.panel.counts(), "0 embedded, 0 dropped")
        for number in range(5):
            self.panel.add_signal(TileInfo(0, 1, signal=Signal(number, 0)))
        for number in range(2):
            self.panel.add_prediction(tile(number, "a", dropped=1, signal=Signal(number, 0)))
        self.assertEqual(self.panel.counts(), "2 embedded, 1 dropped, 2 waiting")

    def test_next_and_its_progress(self):
        self.panel.teach_next("remote", 5)
        self.assertEqual(self.sent, [{"command": "enroll", "label": "remote", "shots": 5, "source": "next"}])
        for number in range(2):
            self.panel.add_prediction(tile(number, "a"))
        self.assertEqual(self.panel.progress(), "'remote': 2 of the next 5 have come")
        self.panel.teach_next("other", 3)
        reason = "'remote' is still being taught, 2 of 5 embeddings have come; undo cancels that"
        self.panel.answered("enroll", False, reason, "other")
        self.assertEqual(self.said(), ["'other' is not taught: 'remote' is still being taught (2 of 5 have "
                                       "come). Undo cancels that"])
        self.assertEqual(self.panel.progress(), "'remote': 2 of the next 5 have come")
        self.panel.answered("enroll", True, "", "remote", 5)
        self.assertEqual((self.panel.progress(), self.said()[-1]), ("", "'remote' is taught, with 5 shots"))

    def test_last_counts_what_is_of_the_last_seconds(self):
        for number in range(50):  # ten a second
            self.panel.add_prediction(tile(number, "a"))
        self.panel.teach_last("remote", 3.0)
        self.assertEqual(self.sent, [{"command": "enroll", "label": "remote", "shots": 30, "source": "last"}])
        self.time += 10
        self.panel.teach_last("remote", 3.0)
        self.assertEqual(len(self.sent), 1)
        self.assertEqual(self.said(), ["Nothing was heard in the last 3 s"])

    def test_last_without_a_rate_goes_by_the_clock(self):
        for number in range(10):
            self.time += 1
            self.panel.add_prediction(tile(number, "a", rate=None))
        self.assertEqual(self.panel.heard_in(3.0), 4)

    def test_undo_says_what_it_undid(self):
        self.panel.add_state({"a": 5, "b": 2})
        self.panel.undo()
        self.panel.add_state({"a": 3, "b": 2})  # comes before the answer
        self.panel.answered("undo", True)
        self.panel.undo()
        self.panel.answered("undo", True)  # or behind it
        self.panel.add_state({"b": 2})
        self.panel.undo()
        self.panel.answered("undo", True, "", "c")
        self.assertEqual(self.said(), ["Undone: 'a' has 3 shots again, not 5",
                                       "Undone: 'a' is not taught any more",
                                       "Undone: 'c' is not being taught any more"])

    def test_differences_in_words(self):
        self.assertEqual(difference({"chirp": 5}, {"lora": 5}), "'chirp' is called 'lora' again")
        self.assertEqual(difference({}, {"lora": 1}), "'lora' is back, with 1 shot")
        self.assertEqual(difference({}, dict.fromkeys("abcde", 1)),
                         "'a' is back, with 1 shot, 'b' is back, with 1 shot and 3 more changes")
        self.assertEqual(difference({"a": 1}, {"a": 1}), "what was taught is as it was before")

    def test_drift_comes_and_goes_once(self):
        self.panel.add_state({"a": 5})
        for _ in range(5):
            self.panel.answered("drift", False, "the stream no longer looks like what was taught")
            shown = self.panel.advice
            self.panel.answered("drift", True, "the stream looks like what was taught again")
            self.assertEqual(self.panel.advice, "")
            self.assertEqual(bool(shown), _ == 0)
        self.assertEqual(self.said(), [])
        self.panel.add_state({"a": 7})  # taught anew: it may drift anew
        self.panel.answered("drift", False, "")
        self.assertIn("teach some again", self.panel.advice)

    def test_refusals_in_plain_words(self):
        self.panel.answered("enroll", False, "only 2 embeddings are kept, 30 were asked for", "x")
        self.panel.answered("embed", False, "signals come faster than they can be embedded")
        self.assertEqual(self.said(), ["'x' is not taught: only 2 were heard so far, 30 were asked for",
                                       "Signals come faster than they can be embedded"])
        self.assertFalse(any(note.good for note in self.panel.notes))

    def test_memory_is_bounded(self):
        self.panel.add_state({})
        for number in range(30_000):
            self.panel.add_prediction(tile(number, f"label {number}", labels=()))
        self.assertLessEqual(len(self.panel._heard), 20_000)
        self.assertLessEqual(len(self.panel._last), 1000)


@unittest.skipUnless(HAS_QT, "PyQt5 or pyqtgraph is not installed")
class Flowgraph(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from PyQt5 import QtWidgets
        cls.app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])

    def setUp(self):
        """A panel and a classifier, wired as its documentation says."""
        self.tb = gr.top_block()
        self.panel = radiofm.teach_panel()
        self.classifier = radiofm.prototype_classifier(embedding_size=4, normalisation="none")
        for out, into in (("predictions", "predictions"), ("status", "answers"), ("prototypes_out", "state")):
            self.tb.msg_connect(self.classifier, out, self.panel, into)
        self.tb.msg_connect(self.panel, "prototypes", self.classifier, "prototypes")
        self.told = blocks.message_debug()
        self.tb.msg_connect(self.panel, "status", self.told, "store")
        self.model, self.number = self.panel._model, 0

    def embed(self, vector, count=1):
        for _ in range(count):
            info = TileInfo(self.number * 1000, 1000, RATE, tile=self.number)
            self.classifier.to_basic_block()._post(messages.EMBEDDINGS,
                                                   messages.embedding_pdu(info, np.array(vector, np.float32)))
            self.number += 1

    def until(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline, [n.text for n in self.model.notes])
            time.sleep(0.005)

    def test_a_session(self):
        self.tb.start()
        self.until(lambda: self.model.rate == 0.01)
        self.model.teach_next("left", 3)
        self.embed([1, 0, 0, 0], 3)
        self.until(lambda: self.model.shots == {"left": 3})
        self.embed([0, 1, 0, 0], 2)
        self.until(lambda: self.model.embedded == 5)
        self.model.teach_last("right", 0.0015)  # the newest two lie 1 ms apart
        self.until(lambda: self.model.shots == {"left": 3, "right": 2})
        self.model.rename("right", "up")
        self.until(lambda: self.model.shots == {"left": 3, "up": 2})
        self.model.remove("left")
        self.until(lambda: self.model.shots == {"up": 2})
        self.model.undo()
        self.until(lambda: "Undone: 'left' is back, with 3 shots" in [n.text for n in self.model.notes])
        self.model.set_false_alarm_rate(0.25)
        self.until(lambda: self.model.rate == 0.25)
        self.assertEqual(self.classifier.false_alarm_rate(), 0.25)
        self.model.set_false_alarm_rate(0.9)
        self.until(lambda: any("0.001..0.5" in note.text for note in self.model.notes))
        self.tb.stop()
        self.tb.wait()
        self.assertEqual(self.panel.refused(), 0)

    def test_bad_messages_are_refused(self):
        post = self.panel.to_basic_block()._post
        for port in ("predictions", "signals", "answers", "state"):
            post(pmt.intern(port), pmt.intern("nonsense"))
        post(pmt.intern("state"), pmt.to_pmt({"prototypes": 5}))
        self.tb.start()
        self.until(lambda: self.panel.refused() == 5)
        self.until(lambda: self.told.num_messages() == 5)
        self.tb.stop()
        self.tb.wait()

    def test_bad_parameters_are_named(self):
        for settings, name in (({"shots": 0}, "shots"), ({"seconds": 0}, "seconds")):
            with self.assertRaisesRegex(ValueError, f"Teach Panel: {name}"):
                radiofm.teach_panel(**settings)


if __name__ == "__main__":
    gr_unittest.run(Model)
    gr_unittest.run(Flowgraph)
