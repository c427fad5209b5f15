# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Remote keyless entry: rolling-code fobs of cars, garages and gates at 315, 433.92 and 868 MHz.

keeloq      Microchip HCS200/HCS300/HCS301: 12 short pulses, a header of ten times TE, 66 bits PWM of three TE
            (datasheets DS40138, DS21137, DS21143): 32 bits encrypted with the KeeLoq cipher, 28 bits serial
            number, buttons, battery, repeat; amplitude keyed.
keeloq-fsk  The same code keyed in frequency, as some makers do.
fsk         Manchester 2-FSK with a preamble, a sync word and 72 bits of serial number, button, rolling code
            and checksum: the general form of car keys since the nineties; the makers publish none of theirs.
ask         The same frame, amplitude keyed.

Simplified: fsk and ask have no vendor's real frame; key and serial number are random.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, bits_of, fields, remainder
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, ramped, start_of, turn
from radiofm_ml.synth.signals.on_off_keying import (
    Frame,
    Transmission,
    keyed_bursts,
    manchester,
    pulse_width,
)

RATE = 200e3
VARIANTS = ("keeloq", "keeloq-fsk", "fsk", "ask")
_NONLINEAR = 0x3A5C742E  # KeeLoq's feedback function of five bits, as a table


def keeloq(plain: int, key: int) -> int:
    """KeeLoq encryption: 32 bits under a key of 64 bits, 528 rounds."""
    x = plain
    for r in range(528):
        at = x >> 31 & 1
        for tap in (26, 20, 9, 1):
            at = at << 1 | (x >> tap & 1)
        feedback = x & 1 ^ (x >> 16 & 1) ^ (key >> (r & 63) & 1) ^ (_NONLINEAR >> at & 1)
        x = x >> 1 | feedback << 31
    return x


def hopping_code(rng: Rng) -> tuple[Bits, dict]:
    """The 66 bits of an HCS encoder in sending order (each field least significant bit first)."""
    key, serial = int(rng.integers(0, 1 << 63)), int(rng.integers(1, 1 << 28))
    button, counter = int(rng.choice([1, 2, 4, 8])), int(rng.integers(0, 1 << 16))
    code = keeloq(button << 28 | (serial & 0x3FF) << 16 | counter, key)
    words = [bits_of(code, 32), bits_of(serial, 28), bits_of(button, 4)]
    bits = np.concatenate([*(word[::-1] for word in words), [0, 1]])
    return bits, {"model": "Microchip-HCS200", "id": f"{serial:07X}", "encrypted": f"{code:08X}"}


def encoder_frame(bits: Bits, element: float) -> Frame:
    """Preamble, header and bits of an HCS encoder: a one is one TE on and two off, a zero the reverse."""
    preamble = [element] * 23
    data = pulse_width(bits, (2 * element, element), (element, 2 * element))
    return [*preamble, 10 * element, *data]


def fob_bits(rng: Rng) -> tuple[Bits, dict]:
    """Preamble, sync and 72 bits with a checksum."""
    serial, code = int(rng.integers(0, 1 << 28)), int(rng.integers(0, 1 << 32))
    data = fields((serial, 28), (int(rng.choice([1, 2, 4])), 4), (code, 32))
    bits = np.concatenate([np.ones(int(rng.integers(16, 64)), np.uint8), bits_of(0x4, 3), data,
                           remainder(data, 0x131)])  # fmt: skip
    return bits, {"model": "fob", "id": serial, "code": code}


def press(rng: Rng, variant: str) -> Transmission:
    """A button pressed: the same code several times."""
    if variant.startswith("keeloq"):
        element = float(rng.choice([200.0, 400.0])) * rng.uniform(0.95, 1.05) if rng.random() < 0.3 else 400.0
        bits, said = hopping_code(rng)
        return [encoder_frame(bits, element)] * int(rng.integers(2, 5)), 39 * element, said
    bits, said = fob_bits(rng)
    half = 1e6 / float(rng.choice([2000, 4000, 8000]))  # microseconds a chip
    return [manchester(bits, half)] * int(rng.integers(3, 7)), float(rng.uniform(8e3, 30e3)), said


def shifted_bursts(transmission: Transmission, rng: Rng) -> tuple[list[Burst], int]:
    """As ``keyed_bursts``, but on and off are two frequencies."""
    frames, pause, said = transmission
    clock = RATE * 1e-6
    offset, deviation = rng.normal(0, 3e3), rng.uniform(15e3, 40e3)
    bursts, at = [], 0.0
    for number, frame in enumerate(frames):
        edges = np.round(np.cumsum([0, *(np.array(frame) * clock)])).astype(int)
        level = np.repeat(np.resize([deviation, -deviation], len(frame)), np.diff(edges))
        iq = ramped(turn(offset + level, RATE), round(50e-6 * RATE))
        bursts.append(Burst(int(at), iq, said if number == len(frames) - 1 else None,
                            (offset - deviation - 5e3, offset + deviation + 5e3)))  # fmt: skip
        at += len(iq) + pause * clock
    return bursts, bursts[-1].start + len(bursts[-1].iq)


def generate(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """Signal of ``duration`` seconds: someone presses a button, and again after a while."""
    variant = variant or str(rng.choice(VARIANTS, p=[0.4, 0.1, 0.35, 0.15]))
    count, at, bursts = round(duration * RATE), None, []
    while at is None or at < count:
        make = shifted_bursts if variant.endswith("fsk") else keyed_bursts
        group, length = make(press(rng, variant), rng)
        at = start_of(rng, count, length) if at is None else at
        bursts += [b._replace(start=b.start + at) for b in group]
        at += length + int(rng.uniform(0.1, 2.0) * RATE)
    return assemble(duration, RATE, bursts, variant)


CLASSES = (
    SignalClass(
        label="remote-keyless-entry",
        title="Remote keyless entry",
        generate=generate,
        rates=(96e3, 1.024e6),
        frequency=(314.9e6, 868.4e6),
        span=(0.2, 0.6),
        variants=VARIANTS,
    ),
)
