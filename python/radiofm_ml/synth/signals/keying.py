# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Text by keying a carrier: radioteletype and morse.

Radioteletype: ITU-T S.1 (International Telegraph Alphabet No. 2), speed and shift as in ITU-R F.436 and as
amateurs use: start bit, five bits, one and a half stop bits; 45.45, 50 or 75 baud; the carrier shifted by
170, 450 or 850 Hz (mark, a one, is the higher frequency unless reversed). Between texts the line idles on
mark or on LTRS.

Morse: ITU-R M.1677-1: a dash is three dots, one dot between elements, three between letters, seven between
words; A1A keying with raised-cosine edges of 2 to 10 ms, 8 to 40 words (PARIS) a minute. A hand's timing is a
normal error on each element, and dashes and gaps that are in general too long or too short.

Simplified: no fading of its own, no drift, key clicks or chirp.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, in_turn, keyed, ramped, turn
from radiofm_ml.synth.signals.packet import callsign

RTTY_RATE = 12e3
LETTERS, FIGURES = 31, 27
ITA2 = {
    LETTERS: "\0E\nA SIU\rDRJNFCKTZLWHYPQOBG\0MXV\0",
    FIGURES: "\x003\n- '87\r\x054\a,!:(5+)2\x006019?&\0./=\0",
}
MORSE_RATE = 8e3
MORSE = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/?=.,+",
        (
            ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- "
            "-..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. -..-. ..--.. -...- "
            ".-.-.- --..-- .-.-."
        ).split(),
        strict=True,
    )
)
CITIES = ("BERLIN", "OSLO", "MILAN", "TAMPA", "GDANSK", "LYON", "KYOTO", "PERTH", "LEEDS", "GRAZ")
NAMES = ("HANS", "BOB", "ANNA", "PETE", "YURI", "MARIO", "KIM", "LARS", "TOM", "EVA")


def random_text(rng: Rng) -> str:
    """What is sent on the air: calls, contacts, contest numbers, weather."""
    me, you = callsign(rng), callsign(rng)
    kind = rng.integers(0, 4)
    if kind == 0:
        return f"CQ CQ CQ DE {me} {me} {me} PSE K"
    if kind == 1:
        report, who, where = rng.integers(33, 60) * 10 + 9, rng.choice(NAMES), rng.choice(CITIES)
        return f"{you} DE {me} = UR RST {report} NAME {who} QTH {where} = HW? {you} DE {me} K"
    if kind == 2:
        return f"{you} 599 {rng.integers(1, 2000):03d} {rng.integers(1, 41):02d} {me}"
    wind = f"WIND {rng.choice(['N', 'NE', 'SW', 'W'])} {rng.integers(2, 9)}"
    air = f"TEMP {rng.integers(0, 30)} QNH {rng.integers(980, 1040)}"
    return f"{rng.choice(CITIES)} {wind} SEA {rng.integers(1, 6)} {air}"


# -- radioteletype -----------------------------------------------------------------------------------
def baudot(text: str) -> list[int]:
    """ITA2 codes, with the shifts, again after a space (receivers may fall back to letters there).

    A character outside of the alphabet raises ValueError."""
    codes, page = [LETTERS], LETTERS
    for character in text:
        if character not in ITA2[page] or (page == FIGURES and codes[-1] == 4 and character != " "):
            page = LETTERS if character in ITA2[LETTERS] else FIGURES
            codes.append(page)
        codes.append(ITA2[page].index(character))
    return codes


def rtty_line(codes: list[int]) -> np.ndarray:
    """0/1 in half bits: start, five bits with the least significant first, one and a half stop bits."""
    characters = np.array(codes)[:, None] >> np.arange(5) & 1
    start, stop = np.zeros((len(codes), 1), int), np.ones((len(codes), 1), int)
    halves = np.repeat(np.hstack([start, characters, stop]), 2, axis=1)
    return np.hstack([halves, stop]).ravel().astype(np.uint8)


def rtty(rng: Rng, duration: float, *, baud: float | None = None, shift: float | None = None) -> Signal:
    """Texts with idling between them, now and then the carrier goes off."""
    plans = ((45.4545, 170), (45.4545, 170), (50, 170), (50, 450), (50, 850), (75, 170), (75, 450), (75, 850))
    plan = plans[rng.integers(0, len(plans))]
    baud, shift = baud or plan[0], shift or plan[1]
    half = round(RTTY_RATE / baud / 2)
    mark = shift / 2 * (1 if rng.random() < 0.8 else -1)
    diddle = rng.random() < 0.5
    edge = int(rng.uniform(0.02, 0.3) * half)

    def transmission() -> tuple[np.ndarray, str]:
        parts, texts = [np.ones(int(rng.integers(10, 60)), np.uint8)], []
        for _ in range(int(rng.integers(1, 4))):
            texts.append(random_text(rng))
            parts.append(rtty_line(baudot(f"\r\n{texts[-1]} ")))
            idle = int(rng.integers(0, 12))
            parts.append(rtty_line([LETTERS] * idle) if diddle and idle else np.ones(15 * idle, np.uint8))
        levels = np.repeat(2.0 * np.concatenate(parts) - 1, half)
        window = np.hanning(edge + 2)[1:-1] if edge else np.ones(1)
        levels = np.convolve(levels, window / window.sum(), "same")
        return ramped(turn(mark * levels, RTTY_RATE), 60), "\r\n".join(texts)

    bursts = in_turn(rng, round(duration * RTTY_RATE), transmission, (0.3 * RTTY_RATE, 20 * RTTY_RATE))
    truth = {"baud": baud, "shift": shift, "reversed": mark < 0}
    return assemble(duration, RTTY_RATE, bursts, truth=truth)


# -- morse -------------------------------------------------------------------------------------------
def morse_elements(text: str) -> list[tuple[str, float]]:
    """(kind, dots) of everything from the first element to the last; kinds '.', '-' are on, the gaps
    'element', 'letter', 'word' are off."""
    out: list[tuple[str, float]] = []
    for w, word in enumerate(text.split()):
        if w:
            out.append(("word", 7.0))
        for k, character in enumerate(word):
            if k:
                out.append(("letter", 3.0))
            for e, symbol in enumerate(MORSE[character]):
                if e:
                    out.append(("element", 1.0))
                out.append((symbol, 1.0 if symbol == "." else 3.0))
    return out


def morse_keying(
    text: str, wpm: float, rng: Rng | None = None, jitter: float = 0.0, edge: float = 5e-3
) -> np.ndarray:
    """Envelope (0 … 1) at MORSE_RATE. jitter: standard deviation of a hand's elements, of their length."""
    elements = morse_elements(text)
    length = np.array([dots for _, dots in elements]) * (1.2 / wpm)
    if rng is not None and jitter:
        habit = {kind: rng.normal(1, jitter) for kind in ("-", "letter", "word")}
        length *= [habit.get(kind, 1.0) for kind, _ in elements]
        length *= np.clip(rng.normal(1, jitter, len(length)), 0.5, 1.8)
    ends = np.round(np.cumsum(length) * MORSE_RATE).astype(int)
    on = np.repeat([float(kind in ".-") for kind, _ in elements], np.diff(ends, prepend=0))
    samples = max(1, int(edge * MORSE_RATE))
    return keyed(np.pad(on, samples), samples)


def _part(text: str, duration: float, wpm: float, rng: Rng) -> str:
    """As many of the text's words as fill ``duration`` twice, from anywhere in it."""
    words = text.split()
    most = max(1, int(2 * duration * wpm / 60) + 1)
    first = int(rng.integers(0, max(1, len(words) - most + 1)))
    return " ".join(words[first : first + most])


def morse(
    rng: Rng,
    duration: float,
    *,
    variant: str | None = None,
    text: str | None = None,
    wpm: float | None = None,
    jitter: float | None = None,
) -> Signal:
    """One station, or ('several') two to seven within 3 kHz, each with its speed, hand and level."""
    variant = variant or str(rng.choice(VARIANTS, p=(0.7, 0.3)))
    count, several = round(duration * MORSE_RATE), variant == "several"
    bursts: list[Burst] = []
    for k in range(int(rng.integers(2, 8)) if several else 1):
        frequency = rng.uniform(-1500, 1500) if several else 0.0
        gain = 10 ** (-rng.uniform(0, 20) / 20) if k else 1.0
        speed = wpm or rng.uniform(8, 40)
        hand = (rng.uniform(0.02, 0.12) if rng.random() < 0.6 else 0.0) if jitter is None else jitter
        edge = rng.uniform(2e-3, 10e-3)

        def over(frequency=frequency, gain=gain, speed=speed, hand=hand, edge=edge) -> tuple[np.ndarray, str]:
            said = text or _part(random_text(rng), duration, speed, rng)
            envelope = morse_keying(said, speed, rng, hand, edge)
            carrier = turn(np.full(len(envelope), frequency), MORSE_RATE, rng.random())
            return (np.float32(gain) * envelope.astype(np.float32)) * carrier, said

        bursts += in_turn(rng, count, over, (0.5 * MORSE_RATE, 10 * MORSE_RATE))
    return assemble(duration, MORSE_RATE, bursts, variant)


VARIANTS = ("one", "several")
CLASSES = (
    SignalClass(
        "Radioteletype",
        "Radioteletype (RTTY)",
        rtty,
        rates=(6e3, 24e3),
        frequency=(0.1e6, 30e6),
        span=(1.0, 8.0),
    ),
    SignalClass(
        "morse",
        "Morse code",
        morse,
        rates=(4e3, 12e3),
        frequency=(0.1e6, 450e6),
        span=(1.0, 8.0),
        variants=VARIANTS,
    ),
)
