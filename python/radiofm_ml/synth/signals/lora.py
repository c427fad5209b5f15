# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""LoRa: chirp spread spectrum.

The modem is published by reverse engineering only; this follows M. Knight and B. Seeber, "Decoding LoRa"
(GNU Radio Conference 2016), P. Robyns et al., "A Multi-Channel Software Decoder for the LoRa Modulation
Scheme" (2018) and J. Tapparel et al., "An Open-Source LoRa Physical Layer Prototype on GNU Radio" (SPAWC
2020): explicit header, whitening, Hamming code, diagonal interleaver, Gray mapping, CRC, preamble, sync word
and two and a quarter down-chirps. Semtech's SX1276 data sheet gives the bandwidths and spreading factors.

Simplified: explicit headers only; no LR-FHSS; random payloads; low data rate optimisation is on for symbols
longer than 16 ms, as LoRaWAN has it. Bandwidths are drawn from those in common use.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import bits_of, crc_ccitt, integer_of
from radiofm_ml.synth.signals.modulation import Rng, assemble, in_turn, turn

OVERSAMPLING = 2
BANDWIDTHS = (125e3, 250e3, 500e3, 62.5e3)
_OFTEN = (0.55, 0.2, 0.2, 0.05)
PREAMBLE, SYNC_WORDS = 8, (0x12, 0x34)  # private and LoRaWAN networks


# -- coding ------------------------------------------------------------------------------------------
def whitened(payload: bytes) -> list[int]:
    """XOR with the sequence of x^8 + x^6 + x^5 + x^4 + 1 from all ones."""
    register, out = 0xFF, []
    for value in payload:
        out.append(value ^ register)
        feedback = (register >> 7 ^ register >> 5 ^ register >> 4 ^ register >> 3) & 1
        register = (register << 1 | feedback) & 0xFF
    return out


def payload_crc(payload: bytes) -> int:
    """CRC-16 CCITT from zero over all but the last two bytes, which are added to it."""
    bits = np.unpackbits(np.frombuffer(payload[:-2], np.uint8))
    return integer_of(crc_ccitt(bits, 0)) ^ payload[-1] ^ payload[-2] << 8


def header(length: int, rate: int, crc: bool) -> list[int]:
    """Five nibbles: length, code rate and CRC flag, checksum of five bits."""
    nibbles = [length >> 4, length & 15, rate << 1 | crc]
    a, b, c = (bits_of(n, 4).tolist() for n in nibbles)
    checks = [
        a[0] ^ a[1] ^ a[2] ^ a[3],
        a[0] ^ b[0] ^ b[1] ^ b[2] ^ c[3],
        a[1] ^ b[0] ^ b[3] ^ c[0] ^ c[2],
        a[2] ^ b[1] ^ b[3] ^ c[1] ^ c[2] ^ c[3],
        a[3] ^ b[2] ^ c[0] ^ c[1] ^ c[2] ^ c[3],
    ]
    return [*nibbles, checks[0], integer_of(np.array(checks[1:]))]


@cache
def hamming(nibble: int, rate: int) -> np.ndarray:
    """4 + ``rate`` bits: the nibble, least significant bit first, and its parity bits."""
    d = bits_of(nibble, 4)[::-1]
    if rate == 1:
        return np.array([*d, int(d.sum()) & 1], np.uint8)
    checks = [d[0] ^ d[1] ^ d[2], d[1] ^ d[2] ^ d[3], d[0] ^ d[1] ^ d[3], d[0] ^ d[2] ^ d[3]]
    return np.array([*d, *checks[:rate]], np.uint8)


def interleaved(words: np.ndarray, factor: int) -> list[int]:
    """Code words (k, 4 + rate) to 4 + rate symbols of ``factor`` bits, along diagonals; k is ``factor``, or
    two less in a block at reduced rate, which adds a parity bit and a zero."""
    k, length = words.shape
    symbols = []
    for i in range(length):
        bits = words[(i - np.arange(k) - 1) % k, i]
        symbols.append(integer_of(bits if k == factor else np.array([*bits, int(bits.sum()) & 1, 0])))
    return symbols


def gray_mapped(value: int, factor: int) -> int:
    """The chirp that carries ``value``: the inverse Gray code, plus one."""
    out, shift = value, value >> 1
    while shift:
        out, shift = out ^ shift, shift >> 1
    return (out + 1) % (1 << factor)


def symbols_of(payload: bytes, factor: int, rate: int, reduced: bool, crc: bool = True) -> list[int]:
    """Chirps of header, payload and CRC. factor: 7 to 12; rate: 1 to 4 (4/5 to 4/8); reduced: low data rate
    optimisation."""
    data = whitened(payload)
    nibbles = [n for value in data for n in (value & 15, value >> 4)]
    if crc:
        check = payload_crc(payload)
        nibbles += [check & 15, check >> 4 & 15, check >> 8 & 15, check >> 12]
    nibbles = header(len(payload), rate, crc) + nibbles
    first = factor - 2  # the first block is at reduced rate and 4/8
    blocks = [(nibbles[:first], 4, first)]
    size = factor - 2 if reduced else factor
    blocks += [(nibbles[at : at + size], rate, size) for at in range(first, len(nibbles), size)]
    symbols = []
    for block, code, size in blocks:
        block = block + [0] * (size - len(block))
        symbols += interleaved(np.stack([hamming(n, code) for n in block]), factor)
    return [gray_mapped(s, factor) for s in symbols]


# -- chirps ------------------------------------------------------------------------------------------
def modulated(symbols: list[int], factor: int, bandwidth: float, sync: int) -> np.ndarray:
    """A frame at ``OVERSAMPLING`` times the bandwidth."""
    n, rate = 1 << factor, OVERSAMPLING * bandwidth
    ramp = (np.arange(n * OVERSAMPLING) + 0.5) / (n * OVERSAMPLING)
    starts = np.array([0] * PREAMBLE + [(sync >> 4) * 8, (sync & 15) * 8])[:, None]
    up = ((starts / n + ramp) % 1.0).ravel()
    down = np.tile(1 - ramp, 3)[: len(ramp) * 9 // 4]
    data = ((np.array(symbols)[:, None] / n + ramp) % 1.0).ravel()
    return turn((np.concatenate([up, down, data]) - 0.5) * bandwidth, rate)


def generate(
    rng: Rng,
    duration: float,
    variant: str | None = None,
    bandwidth: float | None = None,
    rate: int | None = None,
) -> Signal:
    """Signal of ``duration`` seconds: frames of one sender. variant: 'sf7' to 'sf12'."""
    variant = variant or f"sf{rng.choice([7, 8, 9, 10, 11, 12], p=[0.3, 0.15, 0.15, 0.15, 0.1, 0.15])}"
    factor = int(variant[2:])
    bandwidth = bandwidth or float(rng.choice(BANDWIDTHS, p=_OFTEN))
    rate = rate or int(rng.choice([1, 1, 1, 2, 3, 4]))
    sync, reduced = int(rng.choice(SYNC_WORDS)), 2**factor / bandwidth > 16e-3

    def frame():
        payload = rng.integers(0, 256, int(rng.integers(6, 52)), np.uint8).tobytes()
        symbols = symbols_of(payload, factor, rate, reduced)
        return modulated(symbols, factor, bandwidth, sync), {"payload": payload.hex(), "symbols": symbols}

    sample_rate = OVERSAMPLING * bandwidth
    bursts = in_turn(rng, round(duration * sample_rate), frame, (0.01 * sample_rate, 0.5 * sample_rate))
    band = (-bandwidth / 2, bandwidth / 2)
    truth = {"spreading_factor": factor, "bandwidth": bandwidth, "code_rate": rate, "sync_word": sync}
    return assemble(duration, sample_rate, [b._replace(band=band) for b in bursts], variant, truth)


CLASSES = (
    SignalClass(
        label="lora",
        title="LoRa",
        generate=generate,
        rates=(200e3, 2.4e6),
        frequency=(433e6, 928e6),
        span=(0.05, 0.4),
        variants=tuple(f"sf{n}" for n in range(7, 13)),
    ),
)
