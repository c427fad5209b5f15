#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors

import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from types import SimpleNamespace

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, zeromq
from gnuradio.radiofm import prototype_classifier
from gnuradio.radiofm.common import backlog, messages
from gnuradio.radiofm.common.messages import TileInfo, embedding_pdu, parse_prediction
from gnuradio.radiofm.common.prototype_messages import parse_state, state_message
from gnuradio.radiofm.common.prototype_port import MAX_COMMANDS, MAX_PENDING, PrototypePort
from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.calibrating import calibrate

D = 8
STRIDE, COUNT = 100, 130  # tiles share their last 30 samples with the next one
MODEL = "test@01234567"
NO_TEXT = pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd")  # a symbol that is not UTF-8
DEADLINE = 30.0  # seconds; a condition that takes so long will not come


def wait_for(condition, what: str):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE} s for {what}")
        time.sleep(0.002)


def command(name, **values):
    meta = pmt.dict_add(pmt.make_dict(), pmt.intern("command"), pmt.intern(name))
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            value = messages.to_pmt_vector(value)
        elif isinstance(value, str):
            value = pmt.intern(value)
        elif not isinstance(value, pmt.pmt_base):
            value = pmt.to_pmt(value)
        meta = pmt.dict_add(meta, pmt.intern(key), value)
    return meta


def tile(k: int, vector, model: str = MODEL):
    return embedding_pdu(TileInfo(sample_start=k * STRIDE, sample_count=COUNT, tile=k, model=model,
                                  sample_rate=1e6, rx_freq=100e6, rx_time=(5, 0.25)), vector)


def a_signal(number: int, start: int, count: int, frequency: float, vector, part=0, ended=True):
    """An embedding of a signal, 100 kHz wide."""
    signal = messages.Signal(number, part, ended, snr=10.0)
    return embedding_pdu(TileInfo(sample_start=start, sample_count=count, sample_rate=1e6, model=MODEL,
                                  freq_lower_edge=frequency - 5e4, freq_upper_edge=frequency + 5e4, run=77,
                                  signal=signal), vector)


def near(label: int, seed: int) -> np.ndarray:
    """A vector of label 0, 1, 2 ...: along an axis of its own."""
    noise = 0.05 * np.random.default_rng(seed).normal(size=D)
    return (np.eye(D)[label] + noise).astype(np.float32)


def small_bundle():
    """(radiofm_ml.bundle, arguments of its save) of an encoder with D values; skips without torch."""
    try:
        from radiofm_ml import bundle, models
        from radiofm_ml.spectrogram import SpectrogramSpec
    except ImportError as error:
        raise unittest.SkipTest(f"{error.name} is not installed") from None
    spec = SpectrogramSpec(fft_size=8, hop=8, rows=8, tile_rows=8, tile_cols=8)
    architecture = {"kind": "vit", "tile_rows": 8, "tile_cols": 8, "patch_rows": 4, "patch_cols": 4, "dim": D,
                    "depth": 1, "heads": 1}
    return bundle, {"name": "tiny", "model": models.build(architecture), "architecture": architecture,
                    "spec": spec, "card": ""}


class Bench:
    """A flowgraph around a classifier, with everything that comes out of it."""

    def __init__(self, tested):
        self.tb, self.tested = gr.top_block(), tested
        self.sinks = {"predictions": blocks.message_debug(), "answers": blocks.message_debug()}
        # Answers and the states that go before them in one queue: who has seen one has seen the other.
        for port, sink in (("predictions", "predictions"), ("status", "answers"),
                           ("prototypes_out", "answers")):
            self.tb.msg_connect((tested, port), (self.sinks[sink], "store"))
        self.sent = self.answered = 0

    def __enter__(self):
        self.tb.start()
        return self

    def __exit__(self, *_):
        self.tb.stop()
        self.tb.wait()

    def all(self, port: str) -> list:
        """What has come out of a port."""
        sink = self.sinks["predictions" if port == "predictions" else "answers"]
        found = [sink.get_message(i) for i in range(sink.num_messages())]
        if port == "predictions":
            return found
        return [m for m in found if pmt.dict_has_key(m, pmt.intern("ok")) == (port == "status")]

    def count(self, port: str) -> int:
        return len(self.all(port))

    def get(self, port: str, index: int = -1):
        return self.all(port)[index]

    def post(self, port: str, message):
        self.tested.to_basic_block()._post(pmt.intern(port), message)

    def status(self, index: int = -1) -> SimpleNamespace:
        return SimpleNamespace(**pmt.to_python(self.get("status", index)))

    def state(self) -> dict:
        """The last that went out."""
        return parse_state(self.get("prototypes_out"), D)

    def command(self, message) -> SimpleNamespace:
        """Post a command and wait for its answer."""
        before = self.count("status")
        self.post("prototypes", message)
        wait_for(lambda: self.count("status") > before, "an answer")
        return self.status()

    def embed(self, message) -> messages.Prediction:
        before = self.count("predictions")
        self.post("embeddings", message)
        wait_for(lambda: self.count("predictions") > before, "a prediction")
        return parse_prediction(self.get("predictions"))

    def teach(self, label: str, axis: int, shots: int = 3):
        """Put a label in by 'set', with its shots."""
        support = np.stack([near(axis, 100 * axis + i) for i in range(shots)])
        answer = self.command(command("set", label=label, vector=support.mean(0), shots=shots,
                                      support=support.ravel()))
        assert answer.ok, answer.reason


class qa_prototype_classifier(gr_unittest.TestCase):

    def new(self, **options):
        return Bench(prototype_classifier(embedding_size=D, **{"normalisation": "none", **options}))

    # -- predictions ------------------------------------------------------------------------------
    def test_predictions_carry_what_the_embeddings_did(self):
        with self.new(task="signals") as bench:
            empty = bench.embed(tile(0, near(0, 1)))
            self.assertTrue(empty.unknown)
            self.assertEqual((empty.label, empty.labels, empty.confidence), ("unknown", (), 0.0))
            self.assertEqual(len(empty.scores), 0)
            for axis, label in enumerate(("fm", "lora", "adsb")):
                bench.teach(label, axis)
            for k, axis in enumerate((2, 0, 1, 1)):
                prediction = bench.embed(tile(k + 1, near(axis, k)))
                self.assertEqual(prediction.label, ("fm", "lora", "adsb")[axis])
                self.assertEqual(prediction.labels, ("fm", "lora", "adsb"))
                self.assertEqual(prediction.task, "signals")
                self.assertFalse(prediction.unknown)
                self.assertAlmostEqual(float(prediction.scores.sum()), 1.0, 5)
                self.assertEqual(int(prediction.scores.argmax()), axis)
                self.assertAlmostEqual(prediction.confidence, float(prediction.scores.max()), 6)
                info = prediction.info
                self.assertEqual((info.sample_start, info.sample_count), ((k + 1) * STRIDE, COUNT))
                self.assertEqual(info.tile, k + 1)
                self.assertEqual((info.sample_rate, info.rx_freq, info.rx_time), (1e6, 100e6, (5, 0.25)))
                self.assertEqual(info.model, MODEL)

    def test_unknown_signals(self):
        with self.new(false_alarm_rate=0.2) as bench:
            for axis, label in enumerate("abc"):
                bench.teach(label, axis, 8)
            self.assertEqual(bench.embed(tile(0, near(1, 5))).label, "b")
            other = bench.embed(tile(1, near(5, 5)))
            self.assertTrue(other.unknown)
            self.assertEqual((other.label, len(other.scores)), ("unknown", 3))
            self.assertGreaterEqual(other.confidence, 0.8)

    # -- commands ---------------------------------------------------------------------------------
    def test_enroll_next_takes_the_next_tiles_and_holds_from_the_last(self):
        with self.new() as bench:
            bench.post("prototypes", command("enroll", label="a", shots=3))
            bench.post("prototypes", command("state"))  # answered at once: the enrolment is in
            wait_for(lambda: bench.count("status") == 1, "the answer to 'state'")
            vectors = [near(0, i) for i in range(3)]
            unknown = [bench.embed(tile(k + 10, v)).unknown for k, v in enumerate(vectors)]
            self.assertEqual(unknown, [True, True, False])  # predictions do not wait
            wait_for(lambda: bench.count("status") == 2, "the answer")
            answer = bench.status()
            self.assertEqual((answer.command, answer.ok, answer.reason, answer.label, answer.shots,
                              answer.sample_start), ("enroll", True, "", "a", 3, 12 * STRIDE))
            state = bench.state()
            np.testing.assert_array_equal(state["prototypes"][0]["support"], vectors)
            np.testing.assert_allclose(state["prototypes"][0]["vector"], np.mean(vectors, 0), rtol=1e-6)
            self.assertEqual(state["model"], MODEL)

    def test_a_second_enroll_next_is_refused_while_one_collects(self):
        with self.new() as bench:
            bench.post("prototypes", command("enroll", label="a", shots=2, source="next"))
            answer = bench.command(command("enroll", label="b"))
            self.assertFalse(answer.ok)
            self.assertIn("'a' is still being taught, 0 of 2", answer.reason)
            bench.embed(tile(0, near(0, 0)))
            bench.embed(tile(1, near(0, 1)))
            wait_for(lambda: bench.count("status") == 2, "the answer")
            self.assertEqual((bench.status().label, bench.status().ok), ("a", True))

    def test_enroll_last(self):
        with self.new(history=4) as bench:
            for k in range(6):
                bench.embed(tile(k, near(k % 3, k)))
            answer = bench.command(command("enroll", label="a", shots=2, source="last"))
            self.assertEqual((answer.ok, answer.shots, answer.sample_start), (True, 2, 6 * STRIDE))
            state = bench.state()
            np.testing.assert_array_equal(state["prototypes"][0]["support"], [near(1, 4), near(2, 5)])
            answer = bench.command(command("enroll", label="a", shots=5, source="last"))
            self.assertIn("only 4 embeddings", answer.reason)
            answer = bench.command(command("enroll", label="a", shots=4, source="last"))
            self.assertEqual(answer.shots, 6)  # the label's, in all

    def test_enroll_at_past_and_future(self):
        with self.new(history=8) as bench:
            for k in range(4):
                bench.embed(tile(k, near(0, k)))
            # sample 215 lies in tiles 1 (100..229) and 2 (200..329): it is tile 2's own
            answer = bench.command(command("enroll", label="a", source="at", sample_start=215))
            self.assertEqual((answer.ok, answer.shots, answer.sample_start), (True, 1, 4 * STRIDE))
            state = bench.state()
            np.testing.assert_array_equal(state["prototypes"][0]["support"], [near(0, 2)])
            # one that begins in the past and ends in the future, and one that is to come, waiting together
            for label, sample, shots in (("b", 3 * STRIDE, 3), ("c", 6 * STRIDE + 50, 1)):
                bench.post("prototypes", command("enroll", label=label, source="at", sample_start=sample,
                                                 shots=shots))
            self.assertTrue(bench.command(command("state")).ok)
            for k in range(4, 8):
                bench.embed(tile(k, near(1, k)))
            wait_for(lambda: bench.count("status") == 4, "both answers")
            first, second = bench.status(2), bench.status(3)
            self.assertEqual((first.label, first.ok, first.shots), ("b", True, 3))
            self.assertEqual((second.label, second.ok, second.shots), ("c", True, 1))
            self.assertEqual((first.sample_start, second.sample_start), (5 * STRIDE, 6 * STRIDE))
            taught = {p["label"]: p["support"] for p in bench.state()["prototypes"]}
            np.testing.assert_array_equal(taught["b"], [near(0, 3), near(1, 4), near(1, 5)])
            np.testing.assert_array_equal(taught["c"], [near(1, 6)])

    def test_enroll_at_a_tile_that_is_gone(self):
        with self.new(history=2) as bench:
            for k in range(5):
                bench.embed(tile(k, near(0, k)))
            answer = bench.command(command("enroll", label="a", source="at", sample_start=150))
            self.assertIn("no embedding holds sample 150", answer.reason)
            bench.post("prototypes", command("enroll", label="a", source="at", sample_start=650))
            bench.embed(tile(8, near(0, 8)))  # tiles 5 to 7 were dropped
            wait_for(lambda: bench.count("status") == 2, "the refusal")
            self.assertFalse(bench.status().ok)
            self.assertIn("no embedding holds sample 650", bench.status().reason)
            self.assertEqual(bench.count("prototypes_out"), 0)

    def test_enroll_a_signal_by_time_and_frequency(self):
        """Signals come in the order of their ends; several hold the sample, one the frequency, too."""
        with self.new() as bench:
            places = [(500, 100, 1e6), (100, 600, 2e6), (400, 400, 3e6)]
            for k, place in enumerate(places):
                bench.embed(a_signal(k, *place, near(0, k)))
            answer = bench.command(command("enroll", label="a", source="at", sample_start=550,
                                           frequency=2.01e6))
            self.assertEqual((answer.ok, answer.shots, answer.sample_start), (True, 1, 501), answer.reason)
            np.testing.assert_array_equal(bench.state()["prototypes"][0]["support"], [near(0, 1)])
            # one that ends later than others that begin behind it
            bench.post("prototypes", command("enroll", label="b", source="at", sample_start=900,
                                             frequency=5e6))
            bench.embed(a_signal(3, 950, 10, 5e6, near(1, 3)))
            bench.embed(a_signal(4, 890, 200, 5e6, near(1, 4)))
            wait_for(lambda: bench.count("status") == 2, "the answer")
            self.assertEqual((bench.status().label, bench.status().ok), ("b", True))
            np.testing.assert_array_equal(bench.state()["prototypes"][1]["support"], [near(1, 4)])

    def test_enroll_a_signal_by_its_number(self):
        """The newest part of those that came; else the next one."""
        with self.new() as bench:
            for part in range(2):
                bench.embed(a_signal(7, 100 * part, 100, 1e6, near(0, part), part=part, ended=False))
                bench.embed(a_signal(8, 100 * part, 100, 2e6, near(1, part)))
            self.assertTrue(bench.command(command("enroll", label="a", signal=7)).ok)
            np.testing.assert_array_equal(bench.state()["prototypes"][0]["support"], [near(0, 1)])
            bench.post("prototypes", command("enroll", label="b", signal=9))
            bench.embed(a_signal(10, 400, 10, 5e6, near(1, 3)))
            bench.embed(a_signal(9, 300, 200, 5e6, near(2, 4)))
            wait_for(lambda: bench.count("status") == 2, "the answer")
            np.testing.assert_array_equal(bench.state()["prototypes"][1]["support"], [near(2, 4)])
            found = parse_prediction(bench.get("predictions"))
            self.assertEqual((found.info.signal.signal, found.info.signal.snr), (9, 10.0))

    def test_a_signal_that_does_not_come_is_refused(self):
        with self.new(history=4) as bench:
            bench.post("prototypes", command("enroll", label="a", source="at", sample_start=50,
                                             frequency=1e6))
            for k in range(4):
                self.assertEqual(bench.count("status"), 0)
                bench.embed(a_signal(k, 100 * k + 60, 50, 1e6, near(0, k)))
            wait_for(lambda: bench.count("status") == 1, "the refusal")
            self.assertIn("no signal holds sample 50", bench.status().reason)
            for wrong in (dict(frequency=1e6), dict(source="last", signal=3), dict(source="next", signal=3)):
                answer = bench.command(command("enroll", label="a", **wrong))
                self.assertIn("are for source 'at'", answer.reason)
            self.assertIn("'sample_start' is missing", bench.command(
                command("enroll", label="a", source="at", frequency=1e6)).reason)

    def test_a_tile_by_time_and_frequency(self):
        """Only if its strongest signal is there."""
        with self.new() as bench:
            info = TileInfo(sample_start=0, sample_count=COUNT, model=MODEL, freq_lower_edge=1e6,
                            freq_upper_edge=2e6)
            bench.embed(embedding_pdu(info, near(0, 0)))
            bench.embed(tile(1, near(0, 1)))  # which says no band
            at = dict(source="at", sample_start=50)
            self.assertTrue(bench.command(command("enroll", label="a", frequency=1.5e6, **at)).ok)
            self.assertIn("no embedding holds sample 50",
                          bench.command(command("enroll", label="b", frequency=3e6, **at)).reason)

    def test_set_remove_rename_clear_undo_state(self):
        with self.new() as bench:
            answer = bench.command(command("set", label="a", vector=near(0, 0), shots=4))
            self.assertEqual((answer.command, answer.ok, answer.label, answer.shots), ("set", True, "a", 4))
            self.assertTrue(bench.command(command("set", label="b", vector=near(1, 0))).ok)
            answer = bench.command(command("rename", label="a", new_label="c"))
            self.assertEqual((answer.ok, answer.label, answer.shots), (True, "c", 4))
            self.assertEqual(bench.tested.labels(), ("c", "b"))
            self.assertIn("exists already", bench.command(command("rename", label="c", new_label="b")).reason)
            self.assertTrue(bench.command(command("remove", label="c")).ok)
            self.assertIn("no prototype", bench.command(command("remove", label="c")).reason)
            self.assertEqual(bench.tested.labels(), ("b",))
            self.assertTrue(bench.command(command("clear")).ok)
            self.assertEqual(bench.tested.labels(), ())
            self.assertIn("no prototypes to clear", bench.command(command("clear")).reason)
            for labels in (("b",), ("c", "b"), ("a", "b"), ("a",), ()):
                self.assertTrue(bench.command(command("undo")).ok)
                self.assertEqual(bench.tested.labels(), labels)
                self.assertEqual([p["label"] for p in bench.state()["prototypes"]], list(labels))
            self.assertIn("nothing to undo", bench.command(command("undo")).reason)
            changes = bench.count("prototypes_out")
            self.assertTrue(bench.command(command("state")).ok)
            self.assertEqual(bench.count("prototypes_out"), changes + 1)

    def test_undo_and_clear_cancel_what_still_collects(self):
        with self.new() as bench:
            bench.teach("b", 1)
            bench.post("prototypes", command("enroll", label="a", shots=5))
            bench.post("prototypes", command("undo"))
            wait_for(lambda: bench.count("status") == 3, "both answers")
            self.assertEqual((bench.status(1).command, bench.status(1).ok, bench.status(1).reason),
                             ("enroll", False, "cancelled by undo"))
            self.assertTrue(bench.status(2).ok)
            self.assertEqual(bench.tested.labels(), ("b",))
            bench.post("prototypes", command("enroll", label="a", shots=5))
            bench.post("prototypes", command("clear"))
            wait_for(lambda: bench.count("status") == 5, "both answers")
            self.assertEqual(bench.status(3).reason, "cancelled by clear")
            self.assertEqual(bench.tested.labels(), ())

    def test_save_and_load(self):
        with tempfile.TemporaryDirectory() as folder, self.new() as bench:
            path = os.path.join(folder, "taught.safetensors")
            bench.embed(tile(0, near(0, 0)))
            bench.command(command("enroll", label="a", source="last"))
            self.assertTrue(bench.command(command("save", path=path)).ok)
            self.assertTrue(bench.command(command("clear")).ok)
            self.assertTrue(bench.command(command("load", path=path)).ok)
            self.assertEqual(bench.tested.labels(), ("a",))
            for name, values in (("load", {"path": os.path.join(folder, "absent.safetensors")}),
                                 ("load", {"path": os.path.join(folder, "x.npz")}), ("load", {"path": 3}),
                                 ("load", {}), ("save", {}), ("save", {"path": "/proc/x.safetensors"}),
                                 ("save", {"path": os.path.join(folder, "x.py")}), ("save", {"path": True})):
                answer = bench.command(command(name, **values))
                self.assertFalse(answer.ok, (name, values))
                self.assertTrue(answer.reason)
            self.assertEqual(bench.tested.labels(), ("a",))
            self.assertEqual(os.listdir(folder), ["taught.safetensors"])
            again = prototype_classifier(embedding_size=D, prototypes=path)
            self.assertEqual(again.labels(), ("a",))
            with self.assertRaisesRegex(ValueError, "3 values|embedding_size must be 3"):
                prototype_classifier(embedding_size=3, prototypes=path)

    # -- what must change nothing -----------------------------------------------------------------
    def test_malformed_commands_change_nothing_and_a_good_one_still_works(self):
        good, bad = np.zeros(D, np.float32), np.zeros(D + 1, np.float32)
        state = state_message(FewShot(D).state())
        entry = command("x", label="z", vector=good, shots=1)
        malformed = [
            pmt.PMT_T, pmt.PMT_NIL, pmt.intern("clear"), pmt.from_long(3), pmt.make_dict(),
            pmt.cons(pmt.intern("a"), pmt.PMT_NIL), pmt.cons(pmt.intern("clear"), pmt.PMT_T),
            pmt.cons(pmt.intern("command"), pmt.intern("erase")), pmt.cons(pmt.intern("command"), pmt.PMT_T),
            pmt.cons(pmt.intern("command"), pmt.make_dict()), pmt.cons(pmt.make_dict(), pmt.PMT_NIL),
            NO_TEXT, pmt.cons(NO_TEXT, NO_TEXT), pmt.cons(pmt.intern("command"), NO_TEXT),
            pmt.dict_add(pmt.make_dict(), pmt.intern("command"), NO_TEXT),
            pmt.dict_add(command("clear"), NO_TEXT, pmt.PMT_T), command("clear", label=NO_TEXT),
            pmt.dict_add(command("clear"), pmt.from_long(1), pmt.PMT_T),
            command("clear", all=True), command("enroll", label="x", shot=3), command("undo", label="a"),
            command("enroll", label="x", shots=float("nan")),
            command("enroll", label="x", shots=float("inf")),
            command("enroll", label="x", source="at", sample_start=pmt.from_uint64(2**64 - 1)),
            command("enroll", label="x", source="at", sample_start=1e300),
            messages.to_pmt_vector(good), pmt.list2(pmt.intern("clear"), pmt.intern("a")),
            pmt.make_vector(3, pmt.PMT_NIL),
            command(""), command("erase"), command("CLEAR"),
            pmt.dict_add(pmt.make_dict(), pmt.intern("command"), pmt.from_long(1)),
            command("enroll"), command("enroll", label=3), command("enroll", label=""),
            command("enroll", label=" x"), command("enroll", label="unknown"),
            command("enroll", label="x" * 1000),
            command("enroll", label="x", shots=0), command("enroll", label="x", shots=-1),
            command("enroll", label="x", shots=1.5), command("enroll", label="x", shots="2"),
            command("enroll", label="x", shots=10**9),
            command("enroll", label="x", shots=pmt.from_uint64(2**63)),
            command("enroll", label="x", source="later"), command("enroll", label="x", source=1),
            command("enroll", label="x", source="last", shots=5),
            command("enroll", label="x", source="at"),
            command("enroll", label="x", source="at", sample_start=-1),
            command("enroll", label="x", source="at", sample_start="0"),
            command("set"), command("set", label="x"), command("set", vector=good),
            command("set", label="x", vector=bad), command("set", label="x", vector=np.zeros(0, np.float32)),
            command("set", label="x", vector=np.full(D, np.nan, np.float32)),
            command("set", label="x", vector=np.full(D, np.inf, np.float32)),
            command("set", label="x", vector=pmt.init_f64vector(D, [1e300] * D)),
            command("set", label="x", vector=pmt.init_u8vector(D, [0] * D)),
            command("set", label="x", vector=pmt.init_c32vector(D, [0] * D)),
            command("set", label="x", vector="vector"), command("set", label="x", vector=[1.0] * D),
            command("set", label="x", vector=np.zeros(200_000, np.float32)),
            command("set", label="x", vector=good, shots=0),
            command("set", label="x", vector=good, shots=True),
            command("set", label="x", vector=good, shots=2**40),
            command("set", label="x", vector=good, model="other@0"),
            command("set", label="x", vector=good, model=5),
            command("set", label="x", vector=good, shots=1, support=np.zeros(2 * D, np.float32)),
            command("set", label="x", vector=good, shots=2, support=np.zeros(D + 1, np.float32)),
            command("remove"), command("remove", label="x"), command("rename", label="a"),
            command("rename", label="x", new_label="y"), command("rename", label="a", new_label="b"),
            command("rename", label="a", new_label=7), command("rename", label="a", new_label=""),
            command("save"), command("load"), command("load", prototypes=3),
            pmt.dict_add(state, pmt.intern("embedding_size"), pmt.from_long(D + 1)),
            pmt.dict_add(state, pmt.intern("embedding_size"), pmt.intern("x")),
            pmt.dict_add(state, pmt.intern("format"), pmt.intern("x")),
            pmt.dict_add(state, pmt.intern("format_version"), pmt.from_long(99)),
            pmt.dict_add(state, pmt.intern("mean"), messages.to_pmt_vector(bad)),
            pmt.dict_add(state, pmt.intern("prototypes"), pmt.make_vector(1, pmt.PMT_NIL)),
            pmt.dict_add(state, pmt.intern("prototypes"), pmt.make_vector(1, command("x", vector=good))),
            pmt.dict_add(state, pmt.intern("prototypes"), pmt.make_vector(2, entry)),
            pmt.dict_add(state, pmt.intern("prototypes"), pmt.make_vector(5000, entry)),
        ]
        with self.new() as bench:
            bench.embed(tile(0, near(0, 0)))
            self.assertTrue(bench.command(command("enroll", label="a", source="last")).ok)
            bench.teach("b", 1)
            before = pmt.serialize_str(bench.get("prototypes_out"))
            for i, message in enumerate(malformed):
                answer = bench.command(message)
                self.assertFalse(answer.ok, f"{i}: {messages._tags.describe(message)}")
                self.assertTrue(answer.reason)
                self.assertNotIn("failed:", answer.reason)  # refused, not stumbled over
            self.assertEqual(bench.count("prototypes_out"), 2)
            self.assertTrue(bench.command(command("state")).ok)
            self.assertEqual(pmt.serialize_str(bench.get("prototypes_out")), before)
            self.assertTrue(bench.command(command("set", label="c", vector=near(2, 0))).ok)
            self.assertEqual(bench.embed(tile(1, near(2, 1))).label, "c")

    def test_commands_in_the_forms_of_others(self):
        with self.new() as bench:
            for k in range(4):
                bench.embed(tile(k, near(0, k)))
            # numbers of every kind
            for shots in (pmt.from_double(2.0), pmt.from_uint64(2), pmt.from_long(2)):
                self.assertTrue(bench.command(command("enroll", label="a", source="last", shots=shots)).ok)
            self.assertEqual(bench.status().shots, 6)
            # what a push button sends
            self.assertTrue(bench.command(pmt.cons(pmt.intern("command"), pmt.intern("undo"))).ok)
            self.assertEqual(bench.state()["prototypes"][0]["shots"], 4)
            self.assertTrue(bench.command(pmt.cons(pmt.intern("command"),
                                                   command("rename", label="a", new_label="b"))).ok)
            # the metadata of a PDU
            self.assertTrue(bench.command(pmt.cons(command("rename", label="b", new_label="c"),
                                                   pmt.init_u8vector(0, []))).ok)
            self.assertTrue(bench.command(pmt.cons(command("rename", label="c", new_label="d"),
                                                   pmt.PMT_NIL)).ok)
            self.assertEqual(bench.tested.labels(), ("d",))

    def test_an_unknown_key_is_named(self):
        with self.new() as bench:
            reason = bench.command(command("enroll", label="x", shot=3)).reason
            self.assertIn("enroll has no key 'shot'; it takes frequency, label, sample_start, shots, "
                          "signal, source", reason)

    def test_the_last_sample_there_can_be(self):
        """No number in an embedding makes an answer or a prediction impossible."""
        with self.new() as bench:
            bench.teach("a", 0)
            last = TileInfo(sample_start=2**62, sample_count=2**62, tile=2**62, dropped=2**62)
            self.assertEqual(bench.embed(embedding_pdu(last, near(0, 1))).info.sample_start, 2**62)
            self.assertTrue(bench.command(command("remove", label="a")).ok)
            self.assertTrue(bench.command(command("enroll", label="b", source="at", sample_start=2**62)).ok)
            self.assertEqual(bench.embed(embedding_pdu(last, near(0, 1))).label, "b")

    # -- many commands ------------------------------------------------------------------------------
    def test_a_flood_of_commands(self):
        """Embeddings are decided meanwhile, what is too much is refused with one answer, and the state goes
        out a few times, not with every change."""
        with self.new() as bench:
            bench.teach("a", 0)
            states, answers = bench.count("prototypes_out"), bench.count("status")
            flood = [command("set", label=f"l{k % 5}", vector=near(k % 5 + 1, k)) for k in range(200)]
            block = bench.tested.to_basic_block()
            begin = time.monotonic()
            for k in range(20_000):
                block._post(messages.PROTOTYPES, flood[k % 200])
                if k % 1000 == 0:
                    bench.post("embeddings", tile(k, near(0, k)))
            wait_for(lambda: bench.count("predictions") == 20, "the predictions")
            wait_for(lambda: block.nmsgs(messages.PROTOTYPES) == 0, "the end of the flood")
            bench.post("prototypes", command("remove", label="a"))
            wait_for(lambda: bench.count("status") and bench.status().command == "remove", "the last answer")
            took = time.monotonic() - begin
            found = [pmt.to_python(m) for m in bench.all("status")[answers:-1]]
            done = sum(m["ok"] for m in found)
            refused = [m["reason"] for m in found if not m["ok"]]
            self.assertTrue(all("too many commands waiting" in reason for reason in refused))
            self.assertEqual(done + sum(int(reason.split()[0]) for reason in refused), 20_000)
            self.assertGreaterEqual(done, MAX_COMMANDS)
            self.assertLessEqual(bench.count("prototypes_out") - states, took / 0.1 + 30)
            self.assertEqual(len(bench.tested.labels()), 5)

    def test_stop_in_a_flood(self):
        bench = self.new()
        bench.tb.start()
        block = bench.tested.to_basic_block()
        one = command("set", label="a", vector=near(0, 0))
        for _ in range(100_000):
            block._post(messages.PROTOTYPES, one)
        begin = time.monotonic()
        bench.tb.stop()
        bench.tb.wait()
        self.assertLess(time.monotonic() - begin, 3.0)

    def test_refusals_are_logged_once_a_kind(self):
        script = ("import pmt, time\nfrom gnuradio import blocks, gr, radiofm\n"
                  "block = radiofm.prototype_classifier(embedding_size=4)\n"
                  "tb = gr.top_block()\n"
                  "out = blocks.message_debug()\n"
                  "tb.msg_connect(block, 'status', out, 'store')\n"
                  "tb.start()\n"
                  "for k in range(500):\n"
                  "    for command in ({'command': 'remove', 'label': f'l{k}'}, {'command': f'c{k}'},\n"
                  "                    {'command': 'save', 'path': f'/no/{k}', 'x' * (k + 1): 1}):\n"
                  "        block.to_basic_block()._post(pmt.intern('prototypes'), pmt.to_pmt(command))\n"
                  "while out.num_messages() < 1500: time.sleep(0.01)\n"
                  "tb.stop(); tb.wait()\n")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              timeout=DEADLINE)
        said = [line for line in (done.stdout + done.stderr).splitlines() if "refused" in line]
        self.assertEqual(len(said), 3, said)

    def test_malformed_embeddings_are_refused_and_a_good_one_still_works(self):
        good = tile(3, near(0, 0))
        meta = pmt.car(good)
        malformed = [
            pmt.PMT_T, pmt.PMT_NIL, meta, pmt.cdr(good), pmt.cons(pmt.PMT_T, pmt.cdr(good)),
            pmt.cons(meta, pmt.PMT_NIL), pmt.cons(pmt.make_dict(), pmt.cdr(good)),
            pmt.cons(meta, pmt.init_u8vector(D, [0] * D)), tile(3, np.zeros(D - 1)), tile(3, np.zeros(0)),
            tile(3, np.full(D, np.nan)), tile(3, np.zeros(1_000_000)),
            pmt.cons(pmt.dict_add(meta, pmt.intern("sample_start"), pmt.intern("x")), pmt.cdr(good)),
            pmt.cons(pmt.dict_add(meta, pmt.intern("sample_start"), pmt.from_long(-5)), pmt.cdr(good)),
            *(pmt.cons(pmt.dict_add(meta, pmt.intern(key), value), pmt.cdr(good)) for key, value in (
                ("rx_time", pmt.from_double(-1)), ("rx_time", pmt.PMT_T), ("rx_time", NO_TEXT),
                ("rx_time", pmt.make_tuple(pmt.from_uint64(5), pmt.from_double(float("nan")))),
                ("sample_rate", pmt.from_double(float("nan"))), ("sample_rate", pmt.from_long(0)),
                ("rx_freq", pmt.from_double(float("inf"))), ("model", NO_TEXT),
                ("sample_start", pmt.from_uint64(2**64 - 1)), ("sample_count", pmt.from_uint64(2**64 - 1)),
                ("sample_start", pmt.from_double(0.5)), ("tile", pmt.from_uint64(2**64 - 1)))),
            pmt.cons(pmt.dict_delete(meta, pmt.intern("sample_count")), pmt.cdr(good)),
        ]
        with self.new() as bench:
            bench.teach("a", 0)
            for message in malformed:
                bench.post("embeddings", message)
            prediction = bench.embed(good)
            self.assertEqual(prediction.label, "a")
            self.assertEqual(bench.tested.received(), len(malformed) + 1)
            self.assertEqual(bench.tested.refused(), len(malformed))
            self.assertEqual((bench.count("predictions"), bench.count("status")), (1, 1 + len(malformed)))
            for i in range(len(malformed)):
                self.assertEqual((bench.status(1 + i).command, bench.status(1 + i).ok), ("classify", False))

    def test_embeddings_of_another_model_are_refused(self):
        with self.new() as bench:
            bench.embed(tile(0, near(0, 0), "first@1"))
            bench.embed(tile(1, near(0, 0), "second@2"))
            answer = bench.command(command("enroll", label="a", source="last", shots=2))
            self.assertIn("several models: first@1, second@2", answer.reason)
            self.assertTrue(bench.command(command("enroll", label="a", source="last")).ok)
            bench.post("embeddings", tile(2, near(0, 0), "first@1"))
            wait_for(lambda: bench.tested.refused() == 1, "the refusal")
            wait_for(lambda: bench.count("status") == 3, "the reason")
            self.assertIn("made by model 'first@1'", bench.status().reason)
            self.assertEqual(bench.embed(tile(3, near(0, 0), "second@2")).label, "a")

    def test_waiting_enrolments_are_bounded(self):
        with self.new() as bench:
            for i in range(MAX_PENDING):
                bench.post("prototypes", command("enroll", label=f"l{i}", source="at", sample_start=1000 + i))
            self.assertIn(f"{MAX_PENDING} enrolments", bench.command(command("enroll", label="x")).reason)

    # -- a second classifier ----------------------------------------------------------------------
    def test_a_second_classifier_mirrors_the_first_and_both_come_to_rest(self):
        first, second = self.new(), prototype_classifier(embedding_size=D, normalisation="none")
        first.tb.msg_connect((first.tested, "prototypes_out"), (second, "prototypes"))
        first.tb.msg_connect((second, "prototypes_out"), (first.tested, "prototypes"))  # and back
        predictions = blocks.message_debug()
        first.tb.msg_connect((second, "predictions"), (predictions, "store"))
        with first as bench:
            for axis, label in enumerate("abc"):
                bench.post("prototypes", command("set", label=label, vector=near(axis, 0), shots=2))
                wait_for(lambda: second.labels() == bench.tested.labels() != (), "the mirror")  # noqa: B023
                wait_for(lambda: bench.count("status") == 2 * (axis + 1), "rest")  # noqa: B023
                self.assertEqual(bench.status().reason, "these were the prototypes already")
            for k in range(6):
                message = tile(k, near(k % 3, 7 + k))
                mine = bench.embed(message)
                second.to_basic_block()._post(messages.EMBEDDINGS, message)
                wait_for(lambda: predictions.num_messages() == k + 1, "the mirror's prediction")  # noqa: B023
                other = parse_prediction(predictions.get_message(k))
                self.assertEqual((mine.label, mine.confidence), (other.label, other.confidence))
                np.testing.assert_array_equal(mine.scores, other.scores)
            self.assertEqual(bench.count("status"), 6)

    def test_a_mirror_over_zeromq(self):
        with tempfile.TemporaryDirectory() as folder:
            address = f"ipc://{folder}/mirror"
            bench = self.new()
            push = zeromq.push_msg_sink(address, 100, True)
            bench.tb.msg_connect((bench.tested, "prototypes_out"), (push, "in"))
            pull = zeromq.pull_msg_source(address, 100, False)
            second = prototype_classifier(embedding_size=D, normalisation="none")
            bench.tb.msg_connect((pull, "out"), (second, "prototypes"))
            with bench:
                bench.teach("a", 0, 5)
                bench.teach("b", 1, 2)
                wait_for(lambda: second.labels() == ("a", "b"), "the mirror")
                mine, other = bench.tested._port.few, second._port.few
                self.assertEqual(list(mine.prototypes), list(other.prototypes))

    # -- life -------------------------------------------------------------------------------------
    def test_every_embedding_is_decided_before_the_flowgraph_ends(self):
        class source(gr.sync_block):
            """Publishes tiles and ends."""

            def __init__(self, tiles):
                gr.sync_block.__init__(self, "source", None, [np.float32])
                self.message_port_register_out(messages.EMBEDDINGS)
                self.tiles = tiles

            def work(self, input_items, output_items):
                for message in self.tiles:
                    self.message_port_pub(messages.EMBEDDINGS, message)
                return -1

        tb = gr.top_block()
        tested = prototype_classifier(embedding_size=D)
        tiles = source([tile(k, near(0, k)) for k in range(2000)])
        null, sink = blocks.null_sink(4), blocks.message_debug()
        tb.connect(tiles, null)
        tb.msg_connect((tiles, "embeddings"), (tested, "embeddings"))
        tb.msg_connect((tested, "predictions"), (sink, "store"))
        tb.run()
        self.assertEqual((tested.received(), sink.num_messages()), (2000, 2000))
        starts = [parse_prediction(sink.get_message(i)).info.sample_start for i in range(2000)]
        self.assertEqual(starts, [k * STRIDE for k in range(2000)])

    def test_the_last_of_several_senders_ends_it(self):
        """GNU Radio would end it with the fast sender; the slow one begins when that is gone. A third block
        sends commands and ends first: that is nobody's end. Twice: what was said at the end of a run is
        forgotten in the next."""
        class sender(gr.sync_block):
            def __init__(self, port, sent, after=None):
                gr.sync_block.__init__(self, name="sender", in_sig=None, out_sig=[np.float32])
                self.message_port_register_out(port)
                self.port, self.sent, self.after, self.ended = port, sent, after, threading.Event()

            def start(self):
                self.ended.clear()
                backlog.begin_sending(self)
                return True

            def stop(self):
                backlog.end_sending(self)
                self.ended.set()
                return True

            def work(self, input_items, output_items):
                if self.after is not None:
                    assert self.after.ended.wait(DEADLINE)
                for message in self.sent:
                    self.message_port_pub(self.port, message)
                return -1

        tested, then, sink = (prototype_classifier(embedding_size=D), prototype_classifier(embedding_size=D),
                              blocks.message_debug())
        commands = sender(messages.PROTOTYPES_OUT, [command("state")])
        fast = sender(messages.EMBEDDINGS, [tile(k, near(0, k)) for k in range(5)], after=commands)
        slow = sender(messages.EMBEDDINGS, [tile(k, near(0, k)) for k in range(300)], after=fast)
        tb = gr.top_block()
        for source in (commands, fast, slow):
            tb.connect(source, blocks.null_sink(4))
        tb.msg_connect((commands, "prototypes_out"), (tested, "prototypes"))
        for source in (fast, slow):
            tb.msg_connect((source, "embeddings"), (tested, "embeddings"))
        tb.msg_connect((slow, "embeddings"), (then, "embeddings"))
        tb.msg_connect((tested, "prototypes_out"), (then, "prototypes"))  # mirrors of each other
        tb.msg_connect((then, "prototypes_out"), (tested, "prototypes"))
        tb.msg_connect((tested, "predictions"), (sink, "store"))
        for run in (1, 2):
            tb.run()
            self.assertEqual((tested.received(), sink.num_messages()), (305 * run, 305 * run))
            self.assertEqual(then.received(), 300 * run)

    def test_restart_keeps_what_was_taught_and_forgets_the_tiles(self):
        bench = self.new()
        with bench:
            bench.teach("a", 0)
            bench.embed(tile(50, near(0, 1)))
            bench.post("prototypes", command("enroll", label="b", shots=2))
            self.assertTrue(bench.command(command("state")).ok)
        with bench:
            wait_for(lambda: bench.count("status") == 3, "the answer to what was cut off")
            self.assertEqual((bench.status().command, bench.status().ok, bench.status().reason),
                             ("enroll", False, "the flowgraph has stopped"))
            answer = bench.command(command("enroll", label="b", source="last"))
            self.assertIn("only 0 embeddings", answer.reason)
            self.assertEqual(answer.sample_start, 0)
            self.assertEqual(bench.embed(tile(0, near(0, 2))).label, "a")

    def test_stop_while_busy(self):
        bench = self.new()
        with bench:
            bench.teach("a", 0)
            done = threading.Event()

            def flood():
                for k in range(1500):
                    bench.post("embeddings", tile(k, near(0, k)))
                    if k % 50 == 0:
                        bench.post("prototypes", command("enroll", label=f"l{k}", shots=20))
                    if k == 200:
                        done.set()
                done.set()

            thread = threading.Thread(target=flood)
            thread.start()
            done.wait(DEADLINE)
        thread.join(DEADLINE)
        self.assertFalse(thread.is_alive())
        self.assertEqual(bench.tested.refused(), 0)

    def test_settings_change_while_it_runs(self):
        with self.new() as bench:
            for axis, label in enumerate("abc"):
                bench.teach(label, axis, 8)
            self.assertFalse(bench.embed(tile(0, near(5, 5))).unknown)  # 24 shots cannot carry 1 %
            bench.tested.set_false_alarm_rate(0.1)
            self.assertTrue(bench.embed(tile(1, near(5, 5))).unknown)
            for name, value, wrong in (("normalisation", "l2", "l7"), ("metric", "cosine", ""),
                                       ("centre", "stream", "x"), ("false_alarm_rate", 0.2, 2.0),
                                       ("drift_rate", 1e-5, 1.0)):
                setter, getter = getattr(bench.tested, f"set_{name}"), getattr(bench.tested, name)
                setter(value)
                with self.assertRaisesRegex(ValueError, name):
                    setter(wrong)
                self.assertEqual(getter(), value)
                self.assertEqual(bench.embed(tile(2, near(1, 1))).label, "b")
            bench.tested.set_task("other")
            self.assertEqual(bench.embed(tile(3, near(1, 1))).task, bench.tested.task())

    def test_drift_is_said_once_and_taken_back(self):
        rng = np.random.default_rng(3)
        x = np.concatenate([np.eye(D)[k] + 0.1 * rng.normal(size=(60, D)) for k in range(6)])
        table = calibrate(x, np.repeat(np.arange(6), 60), "none", shots=(5,), episodes=20)
        said = []

        def publish(to, message):
            if pmt.eq(to, messages.STATUS):
                said.append(pmt.to_python(message))

        port = PrototypePort(FewShot(D, calibration=table), publish, "", 10)

        def stream(n, level):
            for k in range(n):
                vector = (level * (np.eye(D)[k % 6] + 0.1 * rng.normal(size=D))).astype(np.float32)
                port.decide([TileInfo(k, 1)], vector[None])

        for k in range(6):
            port.few.prototypes.enroll(str(k), np.eye(D)[k] + 0.1 * rng.normal(size=(5, D)))
        stream(300, 1.0)
        self.assertEqual(said, [])
        stream(400, 1.6)  # ten blocks of 32, and what is left of one
        self.assertEqual([(s["command"], s["ok"]) for s in said], [("drift", False)])
        stream(600, 1.0)
        self.assertEqual([(s["command"], s["ok"]) for s in said], [("drift", False), ("drift", True)])

    def test_a_batch_gives_what_single_tiles_give(self):
        """Enrolments that end inside a batch split it."""
        vectors = np.stack([near(k % 2, k) for k in range(12)])
        infos = [TileInfo(k * STRIDE, COUNT, tile=k) for k in range(12)]
        results = []
        for size in (1, 5, 12):
            port = PrototypePort(FewShot(D, normalisation="none"), lambda *_: None, "", 16)
            port.handle(command("enroll", label="a", shots=3))
            port.handle(command("enroll", label="b", source="at", sample_start=7 * STRIDE + 40))
            parts = [slice(i, i + size) for i in range(0, 12, size)]
            results.append([p for part in parts for p in port.decide(infos[part], vectors[part])])
        for other in results[1:]:
            self.assertEqual([(p.info.tile, p.label, p.labels) for p in other],
                             [(p.info.tile, p.label, p.labels) for p in results[0]])
            for a, b in zip(results[0], other, strict=True):
                np.testing.assert_allclose(a.scores, b.scores, rtol=1e-5)
        self.assertEqual([len(p.labels) for p in results[0]], [0] * 2 + [1] * 5 + [2] * 5)

    def test_bundle(self):
        bundle, model = small_bundle()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tiny")
            x = np.concatenate([near(k, i)[None] for k in range(4) for i in range(20)]).astype(np.float32)
            table = calibrate(x, np.repeat(range(4), 20), "none", shots=(1, 5), episodes=5)
            made = bundle.save(path, **model, labels=["a", "b"], prototypes=np.eye(D)[:2], calibration=table)
            with Bench(prototype_classifier(path)) as bench:
                self.assertEqual(bench.tested.labels(), ("a", "b"))
                self.assertEqual(bench.tested.normalisation(), "none")
                self.assertEqual(bench.embed(tile(0, near(1, 0), made.id)).label, "b")
                self.assertEqual(bench.embed(tile(1, near(0, 0), "")).label, "a")
                self.assertTrue(bench.embed(tile(2, 9 * near(3, 0), made.id)).unknown)  # from the first on
                bench.post("embeddings", tile(3, near(1, 0)))
                wait_for(lambda: bench.count("status") == 1, "the refusal")
                self.assertIn(f"'{MODEL}', prototypes are for '{made.id}'", bench.status().reason)
                self.assertIn("nothing to undo", bench.command(command("undo")).reason)
                foreign = state_message(FewShot(D, model=MODEL).state())
                for message in (command("set", label="c", vector=near(2, 0), model=MODEL), foreign):
                    answer = bench.command(message)
                    self.assertFalse(answer.ok)
                    self.assertIn(f"taught by model '{MODEL}', the prototypes here belong to", answer.reason)
                answer = bench.command(command("enroll", label="c", source="last"))
                self.assertEqual((answer.ok, answer.sample_start), (True, 2 * STRIDE + made.spec.stride))
            self.assertEqual(prototype_classifier(path, shipped=False).labels(), ())
            with self.assertRaisesRegex(ValueError, "embedding_size is 7"):
                prototype_classifier(path, embedding_size=7)
            with self.assertRaisesRegex(ValueError, "no such bundle"):
                prototype_classifier(os.path.join(folder, "absent"))

    def test_constructor_refuses(self):
        for options, reason in (({}, "name a bundle"), ({"embedding_size": -1}, "name a bundle"),
                                ({"embedding_size": 4, "history": 0}, "history"),
                                ({"embedding_size": 4, "normalisation": "x"}, "normalisation"),
                                ({"embedding_size": 4, "normalisation": "cl2n"}, "needs the domain's mean"),
                                ({"embedding_size": 4, "false_alarm_rate": 0.0}, "false_alarm_rate"),
                                ({"embedding_size": 4, "prototypes": "/no/x.safetensors"}, "no such file")):
            with self.assertRaisesRegex(ValueError, reason):
                prototype_classifier(**options)


if __name__ == "__main__":
    gr_unittest.run(qa_prototype_classifier)
