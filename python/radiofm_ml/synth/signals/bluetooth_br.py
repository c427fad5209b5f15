# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Bluetooth Basic Rate packets: Bluetooth Core Specification 5.3, volume 2, parts A (radio) and B (baseband).

Access code with the true sync word of a LAP, header with HEC and rate 1/3 repetition, DH payloads with CRC,
whitening; GFSK with BT 0.5 at 1 Mb/s. Simplified: no DM (rate 2/3) and no Enhanced Data Rate payloads.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.coding import Bits, bits_of, bits_of_bytes, integer_of, remainder
from radiofm_ml.synth.signals.sequences import bluetooth_whitening

INQUIRY = 0x9E8B33  # the general inquiry access code's LAP
SLOT = 625e-6
# type: (code, slots, most octets of user payload, octets of payload header); table 6.9
TYPES = {"NULL": (0, 1, 0, 0), "POLL": (1, 1, 0, 0), "DH1": (4, 1, 27, 1), "DH3": (11, 3, 183, 2),
         "DH5": (15, 5, 339, 2)}  # fmt: skip
_NOISE = 0x83848D96BBCC54FC
_GENERATOR = 0o260534236651


def sync_word(lap: int) -> Bits:
    """64 bits as sent (part B 6.3.3.1)."""
    barker = 0b101100 if not lap >> 23 & 1 else 0b010011
    information = (barker << 24 | lap) ^ (_NOISE >> 34)
    check = integer_of(remainder(bits_of(information, 30), _GENERATOR))
    return bits_of((information << 34 | check) ^ _NOISE, 64)[::-1]


def access_code(lap: int, trailer: bool = True) -> Bits:
    """Preamble, sync word, and trailer if a header follows."""
    sync = sync_word(lap)
    before = [1, 0, 1, 0] if sync[0] else [0, 1, 0, 1]
    after = ([0, 1, 0, 1] if sync[-1] else [1, 0, 1, 0]) if trailer else []
    return np.concatenate([np.array(before, np.uint8), sync, np.array(after, np.uint8)])


def packet(
    lap: int, uap: int, clock: int, kind: str, payload: bytes = b"", address: int = 1, flags: int = 0
) -> Bits:
    """All bits of a packet. clock: bits 1 to 6 whiten it. flags: FLOW, ARQN and SEQN, three bits."""
    code, _, most, header = TYPES[kind]
    head = np.concatenate([bits_of(address, 3)[::-1], bits_of(code, 4)[::-1], bits_of(flags, 3)])
    head = np.concatenate([head, remainder(head, 0x1A7, uap)])
    body = np.empty(0, np.uint8)
    if most:
        if len(payload) > most:
            raise ValueError(f"bluetooth: {kind} takes at most {most} octets, not {len(payload)}")
        length = len(payload) << 3 | 0b110  # start of an L2CAP message, flow on
        data = bits_of_bytes(length.to_bytes(header, "little") + payload, "little")
        body = np.concatenate([data, remainder(data, 0x11021, uap)])
    sequence = np.resize(bluetooth_whitening(0x40 | clock >> 1 & 0x3F), len(head) + len(body))
    head = np.repeat(head ^ sequence[: len(head)], 3)
    return np.concatenate([access_code(lap), head, body ^ sequence[len(sequence) - len(body) :]])
