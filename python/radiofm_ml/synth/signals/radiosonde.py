# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Vaisala RS41 weather radiosonde.

No public standard: the frame is known from reverse engineering (zilog80's RS project, and others). GFSK with
BT 0.5 at 4800 bit/s; every second 40 octets of reversals and a frame of 320 octets, the least significant bit
first, whitened with a repeated mask of 64 octets: header, parity of two interleaved RS(255,231) codewords
shortened to 132 octets of message each, frame type, and blocks (number, length, contents, CRC-16) of status,
sensor readings, GPS satellites, pseudoranges and position. Between frames the carrier is off.

Simplified: sensor readings, calibration and pseudoranges are plausible numbers without a weather behind them;
the modulation index, 0.8, is an estimate; no ozone or other auxiliary data.
"""

from __future__ import annotations

import struct

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import (
    bits_of_bytes,
    bytes_of_bits,
    crc_ccitt,
    reed_solomon,
)
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, fsk, gaussian, ramped, start_of

RATE = 48e3
SPS = 10
DEVIATION = 1920.0
HEADER = bytes.fromhex("8635f44093df1a60")
LENGTH, PARITY = 320, 24


def _mask() -> np.ndarray:
    """64 octets of a byte-wise shift register, rotated as it lies over the frame."""
    m = list(bytes.fromhex("3205590ef944c6262160c2ea795d6da1"))
    for i in range(48):
        m.append(m[i] ^ m[i + 2] ^ m[i + 4] ^ m[i + 6])
    return np.roll(np.array(m, np.uint8), 8)


MASK = np.resize(_mask(), LENGTH)


def block(number: int, contents: bytes) -> bytes:
    """A block with its check sum."""
    check = bytes_of_bits(crc_ccitt(bits_of_bytes(contents)))
    return bytes([number, len(contents)]) + contents + check[::-1]


def frame(blocks: bytes) -> bytes:
    """The 320 octets as a receiver has them after taking off the mask. blocks: 263 octets."""
    message = bytes([0x0F]) + blocks
    if len(message) != LENGTH - len(HEADER) - 2 * PARITY:
        raise ValueError(f"the blocks of an RS41 frame have 263 octets, not {len(blocks)}")
    parity = b""
    for half in (message[0::2], message[1::2]):  # a codeword's first octet is its lowest power
        parity += bytes(reed_solomon(half[::-1], PARITY)[::-1])
    return HEADER + parity + message


def earth_centred(latitude: float, longitude: float, height: float) -> np.ndarray:
    """WGS 84 degrees and metres to metres from the Earth's centre."""
    a, e2 = 6378137.0, 6.69437999014e-3
    lat, lon = np.radians(latitude), np.radians(longitude)
    n = a / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    across = (n + height) * np.cos(lat)
    return np.array([across * np.cos(lon), across * np.sin(lon), (n * (1 - e2) + height) * np.sin(lat)])


class Flight:
    """A sonde on its way: ``blocks(second)`` is what it sends then."""

    def __init__(self, rng: Rng) -> None:
        self.serial = f"{rng.choice(list('KLMNPRSTUVW'))}{rng.integers(1000000, 5999999)}"
        self.number, self.week = int(rng.integers(0, 8000)), int(rng.integers(2100, 2500))
        self.time_of_week = int(rng.integers(0, 7 * 86400 - 100)) * 1000
        self.where = np.array([rng.uniform(-60, 70), rng.uniform(-180, 180), rng.uniform(50, 32000)])
        self.climb = float(rng.uniform(3, 6)) if rng.random() < 0.7 else -float(rng.uniform(5, 60))
        self.drift = rng.uniform(-2e-4, 2e-4, 2)
        self.calibration = rng.integers(0, 256, (51, 16), dtype=np.uint8)
        self.satellites = rng.permutation(32)[:12] + 1
        self.rng = rng

    def at(self, second: int) -> np.ndarray:
        """Latitude, longitude (degrees), height (m)."""
        return self.where + second * np.array([*self.drift, self.climb])

    def blocks(self, second: int) -> bytes:
        rng, number = self.rng, self.number + second
        row = number % 51
        status = struct.pack("<H8sB", number, self.serial.encode(), int(rng.integers(25, 32)))
        status += bytes([0, 0, 0, 3, 0, 0, int(rng.integers(15, 25)), 0, 0, 0, 7, 50])
        status += bytes([row]) + self.calibration[row].tobytes()
        readings = rng.integers(120_000, 600_000, 12).astype("<u4")
        sensors = readings.view(np.uint8).reshape(-1, 4)[:, :3].tobytes() + bytes(6)
        sight = np.stack([self.satellites, rng.integers(0x60, 0xF0, 12)], 1).astype(np.uint8).tobytes()
        gps = struct.pack("<HI", self.week, self.time_of_week + 1000 * second) + sight
        ranges = struct.pack("<IB", int(rng.integers(20_000_000, 22_000_000)), 0xFF)
        for far, doppler in zip(
            rng.integers(0, 1 << 29, 12), rng.integers(-400_000, 400_000, 12), strict=True
        ):
            ranges += struct.pack("<I", far) + struct.pack("<i", doppler)[:3]
        here, next_ = earth_centred(*self.at(second)), earth_centred(*self.at(second + 1))
        fix = np.round(here * 100).astype("<i4").tobytes()
        fix += np.round((next_ - here) * 100).clip(-32768, 32767).astype("<i2").tobytes() + bytes([9, 8, 15])
        parts = ((0x79, status), (0x7A, sensors), (0x7C, gps), (0x7D, ranges), (0x7B, fix), (0x76, bytes(17)))
        return b"".join(block(*part) for part in parts)


def burst(data: bytes) -> np.ndarray:
    """A frame on the air, at RATE."""
    white = np.frombuffer(data, np.uint8) ^ MASK
    lead, tail = np.tile(np.array([0, 1], np.uint8), 160), np.zeros(4, np.uint8)  # the tail: while it falls
    bits = np.concatenate([lead, bits_of_bytes(white.tobytes(), "little"), tail])
    return ramped(fsk(np.where(bits, DEVIATION, -DEVIATION), SPS, RATE, gaussian(0.5, SPS)), 2 * SPS)


def generate(rng: Rng, duration: float) -> Signal:
    """One sonde, a frame every second."""
    count, flight = round(duration * RATE), Flight(rng)
    length = (320 + 8 * LENGTH + 4) * SPS
    first = start_of(rng, count, length)
    before = int(first // RATE) + 1 if first > 0 else 0
    bursts = []
    for second, start in enumerate(range(first - before * int(RATE), count, int(RATE))):
        if start + length <= 0:
            continue
        where = flight.at(second)
        message = {"id": flight.serial, "frame": flight.number + second, "position": where.tolist()}
        bursts.append(Burst(start, burst(frame(flight.blocks(second))), message))
    return assemble(duration, RATE, bursts)


CLASSES = (
    SignalClass(
        "RS41-Radiosonde",
        "RS41 weather radiosonde",
        generate,
        rates=(24e3, 400e3),
        frequency=(400e6, 406e6),
        span=(0.5, 3.0),
    ),
)
