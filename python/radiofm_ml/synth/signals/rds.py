# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The Radio Data System on the 57 kHz subcarrier of FM broadcasting (IEC 62106-1/-2): groups, bits, waveform.

Groups 0A (programme service name, alternative frequencies) and 2A (radiotext), two of the first to one of
the second; blocks of 16 bits with 10 check bits and the offset words A to D; differential coding; biphase
symbols, shaped as the standard says, at 1187.5 bit/s. Simplified: no other group types (clock time, TMC, EON,
ODA).
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.coding import bits_of, fields, remainder
from radiofm_ml.synth.signals.modulation import root_raised_cosine, shape

Rng = np.random.Generator
BIT_RATE = 1187.5
_GENERATOR = 0b10110111001  # x^10 + x^8 + x^7 + x^5 + x^4 + x^3 + 1
_OFFSETS = (0x0FC, 0x198, 0x168, 0x1B4)  # A, B, C, D
_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .-", np.uint8)


def block(word: np.ndarray, offset: int) -> np.ndarray:
    """16 information bits with the check word, to which the offset word is added: 26 bits."""
    return np.concatenate([word, remainder(word, _GENERATOR) ^ bits_of(offset, 10)])


def random_programme(rng: Rng) -> dict:
    """What a station says of itself: pi, ps (8 characters), radiotext (64), pty, tp, ta, music, af in MHz."""
    return {
        "pi": int(rng.integers(0x1000, 0x10000)),
        "ps": rng.choice(_LETTERS, 8).tobytes().decode(),
        "radiotext": rng.choice(_LETTERS, 64).tobytes().decode(),
        "pty": int(rng.integers(0, 32)),
        "tp": bool(rng.random() < 0.5),
        "ta": bool(rng.random() < 0.1),
        "music": bool(rng.random() < 0.7),
        "af": round(float(rng.integers(876, 1080)) / 10, 1),
    }


def group_bits(programme: dict, kind: int, segment: int) -> np.ndarray:
    """The 104 bits of a group: version A of type 0 (segment 0 to 3) or 2 (segment 0 to 15)."""
    p = programme
    head = [(kind, 4), (0, 1), (p["tp"], 1), (p["pty"], 5)]
    if kind == 0:
        decoder = segment == 3  # decoder identification d0, sent last: stereo
        second = fields(*head, (p["ta"], 1), (p["music"], 1), (decoder, 1), (segment, 2))
        third = fields((225, 8), (round(p["af"] * 10) - 875, 8))  # one alternative frequency follows
        fourth = p["ps"][2 * segment : 2 * segment + 2]
    else:
        second = fields(*head, (0, 1), (segment, 4))
        text = p["radiotext"][4 * segment : 4 * segment + 4]
        third, fourth = fields((ord(text[0]), 8), (ord(text[1]), 8)), text[2:]
    words = bits_of(p["pi"], 16), second, third, fields((ord(fourth[0]), 8), (ord(fourth[1]), 8))
    return np.concatenate([block(w, o) for w, o in zip(words, _OFFSETS, strict=True)])


def subcarrier_signal(rng: Rng, programme: dict, n: int, samples_per_bit: int) -> np.ndarray:
    """The shaped biphase signal that multiplies the 57 kHz subcarrier: ``n`` samples from anywhere in a
    group, peaks near 1. ``samples_per_bit`` is even."""
    count = n // samples_per_bit + 2
    groups, at = [], int(rng.integers(0, 48))
    skipped = int(rng.integers(0, 104))
    while 104 * len(groups) < count + skipped:
        kind, segment = (2, at // 3 % 16) if at % 3 == 2 else (0, (at // 3 * 2 + at % 3) % 4)
        groups.append(group_bits(programme, kind, segment))
        at += 1
    bits = np.concatenate(groups)[skipped : skipped + count]
    levels = 1.0 - 2.0 * (np.cumsum(bits) % 2)  # differential: a one changes the level
    impulses = np.stack([levels, -levels], 1).ravel()  # biphase: the second half is the first one's negative
    chip = samples_per_bit // 2
    # The standard's cos(pi f td / 4) up to 2 / td is a root raised cosine with roll-off 1, half a bit long.
    x = shape(impulses, root_raised_cosine(1.0, chip), chip)
    first = int(rng.integers(0, samples_per_bit))
    return (x / np.abs(x).max()).astype(np.float32)[first : first + n]
