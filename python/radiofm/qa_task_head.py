#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors

import os
import shutil
import tempfile
import time

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest
from gnuradio.radiofm import messages, task_head
from gnuradio.radiofm.messages import TileInfo, embedding_pdu, parse_prediction
from radiofm_ml import heads

D = 6
MODEL = "test@01234567"
DEADLINE = 30.0


def wait_for(condition, what: str):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE} s for {what}")
        time.sleep(0.002)


def tile(k: int, vector, model: str = MODEL):
    return embedding_pdu(TileInfo(100 * k, 130, 1e6, 100e6, (5, 0.25), model, k, 2), vector)


class Bench:
    def __init__(self, tested):
        self.tb, self.tested = gr.top_block(), tested
        self.predictions, self.status = blocks.message_debug(), blocks.message_debug()
        self.tb.msg_connect((tested, "predictions"), (self.predictions, "store"))
        self.tb.msg_connect((tested, "status"), (self.status, "store"))

    def __enter__(self):
        self.tb.start()
        return self

    def __exit__(self, *_):
        self.tb.stop()
        self.tb.wait()

    def post(self, message):
        self.tested.to_basic_block()._post(messages.EMBEDDINGS, message)

    def embed(self, message) -> messages.Prediction:
        before = self.predictions.num_messages()
        self.post(message)
        wait_for(lambda: self.predictions.num_messages() > before, "a prediction")
        return parse_prediction(self.predictions.get_message(before))


class qa_task_head(gr_unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        rng = np.random.default_rng(0)

        def layer(rows, cols):
            return rng.normal(size=(rows, cols)).astype(np.float32), rng.normal(size=rows).astype(np.float32)

        self.classes = os.path.join(self.folder, "classes")
        self.numbers = os.path.join(self.folder, "numbers")
        self.classifier = heads.save(self.classes, heads.Head(
            "classification", "modulation", MODEL, ("am", "fm", "ook"), (layer(5, D), layer(3, 5))))
        self.regression = heads.save(self.numbers, heads.Head(
            "regression", "position", MODEL, ("x", "y"), (layer(2, D),), unit="m", scale=(10.0,),
            offset=(1.0, 2.0)))
        self.x = rng.normal(size=(20, D)).astype(np.float32)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_classification(self):
        with Bench(task_head(self.classes)) as bench:
            for k, (vector, expected) in enumerate(zip(self.x, self.classifier(self.x), strict=True)):
                p = bench.embed(tile(k, vector))
                np.testing.assert_allclose(p.scores, expected, rtol=1e-5)
                self.assertEqual((p.task, p.labels, p.unit), ("modulation", ("am", "fm", "ook"), None))
                self.assertEqual(p.label, p.labels[int(expected.argmax())])
                self.assertAlmostEqual(p.confidence, expected.max(), 6)
                self.assertFalse(p.unknown)
                self.assertEqual(p.info, TileInfo(100 * k, 130, 1e6, 100e6, (5, 0.25), MODEL, k, 2))

    def test_regression(self):
        with Bench(task_head(self.numbers)) as bench:
            for k, (vector, expected) in enumerate(zip(self.x, self.regression(self.x), strict=True)):
                p = bench.embed(tile(k, vector))
                np.testing.assert_allclose(p.scores, expected, rtol=1e-5)
                self.assertEqual((p.task, p.labels, p.unit, p.label), ("position", ("x", "y"), "m", ""))
                self.assertEqual((p.confidence, p.unknown), (0.0, False))

    def test_least_confidence(self):
        with Bench(task_head(self.classes, min_confidence=1.0)) as bench:
            p = bench.embed(tile(0, self.x[0]))
            self.assertEqual((p.unknown, p.label), (True, "unknown"))
            bench.tested.set_min_confidence(0.0)
            self.assertFalse(bench.embed(tile(0, self.x[0])).unknown)
            with self.assertRaisesRegex(ValueError, "min_confidence"):
                bench.tested.set_min_confidence(1.5)
            self.assertEqual(bench.tested.min_confidence(), 0.0)

    def test_another_head_while_it_runs(self):
        with Bench(task_head(self.classes)) as bench:
            self.assertEqual(bench.embed(tile(0, self.x[0])).task, "modulation")
            bench.tested.set_head(self.numbers)
            self.assertEqual(bench.tested.labels(), ("x", "y"))
            self.assertEqual(bench.embed(tile(1, self.x[0])).task, "position")
            with self.assertRaisesRegex(ValueError, "missing"):
                bench.tested.set_head(self.folder)
            self.assertEqual(bench.embed(tile(2, self.x[0])).task, "position")

    def test_what_is_malformed_or_of_another_model_is_refused_and_a_good_one_still_works(self):
        good = tile(0, self.x[0])
        refused = [pmt.PMT_T, pmt.PMT_NIL, pmt.car(good), pmt.cdr(good), pmt.cons(pmt.car(good), pmt.PMT_NIL),
                   pmt.cons(pmt.make_dict(), pmt.cdr(good)), tile(0, np.zeros(D + 1)), tile(0, np.zeros(0)),
                   tile(0, np.full(D, np.nan)), tile(0, self.x[0], "other@0")]
        with Bench(task_head(self.classes)) as bench:
            for message in refused:
                bench.post(message)
            self.assertEqual(bench.embed(good).task, "modulation")
            bench.embed(tile(1, self.x[1], ""))  # who made it is not said: taken at its word
            self.assertEqual(bench.tested.received(), len(refused) + 2)
            self.assertEqual(bench.tested.refused(), len(refused))
            self.assertEqual(bench.predictions.num_messages(), 2)
            answers = [pmt.to_python(bench.status.get_message(i)) for i in range(bench.status.num_messages())]
            self.assertEqual([(a["command"], a["ok"]) for a in answers], [("predict", False)] * len(refused))
            self.assertIn("made by model 'other@0'", answers[-1]["reason"])
            self.assertTrue(all(a["reason"] and "failed:" not in a["reason"] for a in answers))

    def test_restart(self):
        bench = Bench(task_head(self.classes))
        for k in range(3):
            with bench:
                self.assertEqual(bench.embed(tile(k, self.x[k])).info.tile, k)

    def test_constructor_refuses(self):
        for head in ("", os.path.join(self.folder, "absent")):
            with self.assertRaisesRegex(ValueError, "Task Head: .*head.safetensors: missing"):
                task_head(head)
        with self.assertRaisesRegex(ValueError, "min_confidence"):
            task_head(self.classes, min_confidence=-0.1)


if __name__ == "__main__":
    gr_unittest.run(qa_task_head)
