# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Bits, and the codes that the standards put around them.

Bits are uint8 arrays of 0 and 1, in sending order.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

Bits = np.ndarray


def bits_of(value: int, width: int) -> Bits:
    """``value`` as ``width`` bits, the most significant first; a negative one in two's complement."""
    value &= (1 << width) - 1
    return np.frombuffer(f"{value:0{width}b}".encode(), np.uint8) - 48


def fields(*pairs: tuple[int, int]) -> Bits:
    """(value, width) pairs in a row, each the most significant bit first."""
    return np.concatenate([bits_of(int(value), width) for value, width in pairs])


def integer_of(bits: Bits) -> int:
    """The inverse of ``bits_of``, unsigned."""
    return int("".join(map(str, np.asarray(bits, np.uint8).tolist())) or "0", 2)


def bits_of_bytes(data: bytes, order: str = "big") -> Bits:
    """The bits of each byte, the most ('big') or the least ('little') significant first."""
    return np.unpackbits(np.frombuffer(bytes(data), np.uint8), bitorder=order)


def bytes_of_bits(bits: Bits, order: str = "big") -> bytes:
    """The inverse of ``bits_of_bytes``; the last byte is filled up with zeros."""
    return np.packbits(np.asarray(bits, np.uint8), bitorder=order).tobytes()


def remainder(bits: Bits, polynomial: int, initial: int = 0) -> Bits:
    """Check bits of a CRC or of a systematic cyclic code: bits(x)·x^r mod polynomial(x), r bits.

    polynomial   with its leading term: 0x11021 is x^16 + x^12 + x^5 + 1
    initial      what the register holds at first (CRCs that start from ones)

    A CRC that a document draws with a right-shifting register is this one, over the bits in the order in
    which they are sent.
    """
    width = polynomial.bit_length() - 1
    value = integer_of(bits) << width
    length = len(bits) + width
    value ^= initial << (length - width)
    for at in range(length - 1, width - 1, -1):
        if value >> at & 1:
            value ^= polynomial << (at - width)
    return bits_of(value, width)


def append_remainder(bits: Bits, polynomial: int) -> Bits:
    """The systematic code word: ``bits``, then their check bits."""
    return np.concatenate([bits, remainder(bits, polynomial)])


def append_parity(bits: Bits) -> Bits:
    """``bits``, then one bit that makes the number of ones even."""
    return np.append(bits, np.uint8(int(bits.sum()) & 1))


CCITT = 0x11021  # the 16-bit CRC of HDLC, AIS, D-STAR and RS41


def crc_ccitt(bits: Bits, initial: int = 0xFFFF, invert: bool = False) -> Bits:
    """CRC-16 CCITT over bits in sending order; HDLC's frame check sequence is the inverted one."""
    return remainder(bits, CCITT, initial) ^ np.uint8(invert)


# -- lines -------------------------------------------------------------------------------------------
def nrzi(bits: Bits, level: int = 0) -> Bits:
    """A zero changes the level, a one keeps it. ``level`` is that before the first bit."""
    return (level + np.cumsum(np.asarray(bits, np.int64) ^ 1) & 1).astype(np.uint8)


HDLC_FLAG = np.array([0, 1, 1, 1, 1, 1, 1, 0], np.uint8)


def stuff(bits: Bits) -> Bits:
    """A zero after every five ones in a row (ISO/IEC 13239)."""
    out, ones = [], 0
    for bit in bits.tolist():
        out.append(bit)
        ones = ones + 1 if bit else 0
        if ones == 5:
            out.append(0)
            ones = 0
    return np.array(out, np.uint8)


def hdlc(data: bytes, before: int = 1, after: int = 1) -> Bits:
    """``data`` with its frame check sequence, bytes least significant bit first, stuffed, between flags."""
    body = bits_of_bytes(data, "little")
    body = stuff(np.concatenate([body, crc_ccitt(body, invert=True)]))
    return np.concatenate([np.tile(HDLC_FLAG, before), body, np.tile(HDLC_FLAG, after)])


def shift_register(seed: int, taps: tuple[int, ...], width: int, count: int) -> Bits:
    """Pseudo-noise: ``count`` output bits of a Fibonacci register; stage ``width`` is put out, the sum of the
    stages ``taps`` (counted from 1) is shifted in at stage 1. Bit k of ``seed`` is stage k + 1."""
    out, mask = np.empty(count, np.uint8), (1 << width) - 1
    for k in range(count):
        out[k] = seed >> (width - 1) & 1
        feedback = 0
        for tap in taps:
            feedback ^= seed >> (tap - 1) & 1
        seed = (seed << 1 | feedback) & mask
    return out


def scramble(bits: Bits, taps: tuple[int, ...], seed: int = 0) -> Bits:
    """Self-synchronising scrambler: each bit sent is the input plus the bits sent ``taps`` bits ago."""
    history, out = seed, np.empty(len(bits), np.uint8)
    for k, bit in enumerate(bits.tolist()):
        for tap in taps:
            bit ^= history >> (tap - 1) & 1
        history = history << 1 | bit
        out[k] = bit
    return out


def convolve(bits: Bits, *generators: int) -> Bits:
    """Convolutional code from the all-zero state: one bit a generator for every input bit. A generator's
    lowest bit multiplies the newest input."""
    padded = np.asarray(bits, np.uint8)
    out = np.zeros((len(padded), len(generators)), np.uint8)
    for k, generator in enumerate(generators):
        for delay in range(generator.bit_length()):
            if generator >> delay & 1:
                out[delay:, k] ^= padded[: len(padded) - delay]
    return out.ravel()


# -- Galois fields -----------------------------------------------------------------------------------
@cache
def _field(primitive: int) -> tuple[tuple[int, ...], dict[int, int]]:
    """Powers of the primitive element (twice round), and their logarithms."""
    width = primitive.bit_length() - 1
    powers, value = [], 1
    for _ in range((1 << width) - 1):
        powers.append(value)
        value <<= 1
        if value >> width:
            value ^= primitive
    return tuple(powers * 2), {v: k for k, v in enumerate(powers)}


@cache
def _generator(count: int, primitive: int, first: int) -> tuple[int, ...]:
    """Coefficients of the product of (x - a^i), i = first … first + count - 1, the highest first."""
    power, log = _field(primitive)
    poly = [1]
    for i in range(first, first + count):
        shifted = poly + [0]
        scaled = [0] + [power[log[c] + i % len(log)] if c else 0 for c in poly]
        poly = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(poly)


def reed_solomon(message: Iterable[int], count: int, primitive: int = 0x11D, first: int = 0) -> list[int]:
    """The ``count`` parity symbols of a systematic Reed-Solomon code, the highest power first.

    primitive   the field's polynomial with its leading term: 0x11D is x^8 + x^4 + x^3 + x^2 + 1
    first       power of the primitive element that is the generator polynomial's first root
    """
    power, log = _field(primitive)
    generator = [log[c] if c else None for c in _generator(count, primitive, first)[1:]]
    register = [0] * count
    for symbol in message:
        feedback = int(symbol) ^ register[0]
        register = register[1:] + [0]
        if feedback:
            at = log[feedback]
            register = [
                r ^ (0 if g is None else power[g + at]) for r, g in zip(register, generator, strict=True)
            ]
    return register
