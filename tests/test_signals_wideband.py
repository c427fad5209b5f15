# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The wideband classes decode: with other people's decoders, or with ours, which real recordings check."""

from __future__ import annotations

import binascii
import csv
from pathlib import Path

import numpy as np
import pytest
from decoders import grgsm_decode, receive, welle_cli
from radiofm_ml.synth.signals import (
    all_classes,
    bluetooth,
    bluetooth_br,
    bluetooth_le,
    dab,
    gsm,
    ieee802154,
    lte,
    lte_sidelink,
    nbiot,
    nr,
    wifi,
)
from radiofm_ml.synth.signals.coding import bytes_of_bits, integer_of
from radiofm_ml.synth.signals.sequences import whitening
from scipy.signal import firwin, oaconvolve, resample_poly
from wideband_receivers import (
    le_packets,
    lte_reference,
    lte_search,
    npss,
    nr_search,
    pscch,
    viterbi,
    wifi_frames,
    zigbee_frames,
)

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
    signal = wifi.generate(np.random.default_rng(3 + ht), 1.3e-3, "ofdm", load=0.9, ht=ht)
    sent = signal.truth["messages"]
    frames = [f for f in wifi_frames(noisy(signal.iq)) if f["fcs"]]
    received = [(f["psdu"], f["rate"], f["ht"]) for f in frames]
    assert len(sent) >= 2
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


# -- Bluetooth ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lap, sync", [(0, 0x7E7041E34000000D), (0xFFFFFF, 0xE758B5227FFFFFF2), (0x9E8B33, 0x475C58CC73345E72)]
)
def test_bluetooth_sync_words_are_those_of_the_specification(lap, sync):
    assert integer_of(bluetooth_br.sync_word(lap)) == sync  # volume 2 part G, section 3


def test_bluetooth_whitening_of_channel_37():
    """The sequence that every receiver of advertisements has as a table."""
    bits = bluetooth_le.whitened(np.zeros(128, np.uint8), 37)
    assert bytes_of_bits(bits, "little").hex() == "8dd257a13da766b07531114896 77f8e3".replace(" ", "")


@pytest.mark.parametrize("rate", [4e6, 10e6])
def test_bluetooth_low_energy_packets_are_received(rate):
    received = 0
    for seed in range(4):
        signal = bluetooth.generate(np.random.default_rng(seed), 6e-3, "le", rate)
        assert signal.emissions
        for sent in signal.truth["messages"]:
            offset = bluetooth_le.frequency(sent["channel"]) - signal.truth["centre"]
            sps = round(rate / 1e6 / sent["phy"])
            first = max(0, sent["start"] - 20 * sps)
            x = noisy(signal.iq[first : first + 8 * sps * (len(sent["pdu"]) + 15)], 40)
            x = x * np.exp(-2j * np.pi * offset / rate * np.arange(len(x)))
            x = oaconvolve(x, firwin(101, 1.4e6 * sent["phy"], fs=rate), "same")
            packets = le_packets(x, sps, sent["channel"], sent["access_address"], sent["crc_init"])
            assert packets == [(sent["pdu"], True)]
            received += 1
    assert received >= 4


def test_bluetooth_basic_rate_packets_have_their_access_code():
    signal = bluetooth.generate(np.random.default_rng(5), 20e-3, "br", 10e6)
    assert signal.truth["messages"]
    for sent in signal.truth["messages"]:
        offset = 2402e6 + 1e6 * sent["channel"] - signal.truth["centre"]
        x = noisy(signal.iq[sent["start"] : sent["start"] + 72 * 10 + 1], 40)
        x = x * np.exp(-2j * np.pi * offset / 10e6 * np.arange(len(x)))
        step = np.angle(x[1:] * np.conj(x[:-1]))[: 68 * 10].reshape(-1, 10)[:, 3:7].mean(1)
        code = bluetooth_br.access_code(sent["lap"])[:68]
        assert ((step > (step.max() + step.min()) / 2) == code).mean() > 0.95


# -- IEEE 802.15.4 -----------------------------------------------------------------------------------
def test_ieee802154_frames_are_received_with_their_check_sequence():
    sent, received = [], set()
    for seed in range(3):
        signal = ieee802154.generate(np.random.default_rng(seed), 6e-3)
        sent += [m["psdu"] for m in signal.truth["messages"]]
        for offset in np.arange(-60e3, 60.1e3, 10e3):
            frames = zigbee_frames(noisy(signal.iq, 35), offset=offset / signal.sample_rate)
            received |= {psdu for psdu, good in frames if good}
    assert len(sent) >= 3
    assert set(sent) <= received


def test_our_ieee802154_receiver_receives_a_real_frame(data_dir):
    x = samples(data_dir, recordings(data_dir, "ieee802154")[0])
    frames = zigbee_frames(resample_poly(x, 4, 5))
    assert any(good for _, good in frames)


# -- DAB ---------------------------------------------------------------------------------------------
def test_dab_ensemble_and_services_are_found_by_welle():
    signal = dab.generate(np.random.default_rng(0), 1.5)
    ensemble = signal.truth["ensemble"]
    wanted = [f"Ensemble name id: {ensemble['id']:x}"]
    wanted += [f"New Service: 0x{service['id']:x}" for service in ensemble["services"][:1]]
    text = welle_cli(receive(signal, signal.sample_rate, 25, offset=300.0), tuple(wanted))
    for words in wanted:
        assert words in text


def test_dab_information_blocks_come_out_of_the_carriers():
    signal = dab.generate(np.random.default_rng(6), 0.2)
    frame = signal.truth["messages"][0]
    x = noisy(signal.iq, 20)[frame["start"] + dab.NULL :][: 4 * 2552].reshape(4, 2552)
    bins = np.fft.fft(x[:, 504:])
    carriers = np.concatenate([bins[:, -768:], bins[:, 1:769]], 1)
    assert np.abs(np.vdot(1j ** dab.phase_reference(), carriers[0])) > 0.95 * np.abs(carriers[0]).sum()
    steps = (carriers[1:] * np.conj(carriers[:-1]))[:, dab.interleaving()]
    steps /= np.abs(steps)
    soft = np.concatenate([-steps.real, -steps.imag], 1).reshape(4, 2304)
    for k in range(4):
        full = np.zeros(3096)
        full[dab._kept()] = soft[k]
        bits = viterbi(full.reshape(-1, 4), (0o155, 0o117, 0o123, 0o155), 7)[:768]
        assert bytes_of_bits(bits ^ whitening(9, 5, 0x1FF, 768)) == b"".join(frame["fibs"][3 * k : 3 * k + 3])
    for block in frame["fibs"]:
        assert binascii.crc_hqx(block[:30], 0xFFFF) ^ 0xFFFF == int.from_bytes(block[30:], "big")


def test_dab_null_symbols_are_silent():
    signal = dab.generate(np.random.default_rng(6), 0.2)
    starts = [m["start"] for m in signal.truth["messages"]]
    assert starts
    for start in starts:
        assert not signal.iq[start : start + dab.NULL].any()
        assert any(e.start == start + dab.NULL for e in signal.emissions)


# -- NR, NB-IoT, sidelink ----------------------------------------------------------------------------
@pytest.mark.parametrize("seed, pattern", [(0, "DDDSU"), (1, "DDDDDDDSUU")])
def test_nr_cell_is_found_by_its_synchronisation_blocks(seed, pattern):
    blocks = 24
    signal = nr.generate(np.random.default_rng(seed), 21e-3, blocks, pattern, load=0.3)
    sent = signal.truth["messages"]
    assert sent
    begin = max(0, sent[0]["start"] - 2 * nr.FFT_SIZES[blocks])
    stop = sent[0]["start"] + 8 * nr.FFT_SIZES[blocks]
    carrier = (signal.truth["carrier"] + 120) * nr.SPACING
    found = nr_search(noisy(signal.iq[begin:stop], 40), signal.sample_rate, (carrier,))
    assert found["cell"] == signal.truth["cell"]
    assert (found["primary"] > 0.9) and (found["secondary"] > 0.9)
    bodies = [m["start"] + 144 * nr.FFT_SIZES[blocks] // 2048 for m in sent]
    assert min(abs(found["start"] + begin - b) for b in bodies) <= 1


def test_nbiot_synchronisation_signals_are_where_the_frame_says():
    signal = nbiot.generate(np.random.default_rng(3), 25e-3, nid=77)
    score, start = npss(noisy(signal.iq, 25))
    assert score > 0.9
    subframe = (start - signal.truth["start"]) / 1920 + signal.truth["first"]
    assert subframe == pytest.approx(round(subframe), abs=0.01)
    assert round(subframe) % 10 == 5


def test_our_npss_is_that_of_a_real_cell(data_dir):
    x = samples(data_dir, recordings(data_dir, "nbiot_dl")[0])
    first, start = npss(x)
    assert first > 0.75  # in the band of an LTE cell
    for k in (-1, 1):  # and again every ten subframes
        other = start + 19200 * k
        if 0 <= other < len(x) - 2000:
            again, at = npss(x[other : other + 2200])
            assert (again > 0.7) and (at <= 2)


def test_sidelink_control_channel_has_the_reference_signals():
    signal = lte_sidelink.generate(np.random.default_rng(1), 6e-3, 50, cars=12)
    sent = [m for m in signal.truth["messages"] if m["start"] >= 0]
    assert len(sent) >= 1
    for m in sent:
        score, shift = pscch(signal.iq[m["start"] :], 1024, 50, m["first"], range(1))
        assert score > 0.7  # others may be on the same blocks
        assert shift == m["shift"]


def test_our_sidelink_receiver_finds_a_real_control_channel(data_dir):
    rows = [r for r in recordings(data_dir, "lte_v2x_sidelink") if float(r["sample_rate"]) == 30.72e6]
    if not rows:
        pytest.skip("no recording at 30.72 MS/s")
    score, _ = pscch(samples(data_dir, rows[0], 30720), 2048, 100, 0, range(0, 64, 4))
    assert score > 0.95


# -- all ---------------------------------------------------------------------------------------------
WIDEBAND = ("wifi", "cellular", "bluetooth", "digital-audio-broadcasting", "ieee802.15.4", "nr", "nb-iot",
            "lte-sidelink")  # fmt: skip


@pytest.mark.parametrize("label", WIDEBAND)
def test_stretches_keep_the_contract(label):
    entry = all_classes()[label]
    for variant in entry.variants or (None,):
        fixed = {} if variant is None else {"variant": variant}
        duration = entry.span[0]
        signal = entry.generate(np.random.default_rng(7), duration, **fixed)
        assert signal.iq.dtype == np.complex64
        assert len(signal.iq) == round(duration * signal.sample_rate)
        assert signal.variant == (variant or signal.variant)
        assert signal.emissions
        on = np.zeros(len(signal.iq), bool)
        for e in signal.emissions:
            assert 0 <= e.start < e.start + e.count <= len(signal.iq)
            assert -signal.sample_rate / 2 <= e.lower < e.upper <= signal.sample_rate / 2
            on[e.start : e.start + e.count] = True
        assert not signal.iq[~on].any()
        assert np.mean(np.abs(signal.iq[on]) ** 2) == pytest.approx(1, rel=1e-3)
        again = entry.generate(np.random.default_rng(7), duration, **fixed)
        assert np.array_equal(signal.iq, again.iq)
