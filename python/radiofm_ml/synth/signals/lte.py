# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""LTE downlink: 3GPP TS 36.211 clause 6, normal cyclic prefix, 1.4 to 20 MHz, FDD and TDD.

True PSS, SSS and cell-specific reference signals (one or two antenna ports, each through its own complex
gain); PBCH, PCFICH, PHICH, PDCCH and PDSCH in their places as random QPSK, 16QAM and 64QAM; resource block
groups that come and go with the load. Simplified: no channel coding, the control channels' interleaving is a
random choice of resource element groups, and in TDD the uplink subframes are silent.
Native rate: 15 kHz times the FFT size, 1.92 to 30.72 MS/s; the middle of a wide cell, as a narrow receiver
hears it, at lower ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals.base import Signal
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble
from radiofm_ml.synth.signals.ofdm import ofdm_symbols, random_qam, runs
from radiofm_ml.synth.signals.sequences import gold_qpsk

FFT_SIZES = {6: 128, 15: 256, 25: 512, 50: 1024, 75: 1536, 100: 2048}  # resource blocks: native FFT size
UPLINK = {1: "DSUUDDSUUD", 2: "DSUDDDSUDD"}  # TS 36.211 table 4.2-2
SPECIAL_SYMBOLS = 10  # of downlink in a special subframe (configuration 7)


# -- sequences ---------------------------------------------------------------------------------------
@cache
def primary(nid2: int) -> np.ndarray:
    """PSS (6.11.1): 62 values from the lowest subcarrier up, DC left out."""
    n = np.arange(63)
    zc = np.exp(-1j * np.pi * (25, 29, 34)[nid2] * n * (n + 1) / 63)
    return np.delete(zc, 31).astype(np.complex64)


@cache
def _m_sequence(taps: tuple[int, ...]) -> np.ndarray:
    x = [0, 0, 0, 0, 1]
    for k in range(26):
        x.append(sum(x[k + t] for t in taps) % 2)
    return 1 - 2 * np.array(x)


@cache
def secondary(nid: int, subframe: int) -> np.ndarray:
    """SSS (6.11.2) of a cell in subframe 0 or 5: 62 values."""
    nid1, nid2 = divmod(nid, 3)
    q1 = nid1 // 30
    q = (nid1 + q1 * (q1 + 1) // 2) // 30
    m = nid1 + q * (q + 1) // 2
    m0, m1 = m % 31, (m % 31 + m // 31 + 1) % 31
    s, c, z = _m_sequence((0, 2)), _m_sequence((0, 3)), _m_sequence((0, 1, 2, 4))
    n = np.arange(31)
    c0, c1 = c[(n + nid2) % 31], c[(n + nid2 + 3) % 31]
    first, second = (m0, m1) if subframe == 0 else (m1, m0)
    out = np.empty(62, np.complex64)
    out[0::2] = s[(n + first) % 31] * c0
    out[1::2] = s[(n + second) % 31] * c1 * z[(n + first % 8) % 31]
    return out


def reference(nid: int, blocks: int, slots: np.ndarray, symbol: int) -> np.ndarray:
    """Cell-specific reference symbols r (6.10.1.1) of one OFDM symbol in each slot: (slots, 2·blocks)."""
    start = 1024 * (7 * (np.asarray(slots, np.int64) + 1) + symbol + 1) * (2 * nid + 1) + 2 * nid + 1
    return gold_qpsk(start, 220)[:, 110 - blocks : 110 + blocks]


def reference_carriers(nid: int, blocks: int, port: int, symbol: int) -> np.ndarray:
    """Their subcarriers (6.10.1.2), for ports 0 and 1."""
    v = 3 * ((port + (symbol != 0)) % 2)
    return 6 * np.arange(2 * blocks) + (v + nid % 6) % 6


def prefixes(size: int, symbols: int) -> np.ndarray:
    """Samples of normal cyclic prefix of consecutive symbols from the begin of a slot (6.12)."""
    return np.where(np.arange(symbols) % 7 == 0, 160 * size // 2048, 144 * size // 2048)


def bins_of(grid: np.ndarray, size: int) -> np.ndarray:
    """Subcarriers (symbols, even number), no DC among them, to FFT bins; those that do not fit are cut."""
    half = min(grid.shape[1] // 2, size // 2 - 1)
    middle = grid.shape[1] // 2
    bins = np.zeros((len(grid), size), np.complex64)
    bins[:, 1 : half + 1] = grid[:, middle : middle + half]
    bins[:, size - half :] = grid[:, middle - half : middle]
    return bins


# -- what a cell sends -------------------------------------------------------------------------------
def allocation(rng: Rng, steps: int, groups: int, load: float) -> np.ndarray:
    """Which groups are in use in which step, (steps, groups): transfers that last and pauses, in runs of
    groups next to each other."""
    used = np.zeros((steps, groups), bool)
    for _ in range(int(np.ceil(load * 6))):  # users, each with on and off times
        length = int(np.clip(rng.exponential(20), 1, 200))
        gate = np.repeat(rng.random(steps // length + 2) < 0.6, length)[int(rng.integers(0, length)) :][
            :steps
        ]
        width = max(1, int(groups * rng.uniform(0.02, 0.5)))
        fresh = rng.random(steps) < rng.choice([0.05, 0.5, 1.0])  # how often the scheduler moves it
        held = np.maximum.accumulate(np.where(fresh, np.arange(steps), 0))
        first = rng.integers(0, max(1, groups - width + 1), steps)[held]
        column = np.arange(groups)
        used |= gate[:, None] & (column >= first[:, None]) & (column < first[:, None] + width)
    if rng.random() < 0.3:
        used |= rng.random((steps, groups)) < load * 0.5
    if load > 0.95:
        used[:] = True
    return used


@cache
def _levels() -> np.ndarray:
    """Amplitude by (bits an axis - 1, three random bits)."""
    rows = []
    for bits in (1, 2, 3):
        side = 1 << bits
        rows.append((2 * (np.arange(8) % side) - side + 1) / np.sqrt(2 * (side**2 - 1) / 3))
    return np.array(rows, np.float32)


def data_symbols(rng: Rng, order: np.ndarray) -> np.ndarray:
    """Random QPSK (order 0), 16QAM (1) or 64QAM (2) at each place, unit power."""
    draw = rng.integers(0, 8, (2, *order.shape), np.uint8)
    values = _levels()[order, draw]
    return values[0] + 1j * values[1]


def control_region(rng: Rng, grid: np.ndarray, first: int, symbols: int, load: float) -> None:
    """Resource element groups of PCFICH, PHICH and PDCCH in the first symbols of a subframe; in place."""
    for symbol in range(symbols):
        width = 6 if symbol == 0 else 4
        groups = grid.shape[1] // width
        used = rng.random(groups) < load
        if symbol == 0:  # PCFICH: four groups evenly spread; PHICH: some more
            used[(int(rng.integers(0, groups)) + np.arange(4) * groups // 4) % groups] = True
            used[rng.integers(0, groups, 3 * max(1, groups // 50))] = True
        row = random_qam(rng, groups * width, 4) * np.repeat(used, width)
        grid[first + symbol, : len(row)] = row


def resource_grid(
    rng: Rng, nid: int, blocks: int, first: int, subframes: int, ports: int, load: float, duplex: str
) -> np.ndarray:
    """(14·subframes, 12·blocks) resource elements, from subframe number ``first`` of a frame on."""
    number = (first + np.arange(subframes)) % 10
    carriers = 12 * blocks
    size = 1 if blocks <= 10 else 2 if blocks <= 26 else 3 if blocks <= 63 else 4  # TS 36.213 7.1.6.1
    groups = -(-blocks // size)
    used = allocation(rng, subframes, groups, load)
    if number.size > 5:
        used[(number == 5), : max(1, groups // 6)] = True  # system information
    order = rng.choice(3, groups, p=[0.4, 0.35, 0.25]) * np.ones((subframes, 1), np.int64)
    power = np.repeat(10 ** (rng.choice([-3, -1.77, 0, 0, 0, 3], (1, groups)) / 20), subframes, 0)

    def spread(values: np.ndarray) -> np.ndarray:
        return np.repeat(np.repeat(values, 12 * size, 1)[:, :carriers], 14, 0)

    grid = data_symbols(rng, spread(order)) * spread((used * power).astype(np.float32))
    region = int(rng.integers(1, 4)) if blocks > 10 else int(rng.integers(2, 5))
    busy = float(np.clip(load * rng.uniform(0.3, 1.2), 0.03, 1))
    for k in range(subframes):
        control_region(rng, grid, 14 * k, region if rng.random() < 0.8 else int(rng.integers(1, 4)), busy)
    middle = carriers // 2
    centre = slice(middle - 36, middle + 36)
    for k in np.flatnonzero(number == 0):
        grid[14 * k + 7 : 14 * k + 11, centre] = random_qam(rng, (4, 72), 4)  # PBCH
    boost = 10 ** (rng.choice([0, 0, 3]) / 20)
    gains = np.exp(2j * np.pi * rng.random(2)) * (1.0, rng.uniform(0.3, 1.0))
    for symbol in (0, 4):
        for slot in (0, 1):
            rows = np.arange(subframes) * 14 + 7 * slot + symbol
            values = reference(nid, blocks, 2 * number + slot, symbol)
            for port in range(2):  # a second port's places stay empty if there is none
                where = reference_carriers(nid, blocks, port, symbol)
                grid[np.ix_(rows, where)] = values * (boost * gains[port]) if port < ports else 0
    for k in np.flatnonzero(number % 5 == 0):
        sync = ((6, primary(nid % 3)), (5, secondary(nid, int(number[k]))))
        if duplex == "tdd":
            sync = ((14 + 2, sync[0][1]), (13, sync[1][1]))
        for symbol, values in sync:
            if 14 * k + symbol < len(grid):
                grid[14 * k + symbol, centre] = 0
                grid[14 * k + symbol, middle - 31 : middle + 31] = values
    return grid


def generate(
    rng: Rng,
    duration: float,
    blocks: int | None = None,
    duplex: str | None = None,
    fft_size: int | None = None,
    load: float | None = None,
    nid: int | None = None,
) -> Signal:
    """``duration`` seconds of a cell.

    blocks    resource blocks: 6, 15, 25, 50, 75 or 100
    fft_size  15 kHz times it is the sample rate; smaller than the native one: the middle of the cell
    truth: "cell" (identity), "blocks", "ports", "duplex", "frame_start" (sample where a frame starts, in
    [0, 10 ms))
    """
    blocks = (
        int(rng.choice(list(FFT_SIZES), p=[0.05, 0.1, 0.15, 0.3, 0.15, 0.25])) if blocks is None else blocks
    )
    duplex = duplex or str(rng.choice(["fdd", "tdd"], p=[0.7, 0.3]))
    size = fft_size or FFT_SIZES[blocks]
    load = float(rng.choice([0.03, rng.uniform(0, 1), 1.0], p=[0.2, 0.6, 0.2])) if load is None else load
    nid = int(rng.integers(0, 504)) if nid is None else nid
    ports = int(rng.choice([1, 2], p=[0.3, 0.7]))
    rate = 15e3 * size
    length = round(rate * 1e-3)
    subframes = int(np.ceil(duration / 1e-3)) + 1
    first, skipped = int(rng.integers(0, 10)), int(rng.integers(0, length))
    grid = resource_grid(rng, nid, blocks, first, subframes, ports, load, duplex)
    prefix = prefixes(size, len(grid))
    ends = np.cumsum(prefix + size)
    pattern = UPLINK[int(rng.choice(list(UPLINK)))] if duplex == "tdd" else "D" * 10
    on = np.ones(len(grid), bool)
    for k in range(subframes):
        kind = pattern[(first + k) % 10]
        if kind != "D":
            on[14 * k + (SPECIAL_SYMBOLS if kind == "S" else 0) : 14 * k + 14] = False
    grid[~on] = 0
    iq = ofdm_symbols(bins_of(grid, size), prefix, max(2, size // 128))
    edge = min(blocks * 90e3, rate / 2)
    bursts = []
    for begin, end in runs(on):
        a = int(ends[begin] - prefix[begin] - size)
        bursts.append(Burst(a - skipped, iq[a : ends[end - 1]], None, (-edge, edge)))
    start = (-first % 10) * length - skipped
    truth = {
        "cell": nid,
        "blocks": blocks,
        "ports": ports,
        "duplex": duplex,
        "frame_start": start % (10 * length),
    }
    return assemble(duration, rate, bursts, "lte", truth)
