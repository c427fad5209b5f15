# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The worker behind the blocks: order, batches, what is dropped, what waits. Needs no GNU Radio."""

import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

_FOLDER = Path(__file__).resolve().parents[1] / "python" / "radiofm" / "common"
_spec = importlib.util.spec_from_file_location(  # the blocks' package needs GNU Radio, its helpers do not
    "radiofm_common", _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)])
sys.modules["radiofm_common"] = importlib.util.module_from_spec(_spec)
worker_module = importlib.import_module("radiofm_common.worker")
arguments = importlib.import_module("radiofm_common.arguments")
LONG = 30.0  # seconds until a wait counts as a failure


class Recorder:
    """A ``process`` that notes its batches, and waits for ``go`` before each."""

    def __init__(self, gated=False):
        self.batches, self.entered, self.go = [], threading.Semaphore(0), threading.Semaphore(0)
        self.gated = gated

    def __call__(self, batch):
        self.batches.append(batch)
        self.entered.release()
        if self.gated:
            assert self.go.acquire(timeout=LONG)

    def wait_entered(self):
        assert self.entered.acquire(timeout=LONG)


@pytest.fixture
def make():
    made = []

    def make(process, **settings):
        settings = {"max_batch": 4, "max_latency": 0.0, "capacity": 8, "overload": "drop", **settings}
        worker = worker_module.BatchWorker(process, **settings)
        made.append((worker, process))
        return worker

    yield make
    for worker, process in made:
        if isinstance(process, Recorder):
            process.gated = False
            process.go.release(1000)
        worker.stop()


def put_all(worker, items):
    items = list(items)
    while items:
        items = items[worker.put(len(items), items.__getitem__, LONG):]


def test_every_item_once_and_in_order(make):
    process = Recorder()
    worker = make(process, overload="block")
    worker.start()
    put_all(worker, range(100))
    assert worker.wait_idle(LONG)
    assert sum(process.batches, []) == list(range(100))
    assert max(map(len, process.batches)) <= 4
    assert (worker.processed, worker.dropped, worker.failed, worker.waiting) == (100, 0, 0, 0)
    assert worker.batches == len(process.batches)


def test_full_batches_while_busy(make):
    process = Recorder(gated=True)
    worker = make(process)
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    put_all(worker, range(1, 9))
    process.go.release(3)
    assert worker.wait_idle(LONG)
    assert process.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]


def test_the_newest_win(make):
    process = Recorder(gated=True)
    worker = make(process)
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    for item in range(1, 30):
        put_all(worker, [item])
    assert worker.dropped == 21 and worker.waiting == 8
    process.go.release(3)
    assert worker.wait_idle(LONG)
    assert sum(process.batches, []) == [0, *range(22, 30)]
    assert worker.processed + worker.dropped == 30


def test_what_is_not_done_counts_as_dropped(make):
    worker = make(lambda batch: 1, overload="block")
    worker.start()
    put_all(worker, range(8))
    assert worker.wait_idle(LONG)
    assert worker.processed == worker.batches and worker.processed + worker.dropped == 8
    assert worker.late == 0  # nobody was too slow
    worker.take_back(100)
    assert (worker.processed, worker.dropped) == (0, 8)


def test_the_first_that_is_late_is_told(make):
    told = []
    process = Recorder(gated=True)
    worker = make(process, on_drop=lambda: told.append(worker.late))
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    put_all(worker, range(8))
    assert told == []
    put_all(worker, range(3))
    put_all(worker, range(100))
    assert told == [3] and worker.late == worker.dropped == 103
    process.gated = False
    process.go.release(1000)
    worker.stop()
    assert worker.late == 103 and worker.processed + worker.dropped == 112


def test_what_is_dropped_on_arrival_is_not_made(make):
    process = Recorder(gated=True)
    worker = make(process)
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    made = []
    assert worker.put(1000, lambda i: made.append(i) or i) == 1000
    assert made == list(range(992, 1000)) and worker.dropped == 992


def test_blocking_takes_what_there_is_room_for(make):
    process = Recorder(gated=True)
    worker = make(process, overload="block")
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    assert worker.put(20, lambda i: 1 + i) == 8
    assert worker.put(20, lambda i: 1 + i, 0.01) == 0
    assert worker.dropped == 0
    taken = []
    thread = threading.Thread(target=lambda: taken.append(worker.put(20, lambda i: 9 + i, LONG)))
    thread.start()
    process.go.release()  # the batch of one ends and four are taken out
    thread.join(LONG)
    assert taken == [4]


def test_a_change_to_drop_frees_one_who_waits(make):
    process = Recorder(gated=True)
    worker = make(process, overload="block", capacity=1, max_batch=1)
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    put_all(worker, [1])
    worker.set_overload("drop")
    assert worker.put(3, lambda i: 2 + i, LONG) == 3
    process.go.release(2)
    assert worker.wait_idle(LONG)
    assert process.batches == [[0], [4]] and worker.dropped == 3


def test_latency_fills_batches(make):
    process = Recorder()
    worker = make(process, max_latency=LONG)
    worker.start()
    for item in range(4):
        put_all(worker, [item])
    assert worker.wait_idle(LONG / 2)  # four are enough, nobody waits for the latency
    assert process.batches == [[0, 1, 2, 3]]
    put_all(worker, [4])
    assert not worker.wait_idle(0.05)
    worker.set_max_latency(0.0)
    assert worker.wait_idle(LONG / 2)
    assert process.batches[1:] == [[4]]


def test_an_exception_ends_nothing(make):
    told = []

    def process(batch):
        if batch[0] % 2:
            raise RuntimeError("odd")

    worker = make(process, max_batch=1, overload="block", on_error=told.append)
    worker.start()
    put_all(worker, range(6))
    assert worker.wait_idle(LONG)
    assert (worker.processed, worker.failed) == (3, 3)
    assert [str(error) for error in told] == ["odd"]


def test_stop_while_busy(make):
    process = Recorder(gated=True)
    worker = make(process)
    worker.start()
    put_all(worker, range(1))
    process.wait_entered()
    put_all(worker, range(1, 6))
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    process.go.release()
    stopping.join(LONG)
    assert not stopping.is_alive()
    assert (worker.processed, worker.dropped) == (1, 5) and process.batches == [[0]]
    assert worker.put(3, lambda i: i) == 3 and worker.dropped == 8
    assert worker.wait_idle(0)


def test_start_again(make):
    process = Recorder()
    worker = make(process)
    for _ in range(3):
        worker.start()
        worker.start()
        put_all(worker, range(5))
        assert worker.wait_idle(LONG)
        assert worker.processed == 5
        worker.stop()
        worker.stop()


def test_smaller_capacity_while_running(make):
    process = Recorder(gated=True)
    worker = make(process)
    worker.start()
    put_all(worker, [0])
    process.wait_entered()
    put_all(worker, range(1, 9))
    worker.set_capacity(2)
    put_all(worker, [9])
    assert worker.waiting == 2 and worker.dropped == 7


@pytest.mark.parametrize("setting, value, message", [
    ("max_batch", 0, "max_batch must be a whole number"), ("max_batch", 2.0, "max_batch"),
    ("max_batch", True, "max_batch"), ("capacity", 0, "max_queue must be a whole number"),
    ("max_latency", -1, "max_latency must lie in 0 to 60"), ("max_latency", float("nan"), "max_latency"),
    ("overload", "wait", "overload must be one of drop, block"),
])
def test_settings_out_of_range(make, setting, value, message):
    with pytest.raises(ValueError, match=message):
        make(Recorder(), **{setting: value})
    worker = make(Recorder())
    with pytest.raises(ValueError, match=message):
        getattr(worker, f"set_{setting}")(value)
    assert (worker.max_batch, worker.capacity, worker.max_latency, worker.overload) == (4, 8, 0.0, "drop")


def test_numbers_of_blocks_are_checked_as_those_of_the_library():
    from radiofm_ml.arguments import is_whole

    values = (0, 5, 6, -1, 5.0, 5.5, True, "5", None, np.int32(5), np.uint8(6), np.float64(5), np.bool_(1),
              float("nan"), float("inf"), 2**70)
    for value in values:
        assert arguments.is_whole(value, 0, 5) == is_whole(value, 0, 5), value
    assert [v for v in values if arguments.is_whole(v, 0, 5)] == [0, 5, 5]
    assert type(arguments.whole("block: n", np.int32(5), 0)) is int
    assert arguments.number("block: x", np.float32(0.5), 0, 1) == 0.5
    for wrong in (True, "1", None, float("nan"), float("inf"), -0.1, 1.1, 1j):
        with pytest.raises(ValueError, match=r"block: x must be a number in 0..1, got "):
            arguments.number("block: x", wrong, 0, 1)
    for wrong, low, high, bounds in ((2.5, 0, 5, "from 0 to 5"), (-1, 0, None, "of at least 0"),
                                     (np.bool_(1), 0, 5, "from 0 to 5")):
        with pytest.raises(ValueError, match=f"block: n must be a whole number {bounds}, got "):
            arguments.whole("block: n", wrong, low, high)
    for bounds, text in (((), ", finite"), ((0,), " of at least 0"), ((-float("inf"), 9), " of at most 9")):
        with pytest.raises(ValueError, match=f"a number{text}, got nan"):
            arguments.number("x", float("nan"), *bounds)
