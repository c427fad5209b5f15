# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Digital voice as a waveform: DMR (base and mobile stations), P25 phase 1, D-STAR.

Modulation: DMR four-level FSK, 4800 symbols/s, outer deviation 1944 Hz, root-raised-cosine 0.2 (TS 102 361-1,
clause 10.2); P25 C4FM, outer deviation 1800 Hz (TIA-102.BAAA); D-STAR GMSK with BT 0.5, 4800 bit/s. A mobile
DMR station is on for one burst of 27.5 ms in every 60 ms; a base station sends without a pause, both slots,
each after its CACH. The bits, and what is simplified, are in dmr.py, p25.py and dstar.py.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals import dmr, dstar, p25
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import (
    Burst,
    Rng,
    assemble,
    four_levels,
    fsk,
    gaussian,
    in_turn,
    ramped,
    root_raised_cosine,
)
from radiofm_ml.synth.signals.packet import callsign

RATE = 48e3
SPS = 10
EDGE = 48  # samples; a burst's power rises and falls in 1 ms


def _dmr_pulse() -> np.ndarray:
    pulse = root_raised_cosine(0.2, SPS, 12)
    return pulse * (SPS / pulse.sum())


def _four_level(bits: np.ndarray, deviation: float, pulse: np.ndarray) -> np.ndarray:
    """The bits between a few symbols in which the power rises and falls."""
    guard = np.tile(np.array([0, 1, 1, 1], np.uint8), 3)
    levels = four_levels(np.concatenate([guard, bits, guard]), deviation)
    return ramped(fsk(levels, SPS, RATE, pulse), EDGE)


def dmr_mobile(rng: Rng, count: int, superframes: int) -> tuple[list[Burst], dict]:
    """Calls of one mobile station: every burst for itself."""
    truth = _dmr_truth(rng)
    slot = round(0.06 * RATE)

    def one_call() -> tuple[np.ndarray, list]:
        parts = dmr.call(rng, *truth.values(), int(rng.integers(1, superframes + 1)), "mobile")
        waves = [_four_level(bits, 1944.0, _dmr_pulse()) for bits in parts]
        return np.concatenate([np.pad(w, (0, slot - len(w))) for w in waves]), len(waves[0])

    bursts = []
    for long in in_turn(rng, count, one_call, (0.2 * RATE, 5 * RATE)):
        starts = range(0, len(long.iq), slot)
        bursts += [Burst(long.start + at, long.iq[at : at + long.message]) for at in starts]
    return bursts, truth


def dmr_base(rng: Rng, count: int, superframes: int) -> tuple[list[Burst], dict]:
    """A base station: a call in one slot, another or idle bursts in the other."""
    truth = _dmr_truth(rng)
    colour, slot = truth["colour"], int(rng.integers(0, 2))

    def both_slots() -> tuple[np.ndarray, None]:
        first = dmr.call(rng, *truth.values(), superframes, "base")
        second = [dmr.idle_burst(colour, "base")] * len(first)
        talking = bool(rng.random() < 0.4)
        if talking:
            second = dmr.call(rng, *list(_dmr_truth(rng).values())[:2], colour, superframes, "base")
        parts = []
        for pair in zip(first, second, strict=True):
            for k in (0, 1):
                parts += [dmr.access_channel(k, k == slot or talking), pair[k ^ slot]]
        return _four_level(np.concatenate(parts), 1944.0, _dmr_pulse()), None

    return in_turn(rng, count, both_slots, (0.2 * RATE, 5 * RATE)), {**truth, "slot": slot + 1}


def _dmr_truth(rng: Rng) -> dict:
    return {
        "source": int(rng.integers(1, 1 << 24)),
        "target": int(rng.integers(1, 10000)),
        "colour": int(rng.integers(0, 16)),
    }


def generate(rng: Rng, duration: float, *, variant: str | None = None, side: str | None = None) -> Signal:
    """Calls on one channel. side: 'base' or 'mobile', for DMR (default: at random)."""
    variant = variant or str(rng.choice(VARIANTS, p=(0.5, 0.35, 0.15)))
    count = round(duration * RATE)
    most = 2 + round(duration / 0.36)
    if variant == "dmr":
        side = side or str(rng.choice(["base", "mobile"]))
        bursts, truth = (dmr_base if side == "base" else dmr_mobile)(rng, count, most)
        return assemble(duration, RATE, bursts, variant, {**truth, "side": side})
    if variant == "p25":
        truth = {
            "nac": int(rng.integers(1, 0xF7E)),
            "target": int(rng.integers(1, 1 << 16)),
            "source": int(rng.integers(1, 1 << 24)),
        }

        def talk() -> tuple[np.ndarray, None]:
            bits = p25.call(rng, *truth.values(), int(rng.integers(1, most + 1)))
            return _four_level(bits, 1800.0, p25.c4fm(SPS)), None
    else:
        truth = {"source": callsign(rng)}

        def talk() -> tuple[np.ndarray, None]:
            reversals = 2 * int(rng.integers(32, 250))  # at least 64; sets send 10 to 100 ms
            bits = dstar.transmission(rng, truth["source"], int(rng.integers(10, 18 * most)), reversals)
            levels = np.where(bits, 1200.0, -1200.0)
            return ramped(fsk(levels, SPS, RATE, gaussian(0.5, SPS)), EDGE), None

    return assemble(duration, RATE, in_turn(rng, count, talk, (0.2 * RATE, 5 * RATE)), variant, truth)


VARIANTS = ("dmr", "p25", "dstar")
CLASSES = (
    SignalClass(
        "digital-speech-decoder",
        "Digital voice (DMR, P25, D-STAR)",
        generate,
        rates=(24e3, 400e3),
        frequency=(136e6, 941e6),
        span=(0.2, 2.0),
        variants=VARIANTS,
    ),
)
