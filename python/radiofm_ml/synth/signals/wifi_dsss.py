# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DSSS and HR/DSSS PPDUs: IEEE Std 802.11-2020, clauses 15 and 16 (802.11b), with the long preamble.

1 and 2 Mb/s by Barker code with DBPSK and DQPSK, 5.5 and 11 Mb/s by CCK. Simplified: chips shaped by a
root-raised cosine, as the standard gives a spectrum mask only; no short preamble, no PBCC.
Native rate 22 MS/s, two samples a chip.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import upfirdn

from radiofm_ml.synth.signals.coding import (
    Bits,
    bits_of,
    bits_of_bytes,
    crc_ccitt,
    scramble,
)
from radiofm_ml.synth.signals.modulation import root_raised_cosine

SAMPLE_RATE = 22e6
RATES = {1.0: 0x0A, 2.0: 0x14, 5.5: 0x37, 11.0: 0x6E}  # Mb/s: SIGNAL field (16.2.3.4)
BARKER = np.array([1, -1, 1, 1, -1, 1, 1, 1, -1, -1, -1])
START = bits_of(0xF3A0, 16)[::-1]  # SFD, lowest bit first


def _quarter_turns(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Dibits to quarter turns, Gray: 00, 01, 11, 10 (Table 15-6)."""
    return 2 * first + (first ^ second)


def header(octets: int, rate: float) -> Bits:
    """SYNC, SFD and PLCP header, 192 bits, before the scrambler (16.2.2, 16.2.3)."""
    microseconds = int(np.ceil(8 * octets / rate))
    extension = rate == 11.0 and microseconds - 8 * octets / rate >= 8 / 11
    service = 0x04 | (0x80 if extension else 0)  # locked clocks
    fields = np.concatenate(
        [bits_of(v, w)[::-1] for v, w in ((RATES[rate], 8), (service, 8), (microseconds, 16))]
    )
    return np.concatenate([np.ones(128, np.uint8), START, fields, crc_ccitt(fields, invert=True)])


def _cck(bits: Bits, rate: float, turns: int) -> np.ndarray:
    """Chips of CCK (16.3.6.6), turned on from ``turns`` quarter turns."""
    words = bits.reshape(-1, 8 if rate == 11.0 else 4).astype(np.int64)
    step = _quarter_turns(words[:, 0], words[:, 1]) + 2 * (np.arange(len(words)) & 1)
    p1 = turns + np.cumsum(step)
    if rate == 11.0:
        p2, p3, p4 = (2 * words[:, k] + words[:, k + 1] for k in (2, 4, 6))
    else:
        p2, p3, p4 = 2 * words[:, 2] + 1, 0 * p1, 2 * words[:, 3]
    phase = np.stack([p1 + p2 + p3 + p4, p1 + p3 + p4, p1 + p2 + p4, p1 + p4 + 2, p1 + p2 + p3, p1 + p3,
                      p1 + p2 + 2, p1], 1)  # fmt: skip
    return np.array([1, 1j, -1, -1j])[phase.ravel() % 4]


def chips(psdu: bytes, rate: float, seed: int) -> np.ndarray:
    """All chips of a PPDU, on the unit circle. seed: what the scrambler holds at first, 7 bits."""
    bits = scramble(np.concatenate([header(len(psdu), rate), bits_of_bytes(psdu, "little")]), (4, 7), seed)
    turns = np.cumsum(2 * bits[:192].astype(np.int64))
    data = bits[192:].astype(np.int64)
    if rate > 2:
        spread = np.array([1, 1j, -1, -1j])[turns % 4, None] * BARKER
        return np.concatenate([spread.ravel(), _cck(bits[192:], rate, int(turns[-1]))])
    steps = 2 * data if rate == 1.0 else _quarter_turns(data[0::2], data[1::2])
    turns = np.concatenate([turns, turns[-1] + np.cumsum(steps)])
    return (np.array([1, 1j, -1, -1j])[turns % 4, None] * BARKER).ravel()


def ppdu(psdu: bytes, rate: float, seed: int, rolloff: float = 0.5) -> np.ndarray:
    """complex64 at 22 MS/s; chip k lies at sample 2·k + 8."""
    return upfirdn(root_raised_cosine(rolloff, 2), chips(psdu, rate, seed), 2).astype(np.complex64)
