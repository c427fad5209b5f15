# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The wideband classes decode: with other people's decoders, or with ours, which real recordings check."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from decoders import grgsm_decode, receive
from radiofm_ml.synth.signals import gsm, lte, wifi
from wideband_receivers import lte_reference, lte_search, wifi_frames

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


# -- GSM ---------------------------------------------------------------------------------------------
def test_gsm_broadcast_is_decoded_by_gr_gsm():
    signal = gsm.generate(np.random.default_rng(1), 0.5, carriers=1, sps=4)
    decoded = dict(grgsm_decode(receive(signal, signal.sample_rate, 25, offset=700.0), signal.sample_rate))
    sent = {m["frame"]: m["octets"] for m in signal.truth["messages"] if m["channel"] != "sch"}
    assert len(sent) > 10
    assert set(decoded.items()) <= set(sent.items())  # the frame numbers come from our SCH
    assert len(decoded) > len(sent) // 2  # it searches for the carrier first
    assert any(octets[2] in (0x19, 0x1A, 0x1B, 0x1C) for octets in decoded.values())


def test_gsm_carriers_are_where_the_boxes_say():
    signal = gsm.generate(np.random.default_rng(5), 0.01, carriers=3)
    for box in signal.emissions[:6]:
        x = signal.iq[box.start : box.start + box.count]
        power = np.abs(np.fft.fft(x)) ** 2
        f = np.fft.fftfreq(len(x), 1 / signal.sample_rate)
        inside = power[(f >= box.lower) & (f <= box.upper)].mean()
        assert inside > 20 * power[(f > box.upper + 300e3)].min()
    assert np.mean(np.abs(signal.iq[signal.iq != 0]) ** 2) == pytest.approx(1, rel=0.01)


# -- LTE ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("blocks, fft_size", [(6, 128), (100, 128)])
def test_lte_cell_is_found_with_its_frame_timing(blocks, fft_size):
    signal = lte.generate(np.random.default_rng(2), 12e-3, blocks, "fdd", fft_size, load=0.4)
    found = lte_search(noisy(signal.iq, 20))
    assert found["cell"] == signal.truth["cell"]
    since = (found["start"] - found["subframe"] * 1920 - signal.truth["frame_start"]) % 19200
    assert min(since, 19200 - since) <= 1
    assert found["primary"] > (0.9 if blocks == 6 else 0.6)  # other subcarriers of a wider cell are on
    assert found["secondary"] > 0.9
    if blocks == 6:
        assert lte_reference(noisy(signal.iq, 20), found) > 0.9


def test_our_lte_search_finds_a_real_cell(data_dir):
    rows = [r for r in recordings(data_dir, "lte_dl") if "signal.1.92M.amar" in r["file"]]
    if not rows:
        pytest.skip("the recording of a test eNodeB is not there")
    x = samples(data_dir, rows[0], 19200)
    found = lte_search(x)
    assert (found["primary"] > 0.9) and (found["secondary"] > 0.9)
    assert lte_reference(x, found) > 0.9


def test_lte_tdd_is_silent_in_uplink_subframes():
    signal = lte.generate(np.random.default_rng(4), 10e-3, 25, "tdd", load=1.0)
    assert 3 <= len(signal.emissions) <= 6
    on = sum(e.count for e in signal.emissions)
    assert 0.3 < on / len(signal.iq) < 0.85
    gate = np.zeros(len(signal.iq), bool)
    for e in signal.emissions:
        gate[e.start : e.start + e.count] = True
    assert not signal.iq[~gate].any()
