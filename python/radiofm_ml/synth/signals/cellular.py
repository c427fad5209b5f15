# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Cellular networks as classes: GSM and LTE downlinks together, as in the published task."""

from __future__ import annotations

from radiofm_ml.synth.signals import gsm, lte
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Rng

GENERATORS = {"gsm": gsm.generate, "lte": lte.generate}


def generate(rng: Rng, duration: float, variant: str | None = None, **fixed) -> Signal:
    """A downlink of ``variant`` 'gsm' or 'lte'; further keywords go to ``gsm.generate``, ``lte.generate``."""
    variant = variant or str(rng.choice(list(GENERATORS)))
    if variant not in GENERATORS:
        raise ValueError(f"cellular: variant '{variant}' is not one of {', '.join(GENERATORS)}")
    return GENERATORS[variant](rng, duration, **fixed)


CLASSES = (
    SignalClass(
        "cellular", "Cellular downlink (GSM, LTE)", generate, (0.5e6, 30.72e6), (450e6, 3.8e9), (3e-3, 60e-3),
        tuple(GENERATORS),
    ),
)  # fmt: skip
