# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Mode S and ADS-B squitters on 1090 MHz.

ICAO Annex 10 volume IV (reply waveform, formats, parity), RTCA DO-260B (extended squitter contents):
pulse position modulation at 1 Mbit/s, 0.5 us pulses after a preamble of four; 56 or 112 bits with the 24-bit
Mode S parity.

Sent: DF17 identification, airborne position and airborne velocity, DF11 acquisition squitters, and DF4/DF5
surveillance replies, from a number of aircraft, each with its own level, carrier error and flight.
Simplified: the squitters are a Poisson stream; no Mode A/C replies, no surface messages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, bits_of, bytes_of_bits, fields, remainder
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, start_of, turn

RATE = 12e6
CHIP = 6  # samples in half a microsecond
PARITY = 0x1FFF409  # Mode S parity polynomial
CHARACTERS = "#ABCDEFGHIJKLMNOPQRSTUVWXYZ##### ###############0123456789######"
OPERATORS = ("AAL", "AFR", "BAW", "DAL", "DLH", "EZY", "KLM", "RYR", "SAS", "SWR", "UAE", "UAL", "VLG", "WZZ")


@dataclass(frozen=True)
class Aircraft:
    """address: 24 bits. altitude: ft. east, north: speed over ground in kt. climb: ft/min."""

    address: int
    callsign: str
    squawk: int
    latitude: float
    longitude: float
    altitude: int
    east: int
    north: int
    climb: int


def random_aircraft(rng: Rng) -> Aircraft:
    heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(120, 520)
    return Aircraft(
        int(rng.integers(1 << 18, 11 << 20)),
        f"{rng.choice(OPERATORS)}{rng.integers(1, 9999)}",
        int(rng.integers(0, 1 << 12)),
        float(rng.uniform(-70, 70)),
        float(rng.uniform(-180, 180)),
        int(rng.integers(40, 1800)) * 25,
        round(speed * np.sin(heading)),
        round(speed * np.cos(heading)),
        int(rng.integers(-35, 36)) * 64,
    )


# -- messages: all but the 24 parity bits ------------------------------------------------------------
def identification(address: int, callsign: str, category: int = 3) -> Bits:
    """DF17, type code 4: who."""
    text = [(CHARACTERS.index(c), 6) for c in callsign.ljust(8)[:8]]
    return fields((17, 5), (5, 3), (address, 24), (4, 5), (category, 3), *text)


def altitude_code(feet: int) -> int:
    """Altitude in 25 ft steps, 12 bits with the Q bit set."""
    n = (feet + 1000) // 25
    return (n & 0x7F0) << 1 | 0x10 | n & 0xF


def longitude_zones(latitude: float) -> int:
    """Number of longitude zones of the compact position report at a latitude (DO-260B A.1.7.2)."""
    if abs(latitude) >= 87:
        return 1 if abs(latitude) > 87 else 2
    part = 1 - (1 - np.cos(np.pi / 30)) / np.cos(np.radians(latitude)) ** 2
    return int(np.floor(2 * np.pi / np.arccos(np.clip(part, -1, 1))))


def compact_position(latitude: float, longitude: float, odd: int) -> tuple[int, int]:
    """Airborne compact position report, 17 bits each for latitude and longitude."""
    zone = 360 / (60 - odd)
    y = int(np.floor((latitude % zone) / zone * (1 << 17) + 0.5))
    recovered = zone * (y / (1 << 17) + np.floor(latitude / zone))
    zone = 360 / max(longitude_zones(recovered) - odd, 1)
    x = int(np.floor((longitude % zone) / zone * (1 << 17) + 0.5))
    return y & 0x1FFFF, x & 0x1FFFF


def airborne_position(address: int, latitude: float, longitude: float, altitude: int, odd: int) -> Bits:
    """DF17, type code 11: where (barometric altitude)."""
    y, x = compact_position(latitude, longitude, odd)
    return fields(
        (17, 5), (5, 3), (address, 24), (11, 5), (0, 3), (altitude_code(altitude), 12), (0, 1), (odd, 1),
        (y, 17), (x, 17),
    )  # fmt: skip


def airborne_velocity(address: int, east: int, north: int, climb: int, ahead: int = 0) -> Bits:
    """DF17, type code 19, subtype 1: ground speed in kt, climb in ft/min, geometric over barometric height in
    ft."""
    return fields(
        (17, 5), (5, 3), (address, 24), (19, 5), (1, 3), (0, 1), (1, 1), (0, 3),
        (east < 0, 1), (abs(east) + 1, 10), (north < 0, 1), (abs(north) + 1, 10),
        (0, 1), (climb < 0, 1), (abs(climb) // 64 + 1, 9), (0, 2), (ahead < 0, 1), (abs(ahead) // 25 + 1, 7),
    )  # fmt: skip


def acquisition(address: int) -> Bits:
    """DF11: here I am."""
    return fields((11, 5), (5, 3), (address, 24))


def surveillance(altitude: int | None, squawk: int) -> Bits:
    """DF4 (altitude) or, with ``altitude`` None, DF5 (identity): the answer to a ground radar."""
    if altitude is None:
        return fields((5, 5), (0, 14), (_identity_code(squawk), 13))
    code = altitude_code(altitude)
    return fields((4, 5), (0, 14), ((code & 0xFC0) << 1 | code & 0x3F, 13))


def _identity_code(squawk: int) -> int:
    """The 12 bits ABCD (three each) in the order C1 A1 C2 A2 C4 A4 0 B1 D1 B2 D2 B4 D4."""
    a, b, c, d = (squawk >> shift & 7 for shift in (9, 6, 3, 0))
    code = 0
    for digit, at in ((c, 12), (a, 11), (b, 5), (d, 4)):
        for k in range(3):
            code |= (digit >> k & 1) << (at - 2 * k)
    return code


def with_parity(message: Bits, overlay: int = 0) -> Bits:
    """Message and parity; replies overlay their address on it."""
    return np.concatenate([message, remainder(message, PARITY) ^ bits_of(overlay, 24)])


# -- waveform ----------------------------------------------------------------------------------------
def pulses(frame: Bits) -> np.ndarray:
    """Amplitude of a whole reply at RATE: preamble, then a pulse in the first (1) or second (0) half of each
    bit. Edges of 0.1 us, within the standard's 0.05 to 0.1 (rise) and 0.2 us (decay)."""
    chips = np.zeros(16 + 2 * len(frame))
    chips[[0, 2, 7, 9]] = 1
    chips[16::2], chips[17::2] = frame, 1 - frame
    return np.convolve(np.repeat(chips, CHIP), [0.25, 0.5, 0.25], "same").astype(np.float32)


def _frame(rng: Rng, aircraft: Aircraft) -> Bits:
    kind = rng.choice(6, p=(0.05, 0.25, 0.25, 0.15, 0.2, 0.1))
    if kind == 0:
        return with_parity(identification(aircraft.address, aircraft.callsign))
    if kind == 1:
        where = (aircraft.latitude, aircraft.longitude, aircraft.altitude)
        return with_parity(airborne_position(aircraft.address, *where, int(rng.integers(0, 2))))
    if kind == 2:
        ahead = int(rng.integers(-20, 40)) * 25
        return with_parity(
            airborne_velocity(aircraft.address, aircraft.east, aircraft.north, aircraft.climb, ahead)
        )
    if kind == 3:
        return with_parity(acquisition(aircraft.address))
    height = aircraft.altitude if kind == 4 else None
    return with_parity(surveillance(height, aircraft.squawk), aircraft.address)


def generate(
    rng: Rng, duration: float, *, traffic: float | None = None, frames: list[Bits] | None = None
) -> Signal:
    """Squitters in ``duration`` seconds.

    traffic   messages a second (default: random, 50 to 2000)
    frames    send these (with parity), evenly spaced, instead of random traffic at random levels
    """
    count = round(duration * RATE)
    if frames is not None:
        starts = np.linspace(0, count, len(frames), endpoint=False).astype(int) + 100
        bursts = [_burst(at, pulses(frame), frame, 0.0) for at, frame in zip(starts, frames, strict=True)]
        return assemble(duration, RATE, bursts)
    fleet = [random_aircraft(rng) for _ in range(int(rng.integers(1, 40)))]
    gains = 10 ** (rng.uniform(-25, 0, len(fleet)) / 20)
    gains /= gains.max()
    errors = np.clip(rng.normal(0, 0.25e6, len(fleet)), -1e6, 1e6)  # the standard allows 1 MHz
    traffic = float(np.exp(rng.uniform(np.log(50), np.log(2000)))) if traffic is None else traffic
    starts = rng.integers(-700, count, rng.poisson(traffic * duration)).tolist()
    who = rng.integers(0, len(fleet), len(starts)).tolist()
    starts.append(start_of(rng, count, 1440))  # one from the strongest, whole if it fits
    who.append(int(gains.argmax()))
    bursts = []
    for start, k in sorted(zip(starts, who, strict=True)):
        frame = _frame(rng, fleet[k])
        level = gains[k] * pulses(frame)
        iq = level * turn(np.full(len(level), errors[k]), RATE, rng.random())
        bursts.append(_burst(start, iq, frame, errors[k]))
    return assemble(duration, RATE, bursts, truth={"aircraft": [vars(a) for a in fleet]})


def _burst(start: int, iq: np.ndarray, frame: Bits, centre: float) -> Burst:
    """The edges are those of the emission's designator, 2M60."""
    return Burst(int(start), iq, bytes_of_bits(frame).hex(), (centre - 1.3e6, centre + 1.3e6))


CLASSES = (
    SignalClass(
        "ads-b",
        "ADS-B and Mode S squitters (1090 MHz)",
        generate,
        rates=(2e6, 20e6),
        frequency=(1090e6, 1090e6),
        span=(0.005, 0.05),
    ),
)
