# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""IEEE 802.15.4 in the 2.4 GHz band (Zigbee, Thread): IEEE Std 802.15.4-2020, clauses 7 and 12.

True chip sequences at 2 Mchip/s, half-sine O-QPSK, synchronisation header, frames with their check sequence:
data and acknowledgements with the standard's turnaround and backoff periods, beacons. Simplified: payloads
are random; one channel. Native rate 8 MS/s, four samples a chip.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import upfirdn

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import bits_of_bytes, bytes_of_bits, crc_ccitt
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, ramped, turn

SAMPLE_RATE = 8e6
SPS = 4  # samples a chip
_SYMBOL_0 = np.array([int(c) for c in "11011001110000110101001000101110"], np.uint8)
CHIPS = np.array([np.roll(_SYMBOL_0, 4 * k) for k in range(8)])  # table 12-1
CHIPS = np.concatenate([CHIPS, CHIPS ^ (np.arange(32) % 2).astype(np.uint8)])
TURNAROUND, BACKOFF = 192e-6, 320e-6


def with_fcs(frame: bytes) -> bytes:
    """Append the frame check sequence (7.2.11)."""
    return frame + bytes_of_bits(crc_ccitt(bits_of_bytes(frame, "little"), 0), "little")


def ppdu(psdu: bytes) -> np.ndarray:
    """Samples of preamble, SFD, PHR and ``psdu`` (1 to 127 octets): complex64, chip k from sample 4·k."""
    if not 1 <= len(psdu) <= 127:
        raise ValueError(f"ieee802.15.4: a PSDU has 1 to 127 octets, not {len(psdu)}")
    octets = np.frombuffer(bytes(4) + b"\xa7" + bytes([len(psdu)]) + psdu, np.uint8)
    chips = 2.0 * CHIPS[np.stack([octets & 15, octets >> 4], 1).ravel()].ravel() - 1
    half_sine = np.sin(np.pi * np.arange(2 * SPS) / (2 * SPS))
    i, q = (upfirdn(half_sine, chips[k::2], 2 * SPS) for k in (0, 1))
    out = np.zeros(len(i) + SPS, np.complex64)
    out.real[: len(i)] = i
    out.imag[SPS:] = q
    return out


def data_frame(rng: Rng, network: bytes, sink: bytes, source: bytes, octets: int) -> bytes:
    """Data with acknowledgement request, short addresses (7.3.2)."""
    return with_fcs(b"\x61\x88" + rng.bytes(1) + network + sink + source + rng.bytes(octets))


def generate(rng: Rng, duration: float) -> Signal:
    """``duration`` seconds of a network of a few nodes.

    truth["messages"]: {"psdu", "start" (sample of the first chip)} for each frame
    """
    network = rng.bytes(2)
    nodes = [(rng.bytes(2), 10 ** (-rng.uniform(0, 20) / 20), rng.normal(0, 25e3))
             for _ in range(int(rng.integers(2, 6)))]  # fmt: skip
    pause = float(np.exp(rng.uniform(np.log(0.3e-3), np.log(8e-3))))
    bursts: list[tuple[float, bytes, tuple]] = []
    at = 0.0
    while at < 2 * duration + 10e-3:
        source, sink = (nodes[int(k)] for k in rng.permutation(len(nodes))[:2])
        if rng.random() < 0.1:
            psdu = with_fcs(b"\x00\x80" + rng.bytes(1) + network + source[0] + b"\xff\xcf\x00\x00")
        else:
            psdu = data_frame(rng, network, sink[0], source[0], int(rng.integers(4, 110)))
        bursts.append((at, psdu, source))
        at += (6 + len(psdu)) * 32e-6
        if psdu[0] == 0x61 and rng.random() < 0.9:
            at += TURNAROUND
            acknowledgement = with_fcs(b"\x02\x00" + psdu[2:3])
            bursts.append((at, acknowledgement, sink))
            at += (6 + len(acknowledgement)) * 32e-6
        at += BACKOFF * int(rng.integers(1, 8)) + min(rng.exponential(pause), duration / 2)
    target = bursts[int(rng.integers(0, len(bursts)))]
    length = (6 + len(target[1])) * 32e-6
    spare = duration - length
    begin = target[0] - (rng.uniform(0, spare) if spare > 0 else rng.uniform(spare, 0))
    made = []
    for when, psdu, (_, level, error) in bursts:
        start = round((when - begin) * SAMPLE_RATE)
        if start < duration * SAMPLE_RATE and start + (6 + len(psdu)) * 64 * SPS > 0:
            iq = ramped(ppdu(psdu), SPS)
            iq = iq * (turn(np.full(len(iq), error), SAMPLE_RATE, rng.random()) * np.float32(level))
            made.append(Burst(start, iq, {"psdu": psdu, "start": start}, (-1.3e6, 1.3e6)))
    return assemble(duration, SAMPLE_RATE, made)


CLASSES = (
    SignalClass(
        "ieee802.15.4", "IEEE 802.15.4 at 2.4 GHz (Zigbee, Thread)", generate, (4e6, 20e6), (2.405e9, 2.48e9),
        (2e-3, 30e-3),
    ),
)  # fmt: skip
