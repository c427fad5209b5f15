# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""rtl_433 decodes the synthesised sensors, fobs and meters, and reads what was sent."""

import numpy as np
import pytest
from decoders import receive, rtl_433
from radiofm_ml.synth.signals import ism_fsk, key_fob, metering, on_off_keying


def hears(signal, rate: float, number: int) -> None:
    """rtl_433's decoder ``number`` reads every message that was sent whole, and nothing else."""
    sent = signal.truth["messages"]
    assert sent, "nothing was sent whole"
    heard = rtl_433(receive(signal, rate), rate, "-R", number)
    expected = [{k: pytest.approx(v) if isinstance(v, float) else v for k, v in m.items()} for m in sent]
    read = [{k: packet.get(k) for k in sent[0]} for packet in heard]
    for message in expected:
        assert message in read
    # frames of a transmission that was cut off may be heard as well, before the first and after the last
    extra = [message for message in read if message not in expected]
    assert len({str(message) for message in extra}) <= 2, extra


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "variant, number",
    [("nexus", 19), ("prologue", 3), ("lacrosse-tx", 8), ("acurite-609", 11), ("acurite-tower", 40),
     ("oregon-v2", 12), ("oregon-v3", 12)],
)  # fmt: skip
def test_sensor(variant, number):
    hears(on_off_keying.generate(rng(5), 2.2, variant), 250e3, number)


def test_switch():
    signal = on_off_keying.generate(rng(5), 2.0, "switch")
    heard = {packet["id"] << 8 | packet["cmd"] for packet in rtl_433(receive(signal, 250e3), 250e3, "-R", 30)}
    # it knows one length of the chips; ours vary as the resistors do that set them
    assert heard and heard <= {m["code"] for m in signal.truth["messages"]}


@pytest.mark.parametrize("variant", ["keeloq", "keeloq-fsk"])
def test_rolling_code_fob(variant):
    signal = key_fob.generate(rng(6), 1.5, variant)  # chips of 400 us, which rtl_433 knows
    heard = rtl_433(receive(signal, 250e3), 250e3)
    # rtl_433 22.11 puts the serial number's highest digit in the wrong place
    codes = {(packet["encrypted"], packet["id"][-5:]) for packet in heard
             if packet["model"] == "Microchip-HCS200"}  # fmt: skip
    sent = {(m["encrypted"], m["id"][-5:]) for m in signal.truth["messages"]}
    assert sent and sent <= codes


@pytest.mark.parametrize("variant, number", [("tx29", 76), ("tx35", 75)])
def test_frequency_keyed_sensor(variant, number):
    hears(ism_fsk.generate(rng(5), 0.5, variant), 1e6, number)


@pytest.mark.parametrize("mode, rate, number", [("s1", 1e6, 105), ("t1", 1.2e6, 104), ("c1", 1.2e6, 104)])
def test_wireless_m_bus(mode, rate, number):
    hears(metering.wireless_m_bus(rng(7), 0.4, mode), rate, number)


def test_ert():
    hears(metering.ert(rng(5), 0.2), 1e6, 149)
