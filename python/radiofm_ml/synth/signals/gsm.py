# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""GSM downlink: 3GPP TS 45.002 (bursts, multiframes), 45.003 (channel coding), 45.004 (GMSK), 44.018 (SCH,
system information).

A C0 carrier: time slot 0 with the 51-multiframe of FCCH, SCH, BCCH and CCCH, coded as the standard says,
dummy bursts where nothing is to be sent, and a random load of normal bursts in the other slots; further
carriers on the 200 kHz raster with slots that come and go, each with its own power. Simplified: traffic is
random bits in true normal bursts (no voice or data coding), no frequency hopping, no 8-PSK, lists in the
system information are random, all carriers are aligned in time.
Native rate: 4 to 16 samples a symbol, 13e6/48 symbols/s.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals.base import Signal
from radiofm_ml.synth.signals.coding import Bits, bits_of, bits_of_bytes, convolve, remainder
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, gaussian, shape, turn
from radiofm_ml.synth.signals.ofdm import runs

SYMBOL_RATE = 13e6 / 48
SLOT = 156.25  # symbols
FRAME = 8 * SLOT


def _bits(text: str) -> Bits:
    return np.array([int(c) for c in text], np.uint8)


SYNC = _bits("1011100101100010000001000000111100101101010001010111011000011011")  # TS 45.002 5.2.5
TRAINING = [  # TS 45.002 5.2.3
    _bits("00100101110000100010010111"), _bits("00101101110111100010110111"),
    _bits("01000011101110100100001110"), _bits("01000111101101000100011110"),
    _bits("00011010111001000001101011"), _bits("01001110101100000100111010"),
    _bits("10100111110110001010011111"), _bits("11101111000100101110111100"),
]  # fmt: skip
DUMMY = bits_of(0xFB760A4E09101F1C5C5C574A3339E9F12FA8 >> 2, 142)  # TS 45.002 5.2.6
SCH_FRAMES, FCCH_FRAMES = (1, 11, 21, 31, 41), (0, 10, 20, 30, 40)
BCCH_FRAME, CCCH_FRAMES = 2, (6, 12, 16, 22, 26, 32, 36, 42, 46)
_TAIL = np.zeros(3, np.uint8)


# -- channel coding ----------------------------------------------------------------------------------
def synchronisation(bsic: int, frame: int) -> Bits:
    """The 78 coded bits of the SCH (TS 45.003 4.7) for a frame number."""
    t1, t2, t3 = frame // (26 * 51), frame % 26, (frame % 51 - 1) // 10
    octets = [  # TS 44.018 9.1.30a, octets sent lowest bit first
        bsic << 2 | t1 >> 9, t1 >> 1 & 0xFF, (t1 & 1) << 7 | t2 << 2 | t3 >> 1,
    ]  # fmt: skip
    data = np.append(bits_of_bytes(bytes(octets), "little"), np.uint8(t3 & 1))
    coded = np.concatenate([data, remainder(data, 0x575) ^ 1, np.zeros(4, np.uint8)])
    return convolve(coded, 0b11001, 0b11011)


def interleaved_block(message: bytes) -> np.ndarray:
    """23 octets to the four bursts of 2 x 57 bits of an xCCH block: (4, 114) (TS 45.003 4.1)."""
    data = bits_of_bytes(message, "little")
    fire = remainder(data, 0x10004820009) ^ 1
    coded = convolve(np.concatenate([data, fire, np.zeros(4, np.uint8)]), 0b11001, 0b11011)
    k = np.arange(456)
    block = np.empty((4, 114), np.uint8)
    block[k % 4, 2 * ((49 * k) % 57) + (k % 8) // 4] = coded
    return block


def system_information(rng: Rng, kind: int, cell: dict) -> bytes:
    """System information of type 1 to 4, 23 octets (TS 44.018 9.1.31 to 9.1.36)."""
    area = bytes([cell["mcc"] % 1000 // 100 | cell["mcc"] // 10 % 10 << 4, cell["mcc"] % 10 | 0xF0,
                  cell["mnc"] // 10 | cell["mnc"] % 10 << 4]) + cell["lac"].to_bytes(2, "big")  # fmt: skip
    rach = b"\x79\x00\x00"
    body = {
        1: b"\x55\x06\x19" + rng.bytes(16) + rach + b"\x2b",
        2: b"\x59\x06\x1a" + rng.bytes(16) + b"\xff" + rach,
        3: b"\x49\x06\x1b"
        + cell["ci"].to_bytes(2, "big")
        + area
        + b"\x49\x03\x05\x27\x47\x40\xe5\x04\x00"
        + b"\x2b" * 4,
        4: b"\x31\x06\x1c" + area + b"\x65\x04" + rach + rng.bytes(4) + b"\x2b" * 6,
    }[kind]
    return body[:23].ljust(23, b"\x2b")


PAGING = b"\x15\x06\x21\x00\x01\xf0" + b"\x2b" * 17  # paging request type 1, nobody called


# -- bursts ------------------------------------------------------------------------------------------
def normal_burst(halves: np.ndarray, training: int, stealing: int = 1) -> np.ndarray:
    """(bursts, 114) coded bits to (bursts, 148) bits."""
    count = len(halves)
    flag = np.full((count, 1), stealing, np.uint8)
    tail = np.zeros((count, 3), np.uint8)
    middle = np.tile(TRAINING[training], (count, 1))
    return np.concatenate([tail, halves[:, :57], flag, middle, flag, halves[:, 57:], tail], 1)


@cache
def _frequency_table(sps: int) -> np.ndarray:
    """Frequency over one symbol for each pattern of it and its two neighbours on both sides: (32, sps)."""
    patterns = 2.0 * (np.arange(32)[:, None] >> np.arange(5) & 1) - 1
    return np.stack([shape(p, gaussian(0.3, sps), sps)[2 * sps : 3 * sps] for p in patterns])


def modulate(bursts: np.ndarray, sps: int) -> np.ndarray:
    """(slots, 148) bits to GMSK samples (slots * 156.25 * sps,), of unit amplitude and continuous phase.

    sps   samples a symbol, a multiple of 4
    """
    bits = np.ones((len(bursts), 1 + 160), np.uint8)  # ones before and in the guard time (TS 45.004 2.2)
    bits[:, 1:149] = bursts
    symbols = 1.0 - 2.0 * (bits[:, 1:] ^ bits[:, :-1])
    padded = np.concatenate([np.ones((len(bits), 2)), symbols], 1) > 0
    neighbours = sum(padded[:, k : k + 157].astype(np.int8) << k for k in range(5))
    frequency = _frequency_table(sps)[neighbours]
    return turn(frequency.reshape(len(bits), -1)[:, : int(SLOT * sps)].ravel(), 4.0 * sps)


def _slot_zero(rng: Rng, first: int, count: int, cell: dict) -> tuple[np.ndarray, list[dict]]:
    """Bits of time slot 0 in ``count`` frames from frame ``first`` on, and what a receiver reads there."""
    out = np.tile(np.concatenate([_TAIL, DUMMY, _TAIL]), (count, 1))
    messages = []
    start = first - first % 51
    for base in range(start, first + count, 51):
        kind = (1, 2, 3, 4, 3, 2, 3, 4)[base // 51 % 8]  # TS 45.002 6.3.1.3: 3 and 4 twice
        blocks = {BCCH_FRAME: system_information(rng, kind, cell), **{f: PAGING for f in CCCH_FRAMES}}
        for at, message in blocks.items():
            if base + at + 4 > first and base + at < first + count:
                bursts = normal_burst(interleaved_block(message), cell["bsic"] & 7)
                for k in range(4):
                    if 0 <= base + at + k - first < count:
                        out[base + at + k - first] = bursts[k]
                messages.append({"channel": "bcch" if at == BCCH_FRAME else "ccch", "frame": base + at,
                                 "octets": message, "frames": 4})  # fmt: skip
        for at in FCCH_FRAMES:
            if 0 <= base + at - first < count:
                out[base + at - first] = 0
        for at in SCH_FRAMES:
            if 0 <= base + at - first < count:
                coded = synchronisation(cell["bsic"], base + at)
                out[base + at - first] = np.concatenate([_TAIL, coded[:39], SYNC, coded[39:], _TAIL])
                messages.append({"channel": "sch", "frame": base + at, "bsic": cell["bsic"], "frames": 1})
    return out, messages


def _busy(rng: Rng, frames: int, load: float) -> np.ndarray:
    """Whether a call is on in each slot number, for all frames: (frames, 8)."""
    calls = rng.random((1, 8)) < load
    on = np.repeat(calls, frames, 0)
    if rng.random() < 0.5:  # discontinuous transmission: a speaker in about half of the time
        pattern = np.repeat(rng.random((frames // 26 + 1, 8)) < 0.6, 26, 0)[:frames]
        on &= pattern
    return on


def generate(rng: Rng, duration: float, carriers: int | None = None, sps: int | None = None) -> Signal:
    """``duration`` seconds of one C0 carrier at the centre, or of several carriers 200 kHz apart and more.

    truth: "cell", "messages" (SCH, BCCH and CCCH of C0 that are there whole, with frame numbers),
           "offset": C0's place in Hz
    """
    carriers = int(rng.choice([1, 1, 1, 2, 3, 5, 8])) if carriers is None else carriers
    if sps is None:
        sps = 4 if carriers == 1 else 8 if carriers <= 3 else 16
    rate = sps * SYMBOL_RATE
    raster = int((rate / 2 - 130e3) // 200e3)
    places = rng.permutation(np.arange(-raster, raster + 1))[:carriers] if carriers > 1 else np.array([0])
    places = places[np.argsort(np.abs(places))]  # the receiver is tuned to C0, more or less
    cell = {"bsic": int(rng.integers(0, 64)), "mcc": int(rng.integers(200, 750)),
            "mnc": int(rng.integers(1, 99)), "lac": int(rng.integers(1, 65533)),
            "ci": int(rng.integers(1, 65535))}  # fmt: skip
    length = int(SLOT * sps)
    count = round(duration * rate)
    frames = -(-count // (8 * length)) + 1
    first = int(rng.integers(0, 2048 * 51 * 26 - frames))
    skipped = int(rng.integers(0, 8 * length))
    bursts = []
    truth: dict = {"cell": cell, "offset": float(places[0] * 200e3), "sps": sps}
    for index, place in enumerate(places):
        beacon = index == 0 or rng.random() < 0.15  # that of a neighbour cell is as continuous as ours
        level = 1.0 if index == 0 else 10 ** (-rng.uniform(0, 20) / 20)
        on = _busy(rng, frames, rng.uniform(0.1, 1.0))
        bits = normal_burst(
            rng.integers(0, 2, (frames * 8, 114), np.uint8), int(rng.integers(0, 8)), int(rng.integers(0, 2))
        )
        if beacon:
            bits[~on.ravel()] = np.concatenate([_TAIL, DUMMY, _TAIL])
            start = first if index == 0 else int(rng.integers(0, 2_000_000))
            bits[0::8], messages = _slot_zero(rng, start, frames, cell if index == 0 else
                                              {**cell, "bsic": int(rng.integers(0, 64))})  # fmt: skip
            if index == 0:
                truth["messages"] = messages
        iq = modulate(bits, sps)
        dip = int(rng.integers(0, 3)) and rng.uniform(0.0, 1.0)  # in the guard time; not every station
        edge = int(4 * sps)
        envelope = np.ones(length, np.float32)
        ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)).astype(np.float32)
        depth = dip if beacon else 1.0
        middle = int(152.0 * sps)
        envelope[middle - edge : middle] = 1 - depth * ramp
        envelope[middle : middle + edge] = 1 - depth * ramp[::-1]
        gains = np.full((frames, 8), level, np.float32)
        if not beacon:  # downlink power control by call; nothing where nothing is to be sent
            gains = gains * 10 ** (-rng.choice([0, 2, 4, 6, 10], (1, 8)) / 20) * on
        iq = (iq.reshape(-1, length) * (gains.reshape(-1, 1) * envelope)).astype(np.complex64).ravel()
        if place:
            iq *= turn(np.full(len(iq), place * 200e3), rate, rng.random())
        band = (place * 200e3 - 100e3, place * 200e3 + 100e3)
        bursts += [Burst(a * length - skipped, iq[a * length : b * length], None, band)
                   for a, b in ([(0, frames * 8)] if beacon else runs(gains.ravel() > 0))]  # fmt: skip
    signal = assemble(duration, rate, bursts, "gsm", truth)
    whole = []
    for message in truth["messages"]:
        begin = (message["frame"] - first) * 8 * length - skipped
        end = begin + ((message["frames"] - 1) * 8 + 1) * length
        if 0 <= begin and end <= count:
            whole.append({**message, "start": begin})
    signal.truth["messages"] = sorted(whole, key=lambda m: m["frame"])
    return signal
