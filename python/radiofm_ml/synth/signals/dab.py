# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Digital Audio Broadcasting, transmission mode I: ETSI EN 300 401 V2.1.1.

Frames of 96 ms: null symbol, phase reference symbol, 75 symbols of differential QPSK on 1536 carriers 1 kHz
apart (clause 14). The fast information channel is complete: ensemble, services and labels in FIBs with their
CRC (5, 6, 8), energy dispersal (10), punctured convolutional code (11), frequency interleaving (14.6).
Simplified: the main service channel carries random bits instead of audio; no transmitter identification in
the null symbol. Native rate 2.048 MS/s.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, bits_of_bytes, bytes_of_bits, convolve, crc_ccitt, fields
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble
from radiofm_ml.synth.signals.ofdm import ofdm_symbols
from radiofm_ml.synth.signals.sequences import whitening

SAMPLE_RATE = 2.048e6
CARRIERS, FFT_SIZE, PREFIX = 1536, 2048, 504
NULL, SYMBOLS = 2656, 76
FRAME = NULL + SYMBOLS * (FFT_SIZE + PREFIX)
FIC_SYMBOLS = 3

# Phase reference (14.3.2): the table's i and n for each 32 carriers, from the lowest up; and h
_PHASES = (
    "01 12 20 31 03 12 22 33 02 11 22 33 01 12 23 33 02 12 22 31 01 13 21 32 "
    "03 31 21 11 02 32 21 10 02 32 23 13 00 32 21 13 03 33 23 10 03 30 21 11"
)
_H = np.array([
    [0, 2, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 2, 2, 1, 1], [0, 3, 2, 3, 0, 1, 3, 0, 2, 1, 2, 3, 2, 3, 3, 0],
    [0, 0, 0, 2, 0, 2, 1, 3, 2, 2, 0, 2, 2, 0, 1, 3], [0, 1, 2, 1, 0, 3, 3, 2, 2, 3, 2, 1, 2, 1, 3, 2],
])  # fmt: skip


@cache
def phase_reference() -> np.ndarray:
    """Quarter turns of the 1536 carriers, from the lowest up, DC left out."""
    return np.concatenate([(np.tile(_H[int(i)], 2) + int(n)) % 4 for i, n in _PHASES.split()])


@cache
def interleaving() -> np.ndarray:
    """For each symbol n its carrier's place, 0 for the lowest of 1536 (14.6.1)."""
    value, order = 0, []
    for _ in range(2048):
        if 256 <= value <= 1792 and value != 1024:
            order.append(value - 1024)
        value = (13 * value + 511) % 2048
    k = np.array(order)
    return np.where(k < 0, k + 768, k + 767)


# -- fast information channel ------------------------------------------------------------------------
@cache
def _kept() -> np.ndarray:
    """Which of the 3096 coded bits of three FIBs are sent (11.2.1)."""
    pi16, pi15 = np.tile([1, 1, 1, 0], 8), np.array([1, 1, 1, 0] * 7 + [1, 1, 0, 0])
    return np.concatenate([np.tile(pi16, 84), np.tile(pi15, 12), np.tile([1, 1, 0, 0], 6)]).astype(bool)


def fib(groups: bytes) -> bytes:
    """A fast information block: up to 30 octets of FIGs, end marker, padding, CRC (5.2.1)."""
    data = (groups + b"\xff")[:30].ljust(30, b"\x00")
    return data + bytes_of_bits(crc_ccitt(bits_of_bytes(data), invert=True))


def coded(fibs: bytes) -> Bits:
    """Three FIBs (96 octets) to the 2304 bits that are sent."""
    bits = bits_of_bytes(fibs) ^ whitening(9, 5, 0x1FF, 768)
    bits = np.concatenate([bits, np.zeros(6, np.uint8)])
    return convolve(bits, 0o155, 0o117, 0o123, 0o155)[_kept()]


def _fig(kind: int, body: bytes) -> bytes:
    return bytes([kind << 5 | len(body)]) + body


def _label(extension: int, identity: int, text: str) -> bytes:
    """FIG 1: a label of 16 characters; the first 8 are its short form."""
    return _fig(
        1, bytes([extension]) + identity.to_bytes(2, "big") + text.ljust(16).encode()[:16] + b"\xff\x00"
    )


def multiplex(rng: Rng) -> dict:
    """A random ensemble: {"id", "label", "services": [{"id", "label", "subchannel", "start", "size"}]}."""

    def word() -> str:
        return "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(4, 9)))).title()

    services, start = [], 0
    country = int(rng.integers(1, 15)) << 12
    for k in range(int(rng.integers(3, 10))):
        size = 6 * int(rng.integers(4, 20))  # capacity units at protection level 3-A, 8 kbit/s each six
        if start + size > 864:
            break
        services.append({"id": country | int(rng.integers(1, 4096)), "label": f"{word()} {word()[:6]}"[:16],
                         "subchannel": k, "start": start, "size": size})  # fmt: skip
        start += size
    return {"id": country | int(rng.integers(1, 4096)), "label": f"{word()} DAB"[:16], "services": services}


def information(ensemble: dict, count: int) -> list[bytes]:
    """The FIGs that describe an ensemble, in FIBs without the first FIG, which counts: lists of <= 23 octets
    and more as they fit. count: of FIBs wanted; they repeat."""
    figs = [_label(0, ensemble["id"], ensemble["label"])]
    for s in ensemble["services"]:
        place = fields((s["subchannel"], 6), (s["start"], 10), (1, 1), (0, 3), (2, 2), (s["size"], 10))
        figs.append(_fig(0, b"\x01" + bytes_of_bits(place)))
        part = fields((s["id"], 16), (1, 8), (0, 2), (63, 6), (s["subchannel"], 6), (1, 1), (0, 1))
        figs.append(_fig(0, b"\x02" + bytes_of_bits(part)))
        figs.append(_label(1, s["id"], s["label"]))
    blocks, at = [], 0
    while len(blocks) < count:
        block = b""
        room = 23 if len(blocks) % 3 == 0 else 29
        while len(block) + len(figs[at % len(figs)]) <= room:
            block += figs[at % len(figs)]
            at += 1
        blocks.append(block)
    return blocks


def frame_fibs(ensemble: dict, blocks: list[bytes], frame: int) -> list[bytes]:
    """The twelve FIBs of a transmission frame."""
    out = []
    for k in range(12):
        body = blocks[(12 * frame + k) % len(blocks)]
        if k % 3 == 0:  # FIG 0/0 with the count of the CIF
            count = (4 * frame + k // 3) % 5000
            body = (
                _fig(0, b"\x00" + ensemble["id"].to_bytes(2, "big") + bytes([count // 250, count % 250]))
                + body
            )
        out.append(fib(body))
    return out


def frame_samples(rng: Rng, fibs: list[bytes], first: int = 0, stop: int = SYMBOLS) -> np.ndarray:
    """Symbols ``first`` to ``stop`` of a transmission frame, 0 the phase reference symbol."""
    bits = rng.integers(0, 2, (SYMBOLS - 1, 2 * CARRIERS), np.uint8)
    fic = [coded(b"".join(fibs[k : k + 3])) for k in range(0, 12, 3)]
    bits[:FIC_SYMBOLS] = np.concatenate(fic).reshape(FIC_SYMBOLS, -1)
    # eighths of a turn by the dibit: 00 is 1, 10 is 3, 11 is 5, 01 is 7 (14.5)
    step = np.array([1, 7, 3, 5], np.uint8)[2 * bits[:, :CARRIERS] + bits[:, CARRIERS:]]
    phase = np.empty((SYMBOLS, CARRIERS), np.uint8)
    phase[0] = 2 * phase_reference()
    phase[1:, interleaving()] = step
    phase = np.cumsum(phase, 0, np.uint8)[first:stop] % 8
    points = np.exp(2j * np.pi * np.arange(8) / 8).astype(np.complex64)[phase]
    bins = np.zeros((len(points), FFT_SIZE), np.complex64)
    bins[:, 1:769], bins[:, -768:] = points[:, 768:], points[:, :768]
    return ofdm_symbols(bins, PREFIX, 16)


def generate(rng: Rng, duration: float) -> Signal:
    """``duration`` seconds of an ensemble.

    truth: "ensemble" (see ``multiplex``), "messages": the FIBs of frames that are there whole, with "start"
    (sample of the null symbol)
    """
    ensemble = multiplex(rng)
    blocks = information(ensemble, 12)
    first, skipped = int(rng.integers(0, 1250)), int(rng.integers(0, FRAME))
    bursts, messages = [], []
    count = round(duration * SAMPLE_RATE)
    for k in range((count + skipped - 1) // FRAME + 1):
        fibs = frame_fibs(ensemble, blocks, first + k)
        start = k * FRAME - skipped
        length = FFT_SIZE + PREFIX
        a = max(0, (-start - NULL) // length - 1)  # one more, which fades out into the next
        b = min(SYMBOLS, -((start + NULL - count) // length))
        if a < b:
            iq = frame_samples(rng, fibs, a, b)
            bursts.append(Burst(start + NULL + a * length, iq, None, (-768.5e3, 768.5e3)))
        if start >= 0 and start + FRAME <= count:
            messages.append({"fibs": fibs, "start": start})
    signal = assemble(duration, SAMPLE_RATE, bursts, "", {"ensemble": ensemble})
    signal.truth["messages"] = messages
    return signal


CLASSES = (
    SignalClass(
        "digital-audio-broadcasting", "Digital Audio Broadcasting (DAB)", generate, (2.048e6, 10e6),
        (174e6, 240e6), (10e-3, 150e-3),
    ),
)  # fmt: skip
