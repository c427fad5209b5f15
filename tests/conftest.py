# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Fixtures shared by the library tests."""

import os
import signal
from pathlib import Path

# Small networks only: a second OpenMP thread costs more, by waiting, than it brings.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real recordings (RADIOFM_DATA, or ../shared/data beside the project); skips without it."""
    folder = Path(os.environ.get("RADIOFM_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "iq" / "index.csv").is_file():
        pytest.skip(f"no real recordings in {folder}; set RADIOFM_DATA to run this test")
    return folder


@pytest.fixture
def in_time():
    """A test that waits for ever fails after a minute."""
    def late(*_):
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
