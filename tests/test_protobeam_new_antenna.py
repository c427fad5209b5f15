# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A receiver of beams in a running flowgraph: taught, given another antenna, and taught again by message.

The flowgraph of examples/protobeam_new_antenna.grc without its window. What is decided is compared with what
was sent, at exact samples.
"""

import threading

import numpy as np
import pytest

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")

import pmt  # noqa: E402
from gnuradio import blocks, gr  # noqa: E402
from gnuradio.radiofm import messages  # noqa: E402

BUNDLE = "protobeam-sim"
BEAMS, BLOCK = 24, 2048
DWELL = 15 * BLOCK  # a frame of the recorded data
SWEEP = BEAMS * DWELL
SHOTS = 2  # a beam
SWAP, TEACH, END = 2 * SWEEP, 3 * SWEEP, 5 * SWEEP
LONG = 120.0  # seconds until a wait counts as a failure


class gate(gr.sync_block):
    """Passes samples on up to one, and the rest when it is opened."""

    def __init__(self, hold: int):
        gr.sync_block.__init__(self, name="gate", in_sig=[np.complex64], out_sig=[np.complex64])
        self.hold, self.open = hold, threading.Event()

    def work(self, input_items, output_items):
        left = self.hold - self.nitems_read(0)
        count = len(output_items[0])
        if not self.open.is_set():
            if left == 0:
                assert self.open.wait(LONG)
            else:
                count = min(count, left)
        output_items[0][:count] = input_items[0][:count]
        return count


class recorder(gr.basic_block):
    """Keeps what comes on a port, and lets others wait for it."""

    def __init__(self, read):
        gr.basic_block.__init__(self, name="recorder", in_sig=None, out_sig=None)
        self.read, self.items, self.change = read, [], threading.Condition()
        self.message_port_register_in(pmt.mp("in"))
        self.set_msg_handler(pmt.mp("in"), self.handle)

    def handle(self, message):
        with self.change:
            self.items.append(self.read(message))
            self.change.notify_all()

    def wait(self, condition):
        with self.change:
            assert self.change.wait_for(lambda: any(map(condition, self.items)), LONG)


def post(block, port, **values):
    block.to_basic_block()._post(pmt.intern(port), pmt.to_pmt(values))


def teach(classifier, sweep: int):
    """Two shots of every beam, from the sweep that begins at sample ``sweep``."""
    for beam in range(BEAMS):
        post(classifier, "prototypes", command="enroll", label=f"beam {beam}", shots=SHOTS, source="at",
             sample_start=sweep + beam * DWELL)


@pytest.fixture(scope="module")
def run():
    """(predictions, true label of each, status of the classifier) of the whole run."""
    source = radiofm.beam_source("a", dwell=DWELL, rx_gain=60.0)
    hold = gate(TEACH)
    classifier = radiofm.protobeam_classifier(BUNDLE, shipped=False, overload="block", drift_rate=1e-4)
    predictions, answers = recorder(messages.parse_prediction), recorder(pmt.to_python)
    truth = recorder(pmt.to_python)
    tb = gr.top_block()
    tb.connect(source, blocks.head(gr.sizeof_gr_complex, END), hold, classifier)
    tb.msg_connect((source, "truth"), (truth, "in"))
    tb.msg_connect((classifier, "predictions"), (predictions, "in"))
    tb.msg_connect((classifier, "status"), (answers, "in"))

    post(source, "control", front_end="b", sample_start=SWAP)
    teach(classifier, 0)
    tb.start()
    predictions.wait(lambda p: p.info.sample_start == TEACH - BLOCK)
    post(classifier, "prototypes", command="clear")
    teach(classifier, TEACH)
    post(classifier, "prototypes", command="state")  # answered when all before it are in
    answers.wait(lambda a: a["command"] == "state")
    hold.open.set()
    tb.wait()

    starts = np.array([t["sample_start"] for t in truth.items])
    sent = [truth.items[np.searchsorted(starts, p.info.sample_start, side="right") - 1]
            for p in predictions.items]
    return predictions.items, sent, answers.items


def accuracy(run, first: int, end: int) -> float:
    """Share of the blocks from sample ``first`` to ``end`` whose label is that of the beam that was sent."""
    predictions, sent, _ = run
    right = [p.label == t["label"] for p, t in zip(predictions, sent, strict=True)
             if first <= p.info.sample_start < end]
    assert len(right) == (end - first) // BLOCK
    return float(np.mean(right))


def test_every_block_is_decided_where_it_is(run):
    predictions, sent, _ = run
    assert [p.info.sample_start for p in predictions] == list(range(0, END, BLOCK))
    assert {p.info.dropped for p in predictions} == {0}
    assert {(p.info.sample_rate, p.info.rx_freq) for p in predictions} == {(3.072e9, 60.48e9)}
    beams = [t["beam"] for t in sent]
    assert beams == [start // DWELL % BEAMS for start in range(0, END, BLOCK)]
    assert [t["front_end"] for t in sent] == ["a" if start < SWAP else "b" for start in range(0, END, BLOCK)]


def test_accuracy_collapses_with_the_antenna_and_returns_with_two_shots(run):
    same, other = accuracy(run, SWEEP, SWAP), accuracy(run, SWAP, TEACH)
    taught = accuracy(run, 4 * SWEEP, END)
    print(f"antenna a {same:.3f}, antenna b {other:.3f}, after {SHOTS} shots a beam {taught:.3f}")
    assert same > 0.8
    assert other < 0.3
    assert taught > 0.8


def test_drift_is_reported_after_the_swap_and_only_then(run):
    _, _, answers = run
    drift = [(a["ok"], a["sample_start"]) for a in answers if a["command"] == "drift"]
    assert [ok for ok, _ in drift] == [False, True]  # it ends with the new prototypes
    assert SWAP < drift[0][1] <= TEACH < drift[1][1]


def test_the_answers_say_from_which_sample_on(run):
    _, _, answers = run
    enrolled = [a for a in answers if a["command"] == "enroll"]
    assert all(a["ok"] for a in enrolled)
    second_shot = [sweep + beam * DWELL + BLOCK for sweep in (0, TEACH) for beam in range(BEAMS)]
    assert [a["sample_start"] for a in enrolled] == second_shot
    (cleared,) = [a for a in answers if a["command"] == "clear"]
    assert cleared["ok"] and cleared["sample_start"] == TEACH
