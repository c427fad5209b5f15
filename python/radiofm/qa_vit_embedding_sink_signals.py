#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the ViT Embedding Sink on signals: the library's embeddings, which come first, and the end."""

import json
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common import backlog, lifetime
from radiofm_ml.detect.cutter import Cutter
from radiofm_ml.embeddings import Embeddings
from radiofm_ml.engines import open_engine
from radiofm_ml.signals import SignalEncoder

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "tests")]
from qa_signal_cutter import box_of, info_of, until  # noqa: E402
from qa_signal_detector import AVERAGING, COUNT, FFT, HOP, LONG, RATE, SCENE, WINDOW, scene, tag  # noqa: E402
from sigmf_files import write_recording  # noqa: E402
from tiny_bundle import SPEC, make_bundle  # noqa: E402

SIGNALS = messages.SIGNALS
SIZE = 5


class embeddings(backlog.Reader, lifetime.Held, gr.basic_block):
    """Keeps embeddings, as a block of ours: it ends with the last of its senders."""

    def __init__(self):
        gr.basic_block.__init__(self, name="embeddings", in_sig=None, out_sig=None)
        self.messages = []
        self.read_messages({messages.EMBEDDINGS: self.messages_append})

    def messages_append(self, message):
        self.messages.append(message)

    def all(self):
        return [messages.parse_embedding(m) for m in self.messages]

    def numbers(self):
        return [info.signal.signal for info, _ in self.all()]


class gated_engine:
    """Passes on to an engine when the gate is open."""

    def __init__(self, engine):
        self.engine, self.gate, self.entered = engine, threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def embed(self, tiles):
        self.entered.set()
        assert self.gate.wait(LONG)
        return self.engine.embed(tiles)


class qa_vit_embedding_sink_signals(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.bundle = make_bundle(Path(cls.folder.name) / "signals", signals=SIZE)
        cls.encoder = SignalEncoder(open_engine(cls.bundle, "torch", 1))
        cls.cutter = Cutter(RATE, history=COUNT)
        cls.cutter.feed(SCENE)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def pdu(self, info):
        """As Signal Cutter sends it."""
        cut = self.cutter.cut(box_of(info, info.rx_freq or 0.0))
        signal = replace(info.signal, rate=cut.rate, lead=cut.lead, missing=cut.missing)
        return messages.signal_pdu(replace(info, signal=signal), cut.samples)

    def evidence(self, info):
        cut = self.cutter.cut(box_of(info, info.rx_freq or 0.0))
        return self.encoder.evidence([self.encoder.look(cut, RATE)])[0]

    def flowgraph(self, *infos, **options):
        """(top block, sink, embeddings, statuses) with cut-outs that wait for the sink."""
        tb = gr.top_block()
        sink = radiofm.vit_embedding_sink(self.bundle, **{"engine": "torch", **options})
        read, statuses = embeddings(), blocks.message_debug()
        tb.msg_connect(sink, "embeddings", read, "embeddings")
        tb.msg_connect(sink, "status", statuses, "store")
        for info in infos:
            sink.to_basic_block()._post(SIGNALS, self.pdu(info))
        return tb, sink, read, statuses

    def run_until(self, tb, condition):
        tb.start()
        until(condition)
        tb.stop()
        tb.wait()

    def test_the_librarys_embeddings(self):
        """With the keys of the signal; the time is that of its first sample again."""
        infos = [info_of(40_000, 40_000, 433.1e6, 433.2e6, 4, rx_freq=433e6, rx_time=(1000, 0.5)),
                 info_of(180_000, 100_000, 432.7e6, 432.8e6, 7, rx_freq=433e6)]
        signal = messages.parse_signal(self.pdu(infos[0]))[0].signal
        time = messages.time_after(infos[0].rx_time, -signal.lead, signal.rate)
        tb, sink, read, _ = self.flowgraph(infos[1], overload="block")
        sink.to_basic_block()._post(SIGNALS, self.pdu(replace(infos[0], rx_time=time)))
        self.run_until(tb, lambda: len(read.messages) == 2)
        self.assertEqual(read.numbers(), [7, 4])
        for (info, vector), given in zip(read.all(), infos[::-1], strict=True):
            np.testing.assert_allclose(vector, self.encoder.embedding(self.evidence(given)), atol=1e-4)
            self.assertEqual(info.model, self.bundle.signals_id)
            self.assertEqual(replace(info.signal, rate=None, lead=None, missing=None), given.signal)
            self.assertEqual((info.sample_start, info.sample_count, info.freq_lower_edge),
                             (given.sample_start, given.sample_count, given.freq_lower_edge))
        np.testing.assert_allclose(read.all()[1][0].rx_time, (1000, 0.5), rtol=0, atol=1e-12)
        self.assertEqual([info.tile for info, _ in read.all()], [0, 1])
        self.assertEqual((sink.embedded(), sink.dropped(), sink.failed(), sink.refused()), (2, 0, 0, 0))

    def test_of_a_long_signal_all_parts_count(self):
        parts = []
        for k in range(3):
            info = info_of(180_000 + 30_000 * k, 30_000, -3e5, -2e5, 2)
            parts.append(replace(info, signal=replace(info.signal, part=k, ended=k == 2)))
        other = info_of(40_000, 40_000, 1e5, 2e5, 3)
        again = info_of(40_000, 40_000, 1e5, 2e5, 2)  # its number is taken anew
        tb, _, read, _ = self.flowgraph(parts[0], other, *parts[1:], again, overload="block", max_batch=2)
        self.run_until(tb, lambda: len(read.messages) == 5)
        evidence = list(map(self.evidence, parts))
        expected = [evidence[0], self.evidence(other), evidence[0] + evidence[1],
                    evidence[0] + evidence[1] + evidence[2], self.evidence(again)]
        for (_, vector), known in zip(read.all(), expected, strict=True):
            np.testing.assert_allclose(vector, self.encoder.embedding(known), atol=1e-4)

    def test_behind_a_detector_and_a_cutter(self):
        """Of a file: nothing is lost, and all of it arrives before the flowgraph ends."""
        tb, sink, read, _ = self.flowgraph(max_queue=1, max_batch=1)
        source = blocks.vector_source_c(SCENE, False, 1, [tag(0, "rx_freq", 433e6)])
        stft = radiofm.stft(FFT, HOP, WINDOW, AVERAGING, "db", True, RATE)
        detector = radiofm.signal_detector(RATE, FFT, HOP, AVERAGING, WINDOW, longest=0.05)
        cutter = radiofm.signal_cutter(RATE)
        tb.connect(source, stft, detector)
        tb.connect(source, cutter)
        tb.msg_connect(detector, "signals", cutter, "signals")
        tb.msg_connect(cutter, "signals", sink, "signals")
        tb.run()
        self.assertTrue(sink.waits())
        self.assertGreaterEqual(detector.sent(), 3)
        self.assertEqual(len(read.messages), detector.sent())
        self.assertEqual((sink.embedded(), sink.dropped()), (detector.sent(), 0))

    def test_live_the_newest_and_least_known_come_first(self):
        """The first signal is in work when eleven more come, for which there are four places."""
        known = [info_of(1000 + 10 * k, 4000, 1e5, 2e5, k) for k in range(8)]  # all in one channel
        new = [info_of(50_000 + 100 * k, 4000, -4e5 + 2e5 * k, -3e5 + 2e5 * k, 20 + k) for k in range(4)]
        new = [info for info in new if info.freq_lower_edge != 0.0][:3]
        tb, sink, read, statuses = self.flowgraph(known[0], overload="drop", max_queue=4, max_batch=1,
                                                  max_latency=0.0)
        engine = gated_engine(sink._engine)
        sink._signals._encoder.engine = engine
        engine.gate.set()
        tb.start()
        until(lambda: len(read.messages) == 1)
        engine.gate.clear()
        engine.entered.clear()
        post = sink.to_basic_block()._post
        post(SIGNALS, self.pdu(known[1]))
        until(engine.entered.is_set)
        for info in [new[0], *known[2:5], new[1], *known[5:], new[2]]:
            post(SIGNALS, self.pdu(info))
        until(lambda: sink.dropped() == 5)
        engine.gate.set()
        until(lambda: len(read.messages) == 6)
        tb.stop()
        tb.wait()
        self.assertEqual(read.numbers()[:2], [0, 1])
        first = [info.signal.signal for info in new[::-1]]
        self.assertEqual(read.numbers()[2:5], first, "what was never embedded, the newest first")
        self.assertEqual(read.numbers()[5], 7, "of the known channel the newest")
        self.assertEqual(sink.dropped(), 5)
        self.assertEqual(read.all()[-1][0].dropped, 5)
        reasons = [messages.get(statuses.get_message(i), "reason", messages.text)
                   for i in range(statuses.num_messages())]
        self.assertIn("known best", reasons[0])

    def test_what_it_cannot_embed_is_refused(self):
        good = info_of(40_000, 40_000, 1e5, 2e5)
        tb, sink, read, statuses = self.flowgraph()
        for message in (pmt.intern("x"), messages.signal_pdu(good), self.pdu(replace(good, sample_rate=None)),
                        self.pdu(good)):
            sink.to_basic_block()._post(SIGNALS, message)
        self.run_until(tb, lambda: read.messages and statuses.num_messages() == 3)
        reasons = [messages.get(statuses.get_message(i), "reason", messages.text) for i in range(3)]
        for reason, words in zip(reasons, ("a PDU", "Signal Cutter", "sample rate"), strict=True):
            self.assertIn(words, reason)
        self.assertEqual((sink.refused(), sink.embedded()), (3, 1))

    def test_a_bundle_that_reads_no_signals_says_so(self):
        bundle = make_bundle(Path(self.folder.name) / "tiles")
        tb = gr.top_block()
        sink, statuses = radiofm.vit_embedding_sink(bundle, engine="torch"), blocks.message_debug()
        tb.msg_connect(sink, "status", statuses, "store")
        sink.to_basic_block()._post(SIGNALS, self.pdu(info_of(40_000, 40_000, 1e5, 2e5)))
        self.run_until(tb, lambda: statuses.num_messages() == 1)
        self.assertIn("reads no signals", messages.get(statuses.get_message(0), "reason", messages.text))

    def test_a_bundle_that_reads_signals_alone(self):
        bundle = make_bundle(Path(self.folder.name) / "alone", tiles=False, signals=SIZE)
        tb = gr.top_block()
        sink, read = radiofm.vit_embedding_sink(bundle, engine="torch", overload="block"), embeddings()
        statuses = blocks.message_debug()
        tb.msg_connect(sink, "embeddings", read, "embeddings")
        tb.msg_connect(sink, "status", statuses, "store")
        size = radiofm.tile_size(str(bundle.path))
        tb.connect(blocks.null_source(4 * size), blocks.head(4 * size, 3), sink)
        sink.to_basic_block()._post(SIGNALS, self.pdu(info_of(40_000, 40_000, 1e5, 2e5)))
        tb.run()
        self.assertEqual([len(vector) for _, vector in read.all()], [SIZE])
        self.assertIn("no tiles", messages.get(statuses.get_message(0), "reason", messages.text))
        classifier = radiofm.prototype_classifier(str(bundle.path))
        self.assertEqual(classifier._port.few.prototypes.embedding_size, SIZE)

    def test_tiles_and_signals_at_once(self):
        tb, sink, read, _ = self.flowgraph(info_of(40_000, 40_000, 1e5, 2e5), overload="block")
        tiles = np.random.default_rng(0).standard_normal((5, SPEC.tile_size)).astype(np.float32)
        tb.connect(blocks.vector_source_f(tiles.ravel(), False, SPEC.tile_size), sink)
        tb.run()
        models = sorted(info.model for info, _ in read.all())
        self.assertEqual(models, [self.bundle.id] * 5 + [self.bundle.signals_id])
        self.assertEqual({len(v) for i, v in read.all() if i.signal is None}, {self.bundle.embedding_size})
        self.assertEqual(sink.embedded(), 6)

    def test_a_file_of_signals(self):
        path = Path(self.folder.name) / "signals.npz"
        infos = [info_of(40_000, 40_000, 1e5, 2e5, 0), info_of(180_000, 100_000, -3e5, -2e5, 1)]
        tb, _, read, _ = self.flowgraph(*infos, filename=str(path), overload="block")
        self.run_until(tb, lambda: len(read.messages) == 2)
        rows = Embeddings.load(path)
        np.testing.assert_allclose(rows.embedding, [vector for _, vector in read.all()], atol=1e-6)
        self.assertEqual(rows.sample_start.tolist(), [40_000, 180_000])
        self.assertEqual(rows.model, self.bundle.signals_id)

    def test_classified_as_tiles_are(self):
        """Taught by time and frequency, and the keys of the signal come through."""
        tb, sink, read, _ = self.flowgraph(overload="block")
        classifier = radiofm.prototype_classifier(self.bundle.path, signals=True)
        predictions, answers = blocks.message_debug(), blocks.message_debug()
        tb.msg_connect(sink, "embeddings", classifier, "embeddings")
        tb.msg_connect(classifier, "predictions", predictions, "store")
        tb.msg_connect(classifier, "status", answers, "store")
        teach = {"command": "enroll", "label": "left", "source": "at", "sample_start": 200_000,
                 "frequency": -2.5e5}
        classifier.to_basic_block()._post(messages.PROTOTYPES, pmt.to_pmt(teach))
        infos = [info_of(40_000, 40_000, 1e5, 2e5, 0), info_of(180_000, 100_000, -3e5, -2e5, 1)]
        tb.start()
        for info in infos:
            sink.to_basic_block()._post(SIGNALS, self.pdu(info))
        until(lambda: predictions.num_messages() == 2 and answers.num_messages() == 1)
        tb.stop()
        tb.wait()
        self.assertTrue(pmt.to_python(answers.get_message(0))["ok"])
        found = messages.parse_prediction(predictions.get_message(1))
        self.assertEqual((found.label, found.info.signal.signal, found.info.signal.snr), ("left", 1, 10.0))

    def test_from_a_recording_to_the_names_of_its_signals(self):
        """All blocks in a row: every signal, in however many parts, is one annotation with its label."""
        samples = scene(((300_000, 340_000, 150e3), (200_000, 900_000, -250e3)), 1_200_000)
        meta = write_recording(Path(self.folder.name) / "x", samples, sample_rate=RATE,
                               captures=[{"core:sample_start": 0, "core:frequency": 433e6}])
        out = Path(self.folder.name) / "y.sigmf-meta"
        tb, sink, read, _ = self.flowgraph()
        source = radiofm.sigmf_source(str(meta))
        stft = radiofm.stft(FFT, HOP, WINDOW, AVERAGING, "db", True, 0.0)
        detector = radiofm.signal_detector(0.0, FFT, HOP, AVERAGING, WINDOW, longest=0.05)
        cutter = radiofm.signal_cutter()
        classifier = radiofm.prototype_classifier(self.bundle.path, signals=True)
        annotations = radiofm.sigmf_annotation_sink(str(out), str(meta))
        teach = {"command": "enroll", "label": "left", "source": "at", "sample_start": 200_000,
                 "frequency": 432.75e6}
        classifier.to_basic_block()._post(messages.PROTOTYPES, pmt.to_pmt(teach))
        tb.connect(source, stft, detector)
        tb.connect(source, cutter)
        for before, port, after in (
                (detector, "signals", cutter), (cutter, "signals", sink), (sink, "embeddings", classifier),
                (classifier, "predictions", annotations)):
            tb.msg_connect(before, port, after, port)
        tb.run()
        notes = json.loads(out.read_text())["annotations"]
        names = {info.signal.signal for info, _ in read.all()}
        self.assertGreater(len(read.messages), len(names))
        self.assertEqual((len(notes), annotations.received()), (len(names), len(read.messages)))
        self.assertIn("left", {note["core:label"] for note in notes})
        for note in notes:
            start, stop = note["core:sample_start"], note["core:sample_start"] + note["core:sample_count"]
            lower, upper = note["core:freq_lower_edge"], note["core:freq_upper_edge"]
            self.assertTrue(any(
                start <= i.sample_start and i.sample_start + i.sample_count <= stop
                and lower - 1e-3 <= i.freq_lower_edge and i.freq_upper_edge <= upper + 1e-3
                for i, _ in read.all()))
            self.assertTrue(note["radiofm:model"].endswith("signals"))


if __name__ == "__main__":
    gr_unittest.run(qa_vit_embedding_sink_signals)
