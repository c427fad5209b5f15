# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Meters that are read by radio.

wireless-m-bus  EN 13757-4: modes S1 (Manchester, 32.768 kchip/s, 868.3 MHz), T1 (3 out of 6, 100 kchip/s,
                868.95 MHz) and C1 (NRZ, 100 kbit/s, 868.95 MHz), frame format A with its CRC.
ert             Itron's Standard Consumption Message as the notes of rtlamr (https://github.com/bemasher/rtlamr)
                and rtl_433 (src/devices/ert_scm.c) describe it: 96 bits, Manchester on-off keying at
                32.768 kchip/s, BCH check of polynomial 0x6F63.

Simplified: M-Bus payloads are random bytes, as encrypted ones look; the hops of ERT from channel to channel
are not followed: all messages are on the same one.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, bits_of, bits_of_bytes, fields, remainder
from radiofm_ml.synth.signals.ism_fsk import keyed_frequency
from radiofm_ml.synth.signals.modulation import Rng, assemble, in_turn, keyed, turn

MODES = ("s1", "t1", "c1")
_THREE_OF_SIX = (0b010110, 0b001101, 0b001110, 0b001011, 0b011100, 0b011001, 0b011010, 0b010011,
                 0b101100, 0b100101, 0b100110, 0b100011, 0b110100, 0b110001, 0b110010, 0b101001)  # fmt: skip


# -- wireless M-Bus ----------------------------------------------------------------------------------
def telegram(rng: Rng) -> tuple[bytes, dict]:
    """A frame in format A: first block of 10 bytes, then blocks of 16, each with its CRC."""
    number = int(rng.integers(0, 10**8))
    digits = int(str(number), 16).to_bytes(4, "little")
    maker = "".join(chr(65 + int(rng.integers(26))) for _ in range(3))
    code = sum((ord(c) - 64) << 5 * (2 - i) for i, c in enumerate(maker))
    # 0xA0 is a maker's own content, which nobody interprets
    body = bytes([0xA0]) + rng.integers(0, 256, int(rng.integers(15, 60)), np.uint8).tobytes()
    kind, version = int(rng.choice([2, 3, 4, 6, 7])), int(rng.integers(0, 60))
    first = bytes([9 + len(body), 0x44]) + code.to_bytes(2, "little") + digits + bytes([version, kind])
    blocks = [first] + [body[at : at + 16] for at in range(0, len(body), 16)]
    frame = b"".join(block + _crc(block) for block in blocks)
    return frame, {"M": maker, "id": number}


def _crc(block: bytes) -> bytes:
    return np.packbits(remainder(bits_of_bytes(block), 0x13D65) ^ 1).tobytes()


def chips(frame: bytes, mode: str) -> Bits:
    """Preamble, sync word and coded frame."""
    bits = bits_of_bytes(frame)
    if mode == "s1":
        coded = np.stack([1 - bits, bits], 1).ravel()
        return np.concatenate([np.tile([0, 1], 279), bits_of(0b000111011010010110, 18), coded, [0, 1] * 2])
    if mode == "t1":
        nibbles = [n for value in frame for n in (value >> 4, value & 15)]
        coded = np.concatenate([bits_of(_THREE_OF_SIX[n], 6) for n in nibbles])
        return np.concatenate([np.tile([0, 1], 19), bits_of(0b0000111101, 10), coded, [0, 1] * 2])
    return np.concatenate([np.tile([0, 1], 16), bits_of(0x543D54CD, 32), bits])


def wireless_m_bus(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """Signal of ``duration`` seconds: telegrams of one mode."""
    variant = variant or str(rng.choice(MODES))
    baud = 32768.0 if variant == "s1" else 100e3
    deviation = 45e3 if variant == "c1" else 50e3
    sps = 12 if variant == "s1" else 5
    bt = 0.5 if variant == "c1" else None

    def burst():
        frame, said = telegram(rng)
        said["mode"] = variant[0].upper()
        return keyed_frequency(chips(frame, variant), baud, deviation, sps, bt), said

    rate, edge = baud * sps, deviation + baud * (0.5 if bt else 1.0)
    bursts = in_turn(rng, round(duration * rate), burst, (0.01 * rate, 0.5 * rate))
    return assemble(duration, rate, [b._replace(band=(-edge, edge)) for b in bursts], variant)


# -- ERT ---------------------------------------------------------------------------------------------
def consumption_message(rng: Rng) -> tuple[Bits, dict]:
    """The 96 bits of an SCM, and what it says."""
    meter, reading, kind = (int(rng.integers(0, n)) for n in (1 << 26, 1 << 24, 16))
    bits = fields((0x1F2A60 >> 3, 21), (meter >> 24, 2), (0, 1), (0, 2), (kind, 4), (0, 2), (reading, 24),
                  (meter & 0xFFFFFF, 24))  # fmt: skip
    bits = np.concatenate([bits, remainder(bits[16:], 0x16F63)])
    return bits, {"model": "ERT-SCM", "id": meter, "ert_type": kind, "consumption_data": reading}


def ert(rng: Rng, duration: float) -> Signal:
    """Signal of ``duration`` seconds: messages of a meter, closer together than in reality."""
    sps, rate = 8, 8 * 32768.0

    def burst():
        bits, said = consumption_message(rng)
        level = np.repeat(np.stack([bits, 1 - bits], 1).ravel(), sps).astype(np.float32)
        offset = np.full(len(level), rng.normal(0, 5e3))
        return keyed(level, 3).astype(np.float32) * turn(offset, rate), said

    bursts = in_turn(rng, round(duration * rate), burst, (0.005 * rate, 0.1 * rate))
    return assemble(duration, rate, bursts)


CLASSES = (
    SignalClass(
        label="wireless-m-bus",
        title="Wireless M-Bus meters",
        generate=wireless_m_bus,
        rates=(400e3, 2.4e6),
        frequency=(868.25e6, 869.0e6),
        span=(0.01, 0.1),
        variants=MODES,
    ),
    SignalClass(
        label="ert",
        title="ERT meters",
        generate=ert,
        rates=(250e3, 2.4e6),
        frequency=(902e6, 928e6),
        span=(0.01, 0.05),
    ),
)
