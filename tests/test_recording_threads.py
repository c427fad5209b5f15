# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A recording read by several threads at once, closed meanwhile, on a file that changes."""

import threading

import numpy as np
import pytest
from radiofm_ml.sigmf.recording import RecordingError, open_recording
from sigmf_files import ramp, write_recording


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
