# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The wideband classes decode: with other people's decoders, or with ours, which real recordings check."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from radiofm_ml.synth.signals import wifi
from wideband_receivers import wifi_frames

LAYOUT = {"cf32_le": ("<f4", 0.0), "ci16_le": ("<i2", 0.0), "ci8": ("i1", 0.0), "cu8": ("u1", 127.5)}


def recordings(data_dir: Path, label: str) -> list[dict]:
    """Rows of the index; skips if the label is not there."""
    with open(data_dir / "iq" / "index.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == label]
    if not rows:
        pytest.skip(f"no recording of {label}")
    return rows


def samples(data_dir: Path, row: dict, count: int | None = None) -> np.ndarray:
    """The first ``count`` samples of a recording, complex64."""
    kind, middle = LAYOUT[row["datatype"]]
    raw = np.fromfile(data_dir / "iq" / row["file"], kind, -1 if count is None else 2 * count)
    return (raw.astype(np.float32) - np.float32(middle)).view(np.complex64)


def noisy(x: np.ndarray, snr_db: float = 30.0) -> np.ndarray:
    """``x`` with noise, so that nothing hangs on exact zeros."""
    noise = np.random.default_rng(99).standard_normal(2 * len(x), np.float32).view(np.complex64)
    return x + noise * np.float32(10 ** (-snr_db / 20) / np.sqrt(2))


# -- wifi --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ht", [False, True])
def test_wifi_ofdm_frames_are_received_with_their_check_sequence(ht):
    signal = wifi.generate(np.random.default_rng(3 + ht), 2e-3, "ofdm", load=0.9, ht=ht)
    sent = signal.truth["messages"]
    frames = [f for f in wifi_frames(noisy(signal.iq)) if f["fcs"]]
    received = [(f["psdu"], f["rate"], f["ht"]) for f in frames]
    assert len(sent) >= 3
    assert any(m["ht"] for m in sent) == ht
    missed = [m for m in sent if (m["psdu"], m["rate"], m["ht"]) not in received]
    assert len(missed) <= len(sent) // 5  # the weakest station is 18 dB below the strongest


def test_our_wifi_receiver_receives_real_frames(data_dir):
    rows = {r["sublabel"]: r for r in recordings(data_dir, "wifi_ofdm") if float(r["sample_rate"]) == 20e6}
    for kind in ("11a", "11n"):
        frames = wifi_frames(samples(data_dir, rows[kind], 16000))
        assert sum(f["fcs"] for f in frames) >= 2
        assert any(f["ht"] for f in frames) == (kind == "11n")
