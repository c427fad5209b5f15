#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors

import json
import math
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pmt
import torch
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages, task_head
from gnuradio.radiofm.common import runs
from gnuradio.radiofm.common.messages import TILE_LAYER, TileInfo, embedding_pdu, parse_prediction, tokens_pdu
from radiofm_ml import heads
from radiofm_ml.heads.rates import RateCode
from radiofm_ml.heads.running import open_head
from radiofm_ml.heads.tuned import TunedHead
from radiofm_ml.heads.tuned_config import FrontConfig, TunedConfig
from radiofm_ml.models.lora import LoraConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from sigmf_files import write_recording  # noqa: E402
from tiny_bundle import SPEC, make_bundle  # noqa: E402

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

    def post(self, message, port=messages.EMBEDDINGS):
        self.tested.to_basic_block()._post(port, message)

    def answers(self):
        return [pmt.to_python(self.status.get_message(i)) for i in range(self.status.num_messages())]

    def decided(self):
        return [
            parse_prediction(self.predictions.get_message(i)) for i in range(self.predictions.num_messages())
        ]

    def embed(self, message, port=messages.EMBEDDINGS) -> messages.Prediction:
        before = self.predictions.num_messages()
        self.post(message, port)
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

    def test_of_a_signal_all_is_carried_through(self):
        info = TileInfo(100, 130, 1e6, 100e6, None, MODEL, 3, 2, 99e6, 99.5e6,
                        signal=messages.Signal(7, 1, False, 12.5, 5e5, 1.3e-4, 1e6, 8, 0))
        with Bench(task_head(self.classes)) as bench:
            self.assertEqual(bench.embed(messages.embedding_pdu(info, self.x[0])).info, info)

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

    def test_a_head_that_knows_the_sample_rate(self):
        """The weights read nothing but the rate: what comes out is decided by the PDU's alone."""
        code = RateCode()
        centres = np.linspace(code.low, code.high, code.count)
        weight = np.zeros((2, D + code.count), np.float32)
        weight[0, D:][centres < 6.0] = weight[1, D:][centres >= 6.0] = 10.0
        head = heads.Head("classification", "signal", MODEL, ("ais", "bluetooth"),
                          ((weight, np.zeros(2, np.float32)),), rate=code)
        path = os.path.join(self.folder, "rated")
        heads.save(path, head)

        def pdu(k, rate):
            return embedding_pdu(TileInfo(100 * k, 130, rate, None, None, MODEL, k), self.x[k])

        with Bench(task_head(path)) as bench:
            for k, rate in enumerate((None, 0.0, -1e5, math.inf)):
                bench.post(pdu(k, rate))
            found = [bench.embed(pdu(k, rate)).label for k, rate in ((4, 96e3), (5, 8e6), (6, 20e3))]
            self.assertEqual(found, ["ais", "bluetooth", "ais"])
            wait_for(lambda: bench.status.num_messages() == 4, "the reasons")
            for answer in bench.answers():
                self.assertEqual((answer["command"], answer["ok"]), ("predict", False))
                self.assertIn("sample_rate", answer["reason"])
            self.assertIn("give samp_rate to ViT Embedding Sink", bench.answers()[0]["reason"])
            self.assertEqual(bench.tested.refused(), 4)

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
            answers = bench.answers()
            self.assertEqual([(a["command"], a["ok"]) for a in answers], [("predict", False)] * len(refused))
            self.assertIn("made by model 'other@0'", answers[-1]["reason"])
            self.assertTrue(all(a["reason"] and "failed:" not in a["reason"] for a in answers))

    def test_restart(self):
        bench = Bench(task_head(self.classes))
        for k in range(3):
            with bench:
                self.assertEqual(bench.embed(tile(k, self.x[k])).info.tile, k)

    def test_what_the_run_before_has_left_is_dropped(self):
        bench, run = Bench(task_head(self.classes)), runs.begin()
        with bench:
            bench.embed(tile(0, self.x[0]))
        runs.end(run)
        for k, of in ((1, run), (2, None)):  # None: posted from outside
            bench.post(embedding_pdu(TileInfo(100 * k, 130, model=MODEL, tile=k, run=of), self.x[k]))
        with bench:
            wait_for(lambda: bench.predictions.num_messages() == 2, "the PDU from outside")
            self.assertEqual(bench.embed(tile(3, self.x[3])).info.tile, 3)
        self.assertEqual([p.info.tile for p in bench.decided()], [0, 2, 3])

    def test_constructor_refuses(self):
        for head in ("", os.path.join(self.folder, "absent")):
            with self.assertRaisesRegex(ValueError, "Task Head: .*head.safetensors: missing"):
                task_head(head)
        with self.assertRaisesRegex(ValueError, "min_confidence"):
            task_head(self.classes, min_confidence=-0.1)


class qa_task_head_on_tokens(gr_unittest.TestCase):
    """Heads with blocks of their own, heads that begin at the tile, and segmentation."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        cls.bundle = make_bundle(cls.path / "bundle")
        cls.tiles = (
            np.random.default_rng(0).normal(0, 1, (40, SPEC.tile_rows, SPEC.tile_cols)).astype(np.float32)
        )
        cls.infos = [TileInfo(k * SPEC.stride, SPEC.samples_per_tile, 1e6, 1e8, (5, 0.25), cls.bundle.id, k)
                     for k in range(len(cls.tiles))]
        with torch.inference_mode():
            made = cls.bundle.model.tokens_before(torch.from_numpy(cls.tiles), [0, 2, 3])
        cls.values = {TILE_LAYER: cls.tiles, **{layer: tokens.numpy() for layer, tokens in made.items()}}
        vit = replace(cls.bundle.model.config, read_out="mean", projection=0)
        common = ("classification", "kind of signal", cls.bundle.id, ("am", "fm", "ook"), vit)
        position = ("regression", "position", cls.bundle.id, ("x", "y"), vit)
        cls.heads = {  # name: (configuration, layers it reads)
            "last-blocks": (TunedConfig(*common, 2, hidden=(8,)), (2,)),
            "lora": (TunedConfig(*common, 0, lora=LoraConfig(4)), (0,)),
            "tokenizer": (TunedConfig(*common, 3, tokenizer=True), (TILE_LAYER,)),
            "numbers": (TunedConfig(*position, 2, unit="m", scale=(10.0,)), (2,)),
            "rated": (TunedConfig(*common, 2, rate=RateCode()), (2,)),
            "pixels": (
                TunedConfig(
                    "segmentation",
                    "occupancy",
                    cls.bundle.id,
                    ("noise", "signal", "burst"),
                    vit,
                    3,
                    decoder={"kind": "pixels", "dim": 32, "heads": 4},
                ),
                (3, TILE_LAYER),
            ),
        }
        torch.manual_seed(1)
        for name, (config, _) in cls.heads.items():
            head = TunedHead(config)
            head.start_from(cls.bundle.model)
            for key, parameter in head.named_parameters():
                if "lora_b" in key:
                    torch.nn.init.normal_(parameter, std=0.1)
            heads.save(cls.path / "bundle" / "heads" / name, head)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def head(self, name: str) -> str:
        return str(self.path / "bundle" / "heads" / name)

    def pdu(self, k: int, layers, **changes):
        return tokens_pdu(
            replace(self.infos[k], **changes), {layer: self.values[layer][k] for layer in layers}
        )

    def test_every_kind_gives_what_the_library_gives(self):
        for name, (config, layers) in self.heads.items():
            with self.subTest(name), Bench(task_head(self.head(name))) as bench:
                self.assertEqual((bench.tested.layers(), bench.tested.labels()), (layers, config.labels))
                self.assertEqual(radiofm.token_layers([self.head(name)]), sorted(layers))
                rates = [info.sample_rate for info in self.infos[:9]] if config.rate else None
                inputs = {k: self.values[k][:9] for k in layers}
                expected = open_head(self.head(name)).predict(inputs, rates)
                for k in range(9):
                    bench.post(self.pdu(k, (TILE_LAYER, 0, 2, 3)), messages.TOKENS)
                if name == "pixels":
                    continue  # below
                wait_for(lambda: bench.predictions.num_messages() == 9, "predictions")
                found = bench.decided()
                self.assertEqual([p.info for p in found], self.infos[:9])
                np.testing.assert_allclose([p.scores for p in found], expected, atol=2e-2)
                if config.kind == "regression":
                    self.assertEqual({(p.unit, p.label) for p in found}, {("m", "")})
                else:
                    self.assertEqual(
                        [p.label for p in found], [p.labels[int(p.scores.argmax())] for p in found]
                    )

    def test_boxes(self):
        """Two boxes that are known, in a tile of which the last 200 samples are padding."""
        block = task_head(self.head("pixels"), min_pixels=4)
        picture = np.zeros((3, SPEC.tile_rows, SPEC.tile_cols), np.float32)
        picture[0] = 0.6
        picture[:, 4:10, 16:48] = np.array([0.1, 0.7, 0.2])[:, None, None]
        picture[:, 28:32, 0:8] = np.array([0.0, 0.25, 0.75])[:, None, None]
        picture[:, 20, 20:23] = np.array([0.1, 0.7, 0.2])[:, None]  # too small
        block._head.predict = lambda inputs, rates: np.stack([picture] * len(inputs[3]))
        with Bench(block) as bench:
            bench.post(self.pdu(2, (3, -1), sample_count=SPEC.samples_per_tile - 100), messages.TOKENS)
            bench.post(self.pdu(3, (3, -1), sample_rate=None, rx_freq=None, rx_time=None), messages.TOKENS)
            bench.post(self.pdu(4, (3, -1), sample_count=20 * 32), messages.TOKENS)
            wait_for(lambda: bench.predictions.num_messages() == 5, "predictions")
            wide, burst, without, _, last = bench.decided()
        start, hop, fft = 2 * SPEC.stride, SPEC.hop, SPEC.fft_size
        info = wide.info
        self.assertEqual((info.sample_start, info.sample_count), (start + 4 * hop, 5 * hop + fft))
        self.assertEqual((info.freq_lower_edge, info.freq_upper_edge),
                         (1e8 + 1e6 * (16 / 64 - 0.5 - 1 / 128), 1e8 + 1e6 * (48 / 64 - 0.5 - 1 / 128)))
        self.assertAlmostEqual(sum(info.rx_time), 5.25 + 4 * hop / 1e6, 12)
        self.assertEqual(
            (info.tile, info.model, info.sample_rate, info.rx_freq), (2, self.bundle.id, 1e6, 1e8)
        )
        self.assertEqual(
            (wide.task, wide.label, wide.labels), ("occupancy", "signal", ("noise", "signal", "burst"))
        )
        np.testing.assert_allclose(wide.scores, [0.1, 0.7, 0.2], rtol=1e-6)
        self.assertAlmostEqual(wide.confidence, 0.7, 6)
        info = burst.info
        self.assertEqual((burst.label, info.sample_start), ("burst", start + 28 * hop))
        self.assertEqual(info.sample_start + info.sample_count, start + SPEC.samples_per_tile - 100)
        self.assertEqual(
            (info.freq_lower_edge, info.freq_upper_edge), (1e8 - 5e5, 1e8 + 1e6 * (8 / 64 - 0.5 - 1 / 128))
        )
        self.assertEqual((without.info.sample_start, without.info.freq_lower_edge, without.info.rx_time),
                         (3 * SPEC.stride + 4 * hop, None, None))
        self.assertEqual(last.label, "signal")  # the burst of the last tile lies in its padding

    def test_boxes_reach_the_annotations(self):
        """From tiles to SigMF: sink, head, annotation sink; what is written is what the library places."""
        n = 5 * SPEC.stride + SPEC.fft_size - SPEC.hop
        iq = np.random.default_rng(2).normal(size=(n, 2)).astype(np.float32).view(np.complex64)[:, 0]
        recording = write_recording(self.path / "noise", iq, sample_rate=1e6,
                                    captures=[{"core:sample_start": 0, "core:frequency": 1e8}])
        out = self.path / "annotated.sigmf-meta"
        tb = gr.top_block()
        embedder = radiofm.vit_embedding_sink(self.bundle, overload="block", token_layers=[3, -1])
        source, tiles = radiofm.sigmf_source(str(recording)), radiofm.iq_to_spectrogram(self.bundle)
        tb.connect(source, tiles, embedder)
        block, annotations = task_head(self.head("pixels"), min_pixels=1), radiofm.sigmf_annotation_sink(
            str(out), str(recording), merge=False)
        keep = blocks.message_debug()
        tb.msg_connect(embedder, "tokens", block, "tokens")
        tb.msg_connect(block, "predictions", annotations, "predictions")
        tb.msg_connect(block, "predictions", keep, "store")
        tb.run()
        found = [parse_prediction(keep.get_message(i)) for i in range(keep.num_messages())]
        self.assertGreater(len(found), 5)
        self.assertEqual(block.received(), 5)
        written = json.loads(out.read_text())["annotations"]
        key = (
            "core:sample_start",
            "core:sample_count",
            "core:freq_lower_edge",
            "core:freq_upper_edge",
            "core:label",
        )
        self.assertEqual(
            sorted(tuple(a[k] for k in key) for a in written),
            sorted(
                (
                    p.info.sample_start,
                    p.info.sample_count,
                    p.info.freq_lower_edge,
                    p.info.freq_upper_edge,
                    p.label,
                )
                for p in found
            ),
        )

    def test_what_waits_is_decided_in_batches_and_too_much_is_dropped(self):
        """The newest stay; the end of the stream leaves none undecided."""
        block = task_head(self.head("numbers"), max_batch=4, max_queue=10)
        engine, gate, entered, batches = block._head, threading.Event(), threading.Event(), []
        inner = engine.predict

        def predict(inputs, rates):
            batches.append(len(inputs[2]))
            entered.set()
            assert gate.wait(DEADLINE)
            return inner(inputs, rates)

        engine.predict = predict
        with Bench(block) as bench:
            bench.post(self.pdu(0, (2,)), messages.TOKENS)
            self.assertTrue(entered.wait(DEADLINE))
            for k in range(1, 40):
                bench.post(self.pdu(k, (2,)), messages.TOKENS)
            gate.set()
            wait_for(lambda: bench.predictions.num_messages() == 11, "predictions")
            self.assertEqual([p.info.tile for p in bench.decided()], [0, *range(30, 40)])
        self.assertEqual((block.received(), block.dropped(), batches), (40, 29, [1, 4, 4, 2]))

    def test_heads_share_a_trunk_and_the_end_of_the_stream_flushes(self):
        tb = gr.top_block()
        source = blocks.vector_source_f(self.tiles.ravel(), False, SPEC.tile_size)
        embedder = radiofm.vit_embedding_sink(self.bundle, overload="block", token_layers=[0, 2])
        passes, run = [], embedder._engine.embed_with_tokens
        embedder._engine.embed_with_tokens = lambda tiles, layers: (
            passes.append(len(tiles)) or run(tiles, layers)
        )
        tb.connect(source, embedder)
        found, tested = [], []
        for name in ("lora", "last-blocks", "numbers"):
            found.append(blocks.message_debug())
            tested.append(block := task_head(self.head(name), max_queue=3))
            tb.msg_connect(embedder, "tokens", block, "tokens")
            tb.msg_connect(block, "predictions", found[-1], "store")
        tb.run()
        self.assertEqual(sum(passes), 40)
        for sink in found:
            tiles = [parse_prediction(sink.get_message(i)).info.tile for i in range(sink.num_messages())]
            self.assertEqual(tiles, list(range(40)))

    def test_layers_of_several_heads(self):
        self.assertEqual(radiofm.token_layers([self.head(name) for name in ("lora", "pixels", "numbers")]),
                         [-1, 0, 2, 3])
        self.assertEqual(radiofm.token_layers([]), [])

    def test_refused(self):
        good, scalar = self.pdu(1, (2,)), pmt.from_long(3)
        meta = pmt.car(good)
        torn = pmt.cons(pmt.dict_add(meta, pmt.intern("rows"), pmt.init_s32vector(1, [7])), pmt.cdr(good))
        cases = [
            (self.pdu(0, (3,)), "layer 2 is missing"),
            (self.pdu(0, (2,), model="other@0"), "made by model"),
            (
                tokens_pdu(self.infos[0], {2: np.zeros((4, 64), np.float32)}),
                "layer 2 must be 33 x 64, got 4 x 64",
            ),
            (torn, "the payload has"),
            (embedding_pdu(self.infos[0], np.zeros(64)), "'layers' is missing"),
            (
                pmt.cons(pmt.dict_add(meta, pmt.intern("layers"), scalar), pmt.cdr(good)),
                "must be an s32vector",
            ),
            (pmt.PMT_T, "must be a PDU"),
        ]
        with Bench(task_head(self.head("numbers"))) as bench:
            for message, _ in cases:
                bench.post(message, messages.TOKENS)
            bench.post(embedding_pdu(self.infos[0], np.zeros(64)))
            self.assertEqual(bench.embed(good, messages.TOKENS).info.tile, 1)
            wait_for(lambda: bench.status.num_messages() == len(cases) + 1, "answers")
            answers = bench.answers()
        reasons = {a["reason"] for a in answers}
        for _, expected in [*cases, (None, "does not begin at the embedding; connect port tokens, with 2")]:
            self.assertTrue(any(expected in reason for reason in reasons), (expected, reasons))
        self.assertEqual(bench.tested.refused(), len(cases) + 1)
        with Bench(task_head(self.head("last-blocks"))) as bench:
            bench.tested.set_head(self.head("lora"))
            bench.post(good, messages.TOKENS)
            wait_for(lambda: bench.status.num_messages(), "an answer")
            self.assertIn("reads 0: set Token Layers", bench.answers()[0]["reason"])

    def test_constructor_refuses(self):
        front = replace(self.heads["tokenizer"][0], front=FrontConfig(2, (0.0, 0.0), (1.0, 1.0)))
        heads.save(self.path / "arrays", TunedHead(front))
        with self.assertRaisesRegex(ValueError, "Task Head: .*works on files only"):
            task_head(str(self.path / "arrays"), bundle=str(self.path / "bundle"))
        other = make_bundle(self.path / "other", dim=32)
        with self.assertRaisesRegex(ValueError, "the head is for model"):
            task_head(self.head("numbers"), bundle=str(other.path))
        for name, value in (("min_pixels", 0), ("max_batch", 0), ("max_queue", 1.5), ("threads", 0)):
            with self.assertRaisesRegex(ValueError, f"Task Head: {name} must be a whole number"):
                task_head(self.head("numbers"), **{name: value})
        block = task_head(self.head("numbers"))
        for name, value in (("min_pixels", 5), ("max_batch", 3), ("max_queue", 9)):
            getattr(block, f"set_{name}")(value)
            self.assertEqual(getattr(block, name)(), value)


if __name__ == "__main__":
    gr_unittest.run(qa_task_head)
