#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the Signal Watch: what is new, the state file, time, bad messages, bounded queues, the end."""

import json
import os
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
from gnuradio.radiofm.common import backlog, runs
from radiofm_ml.watch import state
from radiofm_ml.watch.events import Event
from radiofm_ml.watch.settings import Settings
from radiofm_ml.watch.watch import Watch

RATE = 1e6
LEARN = 60.0


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("did not happen in time")
        time.sleep(0.002)


def heard(at, label="lora", frequency=100e6, seconds=0.1, **about):
    """A prediction PDU of a signal of 10 kHz at so many seconds."""
    values = {"sample_rate": RATE, "rx_freq": 100e6, "run": 7, "freq_lower_edge": frequency - 5e3,
              "freq_upper_edge": frequency + 5e3, **about}
    info = messages.TileInfo(round(at * RATE), round(seconds * RATE), **values)
    return messages.prediction_pdu(messages.Prediction(info, label=label, unknown=label == "unknown"))


def every(step, until, since=0.0, **about):
    return [heard(at, **about) for at in np.arange(since, until, step).tolist()]


NORMAL = every(1.0, LEARN + 1)
CHANGED = sorted(every(1.0, LEARN + 20, LEARN + 1) + every(1.0, LEARN + 20, LEARN + 5, label="wifi",
                                                           frequency=100.2e6),
                 key=lambda pdu: messages.parse_prediction(pdu).info.sample_start)


class qa_signal_watch(gr_unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.kept = str(Path(self.folder.name) / "home.json")

    def tearDown(self):
        self.folder.cleanup()

    def start(self, **options):
        """A watch that runs, and what it says."""
        self.watch = radiofm.signal_watch(**{"learn": LEARN, "false_alarms": 10.0, "real_time": False,
                                             **options})
        self.said = blocks.message_debug()
        self.answers = blocks.message_debug()
        self.tb = gr.top_block()
        self.tb.msg_connect(self.watch, "alarms", self.said, "store")
        self.tb.msg_connect(self.watch, "status", self.answers, "store")
        self.tb.start()
        return self.watch

    def tell(self, pdus, port="predictions"):
        seen = self.watch.received() + len(pdus)
        for pdu in pdus:
            self.watch.to_basic_block()._post(pmt.intern(port), pdu)
        until(lambda: self.watch.received() == seen and self.watch._queue.unfinished_tasks == 0)

    def end(self):
        self.tb.stop()
        self.tb.wait()

    def alarms(self):
        until(lambda: self.said.num_messages() == self.watch.alarms())
        return [pmt.to_python(self.said.get_message(i)) for i in range(self.said.num_messages())]

    def status(self, count):
        until(lambda: self.answers.num_messages() >= count)
        return [pmt.to_python(self.answers.get_message(i)) for i in range(self.answers.num_messages())]

    # -- what is new ----------------------------------------------------------------------------------
    def test_a_new_label_is_said_once_with_time_and_frequency(self):
        self.start()
        self.tell(NORMAL)
        self.assertFalse(self.watch.learning())
        (learned,) = self.status(1)
        self.assertEqual((learned["command"], learned["ok"]), ("watch", True))
        self.assertIn("1 labels", learned["reason"])
        self.tell([heard(at, **{"label": label, "frequency": f, "rx_time": (1000 + int(at), at % 1)})
                   for at in np.arange(LEARN + 1, LEARN + 20)
                   for label, f in (("lora", 100e6), ("wifi", 100.2e6))])
        (alarm,) = self.alarms()
        self.assertEqual((alarm["kind"], alarm["label"], alarm["run"]), ("new", "wifi", 7))
        self.assertEqual((alarm["freq_lower_edge"], alarm["freq_upper_edge"]), (100.195e6, 100.205e6))
        self.assertEqual(alarm["since"], LEARN + 1)
        self.assertLess(alarm["since"], alarm["time"])
        self.assertLess(alarm["time"], LEARN + 8)
        seconds, fraction = alarm["rx_time"]
        self.assertAlmostEqual(seconds + fraction - 1000, alarm["time"], places=6)
        self.assertIn("never in", alarm["reason"])
        self.end()

    def test_it_says_what_the_library_says(self):
        """Moved, new and silent, as ``Watch`` has them, of parts and of unknown signals."""
        told = NORMAL + every(0.5, LEARN + 60, LEARN + 1, label="unknown", frequency=100.4e6) + every(
            1.0, LEARN + 90, LEARN + 61, frequency=100.3e6)
        library = Watch(Settings(10.0, LEARN))
        expected = []
        for pdu in told:
            p = messages.parse_prediction(pdu)
            start, stop = p.info.sample_start / RATE, (p.info.sample_start + p.info.sample_count) / RATE
            expected += library.feed([Event(start, stop, p.label, p.info.freq_lower_edge,
                                            p.info.freq_upper_edge)])
        self.assertEqual({alarm.kind for alarm in expected}, {"new", "moved", "silent"})
        self.start()
        self.tell(told)
        self.assertEqual([(a["kind"], a["label"], a["time"], a["since"], a["reason"]) for a in self.alarms()],
                         [(a.kind, a.label, a.time, a.since, a.reason) for a in expected])
        self.end()

    def test_detection_alone(self):
        """Port ``signals``: a signal where there was none."""
        def pdu(at, frequency):
            info = messages.parse_prediction(heard(at, frequency=frequency)).info
            info.signal = messages.Signal(int(at))
            return messages.signal_pdu(info)

        self.start()
        self.tell([pdu(at, 100e6) for at in range(int(LEARN) + 1)], "signals")
        self.tell([pdu(at, 100.3e6) for at in range(int(LEARN) + 1, int(LEARN) + 20)], "signals")
        self.assertIn(("moved", "signal"), {(a["kind"], a["label"]) for a in self.alarms()})
        self.end()

    def test_tiles_without_edges_have_the_band_of_the_stream(self):
        self.start()
        self.tell([heard(at, freq_lower_edge=None, freq_upper_edge=None) for at in range(int(LEARN) + 1)])
        self.tell([heard(at, label="b", freq_lower_edge=None, freq_upper_edge=None, rx_freq=None)
                   for at in range(int(LEARN) + 1, int(LEARN) + 20)])
        (alarm,) = [a for a in self.alarms() if a["kind"] == "new"]
        self.assertEqual((alarm["freq_lower_edge"], alarm["freq_upper_edge"]), (-RATE / 2, RATE / 2))
        self.end()

    # -- time -----------------------------------------------------------------------------------------
    def test_silence_is_noticed_when_nothing_comes(self):
        self.start(real_time=True, learn=2.0, pause=0.01, false_alarms=1000.0)
        self.tell([heard(at, seconds=0.01) for at in np.arange(0.0, 2.05, 0.05)])
        until(lambda: self.watch.alarms() == 1)
        (alarm,) = self.alarms()
        self.assertEqual((alarm["kind"], alarm["label"]), ("silent", "lora"))
        self.assertAlmostEqual(alarm["since"], 2.01, places=6)
        self.end()

    def test_time_stands_still_between_messages_where_it_is_told_to(self):
        self.start(learn=0.5, pause=0.01, false_alarms=1000.0)
        self.tell([heard(at, seconds=0.01) for at in np.arange(0.0, 0.6, 0.02)])
        listened = self.watch.listened()
        time.sleep(0.8)
        self.assertEqual((self.watch.listened(), self.watch.alarms()), (listened, 0))
        self.watch.set_real_time(True)
        until(lambda: self.watch.alarms() == 1)
        self.end()

    def test_another_run_or_rate_follows_what_was_heard(self):
        self.start()
        self.tell(NORMAL)
        self.tell(every(1.0, 20.0, run=8) + every(1.0, 1020.0, 1000.0, run=9))
        self.tell([heard(at, run=9, sample_rate=2 * RATE, seconds=0.2) for at in range(10)])
        self.assertEqual(self.watch.alarms(), 0)
        self.assertAlmostEqual(self.watch.listened(), LEARN + 0.1 + 19.1 + 19.1 + 4.6, places=3)
        self.end()

    # -- the file -------------------------------------------------------------------------------------
    def test_a_watch_goes_on_where_it_was(self):
        self.start(filename=self.kept)
        self.tell(NORMAL)
        self.end()
        self.assertEqual(state.load(self.kept).listened, self.watch.listened())
        self.start(filename=self.kept, learn=1000.0, false_alarms=5.0)  # it has learned
        self.assertFalse(self.watch.learning())
        self.tell([heard(at, **{"run": 9, "label": "new", "frequency": 100.2e6}) for at in range(30)])
        self.assertEqual([a["label"] for a in self.alarms() if a["kind"] == "new"], ["new"])
        self.end()
        changed = state.load(self.kept)
        self.assertEqual((changed.settings.false_alarms, changed.settings.learn), (5.0, LEARN))
        self.start(filename=self.kept)
        self.tell([heard(at, **{"run": 10, "label": "new", "frequency": 100.2e6}) for at in range(30)])
        self.assertEqual([a for a in self.alarms() if a["kind"] == "new"], [])
        self.end()

    def test_what_was_learned_is_kept_at_once(self):
        self.start(filename=self.kept)
        self.tell(NORMAL)
        self.assertFalse(state.load(self.kept).learning)
        self.end()

    def test_the_state_is_written_from_time_to_time(self):
        with mock.patch.dict(vars(sys.modules[radiofm.signal_watch.__module__]), {"_SAVED": 0.05}):
            self.start(filename=self.kept)
            self.tell(NORMAL[:10])
            time.sleep(0.1)
            self.tell(NORMAL[10:11])
            until(lambda: os.path.exists(self.kept))
            until(lambda: state.load(self.kept).listened >= 9.1)
            self.end()

    def test_a_state_that_cannot_be_written_is_said_and_all_goes_on(self):
        self.start(filename=self.kept)
        os.mkdir(self.kept)
        self.tell(NORMAL)
        answers = self.status(2)
        self.assertTrue(any(not a["ok"] and "home.json" in a["reason"] for a in answers))
        self.tell(CHANGED)
        self.assertEqual([a["label"] for a in self.alarms()], ["wifi"])
        self.end()
        self.assertGreaterEqual(self.watch.failed(), 1)

    def test_what_cannot_be_is_refused_at_once(self):
        Path(self.kept).write_text("{}")
        for options, words in (({"learn": 0}, "learn must"), ({"false_alarms": -1}, "false_alarms must"),
                               ({"pause": 7.0}, "pause must"), ({"tolerance": -1}, "tolerance must"),
                               ({"max_queue": 0}, "max_queue must"), ({"filename": self.kept}, "no watch"),
                               ({"filename": "x.txt"}, "must end in .json"),
                               ({"filename": "no/where.json"}, "create it")):
            with self.assertRaisesRegex(ValueError, f"Signal Watch: .*{words}"):
                radiofm.signal_watch(**{"learn": LEARN, **options})
        self.assertEqual(Path(self.kept).read_text(), "{}")

    def test_another_pause_than_it_learned_with_is_refused(self):
        self.start(filename=self.kept)
        self.tell(NORMAL)
        self.end()
        with self.assertRaisesRegex(ValueError, "home.json: has learned with a pause of 0.6 s, not 1 s"):
            radiofm.signal_watch(learn=LEARN, filename=self.kept, pause=1.0)

    # -- settings -------------------------------------------------------------------------------------
    def test_settings_change_while_it_runs(self):
        self.start(false_alarms=0.001)
        self.tell(NORMAL[:30])
        self.watch.set_learn(20.0)
        self.assertFalse(self.watch.learning())
        self.assertIn("has learned", self.status(1)[0]["reason"])
        self.watch.set_false_alarms(1000.0)
        self.watch.set_tolerance(1e6)
        self.tell(every(1.0, 40.0, 30.0, frequency=100.3e6))
        self.assertEqual(self.watch.alarms(), 0)
        self.tell([heard(41.0, label="b")])
        self.assertEqual([a["kind"] for a in self.alarms()], ["new"])
        for setter, value in ((self.watch.set_false_alarms, 0), (self.watch.set_tolerance, -1),
                              (self.watch.set_max_queue, 0)):
            with self.assertRaisesRegex(ValueError, "Signal Watch"):
                setter(value)
        self.end()

    def test_what_cannot_be_found_is_said(self):
        self.start(false_alarms=1e-6, pause=6.0)
        self.tell(NORMAL)
        reasons = [a["reason"] for a in self.status(3) if not a["ok"]]
        self.assertEqual(len(reasons), 2)
        self.assertIn("too little was learned for alarms of what is new at 1e-06 an hour", reasons[0])
        self.end()

    # -- bad messages ---------------------------------------------------------------------------------
    def test_messages_that_say_nothing_are_refused_with_a_reason(self):
        self.start()
        regression = messages.prediction_pdu(messages.Prediction(
            messages.TileInfo(0, 10, RATE), labels=("x",), scores=np.ones(1, np.float32), unit="m"))
        bad = [pmt.PMT_NIL, pmt.intern("x"), pmt.make_dict(), regression, heard(0.0, sample_rate=None),
               heard(0.0, freq_lower_edge=2.0, freq_upper_edge=1.0)]
        self.tell(bad)
        reasons = [a["reason"] for a in self.status(len(bad))]
        self.assertEqual(self.watch.refused(), len(bad))
        self.assertTrue(all(not a["ok"] and a["command"] == "watch" for a in self.status(len(bad))))
        self.assertTrue(any("must have a label" in reason for reason in reasons))
        self.assertTrue(any("give samp_rate" in reason for reason in reasons))
        self.assertTrue(any("ascend" in reason for reason in reasons))
        self.tell([pmt.PMT_T, messages.signal_pdu(messages.TileInfo(0, 1, RATE))], "signals")
        self.assertEqual(self.watch.refused(), len(bad) + 2)
        self.tell(NORMAL + CHANGED)
        self.assertEqual([a["label"] for a in self.alarms()], ["wifi"])
        self.end()

    def test_random_messages_end_nothing(self):
        rng = np.random.default_rng(1)
        values = [pmt.from_double(float("nan")), pmt.from_long(-1), pmt.from_uint64(2**63), pmt.PMT_NIL,
                  pmt.intern("x"), pmt.from_double(1e300), pmt.make_dict(), pmt.from_bool(True)]
        keys = ["sample_start", "sample_count", "sample_rate", "freq_lower_edge", "freq_upper_edge", "label",
                "run", "rx_time", "signal", "unknown", "rx_freq"]
        pdus = []
        for _ in range(300):
            meta = pmt.car(heard(1.0))
            for key in rng.choice(keys, 2):
                meta = pmt.dict_add(meta, pmt.intern(str(key)), values[rng.integers(len(values))])
            pdus.append(pmt.cons(meta, pmt.init_f32vector(0, [])))
        self.start()
        self.tell(pdus)
        self.assertGreater(self.watch.refused(), 100)
        self.assertEqual(self.watch.failed(), 0)
        self.end()

    def test_a_failure_within_is_said_once_and_counted(self):
        self.start()
        with mock.patch.object(Watch, "feed", side_effect=KeyError("odd")):
            self.tell(NORMAL[:5])
        self.assertEqual(self.watch.failed(), 5)
        self.assertEqual(len(self.status(1)), 1)
        self.tell(NORMAL + CHANGED)
        self.assertEqual([a["label"] for a in self.alarms()], ["wifi"])
        self.end()

    def test_the_queue_is_bounded_and_what_is_lost_counted(self):
        self.start(max_queue=3)
        gate = threading.Event()
        feed = Watch.feed
        with mock.patch.object(Watch, "feed", lambda *given: gate.wait(60) and feed(*given)):
            for pdu in NORMAL[:20]:
                self.watch.handle_prediction(pdu)
            until(lambda: self.watch.received() == 20)
            gate.set()
            until(lambda: self.watch._queue.unfinished_tasks == 0)
        self.assertIn(self.watch.dropped(), (16, 17))
        self.end()

    # -- the end, and again ---------------------------------------------------------------------------
    def test_all_that_was_sent_is_heard_when_the_senders_end(self):
        watch = radiofm.signal_watch(LEARN, 10.0, self.kept, real_time=False)

        class ending(gr.sync_block):
            def __init__(self):
                gr.sync_block.__init__(self, "ending", [np.complex64], None)
                self.message_port_register_out(messages.PREDICTIONS)

            def start(self):
                backlog.begin_sending(self)
                return True

            def stop(self):
                for pdu in NORMAL + CHANGED:
                    self.message_port_pub(messages.PREDICTIONS, pdu)
                backlog.end_sending(self)
                return True

            def work(self, input_items, output_items):
                return len(input_items[0])

        tb, said, source = gr.top_block(), blocks.message_debug(), ending()
        tb.connect(blocks.null_source(8), blocks.head(8, 1000), source)
        tb.msg_connect(source, "predictions", watch, "predictions")
        tb.msg_connect(watch, "alarms", said, "store")
        tb.run()
        self.assertEqual((watch.received(), watch.alarms()), (len(NORMAL + CHANGED), 1))
        self.assertEqual(state.load(self.kept).listened, watch.listened())

    def test_started_again_it_goes_on(self):
        self.start()
        self.tell(NORMAL)
        self.end()
        self.tb.start()
        self.tell([heard(at, run=11) for at in range(20)])
        self.assertEqual(self.watch.alarms(), 0)
        self.assertAlmostEqual(self.watch.listened(), LEARN + 0.1 + 19.1, places=3)
        self.end()

    def test_messages_of_the_run_before_are_dropped(self):
        run = runs.begin()
        self.start()
        self.tell([heard(at, run=run) for at in range(5)])
        self.end()
        runs.end(run)
        for pdu in [heard(at, run=run) for at in range(3)]:
            self.watch.to_basic_block()._post(messages.PREDICTIONS, pdu)
        self.tb.start()
        until(lambda: self.watch.dropped() == 3)
        self.end()

    def test_a_locked_flowgraph_goes_on(self):
        self.start()
        self.tell(NORMAL)
        self.tb.lock()
        self.tb.unlock()
        self.tell(CHANGED)
        self.assertEqual([a["label"] for a in self.alarms()], ["wifi"])
        self.end()

    def test_json_of_the_state_is_plain(self):
        self.start(filename=self.kept)
        self.tell(NORMAL[:3])
        self.end()
        self.assertEqual(json.loads(Path(self.kept).read_text())["format"], "radiofm-watch")


if __name__ == "__main__":
    gr_unittest.run(qa_signal_watch)
