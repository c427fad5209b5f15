#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the Signal Cutter: the library's cut-outs, boxes ahead and behind, overload, other PDU blocks."""

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, pdu, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common import backlog, lifetime
from gnuradio.radiofm.common.messages import Signal, TileInfo
from radiofm_ml.detect.cutter import Cutter
from radiofm_ml.detect.stream import Box

sys.path.insert(0, str(Path(__file__).resolve().parent))
from qa_signal_detector import (  # noqa: E402
    AVERAGING,
    COUNT,
    FFT,
    HOP,
    LONG,
    RATE,
    SCENE,
    WINDOW,
    boxes_of,
    catcher,
    tag,
)

SIGNALS = messages.SIGNALS


def info_of(start, count, low, high, number=0, **more):
    signal = Signal(number, snr=10.0, bandwidth=high - low, duration=count / RATE)
    return TileInfo(**{"sample_start": start, "sample_count": count, "sample_rate": RATE, "signal": signal,
                       "freq_lower_edge": low, "freq_upper_edge": high, **more})


def box_of(info, centre=0.0):
    return Box(info.signal.signal, 0, True, info.sample_start, info.sample_count,
               info.freq_lower_edge - centre, info.freq_upper_edge - centre, 10.0)


def wanted(*infos):
    return [messages.signal_pdu(info) for info in infos]


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("did not happen in time")
        time.sleep(0.002)


class reader(backlog.Reader, lifetime.Held, gr.basic_block):
    """Keeps cut-outs, as a block of ours: it ends with the last of its senders."""

    def __init__(self):
        gr.basic_block.__init__(self, name="reader", in_sig=None, out_sig=None)
        self.messages, self.gate = [], threading.Event()
        self.gate.set()
        self.read_messages({SIGNALS: self.handle})

    def start(self):
        self.begin_run()
        return True

    def handle(self, message):
        self.gate.wait(LONG)
        self.messages.append(message)

    def cuts(self):
        return [messages.parse_signal(m) for m in self.messages]


def flowgraph(source, pdus=(), **options):
    """(top block, cutter, reader, catcher) of a source, and messages that wait for the cutter."""
    tb = gr.top_block()
    cutter = radiofm.signal_cutter(**{"samp_rate": RATE, **options})
    read, caught = reader(), catcher()
    tb.connect(source, cutter)
    tb.msg_connect(cutter, "signals", read, "signals")
    for port in ("signals", "status"):
        tb.msg_connect(cutter, port, caught, port)
    for message in pdus:
        cutter.to_basic_block()._post(SIGNALS, message)
    return tb, cutter, read, caught


def run(samples, pdus, tags=(), **options):
    source = blocks.vector_source_c(samples, False, 1, list(tags))
    tb, cutter, read, caught = flowgraph(source, pdus, **options)
    tb.run()
    return cutter, read, caught


class gated(gr.sync_block):
    """A source of SCENE that stops before ``stop`` until it is let go."""

    def __init__(self, stop):
        gr.sync_block.__init__(self, name="gated", in_sig=None, out_sig=[np.complex64])
        self.stop_at, self.gate, self.at = stop, threading.Event(), 0

    def work(self, input_items, output_items):
        end = len(SCENE) if self.gate.is_set() else self.stop_at
        count = min(len(output_items[0]), end - self.at)
        if count == 0 and self.gate.is_set():
            return -1
        if count == 0:
            time.sleep(0.001)
        output_items[0][:count] = SCENE[self.at:self.at + count]
        self.at += count
        return count


class qa_signal_cutter(gr_unittest.TestCase):
    def assert_cuts(self, cuts, boxes, centre=0.0, **options):
        library = Cutter(RATE, history=len(SCENE), **options)
        library.feed(SCENE)
        self.assertEqual(len(cuts), len(boxes))
        expected = {(b.sample_start, b.signal): library.cut(b) for b in boxes}
        for info, samples in cuts:
            cut = expected[info.sample_start, info.signal.signal]
            np.testing.assert_allclose(samples, cut.samples, atol=1e-6)
            self.assertAlmostEqual(info.signal.rate, cut.rate, 6)
            self.assertEqual((info.signal.lead, info.signal.missing), (cut.lead, cut.missing))

    def test_behind_a_detector(self):
        for longest, tags, centre in ((1.0, (), 0.0), (0.05, (tag(0, "rx_freq", 433e6),), 433e6)):
            source = blocks.vector_source_c(SCENE, False, 1, list(tags))
            tb, cutter, read, caught = flowgraph(source)
            stft = radiofm.stft(FFT, HOP, WINDOW, AVERAGING, "db", True, RATE)
            detector = radiofm.signal_detector(RATE, FFT, HOP, AVERAGING, WINDOW, longest=longest)
            tb.connect(source, stft, detector)
            tb.msg_connect(detector, "signals", cutter, "signals")
            tb.run()
            self.assertTrue(cutter.waits())
            found = [messages.parse_signal(m)[0] for m in read.messages]
            self.assertEqual(len(found), detector.sent())
            self.assert_cuts(read.cuts(), [
                Box(i.signal.signal, i.signal.part, i.signal.ended, i.sample_start, i.sample_count,
                    i.freq_lower_edge - centre, i.freq_upper_edge - centre, 0.0) for i in found])
            if longest == 1.0:
                self.assertEqual(len(found), len(boxes_of(SCENE)))
            self.assertEqual((cutter.received(), cutter.sent()), (len(found), len(found)))
            self.assertEqual((cutter.lost(), cutter.dropped(), cutter.incomplete()), (0, 0, 0))
            self.assertEqual(cutter.refused(), 0)

    def test_the_keys_of_a_pdu(self):
        """What came is carried through; rx_time is that of the first sample of the payload."""
        given = info_of(40_000, 40_000, 433.1e6, 433.2e6, rx_freq=433e6, rx_time=(1000, 0.5),
                        recording_shift=-7)
        _, read, _ = run(SCENE, wanted(given))
        (info, samples), = read.cuts()
        signal = info.signal
        self.assertEqual(replace(info, rx_time=None, run=None, signal=None),
                         replace(given, rx_time=None, signal=None))
        self.assertEqual(replace(signal, rate=None, lead=None, missing=None), given.signal)
        start = 40_000 - signal.lead * RATE / signal.rate
        self.assertAlmostEqual(info.rx_time[0] - 1000 + info.rx_time[1], 0.5 + (start - 40_000) / RATE, 9)
        self.assertEqual((signal.rate, signal.missing), (RATE * 7 / 32, 0))
        self.assertGreaterEqual(len(samples), signal.lead + 40_000 * 7 // 32)
        self.assert_cuts(read.cuts(), [box_of(given, 433e6)])
        self.assertEqual(set(messages.keys(pmt.car(read.messages[0]))), {
            "signal", "part", "ended", "sample_start", "sample_count", "sample_rate", "rate", "lead",
            "missing", "freq_lower_edge", "freq_upper_edge", "rx_freq", "rx_time", "snr",
            "bandwidth", "duration", "run", "recording_shift"})

    def test_boxes_ahead_of_the_stream_wait(self):
        """The one that the stream has passed comes at once, the one ahead when it is there, with all of its
        margin; of the last the stream has only a part."""
        source = gated(200_000)
        infos = [info_of(490_000, 50_000, 1e5, 2e5, 2), info_of(300_000, 50_000, 1e5, 2e5, 1),
                 info_of(100_000, 50_000, 1e5, 2e5, 0)]
        tb, cutter, read, _ = flowgraph(source, wanted(*infos))
        tb.start()
        until(lambda: read.messages)
        self.assertEqual([info.signal.signal for info, _ in read.cuts()], [0])
        source.gate.set()
        tb.wait()
        self.assertEqual([info.signal.signal for info, _ in read.cuts()], [0, 1, 2])
        self.assert_cuts(read.cuts(), list(map(box_of, infos)))

    def test_what_the_stream_has_not_is_counted(self):
        late = [info_of(10_000, 50_000, 1e5, 2e5, 0), info_of(370_000, 50_000, 1e5, 2e5, 1),
                info_of(450_000, 20_000, 1e5, 2e5, 2), info_of(COUNT + 5, 100, 1e5, 2e5, 3)]
        source = gated(COUNT)
        tb, cutter, read, caught = flowgraph(source, history=0.1, overload="drop")
        tb.start()
        until(lambda: cutter._next == COUNT)
        for message in wanted(*late):
            cutter.to_basic_block()._post(SIGNALS, message)
        until(lambda: cutter.received() == 4)
        source.gate.set()
        tb.wait()
        self.assertEqual([info.signal.signal for info, _ in read.cuts()], [1, 2])
        missing = [info.signal.missing for info, _ in read.cuts()]
        self.assertEqual(missing, [COUNT - 100_000 - 370_000, 0])
        self.assertEqual((cutter.lost(), cutter.incomplete(), cutter.sent()), (2, 1, 2))
        self.assertEqual(len(caught.reasons()), 2)

    def test_live_it_drops_the_oldest_and_never_waits(self):
        """Its reader is stuck, the stream goes on."""
        infos = [info_of(1000 * k, 500, 1e5, 2e5, k) for k in range(100)]
        source = gated(COUNT)
        tb, cutter, read, caught = flowgraph(source, wanted(*infos), overload="drop", max_queue=4)
        entered, held = threading.Event(), threading.Event()
        cut = cutter._cut

        def slow(batch):
            entered.set()
            held.wait(LONG)
            return cut(batch)

        cutter._worker._process = slow
        tb.start()
        until(lambda: cutter._next == COUNT and cutter.received() == 100)
        self.assertGreaterEqual(cutter.dropped(), 90)
        held.set()
        source.gate.set()
        tb.wait()
        numbers = [info.signal.signal for info, _ in read.cuts()]
        self.assertEqual(numbers[-4:], [96, 97, 98, 99])
        self.assertEqual(cutter.sent() + cutter.dropped(), 100)
        self.assertIn("overload", caught.reasons()[0])

    def test_files_wait(self):
        """Nothing is lost although the history is short and cutting slow."""
        infos = [info_of(4000 * k, 3000, 1e5, 2e5, k) for k in range(100)]
        source = blocks.vector_source_c(SCENE)
        tb, cutter, read, _ = flowgraph(source, wanted(*infos), max_queue=2, history=0.05)
        cut = cutter._cut

        def slow(batch):
            time.sleep(0.002)
            return cut(batch)

        cutter._worker._process = slow
        tb.run()
        self.assertTrue(cutter.waits())
        self.assertEqual([info.signal.signal for info, _ in read.cuts()], list(range(100)))
        self.assert_cuts(read.cuts(), list(map(box_of, infos)))
        self.assertEqual((cutter.sent(), cutter.dropped()), (100, 0))
        self.assertEqual((cutter.lost(), cutter.incomplete()), (0, 0))

    def test_what_is_no_signal_is_refused(self):
        good = info_of(1000, 5000, 1e5, 2e5)
        bad = [(pmt.intern("x"), "must be a PDU"),
               (pmt.cons(pmt.make_dict(), pmt.init_f32vector(1, [1.0])), "c32vector"),
               (messages.signal_pdu(replace(good, signal=None)), "'signal' is missing"),
               (messages.signal_pdu(replace(good, sample_rate=2e6)), "another stream"),
               (messages.signal_pdu(replace(good, freq_lower_edge=None)), "'freq_lower_edge'"),
               (messages.signal_pdu(replace(good, freq_lower_edge=3e5)), "width"),
               (messages.signal_pdu(replace(good, sample_count=0)), "samples"),
               (messages.signal_pdu(replace(good, freq_lower_edge=6e5, freq_upper_edge=7e5)), "within")]
        cutter, read, caught = run(SCENE, [message for message, _ in bad] + wanted(good))
        self.assertEqual(cutter.refused(), len(bad))
        for reason, (_, words) in zip(caught.reasons(), bad, strict=True):
            self.assertIn(words, reason)
        self.assert_cuts(read.cuts(), [box_of(good)])

    def test_without_a_rate_the_pdu_tells(self):
        given = info_of(1000, 5000, 1e5, 2e5)
        cutter, read, _ = run(SCENE, wanted(given), samp_rate=0.0)
        self.assert_cuts(read.cuts(), [box_of(given)])
        cutter, read, caught = run(SCENE, wanted(replace(given, sample_rate=None)), samp_rate=0.0)
        self.assertIn("rate is not known", caught.reasons()[0])

    def test_gnu_radios_pdu_blocks_take_them(self):
        """A demodulator can follow: the cut-outs as a tagged stream; dict and samples apart."""
        infos = [info_of(40_000, 40_000, 1e5, 2e5, 0), info_of(180_000, 100_000, -3e5, -2e5, 1)]
        tb, cutter, read, _ = flowgraph(blocks.vector_source_c(SCENE), wanted(*infos))
        stream = pdu.pdu_to_tagged_stream(gr.types.complex_t, "packet_len")
        stream.set_min_output_buffer(1 << 17)  # GNU Radio's own need: a whole PDU fits
        sink, split, caught = blocks.vector_sink_c(), pdu.pdu_split(), blocks.message_debug()
        tb.msg_connect(cutter, "signals", stream, "pdus")
        tb.msg_connect(cutter, "signals", split, "pdu")
        tb.msg_connect(split, "vec", caught, "store")
        tb.connect(stream, sink)
        tb.run()
        payloads = [samples for _, samples in read.cuts()]
        lengths = [pmt.to_python(t.value) for t in sink.tags() if str(t.key) == "packet_len"]
        received = np.array(sink.data(), np.complex64)
        count = len(received)
        self.assertGreater(count, 0)
        self.assertEqual(lengths, [len(p) for p in payloads][:len(lengths)])
        np.testing.assert_array_equal(received, np.concatenate(payloads)[:count])
        self.assertEqual({str(t.key) for t in sink.tags()} - {"packet_len"},
                         set(messages.keys(pmt.car(read.messages[0]))))
        np.testing.assert_array_equal(messages._pdu.c32values(caught.get_message(0)), payloads[0])

    def test_stopped_and_started_again(self):
        infos = [info_of(1000, 5000, 1e5, 2e5, 0), info_of(10_000_000_000, 5000, 1e5, 2e5, 1)]
        tb, cutter, read, caught = flowgraph(blocks.vector_source_c(SCENE, True), wanted(*infos))
        tb.start()
        until(lambda: read.messages and caught.messages["signals"])  # else it is lost to one of them
        tb.stop()
        tb.wait()
        self.assertEqual((cutter.sent(), cutter.dropped()), (1, 1))
        cutter.to_basic_block()._post(SIGNALS, messages.signal_pdu(infos[0]))
        tb.start()
        until(lambda: len(read.messages) == 2)
        tb.stop()
        tb.wait()
        runs = [info.run for info, _ in read.cuts()]
        self.assertNotEqual(*runs)

    def test_settings_and_arguments(self):
        for arguments, words in [({"samp_rate": -1}, "samp_rate"), ({"oversampling": 1}, "oversampling"),
                                 ({"history": -1}, "history"), ({"overload": "x"}, "overload"),
                                 ({"max_queue": 0}, "max_queue")]:
            with self.assertRaisesRegex(ValueError, f"Signal Cutter: .*{words}"):
                radiofm.signal_cutter(**arguments)
        cutter = radiofm.signal_cutter(1e6, 3.0, 2.0, "block", 7)
        self.assertEqual((cutter.samp_rate(), cutter.oversampling(), cutter.history(), cutter.overload(),
                          cutter.max_queue(), cutter.waits()), (1e6, 3.0, 2.0, "block", 7, True))
        cutter.set_max_queue(9)
        cutter.set_overload("drop")
        cutter.set_samp_rate(0)
        self.assertEqual((cutter.max_queue(), cutter.waits(), cutter.samp_rate()), (9, False, 0.0))


if __name__ == "__main__":
    gr_unittest.run(qa_signal_cutter)
