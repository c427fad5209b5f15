# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""POCSAG paging.

ITU-R M.584-2 (CCIR Radiopaging Code No. 1): FSK of +-4.5 kHz (a one is the lower frequency) at 512, 1200 or
2400 bit/s, NRZ; a preamble of at least 576 reversals, then batches of a synchronisation codeword and eight
frames of two codewords, BCH(31,21) with even parity; numeric (4-bit) and alphanumeric (7-bit) messages, idle
codewords between.

Simplified: one transmitter at a time; the edges are a Hann window of the standard's rise time.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, append_parity, append_remainder, bits_of, fields
from radiofm_ml.synth.signals.modulation import Rng, assemble, in_turn, keyed, ramped, turn

RATE = 76800.0
SPEEDS = (512, 1200, 2400)
SYNC, IDLE = 0x7CD215D8, 0x7A89C197
BCH = 0x769  # x^10 + x^9 + x^8 + x^6 + x^5 + x^3 + 1
NUMERIC = "0123456789*U -)("
WORDS = (
    "ALARM STATION UNIT CALL BACK FIRE TEST ROOM LEVEL PUMP LOW HIGH BATTERY DOOR OPEN CLOSED PLEASE URGENT "
    "REPORT PATIENT TRANSFER NORTH SOUTH GATE SERVER DOWN TEMPERATURE OK Dr. Smith at desk 2"
).split()


def codeword(data: Bits) -> Bits:
    """21 bits, their BCH check bits, and the parity bit."""
    return append_parity(append_remainder(data, BCH))


def message_codewords(address: int, function: int, text: str, numeric: bool) -> list[Bits]:
    """The address codeword and the message codewords that follow it."""
    if numeric:
        padded = text + " " * (-len(text) % 5)
        bits = np.concatenate([bits_of(NUMERIC.index(c), 4)[::-1] for c in padded])
    else:
        bits = np.concatenate([bits_of(ord(c), 7)[::-1] for c in text])
        bits = np.append(bits, np.zeros(-len(bits) % 20, np.uint8))
    head = codeword(fields((0, 1), (address >> 3, 18), (function, 2)))
    return [head, *(codeword(np.append(np.uint8(1), part)) for part in bits.reshape(-1, 20))]


def line_bits(messages: list[tuple[int, int, str, bool]], preamble: int = 576) -> Bits:
    """A whole transmission: (address, function, text, numeric) each."""
    idle = bits_of(IDLE, 32)
    words: list[Bits] = []
    for address, function, text, numeric in messages:
        words += [idle] * ((2 * (address & 7) - len(words)) % 16)  # an address goes into its own frame
        words += message_codewords(address, function, text, numeric)
        words.append(idle)
    words += [idle] * (-len(words) % 16)
    reversals = np.tile(np.array([1, 0], np.uint8), preamble // 2)
    batches = np.concatenate(words).reshape(-1, 512)
    sync = np.tile(bits_of(SYNC, 32), (len(batches), 1))
    return np.concatenate([reversals, np.hstack([sync, batches]).ravel(), reversals[:8]])


def transmission(bits: Bits, speed: int, deviation: float = 4500.0) -> np.ndarray:
    """The bits at ``speed`` bit/s, at RATE."""
    rise = 100e-6 if speed == 2400 else 250e-6
    levels = np.repeat(1.0 - bits, int(RATE / speed))
    return ramped(turn(deviation * (2 * keyed(levels, int(2 * rise * RATE)) - 1), RATE), 64)


def _random_message(rng: Rng) -> tuple[int, int, str, bool]:
    address = int(rng.integers(8, 1 << 21))
    if rng.random() < 0.35:
        return address, 0, "".join(rng.choice(list("0123456789-"), int(rng.integers(4, 15)))), True
    return address, 3, " ".join(rng.choice(WORDS, int(rng.integers(2, 12)))), False


def generate(
    rng: Rng,
    duration: float,
    *,
    speed: int | None = None,
    messages: list[tuple[int, int, str, bool]] | None = None,
) -> Signal:
    """Transmissions in turn. messages: (address, function, text, numeric) each, the same every time."""
    speed = speed or int(rng.choice(SPEEDS, p=(0.2, 0.65, 0.15)))

    def one() -> tuple[np.ndarray, list]:
        queue = messages or [_random_message(rng) for _ in range(int(rng.integers(1, 6)))]
        return transmission(line_bits(queue), speed), queue

    bursts = in_turn(rng, round(duration * RATE), one, (0.1 * RATE, 5 * RATE))
    return assemble(duration, RATE, bursts, truth={"speed": speed})


CLASSES = (
    SignalClass(
        "pocsag",
        "POCSAG pagers",
        generate,
        rates=(25e3, 600e3),
        frequency=(137e6, 466e6),
        span=(0.2, 2.0),
    ),
)
