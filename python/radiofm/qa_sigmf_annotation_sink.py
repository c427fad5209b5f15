#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the SigMF Annotation Sink: annotations, own recordings, bad messages, the end."""

import dataclasses
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common import runs
from qa_sigmf_source import CAPTURES, RATE, ramp, rx_tags, write_recording

try:
    import sigmf
except ImportError:
    sigmf = None


def prediction(start: int, count: int, label: str = "a", **values):
    """A prediction PDU; ``values`` are those of TileInfo and Prediction."""
    info = {k: values.pop(k) for k in tuple(values) if k in messages.TileInfo.__dataclass_fields__}
    info = messages.TileInfo(sample_start=start, sample_count=count, **info)
    return messages.prediction_pdu(messages.Prediction(info, label=label, **values))


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.001)


class predictor(gr.sync_block):
    """Publishes `pdus` when 10,000 samples have come and `ready` has returned."""

    def __init__(self, pdus, ready=lambda: None):
        gr.sync_block.__init__(self, "predictor", [np.complex64], None)
        self.message_port_register_out(messages.PREDICTIONS)
        self.pdus, self.ready = pdus, ready

    def work(self, input_items, output_items):
        if self.nitems_read(0) + len(input_items[0]) == 10_000:
            self.ready()
            for pdu in self.pdus:
                self.message_port_pub(messages.PREDICTIONS, pdu)
        return len(input_items[0])


class qa_sigmf_annotation_sink(gr_unittest.TestCase):

    def setUp(self):
        self.tb = gr.top_block()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.x = ramp(10_000)
        self.meta = write_recording(self.path / "x", self.x, CAPTURES, sample_rate=RATE)
        self.out = str(self.path / "y.sigmf-meta")

    def tearDown(self):
        self.tb = None
        self.folder.cleanup()

    def run_messages(self, sink, pdus, keep=False, port="predictions", answers=0):
        """Post the PDUs, run until the sink has seen them, stop. Returns what came on ``status``."""
        if not keep:
            self.tb = gr.top_block()
            self.answers = blocks.message_debug()
            self.tb.msg_connect((sink, "status"), (self.answers, "store"))
        seen = sink.received() + len(pdus)
        for pdu in pdus:
            sink._predictions.to_basic_block()._post(pmt.mp(port), pdu)
        self.tb.start()
        wait_for(lambda: sink.received() == seen)
        waiting = sink._predictions._queue
        wait_for(lambda: waiting.unfinished_tasks == 0
                 and self.answers.num_messages() >= max(sink.refused(), answers))
        self.tb.stop()
        self.tb.wait()
        return [pmt.to_python(self.answers.get_message(i)) for i in range(self.answers.num_messages())]

    def written(self, path=None) -> dict:
        path = path or self.out
        if sigmf is not None:
            sigmf.sigmffile.fromfile(path).validate()
        return json.loads(Path(path).read_text())

    def notes(self, path=None) -> list[tuple]:
        return [(a["core:sample_start"], a["core:sample_count"], a["core:label"])
                for a in self.written(path)["annotations"]]

    # -- signals --------------------------------------------------------------------------------------
    def test_signals_are_annotated_with_their_edges(self):
        """One annotation a signal, however many parts it came in; what is no signal is refused."""
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)

        def info(start, count, number, part=0, ended=True, **more):
            signal = messages.Signal(number, part, ended, snr=12.34)
            return messages.TileInfo(start, count, RATE, run=5, signal=signal, freq_lower_edge=99.9e6,
                                     freq_upper_edge=100.1e6, **more)

        infos = [info(0, 500, 0, 0, False), info(100, 100, 1), info(600, 100, 0, 1, True), info(700, 100, 2)]
        pdus = list(map(messages.signal_pdu, [*infos, dataclasses.replace(infos[0], signal=None)]))
        answers = self.run_messages(self.sink, pdus, port="signals")
        self.assertIn("'signal' is missing", answers[0]["reason"])
        self.assertEqual(self.notes(), [(0, 700, "signal"), (100, 100, "signal"), (700, 100, "signal")])
        for note in self.written()["annotations"]:
            self.assertEqual((note["core:freq_lower_edge"], note["core:freq_upper_edge"]), (99.9e6, 100.1e6))
            self.assertEqual((note["core:comment"], note["radiofm:task"]), ("SNR 12.3 dB", "detection"))
            self.assertNotIn("radiofm:confidence", note)

    def test_predictions_of_a_signals_parts_are_one_annotation(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)

        def said(start, count, label, part, ended):
            return prediction(start, count, label, confidence=0.5 + 0.1 * part, run=5,
                              signal=messages.Signal(3, part, ended))

        pdus = [said(0, 500, "a", 0, False), prediction(400, 100, "a"), said(500, 300, "b", 1, True)]
        self.assertEqual(self.run_messages(self.sink, pdus), [])
        self.assertEqual(self.notes(), [(0, 800, "b"), (400, 100, "a")])
        self.assertEqual(self.written()["annotations"][0]["radiofm:confidence"], 0.6)

    # -- beside a recording -------------------------------------------------------------------------
    def test_annotates_a_recording(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        known = dict(sample_rate=RATE, rx_freq=100e6, model="m@1", task="t")
        pdus = [prediction(0, 1000, "a", confidence=0.5, **known),
                prediction(1000, 1000, "a", confidence=0.7, **known),
                prediction(2000, 1000, "b", freq_lower_edge=99.9e6, freq_upper_edge=100.1e6),
                prediction(3000, 500, "b", unknown=True, confidence=0.9),
                prediction(4000, 500, "", scores=np.float32([12.5]), unit="m")]
        self.assertEqual(self.run_messages(self.sink, pdus), [])
        self.assertEqual(self.notes(), [(0, 2000, "a"), (2000, 1000, "b"), (3000, 500, "unknown"),
                                        (4000, 500, "12.5 m")])
        first, second, third, _ = self.written()["annotations"]
        self.assertEqual((first["core:freq_lower_edge"], first["core:freq_upper_edge"]),
                         (100e6 - RATE / 2, 100e6 + RATE / 2))
        self.assertEqual([first[f"radiofm:{key}"] for key in ("confidence", "model", "task")],
                         [0.6, "m@1", "t"])
        self.assertEqual((second["core:freq_lower_edge"], second["core:freq_upper_edge"]), (99.9e6, 100.1e6))
        # without edges and rx_freq: the band of the capture it lies in
        self.assertEqual(third["core:freq_lower_edge"], 200e6 - RATE / 2)
        self.assertEqual((third["radiofm:unknown"], third["radiofm:nearest"]), (True, "b"))
        self.assertEqual((self.sink.received(), self.sink.refused(), self.sink.annotations()), (5, 0, 4))
        self.assertEqual(self.written()["captures"], CAPTURES)

    def test_options(self):
        pdus = [prediction(0, 100), prediction(110, 100)]
        apart = [(0, 100, "a"), (110, 100, "a")]
        for options, wanted in ((dict(), apart), (dict(merge_gap=10), [(0, 210, "a")]),
                                (dict(merge_gap=10, merge=False), apart)):
            self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta, **options)
            self.run_messages(self.sink, pdus)
            self.assertEqual(self.notes(), wanted)

    def test_own_metadata_and_second_run(self):
        meta = json.loads(Path(self.meta).read_text())
        meta["annotations"] = [{"core:sample_start": 5, "core:sample_count": 1, "core:label": "by hand"}]
        Path(self.meta).write_text(json.dumps(meta))
        both = [(0, 10, "a"), (5, 1, "by hand")]
        for replace, wanted in ((False, both), (False, both), (True, both[:1])):
            self.sink = radiofm.sigmf_annotation_sink(self.meta, self.meta, replace=replace)
            self.run_messages(self.sink, [prediction(0, 10)])
            self.assertEqual(self.notes(self.meta), wanted)

    def test_beyond_the_end(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        self.run_messages(self.sink, [prediction(9_900, 500), prediction(10_000, 5), prediction(20_000, 5)])
        self.assertEqual(self.notes(), [(9_900, 100, "a")])
        self.assertEqual((self.sink.outside(), self.sink.refused()), (2, 0))

    def test_restart_annotates_anew(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        self.run_messages(self.sink, [prediction(0, 10, "a"), prediction(10, 10, "b")])
        self.run_messages(self.sink, [prediction(0, 10, "c"), prediction(10, 10, "d")], keep=True)
        self.assertEqual(self.notes(), [(0, 10, "c"), (10, 10, "d")])

    def test_positions_in_the_recording(self):
        """What SigMF Source says of the stream's place in it counts, at the recording's own rate."""
        for shift, rate, start, count, wanted in (
                (2000, None, 100, 50, (2100, 50)), (2000, RATE, 100, 50, (2100, 50)),
                (2000, RATE / 4, 100, 50, (2400, 200)), (0, RATE / 4, 100, 50, (400, 200)),
                (2000, RATE * 3, 300, 50, (2100, 17)), (-10_000, RATE, 10_100, 50, (100, 50)),
                (-20_000, RATE / 2, 10_100, 50, (200, 100)),  # the third pass, decimated
                (-10_000, RATE, 9_990, 50, (0, 40)),  # across the end of a pass
                (None, RATE / 4, 100, 50, (100, 50))):
            self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
            known = dict(sample_rate=rate, recording_shift=shift, freq_lower_edge=0.0, freq_upper_edge=1.0)
            self.run_messages(self.sink, [prediction(start, count, **known)])
            self.assertEqual(self.notes(), [(*wanted, "a")])
            self.assertEqual((self.sink.failed(), self.sink.outside(), self.sink.refused()), (0, 0, 0))
        self.run_messages(self.sink, [prediction(10, 10, recording_shift=-30), prediction(0, 10, "b")])
        self.assertEqual(self.sink.outside(), 1)

    def test_a_later_pass_takes_the_place_of_an_earlier_one(self):
        def first(k, label, **more):
            return prediction(100 * k, 100, label, recording_shift=0, **more)

        def second(k, label, **more):
            return prediction(10_000 + 100 * k, 100, label, recording_shift=-10_000, **more)

        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        pdus = [first(k, "a") for k in range(10)] + [first(2, "other task", task="t")]
        pdus += [second(3, "b"), second(4, "b"), first(7, "late", task="t"), second(9, "a")]
        self.run_messages(self.sink, pdus)
        self.assertEqual(sorted(self.notes()), [
            (0, 300, "a"), (200, 100, "other task"), (300, 200, "b"), (500, 400, "a"), (700, 100, "late"),
            (900, 100, "a")])
        more = [prediction(base + 100 * k, 100, "a", recording_shift=-base)
                for base in range(20_000, 520_000, 10_000) for k in range(10)]
        self.run_messages(self.sink, more, keep=True)  # it does not grow
        self.assertLess(self.sink.annotations(), 5)

    def test_a_stretch_through_a_flowgraph(self):
        """SigMF Source with start, count and repeat, and a block between: the tag survives."""
        for decimation, options in ((1, dict(start=3500, count=2000)), (4, dict(start=2000, count=4000)),
                                    (1, dict(start=2000, count=2500, repeat=True))):
            self.tb = gr.top_block()
            self.source = radiofm.sigmf_source(self.meta, **options)
            self.head, self.keep = blocks.head(8, 6000), blocks.keep_one_in_n(8, decimation)
            self.found = blocks.vector_sink_c()  # Tag Debug knows those of its last call only
            self.tb.connect(self.source, self.head, self.keep, self.found)
            self.tb.run()
            shifts = [value for _, key, value in rx_tags(self.found) if key == "recording_shift"]
            self.assertEqual(shifts[-1:], [2000 - 5000] if "repeat" in options else [options["start"]])

    def test_lock_and_unlock(self):
        """Changing a running flowgraph starts its blocks again; neither samples nor annotations are lost."""
        for options in (dict(recording=self.meta), dict(record=True, overwrite=True)):
            self.tb = gr.top_block()
            self.source = radiofm.sigmf_source(self.meta, repeat=True)
            self.throttle, self.null = blocks.throttle(8, 1e5), blocks.null_sink(8)
            self.probe, self.answers = blocks.probe_signal_c(), blocks.message_debug()
            self.sink = radiofm.sigmf_annotation_sink(self.out, **options)
            self.tb.connect(self.source, self.throttle, self.null)
            if "record" in options:
                self.tb.connect(self.throttle, self.sink)
            self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
            self.tb.start()
            for k, label in enumerate("abc"):
                self.sink.post(prediction(100 * k, 100, label))
                wait_for(lambda k=k: self.sink.received() == k + 1 and self.null.nitems_read(0) > 5000)
                if k < 2:
                    self.tb.lock()
                    (self.tb.disconnect if k else self.tb.connect)(self.throttle, self.probe)
                    self.tb.unlock()
            self.tb.stop()
            self.tb.wait()
            self.assertEqual([n[2] for n in self.notes()], ["a", "b", "c"])
            if "recording" in options:
                self.assertEqual([n[0] for n in self.notes()], [0, 100, 200])
        samples = np.fromfile(self.path / "y.sigmf-data", np.complex64)
        starts = np.flatnonzero(samples == self.x[0])
        restarts = [s - 100 * k for k, (s, _, _) in enumerate(self.notes())]
        self.assertEqual(restarts[0], 0)
        for s in restarts:  # a stretch begins where the annotations say, and the source began again there
            self.assertIn(s, starts)
        captures = {c["core:sample_start"]: c["core:frequency"] for c in self.written()["captures"]}
        for s, frequency in captures.items():
            self.assertEqual({0: 100e6, 3000: 200e6, 7001: 300e6}[int(samples[s].real)], frequency)
        self.assertLessEqual(set(restarts), set(captures))

    def test_valid_from_the_start(self):
        """Before the first prediction the file is there, and nothing is before the flowgraph starts."""
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        self.assertFalse(os.path.exists(self.out))
        self.answers = blocks.message_debug()
        self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
        self.tb.start()
        wait_for(lambda: os.path.exists(self.out))
        self.assertEqual(self.notes(), [])
        self.tb.stop()
        self.tb.wait()

    # -- in a flowgraph -----------------------------------------------------------------------------
    def test_last_annotations_are_not_lost(self):
        """The flowgraph ends by itself, hundreds of predictions arriving at its very end."""
        for _ in range(5):
            self.tb = gr.top_block()
            self.source = radiofm.sigmf_source(self.meta)
            self.predictor = predictor([prediction(k, 1, str(k)) for k in range(500)])
            self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
            self.tb.connect(self.source, self.predictor)
            self.tb.msg_connect((self.predictor, "predictions"), (self.sink, "predictions"))
            self.tb.run()
            self.assertEqual(self.notes(), [(k, 1, str(k)) for k in range(500)])
            self.assertEqual(self.sink.dropped(), 0)

    # -- own recordings -----------------------------------------------------------------------------
    def record(self, max_items=100_000_000, **kwargs):
        self.tb = gr.top_block()
        self.source = radiofm.sigmf_source(self.meta)
        self.sink = radiofm.sigmf_annotation_sink(self.out, record=True, **kwargs)
        self.predictor = predictor([prediction(100, 50, sample_rate=RATE, rx_freq=100e6)])
        self.tb.connect(self.source, self.sink)
        self.tb.connect(self.source, self.predictor)
        self.tb.msg_connect((self.predictor, "predictions"), (self.sink, "predictions"))
        self.tb.run(max_items)

    def test_records_the_stream_with_its_captures(self):
        for max_items in (17, 1000, 100_000):
            self.record(max_items, overwrite=True)
            meta = self.written()
            self.assertEqual((self.path / "y.sigmf-data").read_bytes(), self.x.tobytes())
            self.assertEqual(meta["global"]["core:datatype"], "cf32_le")
            self.assertEqual(meta["global"]["core:sample_rate"], RATE)
            self.assertNotIn("core:metadata_only", meta["global"])
            captures = [tuple(c[f"core:{key}"] for key in ("sample_start", "frequency", "datetime"))
                        for c in meta["captures"]]
            self.assertEqual(captures, [(0, 100e6, "2001-09-09T01:46:40.250000000Z"),
                                        (3000, 200e6, "2001-09-09T01:46:43.250000000Z"),
                                        (7001, 300e6, "2001-09-09T01:46:50.000000001Z")])
            self.assertEqual(self.notes(), [(100, 50, "a")])

    def test_recording_plays_back_with_the_same_tags(self):
        self.record()
        sinks = []
        for meta in (self.meta, self.out):
            self.tb = gr.top_block()
            self.source, self.sink = radiofm.sigmf_source(meta), blocks.vector_sink_c()
            self.tb.connect(self.source, self.sink)
            self.tb.run()
            sinks.append(rx_tags(self.sink))
        sinks[1].remove((3000, "rx_time", (1_000_000_003, 0.25)))  # stated now, was not
        self.assertEqual(*sinks)

    def test_stream_without_tags(self):
        self.source, self.sink = blocks.vector_source_c(self.x.tolist()), None
        self.sink = radiofm.sigmf_annotation_sink(self.out, record=True, samp_rate=2e6)
        self.tb.connect(self.source, self.sink)
        self.tb.run()
        meta = self.written()
        self.assertEqual(meta["captures"], [{"core:sample_start": 0}])
        self.assertEqual(meta["global"]["core:sample_rate"], 2e6)
        self.assertEqual((self.path / "y.sigmf-data").stat().st_size, 80_000)

    def test_odd_tags_and_a_second_rate(self):
        def tag(offset, key, value):
            return gr.tag_utils.python_to_tag((offset, pmt.intern(key), value, pmt.PMT_F))

        tags = [tag(0, "rx_rate", pmt.from_double(1e6)), tag(10, "rx_rate", pmt.from_double(2e6)),
                tag(20, "rx_freq", pmt.intern("x")), tag(30, "rx_time", pmt.from_double(-1.0)),
                tag(40, "rx_freq", pmt.from_double(5.0)), tag(50, "rx_freq", pmt.from_double(5.0)),
                tag(60, "burst", pmt.PMT_T), (tag(70, "rx_freq", pmt.from_uint64(7)))]
        self.source = blocks.vector_source_c(self.x.tolist(), False, 1, tags)
        self.sink = radiofm.sigmf_annotation_sink(self.out, record=True)
        self.tb.connect(self.source, self.sink)
        self.tb.run()
        meta = self.written()
        self.assertEqual([(c["core:sample_start"], c.get("core:frequency")) for c in meta["captures"]],
                         [(0, None), (40, 5.0), (70, 7.0)])
        self.assertEqual(meta["global"]["core:sample_rate"], 1e6)
        self.assertEqual(self.sink.failed(), 3)

    def test_the_rate_that_is_stated_counts_and_a_contradiction_is_said(self):
        """From a tag, where the stream is recorded; from a prediction, where it is not."""
        for record in (True, False):
            self.tb, self.answers = gr.top_block(), blocks.message_debug()
            self.sink = radiofm.sigmf_annotation_sink(self.out, record=record, samp_rate=1e6, overwrite=True)
            self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
            if record:
                tags = [gr.tag_utils.python_to_tag((offset, messages.RX_RATE, pmt.from_long(rate), pmt.PMT_F))
                        for offset, rate in ((0, 1_000_000), (10, 250_000), (20, 125_000))]
                self.source = blocks.vector_source_c(self.x.tolist(), False, 1, tags)
                self.tb.connect(self.source, self.sink)
                self.tb.start()
                wait_for(lambda: self.answers.num_messages() > 0)
                self.tb.stop()
                self.tb.wait()
            else:
                pdus = [prediction(10 * k, 10, sample_rate=r) for k, r in enumerate((1e6, 250e3, 125e3))]
                self.run_messages(self.sink, pdus, keep=True, answers=1)
            self.assertEqual(self.written()["global"]["core:sample_rate"], 1e6)
            self.assertEqual(self.sink.failed(), 0)
            [said] = [pmt.to_python(self.answers.get_message(k)) for k in range(self.answers.num_messages())]
            self.assertRegex(said["reason"], "1000000.*250000|250000.*1000000")

    def test_absurd_tags_are_left_out_and_their_neighbours_are_not(self):
        def time(seconds, fraction):
            return pmt.make_tuple(seconds, fraction)

        def real(value):
            return pmt.from_double(value)

        zero, whole, nan, inf = real(0.0), pmt.from_uint64, float("nan"), float("inf")
        raw = pmt.deserialize_str(b"\x02\x00\x02\xff\xfe")  # a symbol that is not UTF-8
        bad = [("rx_time", v) for v in (time(whole(100), real(nan)), time(whole(100), real(inf)),
                                        time(whole(2**64 - 1), zero), time(whole(5403559341571466134), zero),
                                        time(pmt.from_long(-5), zero), time(raw, zero), raw, pmt.PMT_NIL)]
        bad += [("rx_freq", v) for v in (real(nan), real(inf), real(1e300), raw)]
        bad += [("rx_rate", v) for v in (real(nan), real(-1.0), real(0.0), real(1e300), raw)]
        at = [100 * (1 + k) for k in range(len(bad))]
        tags = [gr.tag_utils.python_to_tag((offset, pmt.intern(key), value, pmt.PMT_F))
                for offset, (key, value) in zip(at, bad, strict=True)]
        for offset, (key, _) in zip(at, bad, strict=True):  # a good neighbour of another key
            other = ("rx_time", time(whole(offset), zero)) if key == "rx_freq" else ("rx_freq", real(offset))
            tags.append(gr.tag_utils.python_to_tag((offset, pmt.intern(other[0]), other[1], pmt.PMT_F)))
        tags.append(gr.tag_utils.python_to_tag((50, raw, raw, raw)))
        self.source = blocks.vector_source_c(self.x.tolist(), False, 1, tags)
        self.sink = radiofm.sigmf_annotation_sink(self.out, record=True)
        self.tb.connect(self.source, self.sink)
        self.tb.run()
        self.assertEqual((self.path / "y.sigmf-data").read_bytes(), self.x.tobytes())
        meta = self.written()
        self.assertEqual([c["core:sample_start"] for c in meta["captures"]], [0, *at])
        self.assertEqual([c.get("core:frequency") for c in meta["captures"][1:]],
                         [800.0 if key == "rx_freq" else a for a, (key, _) in zip(at, bad, strict=True)])
        self.assertEqual(sum("core:datetime" in c for c in meta["captures"]), 4)
        self.assertNotIn("core:sample_rate", meta["global"])
        self.assertEqual(self.sink.failed(), len(bad))

    def test_restart_continues_a_recording(self):
        """Nothing recorded is lost; the second run's sample indexes are moved behind the first's."""
        self.record()
        self.predictor.pdus = [prediction(100, 50, "second")]
        self.tb.run()
        self.assertEqual((self.path / "y.sigmf-data").read_bytes(), 2 * self.x.tobytes())
        self.assertEqual(self.notes(), [(100, 50, "a"), (10_100, 50, "second")])
        self.assertEqual([c["core:sample_start"] for c in self.written()["captures"]],
                         [0, 3000, 7001, 10_000, 13_000, 17_001])

    def test_predictions_come_after_the_stream_has_ended(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, record=True)
        self.source = radiofm.sigmf_source(self.meta)
        late = [prediction(100 * k, 100, str(k)) for k in range(3)]
        # The recorder has stopped, the annotator runs alone.
        self.predictor = predictor(late, lambda: wait_for(lambda: self.sink._predictions._running == 1))
        self.tb.connect(self.source, self.sink)
        self.tb.connect(self.source, self.predictor)
        self.tb.msg_connect((self.predictor, "predictions"), (self.sink, "predictions"))
        self.tb.run()
        self.assertEqual(self.notes(), [(0, 100, "0"), (100, 100, "1"), (200, 100, "2")])
        self.assertEqual((self.path / "y.sigmf-data").read_bytes(), self.x.tobytes())

    def test_nothing_is_overwritten_unasked(self):
        self.record()
        before = Path(self.out).read_bytes(), (self.path / "y.sigmf-data").read_bytes()
        with self.assertRaisesRegex(ValueError, "y.sigmf-meta: is there already; choose another name"):
            self.record()
        os.unlink(self.out)
        with self.assertRaisesRegex(ValueError, "y.sigmf-data: is there already"):
            self.record()
        self.assertEqual((self.path / "y.sigmf-data").read_bytes(), before[1])
        self.record(overwrite=True)
        self.assertEqual(Path(self.out).read_bytes(), before[0])

    # -- disks --------------------------------------------------------------------------------------
    def record_until_it_fails(self, path=None):
        """A recording that cannot go on, the rest of the flowgraph does. Returns the messages on status."""
        self.tb = gr.top_block()
        self.source, self.null = radiofm.sigmf_source(self.meta, repeat=True), blocks.null_sink(8)
        self.head, self.answers = blocks.head(8, 2_000_000), blocks.message_debug()
        self.sink = radiofm.sigmf_annotation_sink(str(path or self.out), record=True)
        self.tb.connect(self.source, self.head, self.sink)
        self.tb.connect(self.head, self.null)
        self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
        return self.sink._annotator.recorder

    def run_it(self, *predictions):
        for pdu in predictions:
            self.sink.post(pdu)
        self.tb.start()
        wait_for(lambda: self.sink.failed() and self.null.nitems_read(0) == 2_000_000
                 and self.sink._stream.nitems_read(0) == 2_000_000)
        self.tb.stop()
        self.tb.wait()
        return [pmt.to_python(self.answers.get_message(i)) for i in range(self.answers.num_messages())]

    def test_what_cannot_be_written_does_not_stop_the_receiver(self):
        for number, reason in ((28, "No space left"), (122, "quota"), (30, "Read-only"), (5, "Input/output")):
            recorder = self.record_until_it_fails(self.path / f"y{number}")
            real, calls = recorder._store, []

            def store(samples, recorder=recorder, real=real, calls=calls, number=number):
                calls.append(len(samples))
                if len(calls) > 3:
                    real(samples[:10])
                    recorder._file.write(b"abc")
                    raise OSError(number, os.strerror(number))
                real(samples)

            recorder._store = store
            status = self.run_it(prediction(0, 10), prediction(1_999_000, 1000))
            samples = sum(calls[:3]) + 10  # in whole samples
            self.assertEqual((self.path / f"y{number}.sigmf-data").stat().st_size, 8 * samples)
            self.assertEqual(recorder.left_out, 2_000_000 - samples)
            self.assertEqual(self.notes(self.path / f"y{number}.sigmf-meta"), [(0, 10, "a")])
            self.assertEqual((self.sink.failed(), self.sink.outside()), (1, 1))
            self.assertEqual([(s["command"], s["ok"]) for s in status], [("annotate", False)])
            self.assertIn(reason, status[0]["reason"])
            self.assertIn(f"ends at sample {samples}", status[0]["reason"])
            captures = self.written(self.path / f"y{number}.sigmf-meta")["captures"]
            self.assertTrue(all(c["core:sample_start"] < samples for c in captures))
        self.assertEqual([p for p in os.listdir(self.path) if p.startswith(".")], [])

    def test_a_full_disk(self):
        """A real one, filled by the recording itself, and by somebody else."""
        disk = self.path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False,
                          capture_output=True).returncode:
            self.skipTest("mounting a small disk needs root")
        try:
            for other in (0, 6_000_000):
                out = disk / f"y{other}.sigmf-meta"
                (disk / "other").write_bytes(bytes(other))
                recorder = self.record_until_it_fails(out)
                status = self.run_it(*(prediction(10 * k, 10, f"label {k}") for k in range(500)))
                samples = out.with_suffix(".sigmf-data").stat().st_size // 8
                self.assertEqual(recorder.left_out, 2_000_000 - samples)
                self.assertGreater(samples, 1000)
                np.testing.assert_array_equal(np.fromfile(out.with_suffix(".sigmf-data"), np.complex64),
                                              np.resize(self.x, samples))
                covered = [(int(label[6:]), sample) for start, count, label in self.notes(out)
                           for sample in range(start, start + count)]
                self.assertEqual(covered, [(s // 10, s) for s in range(min(5_000, samples))])
                self.assertEqual((self.sink.failed(), len(status)), (1, 1))
                self.assertIn("the recording ends at sample", status[0]["reason"])
                self.assertEqual([p for p in os.listdir(disk) if p.startswith(".")], [])
                for file in disk.iterdir():
                    file.unlink()
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def test_a_restart_goes_on_when_there_is_space_again(self):
        recorder = self.record_until_it_fails()
        real = recorder._store

        def store(samples):
            real(samples[:100])
            raise OSError(28, "No space left on device")

        recorder._store = store
        self.run_it(prediction(0, 10))
        recorder._store = real
        self.predictor = predictor([prediction(5, 10, "b")])
        self.tb.disconnect(self.head, self.null)
        self.tb.connect(self.head, self.predictor)
        self.tb.msg_connect((self.predictor, "predictions"), (self.sink, "predictions"))
        self.head.set_length(10_000)
        self.head.reset()
        self.tb.run(1000)
        self.assertEqual((self.path / "y.sigmf-data").read_bytes(), self.x[:100].tobytes() + self.x.tobytes())
        self.assertEqual(self.notes(), [(0, 10, "a"), (105, 10, "b")])
        self.assertEqual([c["core:sample_start"] for c in self.written()["captures"]], [0, 100, 3100, 7101])

    def test_a_folder_that_vanishes(self):
        """Before the start, and while it is recorded."""
        folder = self.path / "sub"
        for later in (False, True):
            folder.mkdir()
            recorder = self.record_until_it_fails(folder / "y")
            real = recorder._store

            def store(samples, real=real):
                real(samples)
                shutil.rmtree(folder, ignore_errors=True)

            if later:
                recorder._store = store
            else:
                folder.rmdir()
            status = self.run_it(prediction(0, 10))
            self.assertTrue(all(not s["ok"] and "y.sigmf-" in s["reason"] for s in status))
            self.assertTrue(status)
            self.assertFalse(folder.exists())

    def test_metadata_only(self):
        """Of a stream that is not kept: captures as the predictions tell."""
        self.sink = radiofm.sigmf_annotation_sink(self.out)
        self.run_messages(self.sink, [
            prediction(500, 100, sample_rate=RATE, rx_freq=1e6, rx_time=(1_000_000_000, 0.5)),
            prediction(600, 100, sample_rate=RATE, rx_freq=1e6, rx_time=(1_000_000_000, 0.6)),
            prediction(700, 100, sample_rate=RATE, rx_freq=2e6, rx_time=(1_000_000_000, 0.7))])
        meta = self.written()
        self.assertIs(meta["global"]["core:metadata_only"], True)
        self.assertEqual(meta["global"]["core:sample_rate"], RATE)
        self.assertEqual(meta["captures"], [
            {"core:sample_start": start, "core:frequency": frequency,
             "core:datetime": f"2001-09-09T01:46:40.{start}000000Z"}
            for start, frequency in ((500, 1e6), (700, 2e6))])
        self.assertEqual([(a["core:sample_start"], a["core:freq_lower_edge"]) for a in meta["annotations"]],
                         [(500, 1e6 - RATE / 2), (700, 2e6 - RATE / 2)])
        self.run_messages(self.sink, [prediction(0, 100, "later", sample_rate=RATE)], keep=True)
        self.assertEqual(self.notes()[-1], (800, 100, "later"))

    # -- what goes wrong ----------------------------------------------------------------------------
    def test_bad_messages_are_refused_and_a_good_one_follows(self):
        def changed(key, value, label="a"):
            pdu = prediction(0, 10, label, sample_rate=RATE, rx_freq=1e6)
            return pmt.cons(pmt.dict_add(pmt.car(pdu), pmt.intern(key), value), pmt.cdr(pdu))

        nan, inf = pmt.from_double(float("nan")), pmt.from_double(float("inf"))
        vector = pmt.init_f32vector(2, [1.0, 2.0])
        bad = [pmt.PMT_T, pmt.PMT_NIL, pmt.intern("x"), pmt.from_long(3), pmt.make_dict(), vector,
               pmt.cons(pmt.PMT_T, pmt.PMT_NIL), pmt.cons(pmt.make_dict(), vector),
               pmt.cons(pmt.make_dict(), pmt.PMT_NIL),
               changed("sample_start", pmt.from_long(-1)), changed("sample_start", pmt.intern("0")),
               changed("sample_count", pmt.from_uint64(0)), changed("sample_count", pmt.from_uint64(2**63)),
               changed("label", pmt.from_long(1)), changed("confidence", nan), changed("confidence", inf),
               changed("unknown", pmt.from_long(1)), changed("rx_freq", nan), changed("sample_rate", inf),
               changed("freq_lower_edge", pmt.from_double(1.0)), changed("rx_freq", pmt.from_double(1e15)),
               changed("rx_time", pmt.from_double(-1.0)), changed("labels", pmt.from_long(1)),
               changed("model", pmt.from_long(1)), changed("label", pmt.PMT_NIL)]
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        answers = self.run_messages(self.sink, [*bad, prediction(0, 10, "good")])
        self.assertEqual(self.sink.refused(), len(bad))
        self.assertEqual(len(answers), len(bad))
        for answer in answers:
            self.assertEqual((answer["command"], answer["ok"]), ("annotate", False))
            self.assertTrue(answer["reason"])
        self.assertEqual(self.notes(), [(0, 10, "good")])

    def test_predictions_of_the_run_before_are_not_written(self):
        """Neither those that wait in front of the sink when it stops, nor those that come after that."""
        data = self.path / "y.sigmf-data"

        def size() -> int:
            return data.stat().st_size if data.exists() else 0

        def wait_for_samples(before):
            wait_for(lambda: not data.exists() or size() >= before + 8 * 30)

        for options in (dict(record=True, overwrite=True), dict(recording=self.meta), {}):
            self.tb = gr.top_block()
            self.sink = radiofm.sigmf_annotation_sink(self.out, **options)
            self.source, self.answers = blocks.null_source(8), blocks.message_debug()
            self.throttle = blocks.throttle(8, 1e5)
            if "record" in options:
                self.tb.connect(self.source, self.throttle, self.sink)
            self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
            run = runs.begin()
            self.tb.start()
            self.sink.post(prediction(0, 10, "first", run=run))
            wait_for(lambda: self.sink.received() == 1)
            wait_for_samples(0)
            before = size()
            self.tb.stop()
            self.tb.wait()
            runs.end(run)
            self.sink.post(prediction(10, 10, "late", run=run))
            self.sink.post(prediction(10, 10, "by hand"))
            run = runs.begin()
            self.tb.start()
            self.sink.post(prediction(20, 10, "second", run=run))
            wait_for(lambda: self.sink.received() == 3)
            wait_for_samples(before)
            self.tb.stop()
            self.tb.wait()
            runs.end(run)
            self.assertEqual([label for _, _, label in self.notes()], ["first", "by hand", "second"])
            self.assertEqual(self.sink.dropped(), 1)
            for file in self.path.glob("y.*"):
                file.unlink()

    def test_what_waits_at_the_stop_belongs_to_this_run(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        block = self.sink._predictions
        real = block.end_run

        def late():  # they come while the blocks stop
            real()
            for k in range(100):
                self.sink.post(prediction(10 * k, 10, str(k)))

        block.end_run = late
        self.run_messages(self.sink, [])
        self.assertEqual(len(self.notes()), 100)

    def test_refused_means_that_nothing_changes(self):
        """Metadata only: rate and captures are learnt from predictions, but not from a refused one."""
        nan, inf = float("nan"), float("inf")

        def raw(key, data):
            """A symbol of any bytes, as it can come from a C++ block or a network."""
            symbol = pmt.deserialize_str(b"\x02" + len(data).to_bytes(2, "big") + data)
            pdu = prediction(0, 10, sample_rate=RATE)
            return pmt.cons(pmt.dict_add(pmt.car(pdu), pmt.intern(key), symbol), pmt.cdr(pdu))

        bad = [prediction(0, 10, sample_rate=nan), prediction(0, 10, sample_rate=inf),
               prediction(0, 10, sample_rate=0.0), prediction(0, 10, sample_rate=-1.0),
               prediction(0, 10, sample_rate=1e300), prediction(0, 10, rx_freq=nan, sample_rate=RATE),
               prediction(0, 10, rx_freq=inf), prediction(0, 10, rx_freq=1e300, sample_rate=RATE),
               prediction(0, 10, sample_rate=RATE, confidence=nan), prediction(0, 0, sample_rate=RATE),
               prediction(2**64 - 1, 10, sample_rate=RATE), prediction(0, 2**64 - 1, sample_rate=RATE),
               prediction(0, 10, "", sample_rate=RATE), prediction(0, 10, "a\nb", sample_rate=RATE),
               prediction(0, 10, "\x1b[2J", sample_rate=RATE), prediction(0, 10, "a\0", sample_rate=RATE),
               prediction(0, 10, 10_000_000 * "a", sample_rate=RATE),
               prediction(0, 10, "a", sample_rate=RATE, model="m\x9b"),
               prediction(0, 10, "a", sample_rate=RATE, freq_lower_edge=-inf, freq_upper_edge=inf),
               *(raw(key, data) for key in ("label", "model", "task", "sample_start")
                 for data in (b"\xff\xfe", b"\xed\xa0\x80"))]
        self.sink = radiofm.sigmf_annotation_sink(self.out)
        answers = self.run_messages(self.sink, bad)
        counts = self.sink.received(), self.sink.refused(), self.sink.failed()
        self.assertEqual(counts, (len(bad), len(bad), 0))
        self.assertEqual(len(answers), len(bad))
        meta = self.written()
        self.assertNotIn("core:sample_rate", meta["global"])
        self.assertEqual((meta["captures"], meta["annotations"]), ([], []))
        self.run_messages(self.sink, [prediction(5, 10, "ä b", sample_rate=RATE)], keep=True)
        self.assertEqual(self.notes(), [(5, 10, "ä b")])

    def test_a_refused_prediction_does_not_begin_the_recording_anew(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        self.run_messages(self.sink, [prediction(0, 10, "a"), prediction(10, 10, "b")])
        self.run_messages(self.sink, [prediction(0, 0, "c")], keep=True)
        self.assertEqual(self.notes(), [(0, 10, "a"), (10, 10, "b")])

    def test_a_full_queue_drops_and_counts(self):
        """While the disk hangs the handler goes on; what was dropped is counted, the rest is written."""
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta, max_queue=10)
        release, held = threading.Event(), threading.Event()
        real = self.sink._predictions._annotate

        def hang(item):
            held.set()
            release.wait(60)
            real(item)

        self.sink._predictions._annotate = hang
        self.answers = blocks.message_debug()
        self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
        self.tb.start()
        post = self.sink.post
        post(prediction(0, 1, "0"))
        self.assertTrue(held.wait(60))
        for k in range(1, 100):
            post(prediction(k, 1, str(k)))
        wait_for(lambda: self.sink.received() == 100)
        release.set()
        self.tb.stop()
        self.tb.wait()
        self.assertEqual(self.sink.dropped(), 89)
        self.assertEqual(self.notes(), [(k, 1, str(k)) for k in range(11)])

    def test_failed_writes_are_made_up_for(self):
        self.sink = radiofm.sigmf_annotation_sink(self.out, self.meta)
        writer, broken = self.sink._annotator.writer, [True]
        flush = writer.flush

        def failing():
            if broken[0] and os.path.exists(self.out):
                broken[0] = False
                error = self.sink._annotator.error
                raise error(f"{self.out}: cannot be written: No space left")
            flush()

        writer.flush, writer._flush_count = failing, 1
        for k, label in enumerate("ab"):
            self.sink.post(prediction(10 * k, 10, label))
        self.answers = blocks.message_debug()
        self.tb.msg_connect((self.sink, "status"), (self.answers, "store"))
        self.tb.start()
        wait_for(lambda: self.sink.failed() == 1)
        self.tb.stop()
        self.tb.wait()
        self.assertEqual(self.notes(), [(0, 10, "a"), (10, 10, "b")])

    def test_wrong_parameters(self):
        sink = radiofm.sigmf_annotation_sink
        (self.path / "text.sigmf-meta").write_text("notes")
        for args, kwargs, match in (
                ((self.out, self.meta), dict(record=True), "or record the stream, not both"),
                *(((self.out,), dict(samp_rate=rate), "samp_rate must be")
                  for rate in (-1, 1e13, 1e-9, "1e6", None, True)),
                *(((self.out,), dict(max_queue=size), "max_queue must be") for size in (1.5, "9")),
                ((self.out,), dict(samp_rate=float("nan")), "samp_rate must be"),
                ((self.out,), dict(max_queue=0), "max_queue must be"),
                ((self.out, self.meta), dict(merge_gap=-1), "merge_gap must be"),
                ((self.out, self.meta), dict(data="mail"), "data must be one of"),
                ((self.out, str(self.path / "nothing")), {}, "no such recording"),
                ((str(self.path / "no" / "y"),), {}, "does not exist; create it"),
                ((str(self.path / "text"), self.meta), {}, "is not SigMF metadata"),
                ((str(self.path / "y.sigmf"), self.meta), {}, "not written into archives")):
            with self.assertRaisesRegex(ValueError, match):
                sink(*args, **kwargs)

    def test_missing_package_is_named(self):
        real = importlib.import_module

        def without(name, *args):
            if name.startswith("radiofm_ml"):
                raise ModuleNotFoundError("No module named 'sigmf'", name="sigmf")
            return real(name, *args)

        with mock.patch.object(importlib, "import_module", without):
            with self.assertRaisesRegex(ImportError, "needs the Python package sigmf; install"):
                radiofm.sigmf_annotation_sink(self.out)

    def test_valid_after_kill_9(self):
        """A recording that is killed while it runs is whole up to then, data and metadata."""
        child = subprocess.Popen([sys.executable, __file__, "--record", self.meta, self.out])
        data = self.path / "y.sigmf-data"
        wait_for(lambda: data.exists() and data.stat().st_size > 100_000
                 and len(json.loads(Path(self.out).read_text())["annotations"]) > 1)
        child.send_signal(signal.SIGKILL)
        self.assertEqual(child.wait(), -signal.SIGKILL)
        self.assertGreater(len(self.notes()), 1)
        samples = np.fromfile(data, np.complex64)
        np.testing.assert_array_equal(samples, np.resize(self.x, len(samples)))


def record_until_killed(meta: str, out: str) -> None:
    class endless_predictor(gr.sync_block):
        def __init__(self):
            gr.sync_block.__init__(self, "predictor", [np.complex64], None)
            self.message_port_register_out(messages.PREDICTIONS)

        def work(self, input_items, output_items):
            start = self.nitems_read(0)
            self.message_port_pub(messages.PREDICTIONS, prediction(start, len(input_items[0]), str(start)))
            return len(input_items[0])

    tb = gr.top_block()
    tb.source = radiofm.sigmf_source(meta, repeat=True)
    tb.throttle = blocks.throttle(gr.sizeof_gr_complex, 2e5)
    tb.predictor, tb.sink = endless_predictor(), radiofm.sigmf_annotation_sink(out, record=True)
    tb.connect(tb.source, tb.throttle, tb.sink)
    tb.connect(tb.throttle, tb.predictor)
    tb.msg_connect((tb.predictor, "predictions"), (tb.sink, "predictions"))
    tb.run()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        record_until_killed(*sys.argv[2:])
    else:
        gr_unittest.run(qa_sigmf_annotation_sink)
