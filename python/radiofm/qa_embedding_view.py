#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Embedding View: what is on the map, and what it asks for; and in a flowgraph with a classifier."""

import importlib.util
import os
import time
import unittest

import numpy as np
import pmt
from gnuradio import gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common.messages import Prediction, Signal, TileInfo
from gnuradio.radiofm.qt.embedding_map import EmbeddingMap

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HAS_QT = all(importlib.util.find_spec(name) for name in ("PyQt5", "pyqtgraph"))
RATE, SIZE = 1e6, 8


def info(number):
    return TileInfo(number * 10_000, 5000, RATE, freq_lower_edge=1e3, freq_upper_edge=2e3,
                    signal=Signal(number, 0, True, 20.0, 1e3, 5e-3, rate=8e3))


def vectors(count, seed=1):
    """Of three kinds in turn, (count, SIZE)."""
    random = np.random.default_rng(seed)
    kinds = 3 * np.eye(SIZE)[:3]
    return (kinds[np.arange(count) % 3] + 0.1 * random.standard_normal((count, SIZE))).astype(np.float32)


def decided(number, label, unknown=False):
    return Prediction(info(number), "x", label, 0.9, unknown, ("a", "b"), np.zeros(2, np.float32))


class Model(gr_unittest.TestCase):
    def setUp(self):
        self.sent = []
        self.map = EmbeddingMap(self.sent.append, 200)

    def fill(self, count=60, begin=0):
        for number, vector in enumerate(vectors(count), begin):
            self.map.add_embedding(info(number), vector)

    def test_kinds_lie_apart(self):
        self.fill()
        at = np.array([dot.at for dot in self.map.dots()])
        self.assertEqual(len(at), 60)
        middles = np.array([at[kind::3].mean(0) for kind in range(3)])
        spread = max(np.linalg.norm(at[kind::3] - middles[kind], axis=1).max() for kind in range(3))
        apart = min(np.linalg.norm(middles[a] - middles[b]) for a in range(3) for b in range(a))
        self.assertGreater(apart, 5 * spread)
        self.assertGreater(self.map.share, 0.9)

    def test_it_is_the_principal_components(self):
        self.fill()
        unit = vectors(60) / np.linalg.norm(vectors(60), axis=1, keepdims=True)
        self.map.fit()
        at = np.array([dot.at for dot in self.map.dots()])
        values = np.linalg.eigvalsh(np.cov(unit.T))[::-1]
        np.testing.assert_allclose(at.var(0, ddof=1), values[:2], rtol=1e-3)
        self.assertAlmostEqual(self.map.share, values[:2].sum() / values.sum(), 4)

    def test_it_stays_until_it_is_fitted_anew(self):
        self.fill(30)
        before = {dot.key: dot.at for dot in self.map.dots()}
        self.assertEqual(len(before), 30)
        for number in range(30, 60):
            self.map.add_embedding(info(number), np.eye(SIZE, dtype=np.float32)[7])
        after = {dot.key: dot.at for dot in self.map.dots()}
        self.assertEqual({key: after[key] for key in before}, before)
        self.map.fit()
        self.assertNotEqual({dot.key: dot.at for dot in self.map.dots()}[0, 0], before[0, 0])

    def test_labels_come_before_or_behind(self):
        self.map.add_prediction(decided(1, "a"))
        self.fill(30)
        self.map.add_prediction(decided(2, "unknown", True))
        found = {dot.key[0]: (dot.label, dot.unknown) for dot in self.map.dots()}
        self.assertEqual((found[0], found[1], found[2]), (("", False), ("a", False), ("unknown", True)))

    def test_prototypes_lie_among_their_own(self):
        self.fill()
        kinds = 3 * np.eye(SIZE, dtype=np.float32)[:3]
        self.map.add_state([("a", kinds[0], kinds[:1]), ("other size", np.ones(3), np.ones((1, 3)))])
        (taught,) = self.map.taught()
        near = np.array([dot.at for dot in self.map.dots()][::3])
        self.assertLess(np.linalg.norm(near.mean(0) - taught.at), 0.1)
        self.assertEqual(taught.shots.shape, (1, 2))

    def test_memory_is_bounded(self):
        for begin in range(0, 600, 60):
            self.fill(60, begin)
        self.assertEqual(len(self.map.dots()), 200)
        self.assertEqual(self.map.dots()[-1].key, (599, 0))
        for number in range(1000):
            self.map.add_signal(info(number), np.ones(100_000, np.complex64))
        self.assertLessEqual(sum(len(s) for s, _ in self.map._cuts.values()), 256 << 15)

    def test_picture_of_a_tone_that_moves_up(self):
        phase = 2 * np.pi * np.cumsum(np.linspace(-0.4, 0.4, 8000))
        self.fill(30)
        self.map.add_signal(info(3), np.exp(1j * phase).astype(np.complex64))
        dots = self.map.dots()
        self.assertIsNone(self.map.picture(dots[0]))
        picture = self.map.picture(dots[3])
        strongest = picture.argmax(1)
        self.assertEqual(picture.shape, (64, 64))
        self.assertTrue((np.diff(strongest) >= 0).all() and strongest[0] < 12 and strongest[-1] > 52)

    def test_some_are_taught(self):
        self.fill(30)
        dots = self.map.dots()
        self.map.teach("x", [dots[4], dots[7]])
        self.assertEqual(self.sent, [
            {"command": "enroll", "label": "x", "source": "at", "shots": 1, "sample_start": 10_000 * n + 2500,
             "frequency": 1500.0, "signal": n} for n in (4, 7)])
        self.map.answered("enroll", True, "", "x", 2)
        self.assertEqual(self.map.notes[-1].text, "'x' is taught, with 2 shots")

    def test_another_model_begins_a_new_map(self):
        self.fill()
        self.map.add_embedding(info(99), np.ones(5, np.float32))
        self.assertEqual(self.map.dots(), [])
        self.assertFalse(self.map.fit())


@unittest.skipUnless(HAS_QT, "PyQt5 or pyqtgraph is not installed")
class Flowgraph(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from PyQt5 import QtWidgets
        cls.app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])

    def until(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)

    def test_with_a_classifier(self):
        tb, view = gr.top_block(), radiofm.embedding_view()
        classifier = radiofm.prototype_classifier(embedding_size=SIZE, normalisation="none")
        for out, into in (("predictions", "predictions"), ("status", "answers"), ("prototypes_out", "state")):
            tb.msg_connect(classifier, out, view, into)
        tb.msg_connect(view, "prototypes", classifier, "prototypes")
        view.to_basic_block()._post(messages.EMBEDDINGS, pmt.intern("nonsense"))
        tb.start()
        for number, vector in enumerate(vectors(60)):
            pdu = messages.embedding_pdu(info(number), vector)
            for block in (classifier, view):
                block.to_basic_block()._post(messages.EMBEDDINGS, pdu)
        model = view._model
        self.until(lambda: len([d for d in model.dots() if d.label]) == 60)
        model.teach("first", model.dots()[:9:3])
        self.until(lambda: [(t.label, len(t.shots)) for t in model.taught()] == [("first", 3)])
        self.assertEqual(view.refused(), 1)
        tb.stop()
        tb.wait()

    def test_bad_parameters_are_named(self):
        with self.assertRaisesRegex(ValueError, "Embedding View: most"):
            radiofm.embedding_view(most=3)


if __name__ == "__main__":
    gr_unittest.run(Model)
    gr_unittest.run(Flowgraph)
