#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labelled Waterfall: what it keeps of rows, where boxes are, what it asks for; and in a flowgraph."""

import importlib.util
import os
import time
import unittest

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm import messages
from gnuradio.radiofm.common.messages import Prediction, Signal, TileInfo
from gnuradio.radiofm.qt import words
from gnuradio.radiofm.qt.rows import RowRing, to_colours
from gnuradio.radiofm.qt.waterfall import Area, Waterfall

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HAS_QT = all(importlib.util.find_spec(name) for name in ("PyQt5", "pyqtgraph"))
RATE, STRIDE, BINS = 1e6, 1000, 64  # 1000 rows a second


def rows(count, value=-80.0):
    return np.full((count, BINS), value, np.float32)


def signal(number, start, count, lower, upper, part=0, ended=True, rx_freq=None, **more):
    return TileInfo(start, count, RATE, rx_freq, freq_lower_edge=lower, freq_upper_edge=upper,
                    signal=Signal(number, part, ended, 12.0, upper - lower, count / RATE), **more)


def decided(info, label, confidence=0.9, unknown=False, labels=("lora", "ook")):
    return Prediction(info, "classification", label, confidence, unknown, labels, np.zeros(len(labels)))


class Rows(gr_unittest.TestCase):
    def test_a_short_burst_is_seen_in_its_line(self):
        ring = RowRing(BINS, STRIDE, 60, 50)  # 20 rows in a line
        ring.begin(0, RATE)
        many = rows(1000)
        many[437, 5] = -10
        for start in range(0, 1000, 37):  # in pieces that fit no line
            ring.put(many[start:start + 37])
        (picture,) = ring.pictures(0, 10, 1000)
        self.assertEqual(picture.values.shape, (50, BINS))
        found = np.argwhere(picture.values > -5000)
        np.testing.assert_array_equal(found, [[437 // 20, 5]])
        self.assertEqual((picture.first, picture.last), (0.0, 1.0))
        self.assertAlmostEqual(picture.lower, -RATE / 2 - RATE / BINS / 2)
        self.assertAlmostEqual(picture.upper, RATE / 2 - RATE / BINS / 2)

    def test_rows_in_any_pieces_make_the_same_lines(self):
        random = np.random.default_rng(1)
        many = random.normal(-80, 5, (530, BINS)).astype(np.float32)
        expected = many[:520].reshape(26, 20, BINS).max(1)
        for piece in (1, 7, 20, 64, 530):
            ring = RowRing(BINS, STRIDE, 60, 50)
            ring.begin(0, RATE)
            for start in range(0, 530, piece):
                ring.put(many[start:start + piece])
            (picture,) = ring.pictures(0, 10, 1000)
            np.testing.assert_allclose(picture.values / 100, expected, atol=0.011)

    def test_memory_is_bounded_and_the_newest_are_kept(self):
        ring = RowRing(BINS, STRIDE, 2, 50)
        ring.begin(0, RATE)
        for second in range(10):
            ring.put(rows(1000, -90.0 + second))
        first, last = ring.span()
        self.assertEqual((first, last), (8.0, 10.0))
        (picture,) = ring.pictures(0, 100, 1000)
        self.assertEqual(len(picture.values), 100)
        np.testing.assert_array_equal(np.unique(picture.values), [-8200, -8100])

    def test_fewer_lines_than_kept_are_the_strongest_of_several(self):
        ring = RowRing(BINS, STRIDE, 60, 50)
        ring.begin(0, RATE)
        many = rows(2000)
        many[1111, 7] = 0
        ring.put(many)
        (picture,) = ring.pictures(0, 2, 10)
        self.assertEqual(len(picture.values), 10)
        np.testing.assert_array_equal(np.argwhere(picture.values == 0), [[1111 // 200, 7]])

    def test_another_frequency_is_another_stretch(self):
        ring = RowRing(BINS, STRIDE, 60, 50)
        ring.begin(0, RATE, 433e6, 433e6, 1.7e9)
        ring.put(rows(1000))
        ring.begin(1_000_000, RATE, 433e6, 433e6, 1.7e9 + 1.0)  # the same goes on
        ring.put(rows(1000))
        ring.begin(2_000_000, RATE, 868e6, 868e6, 1.7e9 + 2.0)
        ring.put(rows(500))
        pictures = ring.pictures(0, 10, 1000)
        self.assertEqual([(p.first, p.last) for p in pictures], [(0.0, 2.0), (2.0, 2.5)])
        self.assertAlmostEqual(pictures[1].lower, 868e6 - RATE / 2 - RATE / BINS / 2)
        self.assertEqual(ring.clock_of(2.25), 1.7e9 + 2.25)
        self.assertEqual(ring.at_sample(1_999_999).centre, 433e6)

    def test_wide_rows_are_folded_by_their_strongest(self):
        ring = RowRing(10_000, 10_000, 60, 1000)
        ring.begin(0, RATE)
        row = np.full((1, 10_000), -80, np.float32)
        row[0, 7777] = -3
        ring.put(row)
        (picture,) = ring.pictures(0, 1, 100)
        self.assertLessEqual(picture.values.shape[1], 2048)
        self.assertEqual(picture.values.max(), -300)
        self.assertEqual(ring.level(0.001, -RATE / 2 + 7777 * RATE / 10_000), -3.0)
        self.assertEqual(ring.level(0.001, 0.0), -80.0)

    def test_what_is_no_number_is_the_lowest(self):
        ring = RowRing(BINS, STRIDE, 60, 1000)
        ring.begin(0, RATE)
        row = rows(1)
        row[0, :3] = np.nan, np.inf, -np.inf
        ring.put(row)
        np.testing.assert_array_equal(ring.pictures(0, 1, 9)[0].values[0, :4], [-20000, 20000, -20000, -8000])

    def test_colours(self):
        values = np.array([[-30000, -9000, -5000, -1000, 30000]], np.int16)
        np.testing.assert_array_equal(to_colours(values, -90, -10)[0], [0, 0, 127, 255, 255])

    def test_range(self):
        ring = RowRing(BINS, STRIDE, 60, 50)
        self.assertIsNone(ring.range())
        ring.begin(0, RATE)
        many = rows(1000)
        many[:, 30] = -20
        ring.put(many)
        self.assertEqual(ring.range(), (-80.0, -20.0))


class Boxes(gr_unittest.TestCase):
    def setUp(self):
        self.sent = []
        self.model = Waterfall(RowRing(BINS, STRIDE, 60, 50), self.sent.append)
        self.model.rows.begin(0, RATE, 433e6, 433e6)
        self.model.rows.put(rows(5000))

    def add(self, number, start, label="", **more):
        info = signal(number, start, 100_000, 433.1e6, 433.12e6, rx_freq=433e6)
        self.model.add_signal(info)
        if label:
            self.model.add_prediction(decided(info, label, **more))
        return self.model.boxes.all()[-1]

    def test_a_signal_is_where_it_is(self):
        self.assertEqual(self.model.area(self.add(3, 500_000)), Area(0.5, 0.6, 433.1e6, 433.12e6))

    def test_parts_are_one_box_with_the_latest_label(self):
        for part in range(3):
            info = signal(7, 1_000_000 * part, 1_000_000, 433.1e6 + part, 433.2e6 + part, part, part == 2,
                          rx_freq=433e6)
            self.model.add_signal(info)
            self.model.add_prediction(decided(info, ("ook", "lora", "lora")[part]))
        (box,) = self.model.boxes.all()
        self.assertEqual((box.first, box.last, box.label), (0, 3_000_000, "lora"))
        self.assertEqual((box.lower, box.upper), (433.1e6, 433.2e6 + 2))
        self.assertEqual(box.place[0], 2_500_000)  # in the part that the classifier decided last

    def test_tiles_that_follow_one_another_are_one_box(self):
        for tile, label in enumerate(("ook", "ook", "lora", "ook")):
            info = TileInfo(tile * 16384, 16512, RATE, 433e6, tile=tile, freq_lower_edge=432.9e6,
                            freq_upper_edge=433e6)
            self.model.add_prediction(decided(info, label))
        found = [(box.label, box.first, box.last) for box in self.model.boxes.all()]
        self.assertEqual(found, [("ook", 0, 16384 + 16512), ("lora", 32768, 32768 + 16512),
                                 ("ook", 49152, 49152 + 16512)])

    def test_a_block_without_a_band_is_the_whole_band(self):
        self.model.add_prediction(decided(TileInfo(0, 2048, RATE), "beam 1"))
        self.assertEqual(self.model.area(self.model.boxes.all()[0])[2:], (432.5e6, 433.5e6))

    def test_around_zero_lies_where_the_band_is(self):
        self.model.rows.begin(5_000_000, RATE, 868e6, None)  # the user said so; the messages do not know
        self.model.add_signal(signal(1, 5_000_000, 1000, -200e3, -100e3))
        self.assertEqual(self.model.area(self.model.boxes.all()[0])[2:], (867.8e6, 867.9e6))
        self.model.rows.put(rows(1000))
        self.model.teach_place("x", Area(5.0, 5.2, 867.8e6, 868e6))
        self.assertEqual(self.sent[-1], {"command": "enroll", "label": "x", "source": "at", "shots": 1,
                                         "sample_start": 5_100_000, "frequency": -100e3})

    def test_what_stands_at_a_box(self):
        self.assertEqual(self.add(1, 0).text(), "")
        self.assertEqual(self.add(2, 0, "lora", confidence=0.876).text(), "lora 87 %")
        self.assertEqual(self.add(3, 0, "lora", confidence=1.0).text(), "lora 99 %")
        unknown = self.add(4, 0, "unknown", unknown=True)
        self.assertEqual((unknown.text(), unknown.chip()), ("unknown", "?"))
        self.assertEqual(self.add(6, 0, "unknown 3", unknown=True).chip(), "?3")
        only = self.add(5, 0, "lora", confidence=1.0, labels=("lora",))
        self.assertEqual(only.text(), "lora (too few labels to tell)")

    def test_a_rectangle_means_what_lies_in_it(self):
        boxes = [self.add(i, 200_000 * i) for i in range(4)]
        self.assertEqual(self.model.chosen(Area(0.15, 0.55, 433e6, 433.2e6)), boxes[1:3])
        inside = Area(0.24, 0.26, 433.105e6, 433.115e6)
        self.assertEqual(self.model.chosen(inside), [boxes[1]])
        self.assertEqual(self.model.chosen(Area(3.0, 3.1, 433e6, 433.2e6)), [])

    def test_a_click_means_the_smallest(self):
        big = signal(8, 0, 4_000_000, 432.8e6, 433.4e6, rx_freq=433e6)
        self.model.add_signal(big)
        small = self.add(9, 1_000_000)
        self.assertEqual(self.model.at(1.05, 433.11e6), small)
        self.assertEqual(self.model.at(2.0, 433.11e6).signal, 8)
        self.assertIsNone(self.model.at(4.5, 433.11e6))

    def test_teaching_asks_by_time_frequency_and_number(self):
        box = self.add(5, 1_000_000, "unknown", unknown=True)
        self.model.teach("remote", [box])
        self.assertEqual(self.sent, [{"command": "enroll", "label": "remote", "source": "at", "shots": 1,
                                      "sample_start": 1_050_000, "frequency": 433.11e6, "signal": 5}])
        self.model.answered("enroll", True, "", "remote", 1)
        (named,) = self.model.boxes.all()
        self.assertEqual((named.text(), named.unknown), ("remote (taught)", False))
        self.assertEqual(self.model.notes.pop().text, "'remote' is taught, with 1 shot")

    def test_a_refusal_is_said_and_nothing_changes(self):
        box = self.add(5, 0, "ook")
        self.model.teach("remote", [box])
        reason = "no signal holds sample 50000: dropped, or no longer kept"
        self.model.answered("enroll", False, reason, "remote")
        note = self.model.notes.pop()
        self.assertEqual(note.text, "'remote' is not taught: it is no longer kept, or was dropped. "
                                    "Choose a newer one")
        self.assertFalse(note.good)
        self.assertEqual(self.model.boxes.all()[0].label, "ook")

    def test_not_this(self):
        self.model.not_this(self.add(5, 0, "ook"))
        self.assertEqual(self.sent[0]["label"], "not ook")
        self.model.answered("enroll", True, "", "not ook", 1)
        self.assertTrue(self.model.boxes.all()[0].stranger)

    def test_rename_and_forget(self):
        self.add(1, 0, "ook")
        self.add(2, 0, "lora")
        self.model.rename("ook", "remote")
        self.model.answered("rename", True, "", "remote", 5)
        self.assertEqual([box.label for box in self.model.boxes.all()], ["remote", "lora"])
        self.model.rename("lora", "remote")
        self.model.answered("rename", False, "there is a label 'remote' already", "lora")
        self.assertEqual(self.model.notes.pop().text,
                         "'lora' is not renamed: there is a label 'remote' already")
        self.model.forget("remote")
        self.assertEqual(self.sent[-1], {"command": "remove", "label": "remote"})
        self.model.answered("remove", True, "", "remote")
        self.assertEqual([box.text() for box in self.model.boxes.all()], ["unknown", "lora 90 %"])

    def test_next_of_its_kind_goes_round(self):
        a, _, c = self.add(1, 0, "ook"), self.add(2, 300_000, "lora"), self.add(3, 600_000, "ook")
        self.assertEqual(self.model.boxes.next_of_kind(a), c)
        self.assertEqual(self.model.boxes.next_of_kind(c), a)
        self.assertIsNone(self.model.boxes.next_of_kind(self.model.boxes.all()[1]))

    def test_boxes_are_bounded(self):
        for number in range(5000):
            self.model.add_signal(signal(number, 1000 * number, 500, 0, 1e3))
        kept = self.model.boxes.all()
        self.assertEqual((len(kept), kept[-1].signal), (4000, 4999))
        self.model.boxes.forget_before(4_000_000)
        self.assertEqual(self.model.boxes.all()[0].signal, 4000)


class Words(gr_unittest.TestCase):
    def test_as_people_write_them(self):
        self.assertEqual(words.frequency(433.92e6), "433.92 MHz")
        self.assertEqual(words.frequency(433.921234e6, 1e3), "433.921 MHz")
        self.assertEqual(words.frequency(-12.5e3), "-12.5 kHz")
        self.assertEqual(words.moment(75.25, None, 0.01), "1:15.25")
        self.assertEqual(words.moment(5.25, None, 0.01), "5.25 s")
        self.assertEqual(words.moment(5.0, 12.0, 1.0), "0:05")  # a clock that counts from power-up
        self.assertEqual(words.moment(0, 1796133787.996, 0.01), "14:03:08.00")
        self.assertEqual(words.moment(0, 1796133787.25, 1), "14:03:07")
        self.assertEqual([words.duration(s) for s in (0.0123, 0.43, 5, 125, 7330)],
                         ["12.3 ms", "430 ms", "5 s", "2 min 5 s", "2 h 2 min"])


@unittest.skipUnless(HAS_QT, "PyQt5 or pyqtgraph is not installed")
class Flowgraph(gr_unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from PyQt5 import QtWidgets
        cls.app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])

    def setUp(self):
        self.tb = gr.top_block()

    def run_it(self, many, tags=(), **settings):
        source = blocks.vector_source_f(many.ravel().tolist(), False, BINS, list(tags))
        block = radiofm.labelled_waterfall(fft_size=BINS, hop=STRIDE, averaging=1, **settings)
        self.tb.connect(source, block)
        return block

    @staticmethod
    def tag(offset, key, value):
        made = gr.tag_t()
        made.offset, made.key, made.value = offset, pmt.intern(key), value
        return made

    def test_rows_and_tags_of_a_stream(self):
        many = rows(3000)
        many[2500, 9] = -5
        block = self.run_it(many, [self.tag(0, "rx_rate", pmt.from_double(RATE)),
                                   self.tag(0, "rx_freq", pmt.from_double(433e6)),
                                   self.tag(2000, "rx_freq", pmt.from_double(434e6))])
        self.tb.run()
        pictures = block._model.rows.pictures(0, 9, 1000)
        self.assertEqual([(p.first, p.last) for p in pictures], [(0.0, 2.0), (2.0, 3.0)])
        np.testing.assert_array_equal(np.argwhere(pictures[1].values == -500), [[25, 9]])

    def test_without_a_rate_it_says_so(self):
        block = self.run_it(rows(10))
        told = blocks.message_debug()
        self.tb.msg_connect(block, "status", told, "store")
        self.tb.run()
        self.assertEqual(block.skipped(), 10)
        self.assertIn("sample rate is not known", pmt.to_python(told.get_message(0))["reason"])

    def test_messages_good_and_bad(self):
        block = self.run_it(rows(10), samp_rate=RATE)
        told = blocks.message_debug()
        self.tb.msg_connect(block, "status", told, "store")
        post = block.to_basic_block()._post
        post(messages.PREDICTIONS, pmt.intern("nonsense"))
        post(messages.SIGNALS, pmt.PMT_NIL)
        post(pmt.intern("answers"), pmt.from_long(5))
        info = signal(1, 0, 5000, -1e3, 1e3)
        post(messages.SIGNALS, messages.signal_pdu(info))
        post(messages.PREDICTIONS, messages.prediction_pdu(decided(info, "lora")))
        self.tb.start()
        deadline = time.monotonic() + 20
        while block.received() < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        self.tb.wait()
        self.assertEqual((block.received(), block.refused()), (5, 3))
        self.assertEqual([box.label for box in block._model.boxes.all()], ["lora"])
        self.assertEqual(told.num_messages(), 3)

    def test_it_asks_the_classifier(self):
        block = self.run_it(rows(10), samp_rate=RATE)
        asked = blocks.message_debug()
        self.tb.msg_connect(block, "prototypes", asked, "store")
        self.tb.start()
        self.tb.wait()
        block._model.teach_place("x", Area(0, 0.01, 0, 2e3))
        block._model.rename("x", "y")
        # the reader has ended with its flowgraph: what it got waits at its port
        self.assertEqual(asked.to_basic_block().nmsgs(pmt.intern("store")), 2)

    def test_fewer_rows_are_looked_at_where_that_costs_too_much(self):
        block = self.run_it(rows(10), samp_rate=RATE)
        block._model.rows.begin(0, RATE)
        block._since, block._busy = time.perf_counter() - 1.0, 0.9
        block._watch_cost(time.perf_counter())
        self.assertEqual(block._model.step, 2)
        self.assertIn("1 row of 2 is looked at", block._model.density())
        block._since, block._busy = time.perf_counter() - 1.0, 0.0
        block._watch_cost(time.perf_counter())
        self.assertEqual(block._model.step, 1)

    def test_bad_parameters_are_named(self):
        for settings, name in (({"samp_rate": -1}, "samp_rate"), ({"fft_size": 3}, "fft_size"),
                               ({"history": 0}, "history"), ({"lines": 1e6}, "lines"),
                               ({"theme": "pink"}, "theme"), ({"hop": 0}, "hop"),
                               ({"center_freq": float("nan")}, "center_freq")):
            with self.assertRaisesRegex(ValueError, f"Labelled Waterfall: {name}"):
                radiofm.labelled_waterfall(**settings)


if __name__ == "__main__":
    gr_unittest.run(Rows)
    gr_unittest.run(Boxes)
    gr_unittest.run(Words)
    gr_unittest.run(Flowgraph)
