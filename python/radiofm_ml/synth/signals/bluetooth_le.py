# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Bluetooth Low Energy packets: Bluetooth Core Specification 5.3, volume 6, parts A (radio), B (link).

Preamble, access address, PDU, CRC-24, whitening; GFSK with BT 0.5 at 1 and 2 Mb/s. Simplified: no coded PHY,
no constant tone extension.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.coding import Bits, bits_of, bits_of_bytes, remainder
from radiofm_ml.synth.signals.sequences import bluetooth_whitening

ADVERTISING = 0x8E89BED6
ADVERTISING_CRC = 0x555555
ADVERTISING_CHANNELS = {37: 2402e6, 38: 2426e6, 39: 2480e6}


def frequency(channel: int) -> float:
    """Carrier of a channel index in Hz (part B 1.4.1)."""
    if channel in ADVERTISING_CHANNELS:
        return ADVERTISING_CHANNELS[channel]
    return 2404e6 + 2e6 * channel + (2e6 if channel > 10 else 0)


def crc(pdu: bytes, start: int = ADVERTISING_CRC) -> Bits:
    """The 24 bits after the PDU, as sent (part B 3.1.1)."""
    return remainder(bits_of_bytes(pdu, "little"), 0x100065B, start)


def whitened(bits: Bits, channel: int) -> Bits:
    """Part B 3.2: the register starts with a one, then the channel index, its highest bit first."""
    return bits ^ np.resize(bluetooth_whitening(1 | int(f"{channel:06b}"[::-1], 2) << 1), len(bits))


def packet(pdu: bytes, channel: int, access_address: int = ADVERTISING, crc_start: int = ADVERTISING_CRC,
           phy: int = 1) -> Bits:  # fmt: skip
    """All bits of a packet. phy: 1 or 2 (Mb/s; the second has a preamble of two octets)."""
    address = bits_of(access_address, 32)[::-1]
    preamble = np.resize(np.array([0, 1] if address[0] == 0 else [1, 0], np.uint8), 8 * phy)
    body = np.concatenate([bits_of_bytes(pdu, "little"), crc(pdu, crc_start)])
    return np.concatenate([preamble, address, whitened(body, channel)])


def advertisement(rng: np.random.Generator, address: bytes, kind: int, octets: int) -> bytes:
    """Advertising PDU with flags and filler (part B 2.3.1).

    kind: 0 ADV_IND, 2 ADV_NONCONN_IND, 4 SCAN_RSP
    """
    filler = rng.bytes(max(0, min(octets, 28) - 2))
    data = b"\x02\x01\x06" + bytes([len(filler) + 1, 0xFF]) + filler
    payload = address + data[:31]
    return bytes([kind | 0x40, len(payload)]) + payload


def scan_request(scanner: bytes, advertiser: bytes) -> bytes:
    return bytes([0xC3, 12]) + scanner + advertiser


def data_pdu(rng: np.random.Generator, octets: int) -> bytes:
    """Data channel PDU (part B 2.4) with a random payload; 0 octets: an empty one."""
    return bytes([(2 if octets else 1) | int(rng.integers(0, 4)) << 2, octets]) + rng.bytes(octets)
