# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Files that are there as a whole or not at all, and what counts as a number."""

import math
import os
import stat
import threading

import numpy as np
import pytest
from radiofm_ml import atomic
from radiofm_ml.arguments import is_number, is_whole, whole


def test_the_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "a"
    atomic.write_text(path, "one")
    atomic.write_bytes(path, b"two")
    assert path.read_bytes() == b"two" and [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "." + "b" * 254])
def test_names_as_long_as_a_name_may_be(tmp_path, name):
    path = tmp_path / name
    atomic.write_text(path, "one")
    atomic.write_text(path, "two")
    room = atomic.Room(path, 0, 1)
    room.replace(path, b"three")
    assert path.read_text() == "three" and [p.name for p in tmp_path.iterdir()] == [name]
    hidden = {atomic.hidden(tmp_path / (name[:-1] + end), ".part") for end in "xyz"}
    assert len(hidden) == 3 and all(len(os.fsencode(p.name)) <= 255 and p.name[0] == "." for p in hidden)


def test_who_reads_and_writes_anew_is_alone(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")

    def count():
        for _ in range(20):
            with atomic.alone(path):
                atomic.write_text(path, str(int(path.read_text()) + 1), durable=False)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "80" and len(list(tmp_path.iterdir())) == 1


def test_an_exception_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic.replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_mode_stays(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    atomic.write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_who_has_the_old_content_mapped_keeps_it(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(1000))
    mapped = np.load(path, mmap_mode="r")
    atomic.write_bytes(path, b"short")
    np.testing.assert_array_equal(mapped, np.arange(1000))


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [math.nan]}])
def test_json_has_no_nan(tmp_path, value):
    path = tmp_path / "a.json"
    path.write_text("{}")
    with pytest.raises(ValueError):
        atomic.write_json(path, value)
    assert path.read_text() == "{}"


def test_what_a_number_is():
    assert all(map(is_whole, (0, -3, np.int64(4), np.uint8(1))))
    assert not any(map(is_whole, (True, np.bool_(True), 1.0, "1", None, math.nan)))
    assert all(map(is_number, (0, 1.5, np.float32(2), np.int8(1), 10**400)))
    assert not any(map(is_number, (True, math.nan, math.inf, -math.inf, "1", 1j, None)))
    assert is_whole(3, 3, 3) and not is_whole(4, 3, 3) and not is_number(0.5, 1.0)


def test_a_whole_number_or_a_sentence():
    assert whole("threads", np.int64(2), 1) == 2
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1, got 0"):
        whole("threads", 0, 1)
    with pytest.raises(ValueError, match="block must be a whole number from 1 to 8, got True"):
        whole("block", True, 1, 8)
