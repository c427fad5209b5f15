# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DMR, two-slot digital mobile radio: bits of its bursts.

ETSI TS 102 361-1 V2.5.1: bursts of 264 bits in 30 ms slots; a voice call is a voice LC header, superframes
of six voice bursts (the first with the voice synchronisation, the others with the embedded signalling of
colour code and link control), and a terminator. Link control per TS 102 361-2 (group voice). The codes:
BPTC(196,96), Golay(20,8), the quadratic residue code (16,7), RS(12,9) over GF(256), Hamming(16,11), and
Hamming(7,4) for the CACH.

Simplified: the vocoder's 216 bits a burst are random; the CACH's short LC is null; idle bursts carry pseudo-
noise.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.coding import (
    Bits,
    append_parity,
    append_remainder,
    bits_of,
    bits_of_bytes,
    bytes_of_bits,
    fields,
    reed_solomon,
    shift_register,
)

SYNC = {
    ("base", "voice"): 0x755FD7DF75F7,
    ("base", "data"): 0xDFF57D75DF5D,
    ("mobile", "voice"): 0x7F7D5DD57DFD,
    ("mobile", "data"): 0xD5D7F77FD757,
}
VOICE_HEADER, TERMINATOR, IDLE = 1, 2, 9  # data types
HAMMING = 0x13  # x^4 + x + 1
GOLAY = 0xC75


def bptc(information: Bits) -> Bits:
    """96 bits to 196: a product of Hamming(15,11) and Hamming(13,9), interleaved (B.1.1)."""
    rows = np.append(np.zeros(3, np.uint8), information).reshape(9, 11)
    rows = np.array([append_remainder(row, HAMMING) for row in rows])
    matrix = np.array([append_remainder(column, HAMMING) for column in rows.T]).T
    out = np.zeros(196, np.uint8)
    out[np.arange(1, 196) * 181 % 196] = matrix.ravel()
    return out


def slot_type(colour: int, kind: int) -> Bits:
    """Colour code and data type in Golay(20,8) (B.3.1)."""
    return append_parity(append_remainder(fields((colour, 4), (kind, 4)), GOLAY))


def embedded_signalling(colour: int, fragment: int) -> Bits:
    """EMB: 16 bits of the quadratic residue code; ``fragment`` is the link control start/stop (B.3.2)."""
    return append_parity(append_remainder(fields((colour, 4), (0, 1), (fragment, 2)), 0x139))


def link_control(source: int, target: int) -> Bits:
    """72 bits: a group voice channel user."""
    return fields((0, 8), (0, 8), (0, 8), (target, 24), (source, 24))


def full_link_control(control: Bits, kind: int) -> Bits:
    """With its Reed-Solomon parity, masked by data type: 96 bits (B.3.6)."""
    octets = list(bytes_of_bits(control))
    parity = bytes(reed_solomon(octets, 3, first=1))
    mask = {VOICE_HEADER: 0x96, TERMINATOR: 0x99}[kind]
    return np.concatenate([control, bits_of_bytes(bytes(p ^ mask for p in parity))])


def embedded_link_control(control: Bits) -> Bits:
    """The 128 bits that the voice bursts B to E carry, 32 each (B.2.1)."""
    check = bits_of(sum(bytes_of_bits(control)) % 31, 5)
    rows = [control[:11], control[11:22]]
    rows += [np.append(control[22 + 10 * k : 32 + 10 * k], check[k]) for k in range(5)]
    rows = np.array([append_parity(append_remainder(row, HAMMING)) for row in rows])
    return np.vstack([rows, rows.sum(0, dtype=np.uint8) & 1]).T.ravel()


def data_burst(information: Bits, colour: int, kind: int, side: str) -> Bits:
    """264 bits: 96 bits of information of a data type."""
    coded, kind_bits = bptc(information), slot_type(colour, kind)
    sync = bits_of(SYNC[side, "data"], 48)
    return np.concatenate([coded[:98], kind_bits[:10], sync, kind_bits[10:], coded[98:]])


def idle_burst(colour: int, side: str) -> Bits:
    return data_burst(shift_register(0x1FF, (9, 5), 9, 96), colour, IDLE, side)


def voice_bursts(rng: np.random.Generator, control: Bits, colour: int, side: str) -> list[Bits]:
    """A superframe."""
    fragments = embedded_link_control(control).reshape(4, 32)
    middles = [bits_of(SYNC[side, "voice"], 48)]
    for k, position in enumerate((1, 3, 3, 2, 0)):  # first, continuation, continuation, last; single (null)
        emb = embedded_signalling(colour, position)
        middles.append(np.concatenate([emb[:8], fragments[k] if k < 4 else np.zeros(32, np.uint8), emb[8:]]))
    voice = rng.integers(0, 2, (6, 216), dtype=np.uint8)
    return [np.concatenate([v[:108], m, v[108:]]) for v, m in zip(voice, middles, strict=True)]


def call(
    rng: np.random.Generator, source: int, target: int, colour: int, superframes: int, side: str
) -> list[Bits]:
    """All bursts of one voice call, 264 bits each."""
    control = link_control(source, target)
    bursts = [data_burst(full_link_control(control, VOICE_HEADER), colour, VOICE_HEADER, side)]
    for _ in range(superframes):
        bursts += voice_bursts(rng, control, colour, side)
    return [*bursts, data_burst(full_link_control(control, TERMINATOR), colour, TERMINATOR, side)]


def access_channel(slot: int, busy: bool) -> Bits:
    """CACH: 24 bits before the burst of ``slot`` (0 or 1), with a null short LC (B.1.4)."""
    out = np.zeros(24, np.uint8)
    out[[0, 4, 8, 12, 14, 18, 22]] = append_remainder(fields((busy, 1), (slot, 1), (3, 2)), 0xB)
    return out
