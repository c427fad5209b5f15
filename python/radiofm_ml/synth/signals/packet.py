# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Amateur packet radio: AX.25 frames with APRS contents.

AX.25 Link Access Protocol 2.2 (UI frames, HDLC with the 16-bit check sequence, NRZI) and the APRS Protocol
Reference 1.0.1 (position, status, message, weather and telemetry reports), sent

  'afsk1200'  as Bell 202 tones (1200 Hz mark, 2200 Hz space) at 1200 bit/s over narrowband FM, flat or with
              the 6 dB/octave pre-emphasis of a voice transmitter, and
  'fsk9600'   with J. Miller's (G3RUH) scrambler x^17 + x^12 + 1 at 9600 bit/s as direct FSK, Nyquist-shaped.

Simplified: the channel is one frequency, stations do not collide; no Mic-E and no compressed positions.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import hdlc, nrzi, scramble
from radiofm_ml.synth.signals.modulation import (
    Rng,
    assemble,
    in_turn,
    raised_cosine,
    ramped,
    shape,
    tones,
    turn,
)

RATE = 48e3
SYMBOLS = ">-k[jb_#&Osuv<"
COMMENTS = ("on the road", "73 de home", "Solar powered", "iGate and digi", "QRV 145.500", "Weather station")


def callsign(rng: Rng) -> str:
    """An amateur station's call sign: prefix, digit, suffix."""
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    prefix = str(
        rng.choice(["DL", "F", "G", "OE", "HB", "PA", "SM", "K", "W", "N", "VK", "JA", "EA", "I", "OK"])
    )
    return f"{prefix}{rng.integers(0, 10)}{''.join(rng.choice(letters, int(rng.integers(2, 4))))}"


def address(station: str, last: bool = False) -> bytes:
    """'CALL-SSID' as the seven octets of an address field."""
    call, _, ssid = station.partition("-")
    return bytes(ord(c) << 1 for c in call.ljust(6)) + bytes([0x60 | int(ssid or 0) << 1 | last])


def ui_frame(source: str, destination: str, path: tuple[str, ...], information: str) -> bytes:
    """An unnumbered information frame without layer 3, up to the check sequence."""
    stations = [destination, source, *path]
    fields = b"".join(address(s, s is stations[-1]) for s in stations)
    return fields + b"\x03\xf0" + information.encode("ascii")


def random_report(rng: Rng) -> str:
    """An APRS information field."""
    kind = rng.integers(0, 5)
    if kind == 0:
        return f">{rng.choice(COMMENTS)}"
    if kind == 1:
        return f":{callsign(rng):<9}:{rng.choice(COMMENTS)}{{{rng.integers(1, 99999)}"
    if kind == 2:
        values = ",".join(f"{v:03d}" for v in rng.integers(0, 256, 5))
        return f"T#{rng.integers(0, 1000):03d},{values},{rng.integers(0, 256):08b}"
    latitude = f"{rng.integers(0, 90):02d}{rng.uniform(0, 59.99):05.2f}{rng.choice(['N', 'S'])}"
    longitude = f"{rng.integers(0, 180):03d}{rng.uniform(0, 59.99):05.2f}{rng.choice(['E', 'W'])}"
    if kind == 3:
        wind = f"{rng.integers(0, 360):03d}/{rng.integers(0, 40):03d}g{rng.integers(0, 60):03d}"
        rest = f"t{rng.integers(0, 100):03d}h{rng.integers(1, 100):02d}b{rng.integers(9700, 10400):05d}"
        return f"!{latitude}/{longitude}_{wind}{rest}"
    symbol = rng.choice(list(SYMBOLS))
    course = f"{rng.integers(0, 360):03d}/{rng.integers(0, 80):03d}"
    return f"={latitude}/{longitude}{symbol}{course}{rng.choice(COMMENTS)}"


def random_frame(rng: Rng) -> tuple[bytes, str]:
    """A frame and its text as monitors print it: 'SOURCE>DESTINATION,PATH:information'."""
    source = f"{callsign(rng)}-{rng.integers(1, 16)}"
    destination = str(rng.choice(["APRS", "APDR16", "APRX29", "APWW11", "APMI06"]))
    path = (("WIDE1-1",), ("WIDE1-1", "WIDE2-1"), ("WIDE2-2",), ())[rng.integers(0, 4)]
    information = random_report(rng)
    route = ",".join((f"{source}>{destination}", *path))
    return ui_frame(source, destination, path, information), f"{route}:{information}"


def afsk1200(data: bytes, flags: int, deviation: float, emphasis: bool) -> np.ndarray:
    """A transmission at RATE: ``flags`` flags, the frame, ``deviation`` Hz for the mark tone (the space tone
    gets more with pre-emphasis)."""
    bits = nrzi(hdlc(data, flags, 3))
    audio = tones(bits, RATE / 1200, (2200.0, 1200.0), RATE)
    if emphasis:
        audio = np.gradient(audio) * RATE / (2 * np.pi * 1200.0)
    quiet = np.zeros(int(0.01 * RATE))
    return ramped(turn(deviation * np.concatenate([quiet, audio, quiet]), RATE), 48)


def fsk9600(data: bytes, flags: int, deviation: float) -> np.ndarray:
    """A transmission at RATE: ``flags`` flags, the frame, as scrambled FSK of +-``deviation`` Hz."""
    bits = scramble(nrzi(hdlc(data, flags, 8)), (12, 17))
    levels = np.where(bits, deviation, -deviation)
    return ramped(turn(shape(levels, raised_cosine(0.5, 5), 5), RATE), 48)


def generate(rng: Rng, duration: float, *, variant: str | None = None) -> Signal:
    """Stations in turn on one channel; the flags before a frame last as long as people set TXDELAY."""
    variant = variant or str(rng.choice(VARIANTS, p=(0.8, 0.2)))

    def transmission() -> tuple[np.ndarray, str]:
        data, text = random_frame(rng)
        delay = rng.uniform(0.05, 0.4)
        if variant == "afsk1200":
            emphasis = bool(rng.random() < 0.4)
            deviation = rng.uniform(1200, 2000) if emphasis else rng.uniform(2000, 3500)
            return afsk1200(data, max(1, round(delay * 150)), deviation, emphasis), text
        return fsk9600(data, round(delay * 1200), rng.uniform(2400, 3200)), text

    bursts = in_turn(rng, round(duration * RATE), transmission, (0.05 * RATE, 3 * RATE))
    return assemble(duration, RATE, bursts, variant)


VARIANTS = ("afsk1200", "fsk9600")
CLASSES = (
    SignalClass(
        "packet",
        "Packet radio, AX.25 and APRS",
        generate,
        rates=(24e3, 600e3),
        frequency=(144e6, 440e6),
        span=(0.2, 2.0),
        variants=VARIANTS,
    ),
)
