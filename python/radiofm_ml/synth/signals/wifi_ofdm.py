# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""OFDM PPDUs in 20 MHz channels: IEEE Std 802.11-2020, clauses 17 (11a/g) and 19 (11n, HT-mixed).

True short and long training, SIGNAL and HT-SIG fields, scrambler, convolutional code with puncturing,
interleaver, pilots. Simplified: one spatial stream, long guard interval, no LDPC or aggregation.
Native rate 20 MS/s.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from radiofm_ml.synth.signals.coding import Bits, bits_of_bytes, convolve, remainder
from radiofm_ml.synth.signals.ofdm import ofdm_symbols
from radiofm_ml.synth.signals.sequences import whitening

SAMPLE_RATE = 20e6
# Mb/s: (RATE field R1-R4, coded bits a subcarrier, code rate in twelfths); Table 17-4
RATES = {
    6: ("1101", 1, 6), 9: ("1111", 1, 9), 12: ("0101", 2, 6), 18: ("0111", 2, 9),
    24: ("1001", 4, 6), 36: ("1011", 4, 9), 48: ("0001", 6, 8), 54: ("0011", 6, 9),
}  # fmt: skip
# MCS: (coded bits a subcarrier, code rate in twelfths); Table 19-27
HT_RATES = {0: (1, 6), 1: (2, 6), 2: (2, 9), 3: (4, 6), 4: (4, 9), 5: (6, 8), 6: (6, 9), 7: (6, 10)}
PUNCTURE = {  # code rate in twelfths: which of A1 B1 A2 B2 ... are sent
    6: [1, 1], 8: [1, 1, 1, 0], 9: [1, 1, 1, 0, 0, 1], 10: [1, 1, 1, 0, 0, 1, 1, 0, 0, 1],
}  # fmt: skip
PILOTS = np.array([-21, -7, 7, 21])
DATA = np.array([k for k in range(-26, 27) if k and k not in PILOTS])
HT_DATA = np.array([k for k in range(-28, 29) if k and k not in PILOTS])
_OVERLAP = 2  # samples: the 100 ns transition of 17.3.2.5
LONG = np.array([
    1, 1, -1, -1, 1, 1, -1, 1, -1, 1, 1, 1, 1, 1, 1, -1, -1, 1, 1, -1, 1, -1, 1, 1, 1, 1, 0,
    1, -1, -1, 1, 1, -1, 1, -1, 1, -1, -1, -1, -1, -1, 1, 1, -1, -1, 1, -1, 1, -1, 1, 1, 1, 1,
])  # fmt: skip
HT_LONG = np.concatenate([[1, 1], LONG, [-1, -1]])
_SHORT = {-24: 1, -20: -1, -16: 1, -12: -1, -8: -1, -4: 1, 4: -1, 8: -1, 12: 1, 16: 1, 20: 1, 24: 1}


def _bins(values: np.ndarray, carriers: np.ndarray) -> np.ndarray:
    """(symbols, 64) bins, scaled so that full symbols have unit power per sample."""
    values = np.atleast_2d(values)
    bins = np.zeros((len(values), 64), np.complex64)
    bins[:, carriers % 64] = values
    return bins


@lru_cache(maxsize=1)
def _short_training() -> np.ndarray:
    carriers = np.array(list(_SHORT))
    symbol = _bins(np.sqrt(13 / 6) * (1 + 1j) * np.array(list(_SHORT.values())), carriers)
    return np.tile(ofdm_symbols(symbol, 0, 0), 3)[:160]


@lru_cache(maxsize=1)
def _preamble() -> np.ndarray:
    """Short and long training, 16 us."""
    symbol = ofdm_symbols(_bins(LONG, np.arange(-26, 27)), 0, 0)
    return np.concatenate([_short_training(), symbol[32:], symbol, symbol])


@lru_cache(maxsize=32)
def interleaver(bits: int, coded: int, columns: int) -> np.ndarray:
    """Where bit k of a symbol of ``coded`` bits goes (17.3.5.7; 19.3.11.8.1 with 13 columns)."""
    k, s = np.arange(coded), max(bits // 2, 1)
    i = coded // columns * (k % columns) + k // columns
    return s * (i // s) + (i + coded - columns * i // coded) % s


def constellation(bits: int) -> np.ndarray:
    """Points by the number that the bits b0 b1 ... make, b0 lowest (17.3.5.8); unit power."""
    if bits == 1:
        return np.array([-1, 1], np.complex64)
    half = bits // 2
    gray = {1: [0, 1], 2: [0, 1, 3, 2], 3: [0, 1, 3, 2, 6, 7, 5, 4]}[half]  # from the lowest level up
    level = np.empty(1 << half)
    for position, word in enumerate(gray):
        first_bit_lowest = int(f"{word:0{half}b}"[::-1], 2)
        level[first_bit_lowest] = 2 * position - (1 << half) + 1
    index = np.arange(1 << bits)
    points = level[index & (1 << half) - 1] + 1j * level[index >> half]
    return (points / np.sqrt(np.mean(np.abs(points) ** 2))).astype(np.complex64)


def _mapped(coded: np.ndarray, bits: int, columns: int, per_symbol: int) -> np.ndarray:
    """Coded bits, interleaved by symbol, to (symbols, subcarriers) points."""
    symbols = coded.reshape(-1, per_symbol)
    spread = np.empty_like(symbols)
    spread[:, interleaver(bits, per_symbol, columns)] = symbols
    words = spread.reshape(len(symbols), -1, bits) @ (1 << np.arange(bits))
    return constellation(bits)[words]


def _encoded(data: np.ndarray, twelfths: int) -> np.ndarray:
    pairs = convolve(data, 0o155, 0o117)  # 133 and 171 (octal), newest bit lowest
    return pairs[np.resize(np.array(PUNCTURE[twelfths], bool), len(pairs))]


def _signal_field(rate: int, length: int) -> np.ndarray:
    """SIGNAL (17.3.4): (1, 48) points."""
    field = [int(b) for b in RATES[rate][0]] + [0] + [length >> i & 1 for i in range(12)]
    field = np.array(field + [sum(field) & 1] + [0] * 6, np.uint8)
    return _mapped(_encoded(field, 6), 1, 16, 48)


def _ht_signal_field(mcs: int, length: int) -> np.ndarray:
    """HT-SIG (19.3.9.4.3): (2, 48) points, turned by 90 degrees."""
    field = [mcs >> i & 1 for i in range(7)] + [0] + [length >> i & 1 for i in range(16)]
    field += [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]  # smoothing, not sounding, reserved, no more
    crc = remainder(np.array(field, np.uint8), 0x107, 0xFF) ^ 1
    bits = np.concatenate([np.array(field, np.uint8), crc, np.zeros(6, np.uint8)])
    return 1j * _mapped(_encoded(bits, 6), 1, 16, 48)


def _data_bits(psdu: bytes, seed: int, per_symbol: int) -> Bits:
    """SERVICE, PSDU, tail and pad, scrambled; whole symbols (17.3.5.2 to 17.3.5.5)."""
    used = 16 + 8 * len(psdu) + 6
    bits = np.zeros(-(-used // per_symbol) * per_symbol, np.uint8)
    bits[16 : used - 6] = bits_of_bytes(psdu, "little")
    bits ^= whitening(7, 4, seed, len(bits))
    bits[used - 6 : used] = 0
    return bits


def _with_pilots(points: np.ndarray, carriers: np.ndarray, first: int, pilots: np.ndarray) -> np.ndarray:
    """Bins of symbols; ``first`` is the place of the first one in the polarity sequence (17.3.5.10)."""
    polarity = 1 - 2.0 * whitening(7, 4, 0x7F, 127)
    bins = _bins(points, carriers)
    bins[:, PILOTS % 64] = pilots * polarity[(first + np.arange(len(bins))) % 127, None]
    return bins


_PILOTS = np.array([1, 1, 1, -1])


def ppdu(psdu: bytes, rate: int, seed: int) -> np.ndarray:
    """A non-HT PPDU: complex64 at 20 MS/s. seed: of the scrambler, 1 to 127."""
    _, bits, twelfths = RATES[rate]
    coded = 48 * bits
    data = _encoded(_data_bits(psdu, seed, coded * twelfths // 12), twelfths)
    points = np.concatenate([_signal_field(rate, len(psdu)), _mapped(data, bits, 16, coded)])
    return np.concatenate([_preamble(), ofdm_symbols(_with_pilots(points, DATA, 0, _PILOTS), 16, _OVERLAP)])


def ht_ppdu(psdu: bytes, mcs: int, seed: int) -> np.ndarray:
    """An HT-mixed PPDU of one stream, 20 MHz: complex64 at 20 MS/s."""
    bits, twelfths = HT_RATES[mcs]
    coded = 52 * bits
    data = _encoded(_data_bits(psdu, seed, coded * twelfths // 12), twelfths)
    points = _mapped(data, bits, 13, coded)
    count = len(points)
    spoofed = (5 + count) * 3 - 3  # octets at 6 Mb/s that last until the end (19.3.9.3.5)
    legacy = np.concatenate([_signal_field(6, spoofed), _ht_signal_field(mcs, len(psdu))])
    turns = np.array([np.roll(_PILOTS, -(k % 4)) for k in range(count)])
    scale = np.sqrt(52 / 56)
    training = ofdm_symbols(_bins(HT_LONG, np.arange(-28, 29)) * scale, 16, _OVERLAP)
    return np.concatenate([
        _preamble(),
        ofdm_symbols(_with_pilots(legacy, DATA, 0, _PILOTS), 16, _OVERLAP),
        _short_training()[:80],
        training,
        ofdm_symbols(_with_pilots(points, HT_DATA, 3, turns) * scale, 16, _OVERLAP),
    ])  # fmt: skip
