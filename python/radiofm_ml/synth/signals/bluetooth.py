# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The 2.4 GHz band with Bluetooth in it: variants 'br' (Basic Rate) and 'le' (Low Energy).

Core Specification 5.3: what packets are is in ``bluetooth_br`` and ``bluetooth_le``; here is when and where.
BR: master and slave take turns in 625 us slots over 79 channels, inquiry trains at twice that rate. LE:
advertising events on channels 37, 38 and 39 with scan requests, connection events that hop by channel
selection algorithm #1. A view is the whole band, some channels, or one. Simplified: BR hops are uniform draws
from the channels in use instead of by the selection kernel.
Native rate: 4 to 80 MS/s, a whole number of MHz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from radiofm_ml.synth.signals import bluetooth_br, bluetooth_le
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, gaussian, ramped, shape, turn

VARIANTS = ("br", "le")
RATES = np.array([4e6, 6e6, 8e6, 10e6, 20e6, 40e6, 80e6])
IFS = 150e-6  # between the packets of an LE event


@dataclass
class _Device:
    """Level and carrier error of a transmitter, and its modulation index."""

    level: float
    error: float
    index: float


@dataclass
class _Packet:
    """When (s), where (Hz), from whom; ``bits`` makes what, so that only packets in view are made."""

    at: float
    frequency: float
    device: _Device
    bits: Callable[[], Bits]
    count: int
    speed: float = 1e6
    message: dict = field(default_factory=dict)

    @property
    def length(self) -> float:
        return self.count / self.speed


def _device(rng: Rng, index: tuple[float, float]) -> _Device:
    return _Device(10 ** (-rng.uniform(0, 20) / 20), rng.normal(0, 15e3), rng.uniform(*index))


def _basic_rate(rng: Rng, horizon: float) -> Iterator[_Packet]:
    """Packets of one piconet."""
    lap, uap = int(rng.integers(0, 1 << 24)), int(rng.integers(0, 256))
    master, slave = (_device(rng, (0.28, 0.35)) for _ in range(2))
    channels = rng.permutation(79)[: int(rng.integers(20, 80))]  # adaptive frequency hopping
    heavy = str(rng.choice(["DH1", "DH3", "DH5"]))
    full, idle = rng.uniform(0.1, 1.0), rng.uniform(0, 0.5)
    clock, at = int(rng.integers(0, 1 << 26)) * 4, -rng.uniform(0, 5e-3)
    inquiring = rng.random() < 0.2

    def put(device: _Device, kind: str, now: int, when: float) -> _Packet:
        _, _, most, header = bluetooth_br.TYPES[kind]
        payload = rng.bytes(int(most * rng.uniform(0.1, 1))) if most else b""
        channel = int(channels[rng.integers(0, len(channels))])
        count = 126 + (8 * (header + len(payload)) + 16 if most else 0)
        return _Packet(
            when, 2402e6 + 1e6 * channel, device,
            lambda: bluetooth_br.packet(lap, uap, now, kind, payload), count, 1e6,
            {"lap": lap, "uap": uap, "clock": now, "type": kind, "payload": payload, "channel": channel},
        )  # fmt: skip

    while at < horizon:
        if inquiring:
            for half in range(2):
                channel = int(rng.integers(0, 79))
                yield _Packet(
                    at + half * 312.5e-6, 2402e6 + 1e6 * channel, master,
                    lambda: bluetooth_br.access_code(bluetooth_br.INQUIRY, trailer=False), 68, 1e6,
                    {"lap": bluetooth_br.INQUIRY, "type": "ID", "channel": channel},
                )  # fmt: skip
            at, clock = at + 2 * bluetooth_br.SLOT, clock + 4
            continue
        if rng.random() < idle:
            skipped = 2 * int(rng.integers(1, 8))
            at, clock = at + skipped * bluetooth_br.SLOT, clock + 2 * skipped
            continue
        talks = (heavy, heavy if rng.random() < 0.2 else "NULL")
        for device, kind, quiet in ((master, talks[0], "POLL"), (slave, talks[1], "NULL")):
            kind = kind if rng.random() < full else quiet
            yield put(device, kind, clock, at)
            slots = bluetooth_br.TYPES[kind][1]
            at, clock = at + slots * bluetooth_br.SLOT, clock + 2 * slots


def _low_energy_packet(
    at: float, channel: int, device: _Device, pdu: bytes, address: int, start: int, phy: int
) -> _Packet:
    message = {"channel": channel, "access_address": address, "crc_init": start, "phy": phy, "pdu": pdu}
    count = 8 * (phy + 4 + len(pdu) + 3)
    return _Packet(
        at, bluetooth_le.frequency(channel), device,
        lambda: bluetooth_le.packet(pdu, channel, address, start, phy), count, 1e6 * phy, message,
    )  # fmt: skip


def _advertiser(rng: Rng, horizon: float) -> Iterator[_Packet]:
    """Advertising events of one device; a scanner asks now and then."""
    device, scanner = _device(rng, (0.45, 0.55)), _device(rng, (0.45, 0.55))
    own, other = rng.bytes(6), rng.bytes(6)
    interval = rng.choice([20e-3, 30e-3, 100e-3, 152.5e-3])
    kind, octets = int(rng.choice([0, 0, 2])), int(rng.integers(3, 30))
    pdu = bluetooth_le.advertisement(rng, own, kind, octets)
    answer = bluetooth_le.advertisement(rng, own, 4, int(rng.integers(3, 30)))
    common = (bluetooth_le.ADVERTISING, bluetooth_le.ADVERTISING_CRC, 1)
    at = -rng.uniform(0, interval)
    while at < horizon:
        when = at
        for channel in (37, 38, 39):
            p = _low_energy_packet(when, channel, device, pdu, *common)
            yield p
            when += p.length
            if kind == 0 and rng.random() < 0.25:
                request = bluetooth_le.scan_request(other, own)
                p = _low_energy_packet(when + IFS, channel, scanner, request, *common)
                yield p
                when += IFS + p.length
                if rng.random() < 0.8:
                    p = _low_energy_packet(when + IFS, channel, device, answer, *common)
                    yield p
                    when += IFS + p.length
            when += rng.uniform(0.2e-3, 0.6e-3)
        at += interval + rng.uniform(0, 10e-3)


def _connection(rng: Rng, horizon: float) -> Iterator[_Packet]:
    """Connection events: central and peripheral in turns on one channel, which changes by event."""
    devices = [_device(rng, (0.45, 0.55)) for _ in range(2)]
    address, start = int(rng.integers(1, 1 << 32)), int(rng.integers(0, 1 << 24))
    interval, phy = 1.25e-3 * int(rng.choice([6, 9, 12, 24, 40])), int(rng.choice([1, 1, 2]))
    hop, channel = int(rng.integers(5, 17)), int(rng.integers(0, 37))
    full, longest = rng.uniform(0, 1), int(rng.choice([27, 251]))
    at = -rng.uniform(0, interval)
    while at < horizon:
        channel = (channel + hop) % 37  # part B 4.5.8.2, every channel in use
        when = at
        while True:
            for device in devices:
                octets = int(rng.integers(1, longest + 1)) if rng.random() < full else 0
                pdu = bluetooth_le.data_pdu(rng, octets)
                p = _low_energy_packet(when, channel, device, pdu, address, start, phy)
                yield p
                when += p.length + IFS
            if rng.random() > full or when > at + 0.7 * interval:
                break
        at += interval


def _samples(rng: Rng, packet: _Packet, rate: float, centre: float) -> np.ndarray:
    """GFSK at ``rate``, in its place around ``centre``."""
    sps = round(rate / packet.speed)
    levels = (2.0 * packet.bits() - 1) * packet.device.index * packet.speed / 2
    levels = np.concatenate([np.zeros(2), levels, np.zeros(2)])
    frequency = shape(levels, gaussian(0.5, sps), sps) + (packet.frequency - centre + packet.device.error)
    return ramped(turn(frequency, rate, rng.random()), 2 * sps) * np.float32(packet.device.level)


def generate(
    rng: Rng,
    duration: float,
    variant: str | None = None,
    sample_rate: float | None = None,
    centre: float | None = None,
) -> Signal:
    """``duration`` seconds of some devices.

    sample_rate   one of ``RATES``; drawn so that a view of the whole band is short
    centre        of the view, in Hz; by default near a channel in use
    truth: "centre" (Hz), "messages": what each packet says, with "start" (sample of its first bit)
    """
    variant = variant or str(rng.choice(VARIANTS))
    if variant not in VARIANTS:
        raise ValueError(f"bluetooth: variant '{variant}' is not one of {', '.join(VARIANTS)}")
    if sample_rate is None:
        affordable = RATES[RATES * duration <= 600e3]
        sample_rate = float(rng.choice(affordable if len(affordable) else RATES[:1]))
    horizon = max(duration + 0.05, 0.25 if sample_rate < 20e6 else duration + 0.05)
    if variant == "br":
        sources = [_basic_rate(rng, horizon) for _ in range(int(rng.choice([1, 1, 2])))]
    else:
        sources = [_advertiser(rng, horizon) for _ in range(int(rng.integers(1, 5)))]
        sources += [_connection(rng, horizon) for _ in range(int(rng.integers(0, 3)))]
    packets = sorted((p for source in sources for p in source), key=lambda p: p.at)
    chosen = packets[int(rng.integers(0, len(packets)))]
    if centre is None:
        centre = 2441e6 if sample_rate >= 80e6 else chosen.frequency
        if 20e6 <= sample_rate < 80e6:
            centre = float(np.clip(centre + rng.integers(-8, 9) * 1e6, 2402e6 + sample_rate / 2 - 2e6,
                                   2480e6 - sample_rate / 2 + 2e6))  # fmt: skip
        elif rng.random() < 0.5:
            centre += rng.uniform(-1, 1) * min(0.3 * sample_rate, sample_rate / 2 - chosen.speed)
    half = sample_rate / 2
    packets = [p for p in packets if abs(p.frequency - centre) + 0.75 * p.speed < half]
    begin = 0.0
    if packets:  # a packet in view is in the stretch, somewhere
        target = packets[int(rng.integers(0, len(packets)))]
        spare = duration - target.length
        begin = target.at - (rng.uniform(0, spare) if spare > 0 else rng.uniform(spare, 0))
    bursts = []
    for p in packets:
        if p.at + p.length <= begin or p.at >= begin + duration:
            continue
        lead = round(2 * sample_rate / p.speed)
        start = round((p.at - begin) * sample_rate)
        offset, width = p.frequency - centre, p.speed / 2
        band, message = (offset - width, offset + width), {**p.message, "start": start}
        bursts.append(Burst(start - lead, _samples(rng, p, sample_rate, centre), message, band))
    return assemble(duration, sample_rate, bursts, variant, {"centre": centre})


CLASSES = (
    SignalClass(
        "bluetooth", "Bluetooth (Basic Rate, Low Energy)", generate, (2e6, 60e6), (2.4e9, 2.485e9),
        (1e-3, 30e-3), VARIANTS,
    ),
)  # fmt: skip
