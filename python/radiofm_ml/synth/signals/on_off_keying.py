# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""On-off keying: the wireless thermometers, weather stations and switches around 433.92 MHz.

Frames and timings are those of real products as the protocol notes of rtl_433 document them
(https://github.com/merbanan/rtl_433, src/devices: nexus, prologue, lacrosse, acurite, oregon_scientific,
generic_remote): pulse distance (PPM), pulse width (PWM) and Manchester codes, with their repeats and pauses.

Simplified: the carrier of a transmission has one frequency, off the centre as cheap oscillators are, and one
slow drift over each packet; sensors send every few seconds here, instead of once a minute.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.coding import Bits, bits_of, bits_of_bytes, fields
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, keyed, occupied_band, start_of, turn

RATE = 200e3
EDGE = 20e-6  # seconds in which a transmitter's carrier rises and falls

# A frame in microseconds: alternating on and off, on first. A transmission: frames, the pause between them in
# microseconds, and what a decoder says of it.
Frame = list[float]
Transmission = tuple[list[Frame], float, dict]


# -- line codes --------------------------------------------------------------------------------------
def pulse_distance(bits: Bits, pulse: float, gaps: tuple[float, float]) -> Frame:
    """A pulse before each bit's gap: ``gaps[bit]``; a last pulse ends the last gap."""
    frame: Frame = []
    for bit in bits:
        frame += [pulse, gaps[bit]]
    return [*frame, pulse]


def pulse_width(bits: Bits, pulses: tuple[float, float], gaps: tuple[float, float]) -> Frame:
    """Pulses of ``pulses[bit]``, then a gap of ``gaps[bit]``."""
    frame: Frame = []
    for bit in bits:
        frame += [pulses[bit], gaps[bit]]
    return frame


def manchester(bits: Bits, half: float) -> Frame:
    """A one falls in the middle of its bit, a zero rises."""
    chips = np.stack([bits, 1 - np.asarray(bits, int)], 1).ravel()
    edges = np.flatnonzero(np.diff(chips)) + 1
    runs = np.diff(np.concatenate([[0], edges, [len(chips)]])) * half
    return runs[1:].tolist() if chips[0] == 0 else runs.tolist()


# -- products ----------------------------------------------------------------------------------------
def weather(rng: Rng) -> tuple[int, int]:
    """Tenths of a degree Celsius, and relative humidity in per cent."""
    return int(rng.integers(-200, 450)), int(rng.integers(20, 96))


def nexus(rng: Rng) -> Transmission:
    """Nexus and its many namesakes: 36 bits PPM, twelve times."""
    house, channel, (tenths, humidity) = int(rng.integers(1, 255)), int(rng.integers(0, 3)), weather(rng)
    bits = fields((house, 8), (0b10, 2), (channel, 2), (tenths, 12), (0xF, 4), (humidity, 8))
    frame = pulse_distance(bits, 500, (1000, 2000))
    said = {"model": "Nexus-TH", "id": house, "channel": channel + 1, "temperature_C": tenths / 10,
            "humidity": humidity}  # fmt: skip
    return [frame] * 12, 4000, said


def prologue(rng: Rng) -> Transmission:
    """Prologue, FreeTec NC-7104: 36 bits PPM, seven times."""
    house, channel, (tenths, humidity) = int(rng.integers(0, 256)), int(rng.integers(0, 3)), weather(rng)
    bits = fields((9, 4), (house, 8), (0b10, 2), (channel, 2), (tenths, 12), (humidity, 8))
    said = {"model": "Prologue-TH", "id": house, "channel": channel + 1, "temperature_C": tenths / 10,
            "humidity": humidity}  # fmt: skip
    return [pulse_distance(bits, 500, (2000, 4000))] * 7, 9000, said


def lacrosse_tx(rng: Rng) -> Transmission:
    """LaCrosse TX-3U, TX-6U, TX-7U: 44 bits PWM, twice."""
    house, tenths = int(rng.integers(0, 128)), int(rng.integers(300, 900))  # 50.0 °C added
    digits = [tenths // 100, tenths // 10 % 10, tenths % 10]
    parity = sum(d.bit_count() for d in digits) & 1
    nibbles = [0x0, 0xA, 0x0, house >> 3, (house & 7) << 1 | parity, *digits, *digits[:2]]
    nibbles.append(sum(nibbles) & 0xF)
    bits = fields(*((n, 4) for n in nibbles))
    said = {"model": "LaCrosse-TX", "id": house, "temperature_C": round(tenths / 10 - 50, 1)}
    return [pulse_width(bits, (1400, 550), (1000, 1000))] * 2, 29000, said


def acurite_609(rng: Rng) -> Transmission:
    """Acurite 609TXC: 40 bits PPM, three times."""
    house, (tenths, humidity) = int(rng.integers(1, 256)), weather(rng)
    body = [house, 0x20 | (tenths >> 8 & 0xF), tenths & 0xFF, humidity]
    bits = bits_of_bytes(bytes([*body, sum(body) & 0xFF]))
    said = {"model": "Acurite-609TXC", "id": house, "temperature_C": tenths / 10, "humidity": humidity}
    return [pulse_distance(bits, 500, (1000, 2000))] * 3, 8900, said


def acurite_tower(rng: Rng) -> Transmission:
    """Acurite 592TXR: four long pulses, 56 bits PWM, three times."""
    house, (tenths, humidity) = int(rng.integers(1, 1 << 14)), weather(rng)
    channel = int(rng.choice([0, 2, 3]))
    raw = tenths + 1000
    body = [channel << 6 | house >> 8, house & 0xFF, 0x44, humidity, raw >> 7, raw & 0x7F]
    body[2:] = [value | (value.bit_count() & 1) << 7 for value in body[2:]]
    bits = bits_of_bytes(bytes([*body, sum(body) & 0xFF]))
    frame = [620.0, 596.0] * 4 + pulse_width(bits, (220, 408), (392, 204))
    said = {"model": "Acurite-Tower", "id": house, "channel": {0: "C", 2: "B", 3: "A"}[channel],
            "temperature_C": tenths / 10, "humidity": humidity}  # fmt: skip
    return [frame] * 3, 2192, said


def _oregon(rng: Rng, sensor: int, model: str) -> tuple[Bits, dict]:
    """Sync nibble and nibbles of an Oregon thermo-hygrometer, each least significant bit first.

    The last two are a second check sum that receivers ignore; here at random."""
    house, (tenths, humidity) = int(rng.integers(0, 256)), weather(rng)
    channel, size = int(rng.choice([1, 2])), abs(tenths)
    nibbles = [sensor >> 12, sensor >> 8 & 15, sensor >> 4 & 15, sensor & 15, channel, house & 15, house >> 4,
               0, size % 10, size // 10 % 10, size // 100, 8 if tenths < 0 else 0, humidity % 10,
               humidity // 10, 0]  # fmt: skip
    total = sum(nibbles) & 0xFF
    nibbles += [total & 15, total >> 4, *rng.integers(0, 16, 2).tolist()]
    bits = np.concatenate([bits_of(n, 4)[::-1] for n in (0xA, *nibbles)])
    return bits, {"model": model, "id": house, "channel": channel, "temperature_C": tenths / 10,
                  "humidity": humidity}  # fmt: skip


def oregon_v2(rng: Rng) -> Transmission:
    """Oregon Scientific v2.1 (THGR122N): each bit sent inverted and as it is, Manchester at 1024 bit/s,
    twice."""
    data, said = _oregon(rng, 0x1D20, "Oregon-THGR122N")
    bits = np.concatenate([np.ones(16, np.uint8), data])
    return [manchester(np.stack([1 - bits, bits], 1).ravel(), 488)] * 2, 10900, said


def oregon_v3(rng: Rng) -> Transmission:
    """Oregon Scientific v3.0 (THGR810): Manchester at 1024 bit/s, once."""
    data, said = _oregon(rng, 0xF824, "Oregon-THGR810")
    return [manchester(np.concatenate([np.ones(24, np.uint8), data]), 488)], 0, said


def switch(rng: Rng) -> Transmission:
    """Remote switches, doorbells, motion sensors with an EV1527: a fixed 24-bit code PWM, while pressed."""
    unit, code = float(rng.uniform(250, 480)), int(rng.integers(1, 1 << 24))
    frame = [unit, 31 * unit, *pulse_width(bits_of(code, 24), (unit, 3 * unit), (3 * unit, unit))]
    return [frame] * int(rng.integers(4, 12)), 0, {"model": "EV1527", "code": code}


PRODUCTS: dict[str, Callable[[Rng], Transmission]] = {
    "nexus": nexus,
    "prologue": prologue,
    "lacrosse-tx": lacrosse_tx,
    "acurite-609": acurite_609,
    "acurite-tower": acurite_tower,
    "oregon-v2": oregon_v2,
    "oregon-v3": oregon_v3,
    "switch": switch,
}


# -- samples -----------------------------------------------------------------------------------------
def keyed_bursts(transmission: Transmission, rng: Rng, rate: float = RATE) -> tuple[list[Burst], int]:
    """The frames as bursts from sample 0 on, and their length in samples; the last one carries the
    message."""
    frames, pause, said = transmission
    clock = rng.uniform(0.98, 1.02) * rate * 1e-6  # samples a microsecond, of a sender without a crystal
    offset, drift = rng.normal(0, 3e3), rng.normal(0, 300)  # Hz, and Hz over a frame
    bursts, at, band = [], 0.0, None
    for number, frame in enumerate(frames):
        edges = np.round(np.cumsum([at, *(np.array(frame) * clock)])).astype(int)
        on = edges[-2] if len(frame) % 2 == 0 else edges[-1]  # a frame ends with its last pulse
        level = np.zeros(on - edges[0], np.float32)
        for begin, end in zip(edges[:-1:2], edges[1::2], strict=False):
            level[begin - edges[0] : end - edges[0]] = 1
        level = keyed(np.pad(level, (0, 8)), round(EDGE * rate)).astype(np.float32)
        iq = level * turn(offset + np.linspace(0, drift, len(level)), rate)
        band = band or occupied_band(iq, rate)
        bursts.append(Burst(int(edges[0]), iq, said if number == len(frames) - 1 else None, band))
        at = edges[-1] + pause * clock
    return bursts, bursts[-1].start + len(bursts[-1].iq)


def send(
    rng: Rng, duration: float, draw: Callable[[], Transmission], every: tuple[float, float], variant: str
) -> Signal:
    """Transmissions drawn one after another, with pauses of ``every`` (shortest, longest) seconds."""
    count, at, bursts = round(duration * RATE), None, []
    while at is None or at < count:
        group, length = keyed_bursts(draw(), rng)
        at = start_of(rng, count, length) if at is None else at
        bursts += [b._replace(start=b.start + at) for b in group]
        at += length + int(np.exp(rng.uniform(*np.log(every))) * RATE)
    return assemble(duration, RATE, bursts, variant)


def generate(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """Signal of ``duration`` seconds from one product; ``truth["messages"]`` as rtl_433 names the fields."""
    variant = variant or str(rng.choice(list(PRODUCTS)))
    return send(rng, duration, lambda: PRODUCTS[variant](rng), (0.05, 2.0), variant)


CLASSES = (
    SignalClass(
        label="on-off-keying",
        title="On-off keying (sensors, weather stations, switches)",
        generate=generate,
        rates=(48e3, 1.024e6),
        frequency=(433.05e6, 434.79e6),
        span=(0.2, 0.8),
        variants=tuple(PRODUCTS),
    ),
)
