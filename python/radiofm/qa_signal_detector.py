#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the Signal Detector: the library's boxes, in PDUs that say exactly where each lies."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common import backlog, lifetime
from radiofm_ml.detect.finder import find
from radiofm_ml.detect.rows import row_format
from radiofm_ml.detect.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from sigmf_files import write_recording  # noqa: E402

LONG = 60.0  # seconds until a wait counts as a failure
RATE = 1e6
FFT, HOP, AVERAGING = 256, 128, 4
STRIDE = HOP * AVERAGING
SIGNALS = ((40_000, 80_000, 150e3), (180_000, 290_000, -250e3), (400_000, 430_000, 320e3))
FORM = row_format(RATE, FFT, HOP, AVERAGING)
WINDOW = FORM.window.tolist()
COUNT = 500_000


def scene(signals=SIGNALS, count=COUNT) -> np.ndarray:
    """BPSK of 20 kBd at ``signals`` (start, stop, Hz) over noise, complex64."""
    rng = np.random.default_rng(0)
    x = 0.02 * rng.standard_normal(2 * count).astype(np.float32).view(np.complex64)
    for start, stop, frequency in signals:
        bits = np.repeat(rng.choice([-1, 1], (stop - start) // 50 + 1), 50)[:stop - start]
        x[start:stop] += 0.03 * bits * np.exp(2j * np.pi * frequency / RATE * np.arange(stop - start))
    return x


SCENE = scene()


class catcher(gr.basic_block):
    """Keeps messages. It is no block of ours: it ends with the first block before it."""

    def __init__(self):
        gr.basic_block.__init__(self, name="catcher", in_sig=None, out_sig=None)
        self.messages = {"signals": [], "status": []}
        for port, handler in (("signals", self.handle_signal), ("status", self.handle_status)):
            self.message_port_register_in(pmt.mp(port))
            self.set_msg_handler(pmt.mp(port), handler)

    def handle_signal(self, message):
        self.messages["signals"].append(message)

    def handle_status(self, message):
        self.messages["status"].append(message)

    def signals(self):
        return [messages.parse_signal(m)[0] for m in self.messages["signals"]]

    def reasons(self):
        return [messages.get(m, "reason", messages.text) for m in self.messages["status"]]


class reader(backlog.Reader, lifetime.Held, gr.basic_block):
    """Keeps signals, as a block of ours: it ends with the last of its senders, and can start again."""

    def __init__(self):
        gr.basic_block.__init__(self, name="reader", in_sig=None, out_sig=None)
        self.infos = []
        self.read_messages({messages.SIGNALS: self.handle})

    def start(self):
        self.begin_run()
        return True

    def handle(self, message):
        self.infos.append(messages.parse_signal(message)[0])


def tag(offset, key, value):
    made = gr.tag_t()
    made.offset, made.key, made.value = offset, pmt.intern(key), pmt.to_pmt(value)
    return made


def flowgraph(samples=SCENE, tags=(), samp_rate=RATE, source=None, **options):
    """(top block, detector, catcher) of a source, the STFT and a detector."""
    tb = gr.top_block()
    source = source or blocks.vector_source_c(samples, False, 1, list(tags))
    stft = radiofm.stft(FFT, HOP, WINDOW, AVERAGING, "db", True, samp_rate)
    detector = radiofm.signal_detector(samp_rate, FFT, HOP, AVERAGING, WINDOW, **options)
    caught = catcher()
    tb.connect(source, stft, detector)
    for port in ("signals", "status"):
        tb.msg_connect(detector, port, caught, port)
    return tb, detector, caught


def run(*args, **kwargs):
    tb, detector, caught = flowgraph(*args, **kwargs)
    tb.run()
    return detector, caught


def boxes_of(samples, settings=None):
    """As the library finds them."""
    return list(find([samples], RATE, settings, [FORM]))


class qa_signal_detector(gr_unittest.TestCase):
    def assert_places(self, infos, boxes, centre=0.0, shift=0):
        self.assertEqual([(i.sample_start, i.signal.part, i.signal.ended) for i in infos],
                         [(b.sample_start + shift, b.part, b.ended) for b in boxes])
        for info, box in zip(infos, boxes, strict=True):
            self.assertEqual(info.sample_count, box.sample_count)
            self.assertAlmostEqual(info.freq_lower_edge, centre + box.freq_lower, 3)
            self.assertAlmostEqual(info.freq_upper_edge, centre + box.freq_upper, 3)
            self.assertAlmostEqual(info.signal.snr, box.snr_db, 1)

    def test_the_librarys_boxes(self):
        for longest in (1.0, 0.1):
            detector, caught = run(longest=longest)
            boxes = boxes_of(SCENE, Settings(longest=longest))
            self.assert_places(caught.signals(), boxes)
            self.assertGreaterEqual(len(boxes), 3)
            self.assertEqual([i.signal.signal for i in caught.signals()], [b.signal for b in boxes])
            self.assertEqual((detector.sent(), detector.signals()),
                             (len(boxes), 1 + max(b.signal for b in boxes)))
            self.assertEqual(caught.messages["status"], [])

    def test_the_keys_of_a_pdu(self):
        tags = [tag(0, "rx_freq", 100e6), tag(0, "rx_time", (1000, 0.25))]
        _, caught = run(tags=tags)
        for message in caught.messages["signals"]:
            self.assertTrue(pmt.is_c32vector(pmt.cdr(message)) and pmt.length(pmt.cdr(message)) == 0)
            self.assertEqual(set(messages.keys(pmt.car(message))), {
                "signal", "part", "ended", "sample_start", "sample_count", "sample_rate", "freq_lower_edge",
                "freq_upper_edge", "rx_freq", "rx_time", "snr", "bandwidth", "duration", "run"})
        for info in caught.signals():
            self.assertEqual((info.sample_rate, info.rx_freq), (RATE, 100e6))
            seconds, fraction = info.rx_time
            self.assertAlmostEqual(seconds - 1000 + fraction, 0.25 + info.sample_start / RATE, 9)
            self.assertAlmostEqual(info.signal.bandwidth, info.freq_upper_edge - info.freq_lower_edge, 6)
            self.assertAlmostEqual(info.signal.duration, info.sample_count / RATE, 12)
        self.assert_places(caught.signals(), boxes_of(SCENE), 100e6)

    def test_where_the_frequency_changes_signals_end(self):
        """In the middle of the long one; what follows lies at the new frequency, and is numbered on."""
        at = 250_400
        _, caught = run(tags=[tag(0, "rx_freq", 100e6), tag(at, "rx_freq", 101e6)])
        row = at // STRIDE * STRIDE
        before = [i for i in caught.signals() if i.rx_freq == 100e6]
        after = [i for i in caught.signals() if i.rx_freq == 101e6]
        self.assertTrue(all(i.sample_start + i.sample_count <= row for i in before))
        self.assertTrue(all(i.sample_start >= row for i in after))
        self.assertEqual(max(i.sample_start + i.sample_count for i in before), row)
        self.assertEqual(min(i.sample_start for i in after), row)
        numbers = [i.signal.signal for i in before], [i.signal.signal for i in after]
        self.assertLess(max(numbers[0]), min(numbers[1]))
        for infos in (before, after):  # the long one lies on both sides, each at its own frequency
            self.assertTrue(any(i.freq_lower_edge < i.rx_freq - 250e3 < i.freq_upper_edge
                                and row in (i.sample_start, i.sample_start + i.sample_count) for i in infos))

    def test_the_rate_comes_with_a_tag(self):
        _, caught = run(tags=[tag(0, "rx_rate", RATE)], samp_rate=0.0)
        self.assert_places(caught.signals(), boxes_of(SCENE))
        detector, caught = run(tags=[tag(100_352, "rx_rate", RATE)], samp_rate=0.0)
        self.assertEqual(detector.skipped(), 100_352 // STRIDE)
        self.assertIn("sample rate is not known", caught.reasons()[0])
        self.assert_places(caught.signals(), boxes_of(SCENE[100_352:]), shift=100_352)

    def test_tags_that_cannot_be_read_and_that_contradict(self):
        detector, caught = run(tags=[tag(0, "rx_rate", 2 * RATE), tag(5, "recording_shift", "nonsense")])
        self.assertEqual(detector.bad_tags(), 1)
        self.assertEqual(len(caught.reasons()), 1, "the STFT has put the rate right")
        self.assertIn("recording_shift", caught.reasons()[0])
        self.assert_places(caught.signals(), boxes_of(SCENE))

    def test_of_a_recording_that_is_repeated(self):
        with tempfile.TemporaryDirectory() as folder:
            path = write_recording(Path(folder) / "x", SCENE, sample_rate=RATE)
            source = radiofm.sigmf_source(str(path), repeat=True)
            head = blocks.head(gr.sizeof_gr_complex, 2 * COUNT)
            tb, _, caught = flowgraph(source=head)
            tb.connect(source, head)
            tb.run()
        shifts = {i.recording_shift for i in caught.signals()}
        self.assertEqual(shifts, {0, -COUNT})
        for shift in shifts:
            places = [i.sample_start + shift for i in caught.signals() if i.recording_shift == shift]
            for wanted, _, _ in SIGNALS:
                self.assertLess(min(abs(place - wanted) for place in places), 3 * STRIDE)

    def two_resolutions(self, samples=SCENE, tags=()):
        """Behind two STFTs, of which the second is finer."""
        fine = row_format(RATE, 1024, averaging=4)
        tb = gr.top_block()
        source, caught = blocks.vector_source_c(samples, False, 1, list(tags)), catcher()
        detector = radiofm.signal_detector(RATE, FFT, HOP, AVERAGING, WINDOW,
                                           more_rows=[(1024, 512, 4, fine.window.tolist())])
        for port, form in enumerate((FORM, fine)):
            taps = form.window.tolist()
            stft = radiofm.stft(form.fft_size, form.hop, taps, form.averaging, "db", True, RATE)
            tb.connect(source, stft, (detector, port))
        tb.msg_connect(detector, "signals", caught, "signals")
        tb.run()
        return caught.signals(), fine

    def test_two_resolutions_at_once(self):
        infos, fine = self.two_resolutions()
        boxes = list(find([SCENE], RATE, Settings(), [FORM, fine]))
        self.assertGreaterEqual(len(boxes), 3)
        self.assert_places(infos, boxes)

    def test_two_resolutions_where_the_frequency_changes(self):
        """What follows is looked at from the next sample on at which rows of both begin."""
        at = 150_000
        infos, fine = self.two_resolutions(tags=[tag(0, "rx_freq", 100e6), tag(at, "rx_freq", 101e6)])
        begin = -(-(at // STRIDE * STRIDE) // fine.stride) * fine.stride
        boxes = list(find([SCENE[begin:]], RATE, Settings(), [FORM, fine]))
        self.assert_places([i for i in infos if i.rx_freq == 101e6], boxes, 101e6, begin)
        self.assertTrue(any(i.rx_freq == 100e6 for i in infos))

    def test_padding_is_no_signal(self):
        samples = np.concatenate([SCENE, 0.05 * np.ones(40_000, np.complex64)])
        _, caught = run(samples, tags=[tag(COUNT - 5, "radiofm_pad", COUNT)])
        self.assertTrue(all(i.sample_start + i.sample_count <= COUNT for i in caught.signals()))

    def test_each_comes_soon_after_its_end(self):
        """While the flowgraph runs, not only at its end."""
        x = np.concatenate([SCENE, scene()])
        tb, detector, caught = flowgraph(source=(source := blocks.vector_source_c(x, True)))
        tb.connect(source, blocks.null_sink(gr.sizeof_gr_complex))
        tb.start()
        end = time.monotonic() + LONG
        while len(caught.messages["signals"]) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        tb.stop()
        tb.wait()
        self.assertGreaterEqual(len(caught.messages["signals"]), 3)

    def test_started_again_it_begins_anew(self):
        """Samples and signals count from 0, in a run of another number."""
        head = blocks.head(gr.sizeof_gr_complex, COUNT)
        tb, detector, _ = flowgraph(source=head)
        tb.connect(blocks.vector_source_c(SCENE, True), head)
        read = reader()
        tb.msg_connect(detector, "signals", read, "signals")
        tb.run()
        first, read.infos = read.infos, []
        head.reset()
        tb.run()
        again = read.infos
        self.assertTrue(first and again)
        self.assertEqual(again[0].signal.signal, 0)
        self.assertTrue(all(i.sample_start + i.sample_count <= COUNT for i in again))
        self.assertEqual(len({i.run for i in first} | {i.run for i in again}), 2)
        self.assertEqual(detector.signals(), len({i.signal.signal for i in again}))

    def test_settings_may_change(self):
        detector, caught = run(least_hertz=500e3)
        self.assertEqual(caught.signals(), [])
        detector.set_least_hertz(0.0)
        detector.set_false_boxes(0.5)
        detector.set_min_level_db(2.0)
        detector.set_least_seconds(0.001)
        detector.set_pause(0.1)
        detector.set_longest(2.0)
        self.assertEqual(detector.settings(), Settings(
            false_boxes=0.5, min_level_db=2.0, least_seconds=0.001, least_hertz=0.0, pause=0.1, longest=2.0))
        with self.assertRaisesRegex(ValueError, "Signal Detector: longest"):
            detector.set_longest(0)
        self.assertEqual(detector.settings().longest, 2.0)

    def test_a_fault_does_not_end_the_flowgraph(self):
        tb, detector, caught = flowgraph()

        class broken:
            def take(self, number, rows):
                raise RuntimeError("no luck")

            def flush(self):
                return []

        detector._library = type("library", (), {"Finder": lambda *_: broken()})
        tb.run()
        self.assertGreaterEqual(detector.failed(), 1)
        self.assertIn("no luck", caught.reasons()[0])

    def test_arguments(self):
        for arguments, words in [({"fft_size": 10}, "fft_size"), ({"hop": 0}, "hop"),
                                 ({"averaging": 0}, "averaging"), ({"window": [1.0, 2.0]}, "window"),
                                 ({"samp_rate": -1}, "samp_rate"), ({"false_boxes": 0}, "false_boxes")]:
            with self.assertRaisesRegex(ValueError, f"Signal Detector: .*{words}"):
                radiofm.signal_detector(**arguments)
        detector = radiofm.signal_detector(window=[1.0] * 1024)
        self.assertEqual((detector.samp_rate(), detector.sent()), (0.0, 0))


if __name__ == "__main__":
    gr_unittest.run(qa_signal_detector)
