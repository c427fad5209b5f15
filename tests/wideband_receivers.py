# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Small receivers for the wideband signals, made for good signals; the real recordings judge them."""

from __future__ import annotations

import zlib

import numpy as np
from radiofm_ml.synth.signals import bluetooth_le, ieee802154, lte, lte_sidelink, nbiot, nr, wifi_ofdm
from radiofm_ml.synth.signals.coding import bits_of, bytes_of_bits
from radiofm_ml.synth.signals.ofdm import ofdm_symbols
from radiofm_ml.synth.signals.sequences import whitening
from scipy.signal import fftconvolve, firwin, oaconvolve


def viterbi(soft: np.ndarray, generators: tuple[int, ...], constraint: int, ended: bool = True) -> np.ndarray:
    """Bits from soft values (bits, len(generators)): positive for a 1, 0 for a bit that was not sent.

    generators  as in ``coding.convolve``: the lowest bit for the newest input
    """
    states = 1 << (constraint - 1)
    register = np.arange(states)[:, None] << 1 | np.arange(2)  # (state before, input), newest lowest
    signs = np.stack([np.array([bin(r & g).count("1") & 1 for r in register.ravel()]) for g in generators])
    signs = (2.0 * signs - 1).T.reshape(states, 2, -1)
    after = register & (states - 1)
    # the two ways into each state
    ways = np.argsort(after.ravel(), kind="stable").reshape(states, 2)
    before, signs = ways >> 1, signs.reshape(2 * states, -1)[ways]
    score = np.full(states, -1e9)
    score[0] = 0
    chosen = np.empty((len(soft), states), np.int8)
    for k, value in enumerate(signs @ soft.T if len(soft) < 5 else np.moveaxis(signs @ soft.T, 2, 0)):
        both = score[before] + value
        chosen[k] = both[:, 1] > both[:, 0]
        score = np.maximum(both[:, 0], both[:, 1])
    state = 0 if ended else int(np.argmax(score))
    out = np.empty(len(soft), np.uint8)
    for k in range(len(soft) - 1, -1, -1):
        out[k] = state & 1
        state = before[state, chosen[k, state]]
    return out


# -- 802.11 OFDM ------------------------------------------------------------------------------------
_LONG = np.fft.ifft(np.roll(np.concatenate([np.zeros(6), wifi_ofdm.LONG, np.zeros(5)]), -32))


def wifi_starts(x: np.ndarray, threshold: float = 0.75) -> list[int]:
    """Where the long training symbols begin, at 20 MS/s."""
    match = np.abs(np.correlate(x, _LONG, "valid"))
    power = np.convolve(np.abs(x) ** 2, np.ones(64), "valid") * np.sum(np.abs(_LONG) ** 2)
    score = match / np.sqrt(power + 1e-9 * power.max())
    pair = np.minimum(score[:-64], score[64:])
    found, at = [], 0
    for k in np.flatnonzero(pair > threshold):
        if k >= at:
            found.append(int(k + np.argmax(pair[k : k + 16])))
            at = k + 160
    return found


def _depuncture(soft: np.ndarray, twelfths: int) -> np.ndarray:
    pattern = np.array(wifi_ofdm.PUNCTURE[twelfths], bool)
    full = np.zeros(len(soft) * len(pattern) // pattern.sum())
    full[np.resize(pattern, len(full))] = soft
    return full.reshape(-1, 2)


def _demapped(points: np.ndarray, bits: int) -> np.ndarray:
    """Hard values +-1 (symbols, carriers, bits) by the nearest point."""
    table = wifi_ofdm.constellation(bits)
    word = np.argmin(np.abs(points[..., None] - table), -1)
    return 2.0 * (word[..., None] >> np.arange(bits) & 1) - 1


def _decoded(points: np.ndarray, bits: int, twelfths: int, columns: int) -> np.ndarray:
    soft = _demapped(points, bits).reshape(len(points), -1)
    soft = soft[:, wifi_ofdm.interleaver(bits, soft.shape[1], columns)]
    return viterbi(_depuncture(soft.ravel(), twelfths), (0o155, 0o117), 7, ended=False)


def wifi_receive(x: np.ndarray, start: int) -> dict | None:
    """The frame whose long training symbols begin at ``start``: {"rate", "ht", "psdu", "fcs"}; or None."""
    training = x[start : start + 128].reshape(2, 64)
    turn = np.angle(np.vdot(training[0], training[1])) / 64
    body = x[start:] * np.exp(-1j * turn * np.arange(len(x) - start))
    spectrum = np.fft.fft(body[:128].reshape(2, 64)).mean(0)
    at = 128

    def symbols(count, channel, carriers, first, pilots):
        nonlocal at
        block = body[at : at + 80 * count]
        if len(block) < 80 * count:
            return None
        at += 80 * count
        bins = np.fft.fft(block.reshape(-1, 80)[:, 14:78]) / channel
        bins *= np.exp(2j * np.pi * 2 * np.fft.fftfreq(64))  # two samples early, in the prefix
        polarity = 1 - 2.0 * whitening(7, 4, 0x7F, 127)[(first + np.arange(count)) % 127]
        seen = bins[:, wifi_ofdm.PILOTS % 64] * pilots * polarity[:, None]
        slope = np.angle(np.sum(seen[:, 1:] * np.conj(seen[:, :-1]), 1)) / 14
        bins *= np.exp(-1j * slope[:, None] * np.round(np.fft.fftfreq(64) * 64))
        seen = bins[:, wifi_ofdm.PILOTS % 64] * pilots * polarity[:, None]
        return (bins * np.exp(-1j * np.angle(seen.sum(1)))[:, None])[:, carriers % 64]

    def channel_from(spectrum, sent, edge):
        channel = np.ones(64, complex)
        carriers = np.arange(-edge, edge + 1)
        used = carriers[sent != 0]
        channel[used % 64] = spectrum[used % 64] / sent[sent != 0]
        return channel

    pilots = np.array([1, 1, 1, -1])
    channel = channel_from(spectrum, wifi_ofdm.LONG, 26)
    points = symbols(1, channel, wifi_ofdm.DATA, 0, pilots)
    if points is None:
        return None
    field = _decoded(points, 1, 6, 16)
    code = "".join(map(str, field[:4]))
    speeds = {v[0]: k for k, v in wifi_ofdm.RATES.items()}
    if field[:18].sum() % 2 or code not in speeds or field[18:].any():
        return None
    rate, length = speeds[code], int(field[5:17] @ (1 << np.arange(12)))
    _, bits, twelfths = wifi_ofdm.RATES[rate]
    carriers, columns, first, ht = wifi_ofdm.DATA, 16, 1, False
    if rate == 6:  # perhaps HT: the next symbol is BPSK turned by 90 degrees
        mark = at
        points = symbols(2, channel, wifi_ofdm.DATA, 1, pilots)
        if points is not None and np.mean(points.imag**2) > 2 * np.mean(points.real**2):
            field = _decoded(points / 1j, 1, 6, 16)
            mcs, length = int(field[:7] @ (1 << np.arange(7))), int(field[8:24] @ (1 << np.arange(16)))
            if mcs > 7 or field[7] or field[31] or length == 0:
                return {"rate": mcs, "ht": True, "psdu": b"", "fcs": False}
            at += 80
            spectrum = np.fft.fft(body[at + 16 : at + 80])
            channel = channel_from(spectrum, wifi_ofdm.HT_LONG, 28)
            at += 80
            rate, ht, carriers, columns, first = mcs, True, wifi_ofdm.HT_DATA, 13, 3
            bits, twelfths = wifi_ofdm.HT_RATES[mcs]
        else:
            at = mark
    per_symbol = len(carriers) * bits * twelfths // 12
    count = -(-(22 + 8 * length) // per_symbol)
    if ht:
        pilots = np.array([np.roll(pilots, -(k % 4)) for k in range(count)])
    points = symbols(count, channel, carriers, first, pilots)
    if points is None:
        return None
    scrambled = _decoded(points, bits, twelfths, columns)
    # the first seven bits of SERVICE are zeros: they show the register
    state = int("".join(map(str, scrambled[:7])), 2)
    plain = scrambled.copy()
    plain[7:] ^= whitening(7, 4, state, len(plain) - 7)
    psdu = bytes_of_bits(plain[16 : 16 + 8 * length], "little")
    good = length > 4 and zlib.crc32(psdu[:-4]) == int.from_bytes(psdu[-4:], "little")
    return {"rate": rate, "ht": ht, "psdu": psdu, "fcs": good}


def wifi_frames(x: np.ndarray) -> list[dict]:
    """All frames in the samples at 20 MS/s."""
    frames = (wifi_receive(x, start) for start in wifi_starts(x))
    return [f for f in frames if f is not None]


# -- LTE -----------------------------------------------------------------------------------------------
def _middle(x: np.ndarray, start: int, carriers: int = 62) -> np.ndarray:
    """The middle subcarriers, without DC, of the symbol whose body begins at ``start``; at 1.92 MS/s."""
    bins = np.fft.fft(x[start : start + 128], norm="ortho")
    return np.concatenate([bins[-(carriers // 2) :], bins[1 : carriers // 2 + 1]])


def lte_search(x: np.ndarray, offsets: tuple[float, ...] = (0.0,)) -> dict:
    """The strongest FDD cell at 1.92 MS/s: {"cell", "start" (sample of a subframe 0 or 5), "subframe",
    "primary", "secondary" (correlation of the sequences, 0 ... 1), "offset" (Hz)}."""
    best = {"primary": 0.0}
    n = np.arange(len(x))
    power = np.sqrt(np.convolve(np.abs(x) ** 2, np.ones(128), "valid") + 1e-12)
    for offset in offsets:
        turned = x * np.exp(-2j * np.pi * offset / 1.92e6 * n)
        for nid2 in range(3):
            bins = np.zeros(128, complex)
            bins[1:32], bins[-31:] = lte.primary(nid2)[31:], lte.primary(nid2)[:31]
            body = np.fft.ifft(bins)
            match = np.abs(fftconvolve(turned, np.conj(body[::-1]), "valid"))
            score = match / power / np.sqrt(np.sum(np.abs(body) ** 2))
            score[: 128 + 9 + 832] = 0  # the whole slot before it must be there
            at = int(np.argmax(score))
            if score[at] > best["primary"]:
                best = {"primary": float(score[at]), "nid2": nid2, "at": at, "offset": offset}
    at, nid2 = best.pop("at"), best.pop("nid2")
    x = x * np.exp(-2j * np.pi * best["offset"] / 1.92e6 * n)
    channel = _middle(x, at) * np.conj(lte.primary(nid2))
    seen = _middle(x, at - 137) * np.conj(channel)
    scale = np.sqrt(np.sum(np.abs(seen) ** 2) * 62)
    scores = {(cell, k): np.abs(np.vdot(lte.secondary(cell, k), seen)) / scale
              for cell in range(nid2, 504, 3) for k in (0, 5)}  # fmt: skip
    cell, subframe = max(scores, key=scores.get)
    return {**best, "cell": cell, "subframe": subframe, "secondary": float(scores[cell, subframe]),
            "start": at - 832}  # fmt: skip


def lte_reference(x: np.ndarray, found: dict) -> float:
    """Correlation (0 ... 1) of port 0's reference symbols around DC in the slot after the one found."""
    x = x * np.exp(-2j * np.pi * found["offset"] / 1.92e6 * np.arange(len(x)))
    seen = _middle(x, found["start"] + 960 + 10, 72)
    slot = 2 * found["subframe"] + 1
    expected = np.zeros(72, complex)
    expected[lte.reference_carriers(found["cell"], 6, 0, 0)] = lte.reference(found["cell"], 6, [slot], 0)[0]
    places = expected != 0
    values = seen[places] * np.conj(expected[places])
    values = values[1:] * np.conj(values[:-1])  # whatever the delay is
    return float(np.abs(values.sum()) / np.abs(values).sum())


# -- Bluetooth ---------------------------------------------------------------------------------------
def _sliced(x: np.ndarray, sps: int) -> np.ndarray:
    """Frequency averaged over a symbol at each sample, minus its slow mean: the sign is the bit."""
    step = np.angle(x[1:] * np.conj(x[:-1]))
    return np.convolve(step, np.ones(sps) / sps, "valid")


def find_bits(x: np.ndarray, sps: int, word: np.ndarray, errors: int = 0) -> list[tuple[int, np.ndarray]]:
    """Where the bits ``word`` occur in FSK: (sample, all bits from the word on)."""
    frequency = _sliced(x, sps)
    signs = 2.0 * word - 1
    span = sps * (len(word) - 1) + 1
    taps = np.zeros(span)
    taps[::sps] = signs
    # the carrier's error is the mean over the word's ones and zeros
    hits: list[int] = []
    windows = np.lib.stride_tricks.sliding_window_view(frequency, span)[:, ::sps]
    match = fftconvolve(frequency, taps[::-1], "valid") - windows.mean(1) * signs.sum()
    for at in np.argsort(match)[::-1][: 40 * sps]:
        seen = windows[at]
        middle = (seen[word == 1].mean() + seen[word == 0].mean()) / 2
        if ((seen > middle) != word).sum() <= errors and all(abs(at - h) > span for h in hits):
            hits.append(int(at))
    out = []
    for at in sorted(hits):
        seen = windows[at]
        middle = (seen[word == 1].mean() + seen[word == 0].mean()) / 2
        out.append((at, (frequency[at::sps] > middle).astype(np.uint8)))
    return out


def le_packets(
    x: np.ndarray, sps: int, channel: int, access_address: int, crc_start: int
) -> list[tuple[bytes, bool]]:
    """(PDU, whether its CRC is right) of the packets at ``sps`` samples a symbol, on their carrier."""
    packets = []
    for _, bits in find_bits(x, sps, bits_of(access_address, 32)[::-1]):
        plain = bluetooth_le.whitened(bits[32:], channel)
        length = int(plain[8:16] @ (1 << np.arange(8)))
        end = 16 + 8 * length
        if end + 24 <= len(plain):
            pdu = bytes_of_bits(plain[:end], "little")
            packets.append((pdu, bool((plain[end : end + 24] == bluetooth_le.crc(pdu, crc_start)).all())))
    return packets


# -- 802.15.4 ----------------------------------------------------------------------------------------
def zigbee_frames(x: np.ndarray, sps: int = 4, offset: float = 0.0) -> list[tuple[bytes, bool]]:
    """(PSDU, whether its check sequence is right) of O-QPSK at ``sps`` samples a chip.

    offset  of the carrier, in cycles per sample
    """
    x = x * np.exp(-2j * np.pi * offset * np.arange(len(x)))
    chips = 2.0 * ieee802154.CHIPS - 1
    pulse = np.sin(np.pi * np.arange(2 * sps) / (2 * sps))

    def wave(symbols):
        c = chips[symbols].ravel()
        out = np.zeros((len(c) + 1) * sps, complex)
        for k, value in enumerate(c):
            out[k * sps : (k + 2) * sps] += value * pulse[: len(out) - k * sps] * (1j if k % 2 else 1)
        return out

    head = wave([0, 7, 10])  # the end of the preamble, and the SFD
    match = np.abs(fftconvolve(x, np.conj(head[::-1]), "valid"))
    power = np.sqrt(np.convolve(np.abs(x) ** 2, np.ones(len(head)), "valid") * np.sum(np.abs(head) ** 2))
    score = match / (power + 1e-3 * power.max())
    table = np.stack([wave([k])[: 32 * sps] for k in range(16)])
    frames, at = [], 0
    for k in np.flatnonzero(score > 0.6):
        if k < at:
            continue
        start = int(k + np.argmax(score[k : k + 2 * sps])) + 3 * 32 * sps
        symbols = np.empty(0, int)
        count = 2
        while len(symbols) < count:
            block = x[start + len(symbols) * 32 * sps :][: 32 * sps]
            if len(block) < 32 * sps:
                break
            symbols = np.append(symbols, np.argmax(np.abs(table.conj() @ block)))
            if len(symbols) == 2:
                count = 2 + 2 * (symbols[0] + 16 * symbols[1] & 127)
        if len(symbols) == count and count > 6:
            psdu = bytes((symbols[2::2] + 16 * symbols[3::2]).astype(np.uint8))
            frames.append((psdu, ieee802154.with_fcs(psdu[:-2]) == psdu))
            at = start + count * 32 * sps
    return frames


# -- NR, NB-IoT, sidelink ----------------------------------------------------------------------------
def nr_search(x: np.ndarray, rate: float, carriers: tuple[float, ...]) -> dict:
    """The strongest synchronisation signal block at 30 kHz spacing: {"cell", "start" (sample of the body of
    its first symbol), "primary", "secondary" (correlation, 0 ... 1), "carrier" (Hz)}.

    carriers  frequencies at which the block's subcarrier 120 may lie
    """
    size = round(rate / 30e3)
    prefix = 144 * size // 2048
    n = np.arange(len(x))
    best: dict = {"primary": 0.0}
    places = np.arange(56, 183) - 120
    for carrier in carriers:
        turned = x * np.exp(-2j * np.pi * ((carrier / rate * n) % 1))
        narrow = oaconvolve(turned, firwin(129, 2.1e6, fs=rate), "same")
        power = np.sqrt(oaconvolve(np.abs(narrow) ** 2, np.ones(size), "valid").clip(1e-12))
        for nid2 in range(3):
            bins = np.zeros(size, complex)
            bins[places % size] = nr.primary(nid2)
            body = np.fft.ifft(bins)
            match = np.abs(oaconvolve(narrow, np.conj(body[::-1]), "valid"))
            score = (match / power / np.sqrt(np.sum(np.abs(body) ** 2)))[: -3 * (size + prefix)]
            at = int(np.argmax(score))
            if score[at] > best["primary"]:
                first, third = (np.fft.fft(turned[at + k * (size + prefix) :][:size]) for k in (0, 2))
                seen = (third * np.conj(first))[places % size] * nr.primary(nid2)
                best = {"primary": float(score[at]), "start": at, "carrier": carrier}
                kept = seen, nid2
    seen, nid2 = kept
    table = np.stack([nr.secondary(3 * k + nid2) for k in range(336)])
    scores = np.abs(table @ seen) / np.sqrt(127 * np.sum(np.abs(seen) ** 2))
    return {**best, "cell": 3 * int(np.argmax(scores)) + nid2, "secondary": float(scores.max())}


def npss(x: np.ndarray) -> tuple[float, int]:
    """The best correlation (0 ... 1) of the NPSS at 1.92 MS/s, and where its subframe starts."""
    bins = np.zeros((14, 128), complex)
    bins[3:, np.arange(-6, 5) % 128] = nbiot.primary()
    body = ofdm_symbols(bins, lte.prefixes(128, 14), 0, half=True)
    silent = 3 * 137 + 1
    body = body[silent:]
    match = np.abs(fftconvolve(x, np.conj(body[::-1]), "valid"))
    power = np.convolve(np.abs(x) ** 2, np.ones(len(body)), "valid") * np.sum(np.abs(body) ** 2)
    score = match / np.sqrt(power + 1e-6 * power.max())
    return float(score.max()), int(np.argmax(score)) - silent


def pscch(x: np.ndarray, size: int, blocks: int, first: int, delays: range) -> tuple[float, int]:
    """Correlation (0 ... 1) of the PSCCH's reference signals in the subframe at sample 0; their shift."""
    start = np.cumsum(lte.prefixes(size, 3) + size)[2] - size
    columns = (np.arange(24) + 12 * first - 6 * blocks) % size
    best = (0.0, 0)
    for delay in delays:
        body = x[start + delay : start + delay + size]
        seen = np.fft.fft(body * np.exp(-1j * np.pi / size * np.arange(size)))[columns]
        for shift in (0, 3, 6, 9):
            expected = lte_sidelink.base_sequence(24, 8) * np.exp(2j * np.pi * shift / 12 * np.arange(24))
            score = np.abs(np.vdot(expected, seen)) / np.sqrt(24 * np.sum(np.abs(seen) ** 2) + 1e-20)
            best = max(best, (float(score), shift))
    return best
