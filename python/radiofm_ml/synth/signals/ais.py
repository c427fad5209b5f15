# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""AIS, the ships' automatic identification system.

ITU-R M.1371-5: GMSK with BT 0.4 at 9600 bit/s, NRZI, HDLC packets with the 16-bit frame check sequence, a
24-bit training sequence, slots of 26.67 ms (2250 a minute) on two channels, 161.975 and 162.025 MHz. Messages
1 and 3 (position), 4 (base station), 5 (voyage, two slots), 18 and 24 (class B), of a number of stations,
each with its own level, carrier error and position.

Simplified: slots are chosen at random, not by SOTDMA's reservations; the communication state is random.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, bits_of, bytes_of_bits, fields, hdlc, nrzi
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, fsk, gaussian, ramped, start_of

RATE = 192e3
SPS = 20
SLOT = 60 / 2250
CHANNELS = {"A": -25e3, "B": 25e3}  # from 162 MHz
BAND = 4750.0  # half of the 99 % band, measured
SIXBIT = "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_ !\"#$%&'()*+,-./0123456789:;<=>?"
NAMES = ("AURORA", "BALTIC STAR", "CAP ANAMUR", "DELFIN", "EVER GIVEN", "FRISIA", "HANSE", "NORDIC", "STELLA")
PORTS = ("ROTTERDAM", "HAMBURG", "ANTWERPEN", "GOTHENBURG", "LE HAVRE", "PIRAEUS", "SINGAPORE", "BREST")


def text(characters: str, count: int) -> Bits:
    """Six-bit ASCII, filled up with '@'."""
    return fields(*((SIXBIT.index(c), 6) for c in characters.ljust(count, "@")[:count]))


def _degrees(value: float) -> int:
    return round(value * 600000)


def position(
    mmsi: int, latitude: float, longitude: float, *, kind: int = 1, status: int = 0, turn: int = -128,
    speed: float = 0.0, accurate: int = 0, course: float = 0.0, heading: int = 511, second: int = 60,
    state: int = 0,
) -> Bits:  # fmt: skip
    """Messages 1 to 3, class A position report: degrees, knots, seconds of the UTC minute."""
    return fields(
        (kind, 6), (0, 2), (mmsi, 30), (status, 4), (turn, 8), (round(speed * 10), 10), (accurate, 1),
        (_degrees(longitude), 28), (_degrees(latitude), 27), (round(course * 10), 12), (heading, 9),
        (second, 6), (0, 2), (0, 3), (0, 1), (state, 19),
    )  # fmt: skip


def base_station(
    mmsi: int, latitude: float, longitude: float, time: tuple[int, int, int, int, int, int], state: int = 0
) -> Bits:
    """Message 4: year, month, day, hour, minute, second, and where the station is."""
    return fields(
        (4, 6), (0, 2), (mmsi, 30), *zip(time, (14, 4, 5, 5, 6, 6), strict=True), (1, 1),
        (_degrees(longitude), 28), (_degrees(latitude), 27), (7, 4), (0, 10), (0, 1), (state, 19),
    )  # fmt: skip


def voyage(mmsi: int, imo: int, call: str, name: str, kind: int, size: tuple[int, ...], to: str) -> Bits:
    """Message 5: ship's name, call, type, dimensions, destination; 424 bits."""
    head = fields((5, 6), (0, 2), (mmsi, 30), (0, 2), (imo, 30))
    body = fields(
        (kind, 8), *zip(size, (9, 9, 6, 6), strict=True), (1, 4), (0, 4), (0, 5), (24, 5), (60, 6), (60, 8)
    )
    return np.concatenate([head, text(call, 7), text(name, 20), body, text(to, 20), bits_of(0, 2)])


def class_b(
    mmsi: int, latitude: float, longitude: float, speed: float, course: float, state: int = 0
) -> Bits:
    """Message 18, class B position report."""
    return fields(
        (18, 6), (0, 2), (mmsi, 30), (0, 8), (round(speed * 10), 10), (0, 1), (_degrees(longitude), 28),
        (_degrees(latitude), 27), (round(course * 10), 12), (511, 9), (60, 6), (0, 2), (1, 1), (0, 1), (1, 1),
        (1, 1), (1, 1), (0, 1), (0, 1), (state, 20),
    )  # fmt: skip


def class_b_name(mmsi: int, name: str) -> Bits:
    """Message 24 part A."""
    return np.concatenate([fields((24, 6), (0, 2), (mmsi, 30), (0, 2)), text(name, 20), bits_of(0, 8)])


def armour(message: Bits) -> str:
    """Payload of the AIVDM sentence in which receivers report a message."""
    padded = np.append(message, np.zeros(-len(message) % 6, np.uint8)).reshape(-1, 6)
    values = padded @ (1 << np.arange(5, -1, -1))
    return "".join(chr(v + 48 if v < 40 else v + 56) for v in values)


def line_bits(message: Bits) -> Bits:
    """All bits of a packet as they modulate: ramp-up, training, flags, check sequence, NRZI."""
    training = np.tile(np.array([0, 1], np.uint8), 12)
    lead = np.zeros(8, np.uint8)  # while the power rises
    return nrzi(np.concatenate([lead, training, hdlc(bytes_of_bits(message)), np.zeros(5, np.uint8)]))


def burst(message: Bits, offset: float = 0.0) -> np.ndarray:
    """A packet at RATE, ``offset`` Hz from the centre."""
    levels = np.where(line_bits(message), 2400.0, -2400.0) + offset
    return ramped(fsk(levels, SPS, RATE, gaussian(0.4, SPS)), 4 * SPS)


def _random_message(rng: Rng, station: dict) -> Bits:
    mmsi, here = station["mmsi"], (station["latitude"], station["longitude"])
    state = int(rng.integers(0, 1 << 19))
    if station["kind"] == "base":
        clock = (2026, *(int(rng.integers(*r)) for r in ((1, 13), (1, 29), (0, 24), (0, 60), (0, 60))))
        return base_station(mmsi, *here, clock, state)
    if station["kind"] == "B":
        if rng.random() < 0.25:
            return class_b_name(mmsi, station["name"])
        return class_b(mmsi, *here, station["speed"], station["course"], state)
    if rng.random() < 0.08:
        size = [int(v) for v in rng.integers(5, 60, 4)]
        imo, to = int(rng.integers(5 << 20, 9_999_999)), str(rng.choice(PORTS))
        return voyage(mmsi, imo, station["call"], station["name"], int(rng.integers(30, 90)), size, to)
    return position(
        mmsi, *here, kind=int(rng.choice([1, 3])), turn=0, speed=station["speed"], course=station["course"],
        heading=int(station["course"]), second=int(rng.integers(0, 60)), accurate=1, state=state,
    )  # fmt: skip


def _random_station(rng: Rng) -> dict:
    kind = str(rng.choice(["A", "B", "base"], p=(0.7, 0.2, 0.1)))
    country = int(rng.integers(201, 776))
    return {
        "kind": kind,
        "mmsi": country * 10**4 + int(rng.integers(0, 10**4)) if kind == "base"
        else country * 10**6 + int(rng.integers(0, 10**6)),
        "name": f"{rng.choice(NAMES)} {rng.integers(1, 99)}",
        "call": "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789"), 6)),
        "latitude": float(rng.uniform(-60, 70)),
        "longitude": float(rng.uniform(-180, 180)),
        "speed": round(float(rng.uniform(0, 25)), 1),
        "course": round(float(rng.uniform(0, 359.9)), 1),
    }  # fmt: skip


def generate(rng: Rng, duration: float, *, load: float | None = None) -> Signal:
    """Both channels, the centre between them.

    load   share of the slots that are taken (default: random, 2 to 60 %)
    """
    count, length = round(duration * RATE), SLOT * RATE
    load = float(np.exp(rng.uniform(np.log(0.02), np.log(0.6)))) if load is None else load
    stations = [_random_station(rng) for _ in range(int(rng.integers(2, 30)))]
    gains = 10 ** (rng.uniform(-20, 0, len(stations)) / 20)
    errors = np.clip(rng.normal(0, 150, len(stations)), -500, 500)  # the standard allows 500 Hz
    first = start_of(rng, count, round(0.95 * length))  # one slot that is taken for certain
    taken = []
    phase = first % length
    for channel in CHANNELS:
        at = phase - length
        while at < count:
            if rng.random() < load:
                taken.append((at, channel))
            at += length
    if all(abs(at - first) >= 1 for at, _ in taken):
        taken.append((first, str(rng.choice(list(CHANNELS)))))
    bursts, busy = [], dict.fromkeys(CHANNELS, -np.inf)
    for at, channel in sorted(taken):
        if at < busy[channel]:
            continue  # the second slot of a long message
        who = int(rng.integers(0, len(stations)))
        message = _random_message(rng, stations[who])
        offset = CHANNELS[channel] + errors[who]
        iq = np.float32(gains[who]) * burst(message, offset)
        busy[channel] = at + len(iq)
        delay = rng.uniform(0, 3e-4) * RATE  # distance
        band = (offset - BAND, offset + BAND)
        bursts.append(Burst(round(at + delay), iq, (channel, armour(message)), band))
    return assemble(duration, RATE, bursts, truth={"stations": stations})


CLASSES = (
    SignalClass(
        "ais",
        "AIS ships' positions (162 MHz)",
        generate,
        rates=(96e3, 600e3),
        frequency=(162e6, 162e6),
        span=(0.1, 2.0),
    ),
)
