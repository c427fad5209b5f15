# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A WiFi channel in use: IEEE Std 802.11-2020, an access point and its stations.

Frame exchanges with the standard's timing (SIFS 10 or 16 us, DIFS, backoff slots): beacons, data and
acknowledgements, RTS and CTS, each station with its own level and carrier error. MAC headers and FCS are
true (clause 9), bodies random as if encrypted. Variant 'ofdm': 11a/g and 11n; 'dsss': 11b.
"""

from __future__ import annotations

import zlib

import numpy as np

from radiofm_ml.synth.signals import wifi_dsss, wifi_ofdm
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, turn

VARIANTS = ("ofdm", "dsss")


def with_fcs(frame: bytes) -> bytes:
    """Append the frame check sequence (9.2.4.8)."""
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def beacon(rng: Rng, source: bytes) -> bytes:
    """Beacon with SSID, supported rates, channel and a filler for the elements that vendors add."""
    ssid = bytes(rng.integers(97, 123, int(rng.integers(4, 20)), np.uint8))
    body = rng.bytes(8) + b"\x64\x00\x11\x04" + bytes([0, len(ssid)]) + ssid
    body += b"\x01\x08\x8c\x12\x98\x24\xb0\x48\x60\x6c" + bytes([3, 1, int(rng.integers(1, 14))])
    filler = rng.bytes(int(rng.integers(20, 200)))
    body += bytes([221, len(filler)]) + filler
    control = b"\x80\x00\x00\x00" + b"\xff" * 6 + source + source
    return with_fcs(control + int(rng.integers(0, 4096) << 4).to_bytes(2, "little") + body)


def data(rng: Rng, source: bytes, sink: bytes, octets: int) -> bytes:
    """Protected QoS data."""
    head = b"\x88\x42" + int(rng.integers(40, 400)).to_bytes(2, "little") + sink + source + source
    head += int(rng.integers(0, 4096) << 4).to_bytes(2, "little") + b"\x00\x00"
    return with_fcs(head + rng.bytes(octets))


def control(kind: int, sink: bytes, source: bytes = b"") -> bytes:
    """Acknowledgement (0xD4), CTS (0xC4), or with a source: RTS (0xB4)."""
    return with_fcs(bytes([kind, 0, 0, 0]) + sink + source)


class _Station:
    """An address, a level and a carrier error; sends PPDUs."""

    def __init__(self, rng: Rng, variant: str):
        self.address = b"\x02" + rng.bytes(5)
        self.level = np.float32(10 ** (-rng.uniform(0, 18) / 20))
        self.offset = rng.normal(0, 12e3)  # 5 ppm at 2.4 GHz; the standard allows 20
        self.variant = variant
        self.rolloff = float(rng.uniform(0.3, 0.8))

    def send(self, rng: Rng, psdu: bytes, rate: float, ht: bool = False) -> np.ndarray:
        seed = int(rng.integers(1, 128))
        if self.variant == "dsss":
            iq, sample_rate = wifi_dsss.ppdu(psdu, rate, seed, self.rolloff), wifi_dsss.SAMPLE_RATE
        else:
            sample_rate = wifi_ofdm.SAMPLE_RATE
            iq = wifi_ofdm.ht_ppdu(psdu, int(rate), seed) if ht else wifi_ofdm.ppdu(psdu, int(rate), seed)
        return iq * (self.level * turn(np.full(len(iq), self.offset), sample_rate))


def generate(
    rng: Rng, duration: float, variant: str | None = None, load: float | None = None, ht: bool | None = None
) -> Signal:
    """``duration`` seconds of a channel; 20 MS/s ('ofdm') or 22 MS/s ('dsss').

    load  mean share of the time between exchanges that is not waited (0 … 1)
    ht    data frames in the 11n format
    truth["messages"]: {"psdu", "rate" (Mb/s, or MCS if "ht"), "ht", "start"} for each frame
    """
    variant = variant or str(rng.choice(VARIANTS, p=[0.7, 0.3]))
    if variant not in VARIANTS:
        raise ValueError(f"wifi: variant '{variant}' is not one of {', '.join(VARIANTS)}")
    dsss = variant == "dsss"
    rate = wifi_dsss.SAMPLE_RATE if dsss else wifi_ofdm.SAMPLE_RATE
    ht = bool(rng.random() < 0.5) if ht is None and not dsss else bool(ht)
    load = float(rng.uniform(0.05, 0.95)) if load is None else load
    sifs, slot = (10e-6, 20e-6) if dsss else (16e-6, 9e-6)
    basic = [1.0, 2.0] if dsss else [6, 12, 24]
    speeds = [1.0, 2.0, 5.5, 11.0] if dsss else list(wifi_ofdm.HT_RATES if ht else wifi_ofdm.RATES)
    band = (-11e6, 11e6) if dsss else (-8.9e6, 8.9e6) if ht else (-8.3e6, 8.3e6)
    access, *stations = (_Station(rng, variant) for _ in range(int(rng.integers(2, 5))))
    typical = float(np.exp(rng.uniform(np.log(60), np.log(1500))))
    bursts: list[Burst] = []
    at = 0.0

    def put(station: _Station, psdu: bytes, speed: float, in_ht: bool = False) -> None:
        nonlocal at
        iq = station.send(rng, psdu, speed, in_ht)
        message = {"psdu": psdu, "rate": speed, "ht": in_ht, "start": round(at * rate)}
        bursts.append(Burst(round(at * rate), iq, message, band))
        at += len(iq) / rate

    while at < duration:
        peer = stations[int(rng.integers(0, len(stations)))]
        source, sink = (access, peer) if rng.random() < 0.7 else (peer, access)
        answer = basic[int(rng.integers(0, len(basic)))]
        if rng.random() < 0.12:
            put(access, beacon(rng, access.address), basic[0])
        else:
            if rng.random() < 0.15:
                put(source, control(0xB4, sink.address, source.address), answer)
                at += sifs
                put(sink, control(0xC4, source.address), answer)
                at += sifs
            speed = speeds[int(rng.integers(0, len(speeds)))]
            octets = int(np.clip(typical * rng.uniform(0.3, 2), 20, 1500))
            put(source, data(rng, source.address, sink.address, octets), speed, ht)
            if rng.random() < 0.95:
                at += sifs
                put(sink, control(0xD4, source.address), answer)
        if len(bursts) < 4:  # begin anywhere in the first exchanges
            back = rng.uniform(0, 1) * at
            bursts = [b._replace(start=b.start - round(back * rate), message={**b.message,
                      "start": b.start - round(back * rate)}) for b in bursts]  # fmt: skip
            at -= back
        at += sifs + 2 * slot + slot * int(rng.integers(0, 16))
        at += min(rng.exponential(300e-6) * (1 - load) / load, 5e-3, duration / 2)
    return assemble(duration, rate, bursts, variant)


CLASSES = (
    SignalClass(
        "wifi", "WiFi (IEEE 802.11)", generate, (10e6, 40e6), (2.4e9, 5.9e9), (0.8e-3, 12e-3), VARIANTS
    ),
)
