# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A recording read by several threads at once, closed meanwhile, on a file that changes."""

import os
import sys
import threading

import numpy as np
import pytest
from radiofm_ml.sigmf.recording import RecordingError, open_recording
from sigmf_files import archive, ramp, write_recording


@pytest.fixture(autouse=True)
def _impatient():
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(works) -> list[Exception]:
    """Run all at the same moment; what they raised."""
    barrier, errors = threading.Barrier(len(works)), []

    def run(work):
        barrier.wait()
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def check(recording, x, start, count=100):
    np.testing.assert_array_equal(recording.read(start, count), x[start:start + count])


@pytest.mark.parametrize("suffix", ["", ".sigmf", ".sigmf.gz"])
def test_many_first_reads_at_once(tmp_path, suffix):
    x = ramp(20_000)
    path = write_recording(tmp_path / "x", x)
    if suffix:
        path = archive(tmp_path / f"y{suffix}", path, mode="w:gz" if suffix.endswith("gz") else "w")
    for _ in range(200):
        with open_recording(path) as recording:
            recording.close()
            assert at_once([lambda k=k: check(recording, x, 2000 * k) for k in range(8)]) == []


def test_closed_while_others_read(tmp_path):
    """Nobody reads from a file that was closed, nor from another one that has got its number since."""
    x = ramp(300_000)
    recording = open_recording(write_recording(tmp_path / "x", x))
    (tmp_path / "other").write_bytes(b"\xff" * 4_000_000)
    done = threading.Event()

    def read(k):
        for i in range(500):
            check(recording, x, (7919 * i + k) % 250_000, 10)

    def close():
        while not done.is_set():
            recording.close()
            with open(tmp_path / "other", "rb"):
                pass

    closer = threading.Thread(target=close)
    closer.start()
    errors = at_once([lambda k=k: read(k) for k in range(4)])
    done.set()
    closer.join()
    assert errors == []


def test_no_file_stays_open(tmp_path):
    def count():
        return len(os.listdir("/proc/self/fd"))

    path = write_recording(tmp_path / "x", ramp(1000))
    before = count()
    recordings = [open_recording(path) for _ in range(50)]
    assert count() == before  # opened when they are read
    for recording in recordings:
        recording.read(0, 10)
    assert count() == before + 50
    for recording in recordings:
        recording.close()
    assert count() == before


def test_bad_samples_are_counted_by_all_threads(tmp_path, caplog):
    x = ramp(8000)
    x[::10] = np.nan
    recording = open_recording(write_recording(tmp_path / "x", x))
    assert at_once([lambda k=k: [recording.read(i, 10) for i in range(k * 1000, k * 1000 + 1000, 10)]
                    for k in range(8)]) == []
    assert recording.bad_samples == 800 and sum("NaN" in r.message for r in caplog.records) == 1


def test_reads_again_after_close_and_from_threads(tmp_path):
    x = ramp(50_000)
    recording = open_recording(write_recording(tmp_path / "x", x))
    recording.read(0, 1)
    recording.close()
    results = {}

    def read(k):
        results[k] = [recording.read(i, 100) for i in range(k, 50_000, 5000)]

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, pieces in results.items():
        for i, piece in zip(range(k, 50_000, 5000), pieces, strict=True):
            np.testing.assert_array_equal(piece, x[i : i + 100])


def test_file_that_shrinks_meanwhile_is_an_error_not_a_crash(tmp_path):
    path = write_recording(tmp_path / "x", ramp(1000))
    recording = open_recording(path)
    (tmp_path / "x.sigmf-data").write_bytes(b"\0" * 80)
    with pytest.raises(RecordingError, match="x.sigmf-data: shrank"):
        recording.read()
