# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Aviation on VHF: voice and ACARS on amplitude modulation, and the VOR beacon.

Airband voice: ICAO Annex 10 Vol. III Part II ch. 2: double-sideband AM with carrier, audio 300 Hz to 2.7 kHz
(25 kHz channels) or 2.5 kHz (8.33 kHz channels), modulation up to 85 % or more; push-to-talk.
ACARS: ARINC 618 (air-ground): minimum shift keying at 2400 bit/s on 1200 and 2400 Hz tones over the same AM:
half a cycle of 1200 Hz where a bit differs from the one before, a cycle of 2400 Hz where it equals it; 7-bit
characters with odd parity, least significant bit first; block check sequence CRC-16 (CCITT, reflected).
VOR: ICAO Annex 10 Vol. I 3.3: the carrier with 30 % of 30 Hz AM whose phase is the bearing, 30 % of a 9960 Hz
subcarrier, itself frequency modulated by +-480 Hz with the 30 Hz reference, and a morse identification on
1020 Hz at about 7 words a minute, three times in 30 s.

Simplified: the audio is a stand-in (audio.py); no Doppler, no second carrier of offset-carrier systems; of
ACARS downlink blocks only, without acknowledgements; the VOR is what one receiver on one radial sees, as a
conventional VOR sends it (the variable signal in AM).
"""

from __future__ import annotations

from string import ascii_uppercase

import numpy as np

from radiofm_ml.synth.signals.analogue import band_limit, continuous, keyed, push_to_talk
from radiofm_ml.synth.signals.audio import speech
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import crc_ccitt
from radiofm_ml.synth.signals.keying import MORSE
from radiofm_ml.synth.signals.modulation import tones

Rng = np.random.Generator
_AIRBAND_RATE = 24000.0
_VOR_RATE = 40000.0


def acars_message(rng: Rng) -> tuple[bytes, dict]:
    """The characters of a downlink block between SOH and the block check, and what they say."""
    letters = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", np.uint8)
    registration = b"." * int(rng.integers(1, 3))
    registration += rng.choice(letters, 7 - len(registration)).tobytes()
    label = [b"H1", b"Q0", b"5Z", b"SA", b"10", b"80", b"_d"][int(rng.integers(7))]
    text = b"M%02dA" % rng.integers(100) + rng.choice(letters, 2).tobytes() + b"%04d" % rng.integers(10000)
    text += bytes(rng.choice([*letters, *b" /.,"], int(rng.integers(0, 200))).tolist())
    block = b"%d" % rng.integers(10)
    body = b"2" + registration + b"\x15" + label + block + b"\x02" + text + b"\x03"
    said = {"registration": registration.decode(), "label": label.decode(), "text": text.decode()}
    return body, said


def acars_bits(body: bytes) -> np.ndarray:
    """A whole transmission: pre-key of ones, bit and character synchronisation, SOH, body, check, DEL."""
    synchronisation, checked, end = (_odd_parity(part) for part in (b"+*\x16\x16\x01", body, b"\x7f"))
    return np.concatenate(
        [np.ones(128, np.uint8), synchronisation, checked, crc_ccitt(checked, initial=0), end]
    )


def _odd_parity(characters: bytes) -> np.ndarray:
    """Seven bits, the least significant first, and odd parity: the bits in sending order."""
    bits = np.unpackbits(np.frombuffer(characters, np.uint8)[:, None], axis=1, bitorder="little")
    bits[:, 7] = 1 - bits[:, :7].sum(1) % 2
    return bits.ravel()


def acars_audio(bits: np.ndarray, rate: float) -> np.ndarray:
    """The MSK tones, continuous in phase: a bit takes half a cycle of 1200 Hz or a whole one of 2400 Hz."""
    same = (np.diff(bits, prepend=bits[0]) == 0).astype(int)
    return band_limit(tones(same, rate / 2400, (1200.0, 2400.0), rate), 3000.0, rate)


def airband(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """AM voice in bursts ('voice-25', 'voice-8.33') or ACARS blocks ('acars')."""
    variant = variant or str(rng.choice(["voice-25", "voice-8.33", "acars"], p=[0.5, 0.25, 0.25]))
    rate, n = _AIRBAND_RATE, round(duration * _AIRBAND_RATE)
    audio, spans, truth, band = np.zeros(n, np.float32), [], {"messages": []}, 2700.0
    if variant == "acars":
        at, depth = int(rng.uniform(0, 0.3 * n)), rng.uniform(0.5, 0.85)
        lead = int(rng.uniform(0.005, 0.02) * rate)  # bare carrier before and after
        while at < n:
            body, message = acars_message(rng)
            sound = acars_audio(acars_bits(body), rate)
            audio[at + lead : at + lead + len(sound)] = sound[: max(0, n - at - lead)]
            count = lead + len(sound) + lead
            spans.append((at, count))
            if at + count <= n:
                truth["messages"].append(message)
            at += count + int((0.1 + rng.exponential(1.5)) * rate)
    else:
        band = 2700.0 if variant == "voice-25" else 2500.0
        audio = speech(rng, n, rate, (300.0, band))
        audio = band_limit(np.clip(audio / 2.5, -1, 1), band, rate)  # limited, as transmitters do
        audio /= max(1.0, np.abs(audio).max())
        spans = push_to_talk(rng, n, (1.0 * rate, 6.0 * rate), (0.2 * rate, 3.0 * rate))
        depth = rng.uniform(0.6, 0.95)
    return keyed((1 + depth * audio).astype(np.complex64), rate, spans, (-band, band), variant, truth)


def _ident(rng: Rng, n: int, rate: float, letters: str) -> np.ndarray:
    """The keying of the identification, 0 to 1, from anywhere in its cycle."""
    unit = 1.2 / 7
    marks = "000".join("0".join({".": "1", "-": "111"}[s] for s in MORSE[c]) for c in letters)
    marks = np.frombuffer(marks.ljust(int(10 / unit), "0").encode(), np.uint8) - ord("0")
    on = marks[((np.arange(n) / rate + rng.uniform(0, 10)) / unit).astype(int) % len(marks)]
    return band_limit(on.astype(np.float32), 60.0, rate, taps=601)  # soft edges


def vor(rng: Rng, duration: float, bearing: float | None = None) -> Signal:
    """The beacon on a radial, ``bearing`` degrees from magnetic north (random if None)."""
    rate, n = _VOR_RATE, round(duration * _VOR_RATE)
    bearing = float(rng.uniform(0, 360)) if bearing is None else bearing
    letters = "".join(rng.choice(list(ascii_uppercase), 3))
    turn = 2 * np.pi * (30 * np.arange(n) / rate + rng.random())
    # The reference leads: at bearing 0 both are in phase, at 90 the variable lags it by 90 degrees.
    subcarrier = np.cos(2 * np.pi * 9960 * np.arange(n) / rate + 16 * np.sin(turn))  # 480 Hz / 30 Hz = 16
    envelope = 1 + 0.3 * np.cos(turn - np.radians(bearing)) + 0.3 * subcarrier
    ident = _ident(rng, n, rate, letters)
    envelope += rng.uniform(0.05, 0.1) * ident * np.sin(2 * np.pi * 1020 * np.arange(n) / rate)
    voice = bool(rng.random() < 0.2)  # ATIS or approach on the same carrier
    if voice:
        envelope += 0.3 * np.clip(speech(rng, n, rate, (300.0, 3000.0)) / 2.5, -1, 1)
    band = 9960.0 + 480.0 + 30.0
    truth = {"bearing": bearing, "ident": letters, "voice": voice}
    return continuous(envelope.astype(np.complex64), rate, (-band, band), truth=truth)


CLASSES = (
    SignalClass(
        "airband", "Airband AM voice and ACARS", airband, (8e3, 320e3), (118e6, 137e6), (1.0, 8.0),
        ("voice-25", "voice-8.33", "acars"),
    ),
    SignalClass("vor", "VOR beacon", vor, (24e3, 1.28e6), (108e6, 117.95e6), (0.2, 3.0)),
)  # fmt: skip
