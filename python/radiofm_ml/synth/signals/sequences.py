# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pseudo-random sequences that the wideband standards share: scramblers' registers and Gold sequences."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from radiofm_ml.synth.signals.coding import Bits, shift_register


@lru_cache(maxsize=256)
def _period(length: int, tap: int, start: int) -> Bits:
    sequence = shift_register(start, (length, tap), length, 2**length - 1 + length)[length:]
    sequence.flags.writeable = False  # it is shared
    return sequence


def whitening(length: int, tap: int, start: int, count: int) -> Bits:
    """``count`` bits fed back in the register D^length + D^tap + 1, as frame-synchronous scramblers add them.

    start   the register's content at first, the oldest stage in the highest bit
    """
    return np.resize(_period(length, tap, start), count)


@lru_cache(maxsize=256)
def bluetooth_whitening(start: int) -> Bits:
    """One period (127 bits) of Bluetooth's whitening (Core specification, volume 2 part B 7.2): the register
    D^7 + D^4 + 1 with the feedback between its stages. start: its content, bit k for position k."""
    state, out = start, np.empty(127, np.uint8)
    for k in range(127):
        last = state >> 6
        state = (state << 1 & 0x7F) ^ (0x11 * last)
        out[k] = last
    out.flags.writeable = False
    return out


@lru_cache(maxsize=4)
def _gold_basis(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Both registers of the Gold sequence from sample 1600 on: the first (n,), and the second for each
    single bit of its start (31, n)."""
    total = 1600 + n + 31
    first, second = np.zeros((1, total), np.uint8), np.zeros((31, total), np.uint8)
    first[0, 0] = 1
    second[np.arange(31), np.arange(31)] = 1
    for at in range(0, total - 31, 28):  # 28 steps need nothing newer than what is there
        stop = min(at + 28, total - 31)
        a, b = slice(at, stop), slice(at + 31, stop + 31)
        ahead = [slice(at + k, stop + k) for k in (1, 2, 3)]
        first[:, b] = first[:, a] ^ first[:, ahead[2]]
        second[:, b] = second[:, a] ^ second[:, ahead[0]] ^ second[:, ahead[1]] ^ second[:, ahead[2]]
    return first[0, 1600 : 1600 + n].astype(np.float32), second[:, 1600 : 1600 + n].astype(np.float32)


def gold(starts: np.ndarray | int, n: int) -> np.ndarray:
    """The length-31 Gold sequence of TS 36.211 7.2 and TS 38.211 5.2.1: uint8 (len(starts), n).

    starts  c_init, one or many
    """
    starts = np.atleast_1d(np.asarray(starts, np.int64))
    first, second = _gold_basis(1 << max(9, int(n - 1).bit_length()))
    bits = (starts[:, None] >> np.arange(31) & 1).astype(np.float32)
    return ((bits @ second[:, :n] + first[:n]).astype(np.int32) & 1).astype(np.uint8)


def gold_qpsk(starts: np.ndarray | int, n: int) -> np.ndarray:
    """Reference symbols r(m) of both standards: complex64 (len(starts), n), unit power."""
    signs = 1 - 2.0 * gold(starts, 2 * n)
    return ((signs[:, 0::2] + 1j * signs[:, 1::2]) / np.sqrt(2)).astype(np.complex64)
