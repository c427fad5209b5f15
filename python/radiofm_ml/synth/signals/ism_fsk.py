# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Frequency-keyed sensors and modules in the bands at 433, 868 and 915 MHz.

tx29, tx35   LaCrosse IT+ thermometers, 17.241 and 9.579 kbit/s, sync word 2DD4, CRC-8 (protocol notes of
             rtl_433, src/devices/lacrosse_tx35.c).
ec3k         Energy meters of the EnergyCount 3000 kind: 20 kbit/s, HDLC frames, scrambled by x^17 + x^12 + 1,
             NRZI (src/devices/ec3k.c); the payload is random.
packet       What transceiver chips send in their packet mode (data sheets of TI CC1101 and Semtech SX1231):
             preamble, sync word, length, payload whitened by PN9, CRC-16; 2-FSK or GFSK, 1.2 to 250 kbit/s.

Simplified: the packets of ``packet`` have no network's protocol inside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import (
    bits_of,
    bits_of_bytes,
    fields,
    hdlc,
    nrzi,
    remainder,
    scramble,
    shift_register,
)
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, fsk, gaussian, in_turn, ramped

VARIANTS = ("tx29", "tx35", "ec3k", "packet")


def it_plus(rng: Rng, model: str) -> tuple[np.ndarray, dict]:
    """Bits of a LaCrosse IT+ message, and what it says."""
    house, tenths, humidity = int(rng.integers(0, 64)), int(rng.integers(200, 800)), int(rng.integers(20, 96))
    data = fields((9, 4), (house, 6), (0, 2), (tenths // 100, 4), (tenths // 10 % 10, 4), (tenths % 10, 4),
                  (humidity, 8))  # fmt: skip
    bits = np.concatenate([bits_of_bytes(b"\xaa" * 4 + b"\x2d\xd4"), data, remainder(data, 0x131)])
    return bits, {"model": model, "id": house, "temperature_C": round(tenths / 10 - 40, 1),
                  "humidity": humidity}  # fmt: skip


def chip_packet(rng: Rng) -> np.ndarray:
    """Bits of a transceiver chip's packet."""
    payload = rng.integers(0, 256, int(rng.integers(4, 61)), np.uint8)
    body = bits_of_bytes(bytes([len(payload)]) + payload.tobytes())
    body = np.concatenate([body, remainder(body, 0x18005, 0xFFFF)])
    body ^= shift_register(0x1FF, (5, 9), 9, len(body))
    sync = bits_of(int(rng.choice([0xD391, 0x2DD4, 0x91D3])), 16)
    return np.concatenate([bits_of_bytes(b"\xaa" * int(rng.choice([4, 4, 8, 16]))), sync, body])


def keyed_frequency(bits: ArrayLike, baud: float, deviation: float, sps: int,
                    bt: float | None = None) -> np.ndarray:
    """A burst of 2-FSK, a one high; it rises in a bit's time before the first, and falls after the last."""
    levels = (2 * np.pad(np.asarray(bits, float), 1, "edge") - 1) * deviation
    return ramped(fsk(levels, sps, baud * sps, gaussian(bt, sps) if bt else None), sps)


def generate(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """Signal of ``duration`` seconds: packets of one sender."""
    variant = variant or str(rng.choice(VARIANTS, p=[0.15, 0.15, 0.15, 0.55]))
    bt = None
    if variant in ("tx29", "tx35"):
        baud, deviation = (17241.0, 45e3) if variant == "tx29" else (9579.0, 45e3)
    elif variant == "ec3k":
        baud, deviation = 20e3, float(rng.uniform(15e3, 40e3))
    else:
        baud = float(rng.choice([1200, 2400, 4800, 9600, 38400, 50e3, 100e3, 250e3]))
        deviation = baud * float(rng.choice([0.25, 0.5, 1.0, 2.0 if baud < 20e3 else 0.5]))
        bt = float(rng.choice([0.5, 1.0])) if rng.random() < 0.5 else None
    sps = max(4, int(np.ceil(2.5 * (2 * deviation + 2 * baud) / baud / 2) * 2))

    def packet():
        said = None
        if variant in ("tx29", "tx35"):
            bits, said = it_plus(rng, "LaCrosse-TX29IT" if variant == "tx29" else "LaCrosse-TX35DTHIT")
        elif variant == "ec3k":
            frame = hdlc(rng.integers(0, 256, 41, np.uint8).tobytes(), before=4, after=2)
            bits = nrzi(scramble(frame, (12, 17)))
        else:
            bits = chip_packet(rng)
        return keyed_frequency(bits, baud, deviation, sps, bt), said

    rate = baud * sps
    bursts = in_turn(rng, round(duration * rate), packet, (0.005 * rate, 0.3 * rate))
    edge = deviation + baud * (0.5 if bt else 1.0)  # Carson's rule, and the first side lobe of hard keying
    bursts = [Burst(b.start, b.iq, b.message, (-edge, edge)) for b in bursts]
    return assemble(duration, rate, bursts, variant, {"baud": baud, "deviation": deviation})


CLASSES = (
    SignalClass(
        label="fsk-sensor",
        title="Frequency-keyed sensors and modules",
        generate=generate,
        rates=(200e3, 2.4e6),
        frequency=(433.05e6, 928e6),
        span=(0.02, 0.3),
        variants=VARIANTS,
    ),
)
