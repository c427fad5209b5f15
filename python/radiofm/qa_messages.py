#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of what the Python blocks share: reading messages and tags, backlogs, complaints, patient sources."""

import math
import threading

import pmt
from gnuradio import analog, blocks, gr, gr_unittest, radiofm
from gnuradio.radiofm.common import backlog, messages
from gnuradio.radiofm.common.complaints import Complaints
from gnuradio.radiofm.common.messages import MessageError
from gnuradio.radiofm.common.origin import Origin, contradiction, origins, rate_in_force, read_tags
from gnuradio.radiofm.common.overload import PATIENT

NO_TEXT = pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd")  # a symbol that is not UTF-8


class Log:
    def __init__(self):
        self.lines = []

    def warn(self, text):
        self.lines.append(text)


def tag(at, key, value):
    return gr.tag_utils.python_to_tag((at, key if isinstance(key, pmt.pmt_base) else pmt.intern(key), value))


class qa_messages(gr_unittest.TestCase):
    # -- values (lib/qa_tags.cc tests the readers) ------------------------------------------------------
    def test_values_in_every_form(self):
        for five in (pmt.from_long(5), pmt.from_uint64(5), pmt.from_double(5.0)):
            self.assertEqual((messages.number(five, int), messages.number(five, float)), (5, 5.0))
            self.assertEqual([messages.whole(five), messages.rate(five), messages.frequency(five)], [5] * 3)
            self.assertEqual(messages.time_from_pmt(five), (5, 0.0))
            for two in (pmt.make_tuple, pmt.cons):
                self.assertEqual(messages.time_from_pmt(two(five, pmt.from_double(0.5))), (5, 0.5))
        self.assertEqual(messages.time_from_pmt(pmt.to_pmt((100, 0.5))), (100, 0.5))
        self.assertEqual(messages.time_from_pmt(pmt.to_pmt([100, 0.5])), (100, 0.5))
        self.assertEqual(messages.number(pmt.from_long(-5), int), -5)

    def test_a_signal_there_and_back(self):
        signal = messages.Signal(7, 1, False, 12.5, 5e5, 1.3e-4, 1e6, 8, 0)
        info = messages.TileInfo(100, 130, 1e6, 100e6, (5, 0.25), "", 0, 0, 99e6, 99.5e6, 3, -4, signal)
        for samples in ([], [1 + 2j, -3.5j]):
            back, values = messages.parse_signal(messages.signal_pdu(info, samples))
            self.assertEqual((back, values.tolist()), (info, samples))
        bare = messages.TileInfo(100, 130, signal=messages.Signal(7))
        back, _ = messages.parse_signal(messages.signal_pdu(bare))
        self.assertEqual(back, bare)
        wide = pmt.cons(pmt.car(messages.signal_pdu(bare)), pmt.init_c64vector(2, [1j, 2]))
        self.assertEqual(messages.parse_signal(wide)[1].tolist(), [1j, 2])
        for payload in (pmt.init_f32vector(1, [1.0]), pmt.PMT_NIL, pmt.intern("x")):
            with self.assertRaisesRegex(MessageError, "payload must be a c32vector"):
                messages.parse_signal(pmt.cons(pmt.car(messages.signal_pdu(bare)), payload))
        for key, value in (("ended", 3), ("signal", -1), ("snr", "x"), ("lead", 0.5), ("rate", 0)):
            meta = pmt.dict_add(pmt.car(messages.signal_pdu(bare)), pmt.intern(key), pmt.to_pmt(value))
            with self.assertRaisesRegex(MessageError, f"'{key}'"):
                messages.parse_signal(pmt.cons(meta, pmt.init_c32vector(0, [])))

    def test_what_cannot_be_read_is_a_message_error(self):
        odd = [NO_TEXT, pmt.PMT_NIL, pmt.PMT_T, pmt.from_complex(1j), pmt.make_dict(),
               pmt.cons(NO_TEXT, NO_TEXT), pmt.make_tuple(NO_TEXT, NO_TEXT), pmt.from_double(math.nan),
               pmt.make_vector(3, NO_TEXT),
               pmt.init_f32vector(2, [1.0, math.nan]), pmt.init_u8vector(3, [1, 2, 3])]
        readers = [messages.whole, messages.rate, messages.frequency, messages.text, messages.time_from_pmt,
                   messages.vector, lambda v: messages.number(v, int), lambda v: messages.number(v, float)]
        for value in odd:
            for read in readers:
                with self.assertRaises(MessageError) as caught:
                    read(value)
                self.assertLess(len(str(caught.exception)), 200)
            if not pmt.is_bool(value):
                self.assertRaises(MessageError, messages.boolean, value)
        self.assertRaises(MessageError, messages.whole, pmt.from_long(-1))
        self.assertRaises(MessageError, messages.whole, pmt.from_uint64(2**64 - 1))
        self.assertRaises(MessageError, messages.keys, pmt.dict_add(pmt.make_dict(), NO_TEXT, pmt.PMT_T))

    def test_dicts_in_every_form(self):
        wanted = pmt.to_pmt({"beam": 3})
        for message in (wanted, pmt.cons(wanted, pmt.PMT_NIL), pmt.cons(wanted, pmt.init_u8vector(1, [1])),
                        pmt.cons(pmt.intern("beam"), pmt.from_long(3))):
            self.assertEqual(pmt.to_python(messages.open_dict(message)), {"beam": 3})
        for message in (pmt.PMT_NIL, pmt.PMT_T, pmt.intern("beam"), NO_TEXT, pmt.cons(pmt.PMT_T, pmt.PMT_T),
                        pmt.make_tuple(pmt.intern("beam"), pmt.from_long(3)), pmt.list1(pmt.PMT_NIL)):
            self.assertRaises(MessageError, messages.open_dict, message)

    def test_any_text_can_be_an_answer(self):
        answer = messages.status("x", False, "a lone surrogate: \udcff")
        self.assertIn("a lone surrogate", pmt.to_python(answer)["reason"])

    def test_times_move(self):
        self.assertEqual(messages.move_time((100, 0.5), -0.75), (99, 0.75))
        self.assertEqual(messages.time_after((100, 0.5), -3000, 1000.0), (97, 0.5))
        for seconds in (-101.0, math.nan, math.inf, 1e300):
            self.assertIsNone(messages.move_time((100, 0.5), seconds))
        self.assertIsNone(messages.time_after((0, 0.0), -1, 1e6))
        self.assertEqual(messages.time_of_item((0, 0.0), 1000, 4000, 1000.0), ((3, 0.0), True))
        self.assertRaises(MessageError, messages.time_of_item, (5, 0.0), 1, 4, None)

    # -- tags -------------------------------------------------------------------------------------------
    def test_a_bad_tag_is_counted_with_its_stretch_and_harms_no_other(self):
        tags = read_tags([tag(0, "rx_freq", pmt.from_long(7)), tag(1, "rx_freq", NO_TEXT),
                          tag(1, NO_TEXT, NO_TEXT), tag(1, "rx_time", pmt.from_long(-1)),
                          tag(2, "radiofm_pad", pmt.from_long(19)), tag(2, "rx_freq", pmt.from_double(8.0))],
                         10)
        said = []
        found = origins(Origin(), tags, (10, 20, 30), None, lambda about, text: said.append(about))
        self.assertEqual([(o.frequency, o.bad) for o in found], [(7.0, 0), (7.0, 2), (8.0, 3)])
        self.assertEqual(found[2].padding, None)
        self.assertEqual(said, ["rx_freq", "rx_time", "radiofm_pad"])

    def test_the_stated_rate_counts(self):
        self.assertEqual([rate_in_force(*r) for r in ((1e3, 2e3), (None, 2e3), (0.0, 2e3), (1e3, None),
                                                      (None, None))], [1e3, 2e3, 2e3, 1e3, None])
        self.assertTrue(contradiction(1e3, 2e3))
        self.assertEqual([contradiction(*r) for r in ((1e3, 1e3), (None, 2e3), (1e3, None))], [""] * 3)
        tags = read_tags([tag(0, "rx_time", pmt.from_long(100)), tag(0, "rx_rate", pmt.from_long(4000)),
                          tag(8000, "rx_rate", pmt.from_long(2000))], 1)
        for stated, seconds in ((1000.0, 110), (None, 103)):  # 8000 samples at 4 kS/s, 2000 at 2 kS/s
            [origin] = origins(Origin(), tags, [8001], stated, lambda *_: None)
            self.assertEqual(origin.time_of(10_000, rate_in_force(stated, origin.rate)), (seconds, 0.0))

    # -- complaints -------------------------------------------------------------------------------------
    def test_complaints_of_one_kind_are_said_once_and_kinds_are_bounded(self):
        log = Log()
        complaints = Complaints(log)
        for k in range(1000):
            complaints.say(f"no prototype is called 'l{k}', {k * 0.5} of {k}")
        self.assertEqual(len(log.lines), 1)
        for k in range(1000):
            complaints.say("x" * k)
        self.assertEqual(len(log.lines), 32)
        complaints.forget()
        self.assertTrue(complaints.say("again"))

    # -- backlog ----------------------------------------------------------------------------------------
    def test_blocks_come_and_go_while_others_look(self):
        class thing:
            pass

        found, errors, over = backlog._Blocks(), [], threading.Event()

        def come_and_go():
            kept = []
            while not over.is_set():
                kept = [thing() for _ in range(50)]
                for one in kept:
                    found.add(one)
                for one in kept[::2]:
                    found.discard(one)

        def look():
            try:
                for _ in range(3000):
                    found.all()
            except RuntimeError as error:
                errors.append(error)

        threads = [threading.Thread(target=come_and_go) for _ in range(3)]
        lookers = [threading.Thread(target=look) for _ in range(2)]
        for one in threads + lookers:
            one.start()
        for one in lookers:
            one.join()
        over.set()
        for one in threads:
            one.join()
        self.assertEqual(errors, [])

    # -- patient sources --------------------------------------------------------------------------------
    def test_sources_have_the_names_that_are_looked_for(self):
        made = (blocks.vector_source_c([0]), blocks.null_source(8),
                analog.sig_source_c(1, analog.GR_COS_WAVE, 1, 1),
                analog.noise_source_c(analog.GR_GAUSSIAN, 1),
                analog.fastnoise_source_c(analog.GR_GAUSSIAN, 1),
                analog.random_uniform_source_b(0, 2, 1), radiofm.beam_source())
        for source in made:
            self.assertIn(source.name(), PATIENT)
        self.assertNotIn("throttle", PATIENT)
        self.assertTrue(blocks.throttle(8, 1).name().startswith("throttle"))


if __name__ == "__main__":
    gr_unittest.run(qa_messages)
