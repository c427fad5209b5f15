# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""APCO Project 25 phase 1: bits of its data units, and C4FM's pulse.

TIA-102.BAAA (common air interface): 4800 symbols/s; every data unit starts with the frame synchronisation
and the network identifier in BCH(63,16), and has a status symbol after every 35 symbols. A voice call is a
header, pairs of link data units of nine voice frames with link control (LDU1) or encryption synchronisation
(LDU2), and a terminator. The codes: Golay(18,6), Hamming(10,6), RS(36,20), RS(24,12) and RS(24,16) over
GF(64).

Simplified: the vocoder's 144 bits a frame are random; no encryption; low speed data is null.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals.coding import (
    Bits,
    append_parity,
    append_remainder,
    bits_of,
    fields,
    integer_of,
    reed_solomon,
)

SYNC = 0x5575F5FF77FF
BCH = 0o6331141367235453
HEADER, TERMINATOR, LINK1, LINK2 = 0x0, 0x3, 0x5, 0xA  # data unit identifiers
HAMMING = np.array([0b1110, 0b1101, 0b1011, 0b0111, 0b0011, 0b1100])  # check bits of each data bit


@cache
def c4fm(sps: int, span: int = 12) -> np.ndarray:
    """The raised cosine (roll-off 0.2) with the inverse sinc of an integrating receiver; sums to sps."""
    size = 64 * sps
    f = np.fft.rfftfreq(size, 1 / sps)  # in symbol rates
    cosine = np.where(f < 0.4, 1.0, np.where(f < 0.6, 0.5 + 0.5 * np.cos(np.pi * (f - 0.4) / 0.2), 0.0))
    taps = np.fft.fftshift(np.fft.irfft(cosine / np.sinc(np.minimum(f, 0.9)), size))
    middle, reach = size // 2, span * sps // 2
    taps = taps[middle - reach : middle + reach + 1] * np.hanning(2 * reach + 3)[1:-1]
    return taps * (sps / taps.sum())


def network_identifier(nac: int, unit: int) -> Bits:
    """Network access code and data unit identifier, 64 bits."""
    word = append_remainder(fields((nac, 12), (unit, 4)), BCH)
    return np.append(word, np.uint8(unit in (LINK1, LINK2)))


def _symbols(bits: Bits) -> list[int]:
    return [integer_of(part) for part in bits.reshape(-1, 6)]


def _protected(bits: Bits, parity: int) -> list[int]:
    """Six-bit symbols and the Reed-Solomon parity after them."""
    data = _symbols(bits)
    return data + reed_solomon(data, parity, primitive=0x43, first=1)


def _hamming(symbol: int) -> Bits:
    bits = bits_of(symbol, 6)
    return np.concatenate([bits, bits_of(np.bitwise_xor.reduce(HAMMING * bits), 4)])


def with_status(bits: Bits, status: int) -> Bits:
    """A status symbol after every 70 bits; the last part is filled up with nulls."""
    parts = np.append(bits, np.zeros(-len(bits) % 70, np.uint8)).reshape(-1, 70)
    return np.hstack([parts, np.tile(bits_of(status, 2), (len(parts), 1))]).ravel()


def data_unit(nac: int, unit: int, contents: Bits, status: int = 2) -> Bits:
    """A whole data unit as it is sent."""
    head = np.concatenate([bits_of(SYNC, 48), network_identifier(nac, unit)])
    return with_status(np.concatenate([head, contents]), status)


def header(talk_group: int) -> Bits:
    """Contents of the header data unit: not encrypted."""
    information = fields((0, 72), (0, 8), (0x80, 8), (0, 16), (talk_group, 16))
    golay = (append_parity(append_remainder(bits_of(s, 6), 0xC75)) for s in _protected(information, 16))
    return np.concatenate([*golay, np.zeros(10, np.uint8)])


def voice(rng: np.random.Generator, words: list[int]) -> Bits:
    """Contents of a link data unit: nine voice frames, and 24 six-bit symbols between them."""
    frames = list(rng.integers(0, 2, (9, 144), dtype=np.uint8))
    signalling = np.concatenate([_hamming(w) for w in words]).reshape(6, 40)
    parts = [frames[0]]
    for frame, piece in zip(frames[1:7], signalling, strict=True):
        parts += [frame, piece]
    return np.concatenate([*parts, frames[7], np.zeros(32, np.uint8), frames[8]])


def call(rng: np.random.Generator, nac: int, talk_group: int, source: int, pairs: int) -> Bits:
    """All bits of a group voice call: ``pairs`` of link data units, 360 ms each."""
    status = int(rng.choice([1, 2, 3]))
    link = _protected(fields((0, 8), (0, 8), (0, 8), (0, 8), (talk_group, 16), (source, 24)), 12)
    crypto = _protected(fields((0, 72), (0x80, 8), (0, 16)), 8)
    units = [data_unit(nac, HEADER, header(talk_group), status)]
    for _ in range(pairs):
        units.append(data_unit(nac, LINK1, voice(rng, link), status))
        units.append(data_unit(nac, LINK2, voice(rng, crypto), status))
    units.append(data_unit(nac, TERMINATOR, np.zeros(28, np.uint8), status))
    return np.concatenate(units)
