# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""D-STAR, digital voice of radio amateurs: bits of a transmission.

JARL, Technical requirements for wireless digital communication devices (D-STAR system), DV mode: GMSK at 4800
bit/s; bit and frame synchronisation; a header of 41 octets, convolutionally coded, interleaved and scrambled;
then frames of 72 voice and 24 data bits, 20 ms each, with a synchronisation pattern in every 21st data field.

Simplified: the vocoder's bits and the slow data are random.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.coding import Bits, bits_of, bits_of_bytes, convolve, crc_ccitt, shift_register

FRAME_SYNC = 0b111011001010000
DATA_SYNC = 0b101010101011010001101000
END = 0b000100110101111


def header(mine: str, to: str = "CQCQCQ", repeater: str = "DIRECT") -> Bits:
    """The coded header, 660 bits. Call signs have up to 8 characters."""
    text = f"{repeater:<8}{repeater:<8}{to:<8}{mine:<8}{'':<4}".encode("ascii")
    bits = bits_of_bytes(bytes(3) + text, "little")
    bits = np.concatenate([bits, crc_ccitt(bits, invert=True), np.zeros(2, np.uint8)])
    coded = convolve(bits, 0b111, 0b101)
    order = [column + 24 * row for column in range(24) for row in range(28) if column + 24 * row < 660]
    return coded[order] ^ shift_register(0x07, (7, 4), 7, 660)


def transmission(rng: np.random.Generator, mine: str, frames: int, preamble: int = 64) -> Bits:
    """All bits of a transmission with ``frames`` voice frames, after ``preamble`` (even) reversals."""
    voice = rng.integers(0, 2, (frames, 96), dtype=np.uint8)
    voice[::21, 72:] = bits_of(DATA_SYNC, 24)
    reversals = np.tile(np.array([1, 0], np.uint8), preamble // 2)
    head = [reversals, bits_of(FRAME_SYNC, 15), header(mine)]
    return np.concatenate([*head, voice.ravel(), reversals[-32:], bits_of(END, 15), np.zeros(1, np.uint8)])
