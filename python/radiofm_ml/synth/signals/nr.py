# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""5G NR downlink in FR1: 3GPP TS 38.211, 30 kHz subcarrier spacing, normal cyclic prefix, 10 to 100 MHz.

Synchronisation signal blocks (true PSS, SSS and PBCH reference signals, case C positions of TS 38.213 4.1,
one to eight beams, every 20 ms), control resource sets, shared channels with true demodulation reference
signals (configuration type 1), tracking reference signals; nothing where nothing is scheduled. TDD patterns
DDDSU and DDDDDDDSUU with silent uplink, or FDD. Simplified: no channel coding, PBCH, PDCCH and PDSCH are
random QPSK to 256QAM, one layer and port.
Native rate 30 kHz times the FFT size, 15.36 to 122.88 MS/s.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals import lte
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble
from radiofm_ml.synth.signals.ofdm import ofdm_symbols, random_qam, runs
from radiofm_ml.synth.signals.sequences import gold_qpsk

FFT_SIZES = {24: 512, 51: 1024, 106: 1536, 162: 2048, 273: 4096}  # resource blocks: FFT size
SPACING = 30e3
PATTERNS = {"DDDSU": 10, "DDDDDDDSUU": 6, "D": 14}  # slots, and downlink symbols of a special one
BLOCK_SYMBOLS = (2, 8, 16, 22, 30, 36, 44, 50)  # first symbols of the blocks in a half frame (case C)


@cache
def _m_sequence(tap: int, start: tuple[int, ...]) -> np.ndarray:
    x = list(start)
    for k in range(120):
        x.append((x[k + tap] + x[k]) % 2)
    return 1.0 - 2.0 * np.array(x)


def primary(nid2: int) -> np.ndarray:
    """PSS (7.4.2.2): 127 values."""
    return _m_sequence(4, (0, 1, 1, 0, 1, 1, 1))[(np.arange(127) + 43 * nid2) % 127]


def secondary(nid: int) -> np.ndarray:
    """SSS (7.4.2.3): 127 values."""
    nid1, nid2 = divmod(nid, 3)
    n, start = np.arange(127), (1, 0, 0, 0, 0, 0, 0)
    first = _m_sequence(4, start)[(n + 15 * (nid1 // 112) + 5 * nid2) % 127]
    return first * _m_sequence(1, start)[(n + nid1 % 112) % 127]


def block(rng: Rng, nid: int, index: int) -> np.ndarray:
    """A synchronisation signal block (7.4.3): (4 symbols, 240 subcarriers)."""
    grid = np.zeros((4, 240), np.complex64)
    grid[0, 56:183], grid[2, 56:183] = primary(nid % 3), secondary(nid)
    grid[1], grid[3] = random_qam(rng, (2, 240), 4)
    grid[2, :48], grid[2, 192:] = random_qam(rng, (2, 48), 4)
    start = 2048 * (index + 1) * (nid // 4 + 1) + 64 * (index + 1) + nid % 4  # 7.4.1.4.1, half frame 0
    reference = gold_qpsk(start, 144)[0]
    comb = np.arange(nid % 4, 240, 4)
    grid[1, comb], grid[3, comb] = reference[:60], reference[84:]
    grid[2, comb[:12]], grid[2, comb[48:]] = reference[60:72], reference[72:84]
    return grid


def reference(nid: int, slot: int, symbol: int, count: int) -> np.ndarray:
    """Demodulation reference sequence (7.4.1.1.1, 7.4.1.3.1)."""
    start = (2**17 * (14 * slot + symbol + 1) * (2 * nid + 1) + 2 * nid) % 2**31
    return gold_qpsk(start, count)[0]


def _shared(rng: Rng, rows: np.ndarray, nid: int, slot: int, stop: int, first: int, width: int) -> None:
    """PDSCH on resource blocks ``first`` to ``first + width`` of a slot; in place."""
    columns = slice(12 * first, 12 * (first + width))
    begin = 2 if stop > 6 else 1
    gain = np.float32(10 ** (rng.choice([-3, 0, 0, 3]) / 20))
    order = int(rng.choice([4, 16, 64, 256], p=[0.3, 0.25, 0.3, 0.15]))
    rows[begin:stop, columns] = random_qam(rng, (stop - begin, 12 * width), order) * gain
    for symbol in (2, 11) if stop == 14 else (2,):
        if symbol < stop:
            rows[symbol, columns] = 0
            values = reference(nid, slot, symbol, 6 * (first + width))[6 * first :]
            rows[symbol, 12 * first : 12 * (first + width) : 2] = values * gain * np.float32(np.sqrt(2))


def _control(rng: Rng, rows: np.ndarray, nid: int, slot: int, blocks: int, load: float) -> None:
    """PDCCH candidates of six blocks in the first two symbols of a slot; in place."""
    groups = np.flatnonzero(rng.random(min(blocks, 96) // 6) < load)
    for group in groups:
        for symbol in (0, 1):
            part = random_qam(rng, 72, 4)
            part[1::4] = reference(nid, slot, symbol, 18 * (group + 1))[18 * group :]
            rows[symbol, 72 * group : 72 * group + 72] = part


def generate(
    rng: Rng,
    duration: float,
    blocks: int | None = None,
    pattern: str | None = None,
    load: float | None = None,
    nid: int | None = None,
) -> Signal:
    """``duration`` seconds of a cell.

    blocks   resource blocks: 24, 51, 106, 162 or 273
    pattern  of slots: one of ``PATTERNS``
    truth: "cell", "blocks", "pattern", "carrier" (subcarrier of the blocks' lowest one, from the middle),
    "messages": {"index", "start" (sample of its first symbol's cyclic prefix)} for each block
    """
    if blocks is None:
        blocks = int(rng.choice([b for b in FFT_SIZES if FFT_SIZES[b] * SPACING * duration < 1e6] or [24]))
    pattern = pattern or str(rng.choice(list(PATTERNS)))
    load = float(rng.choice([0.02, rng.uniform(0, 0.5), rng.uniform(0.5, 1)])) if load is None else load
    nid = int(rng.integers(0, 1008)) if nid is None else nid
    while True:  # until it is not in a pause all the time
        signal = _stretch(rng, duration, blocks, pattern, load, nid)
        if signal.emissions:
            return signal


def _stretch(rng: Rng, duration: float, blocks: int, pattern: str, load: float, nid: int) -> Signal:
    size, carriers = FFT_SIZES[blocks], 12 * blocks
    rate = size * SPACING
    length = round(rate * 0.5e-3)
    slots = int(np.ceil(duration / 0.5e-3)) + 1
    skipped = int(rng.integers(0, length))
    # slot numbers count over 20 ms; a stretch shows the blocks more often than chance would have it
    first = int(rng.choice([40 - slots // 2, rng.integers(0, 40)])) % 40
    grid = np.zeros((14 * slots, carriers), np.complex64)
    used = lte.allocation(rng, slots, -(-blocks // 4), load)
    beams = np.sort(rng.permutation(8)[: int(rng.choice([1, 1, 2, 4, 8]))])
    gains = 10 ** (-rng.exponential(8, 8) / 20)
    place = int(rng.integers(0, carriers - 240 + 1)) // 12 * 12
    tracking = int(rng.choice([10, 20, 40]))
    blocks_sent = []
    for k in range(slots):
        number = (first + k) % 40
        kind = pattern[number % len(pattern)]
        if kind == "U":
            continue
        stop = PATTERNS[pattern] if kind == "S" else 14
        rows = grid[14 * k : 14 * k + 14]
        slot = number % 20
        granted = runs(np.repeat(used[k], 4)[:blocks])
        for begin, end in granted:
            _shared(rng, rows, nid, slot, stop, begin, end - begin)
        _control(rng, rows, nid, slot, blocks, 0.5 * load + 0.02 if not granted else 0.3)
        if number % tracking < 2 and stop == 14:  # tracking: two symbols in each of two slots (7.4.1.5)
            for symbol in (4, 8):
                start = (1024 * (14 * slot + symbol + 1) * (2 * nid + 1) + nid) % 2**31
                rows[symbol, 0::4] = gold_qpsk(start, 3 * blocks)[0] * np.sqrt(2)
        for index in beams:
            where = BLOCK_SYMBOLS[index] - 14 * number
            if 0 <= where < 14:
                rows[where : where + 4, place : place + 240] = block(rng, nid, int(index)) * gains[index]
                blocks_sent.append((int(index), 14 * k + where))
    on = grid.any(1)
    prefix = np.where(np.arange(len(grid)) % 14 == 0, 176, 144) * size // 2048
    ends = np.cumsum(prefix + size)
    bins = np.zeros((len(grid), size), np.complex64)
    bins[:, (np.arange(carriers) - carriers // 2) % size] = grid
    iq = ofdm_symbols(bins, prefix, max(2, size // 128))
    starts = ends - prefix - size
    bursts = []
    for begin, end in runs(on):
        columns = np.flatnonzero(grid[begin:end].any(0)) - carriers // 2
        band = ((columns[0] - 0.5) * SPACING, (columns[-1] + 0.5) * SPACING)
        bursts.append(Burst(int(starts[begin]) - skipped, iq[starts[begin] : ends[end - 1]], None, band))
    truth = {"cell": nid, "blocks": blocks, "pattern": pattern, "carrier": place - carriers // 2}
    signal = assemble(duration, rate, bursts, "", truth)
    signal.truth["messages"] = [
        {"index": index, "start": int(starts[symbol]) - skipped}
        for index, symbol in blocks_sent
        if starts[symbol] >= skipped and ends[symbol + 3] - skipped <= len(signal.iq)
    ]
    return signal


CLASSES = (SignalClass("nr", "5G NR downlink", generate, (15.36e6, 122.88e6), (600e6, 3.8e9), (1e-3, 12e-3)),)
