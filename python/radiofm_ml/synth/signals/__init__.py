# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Standard signals, synthesised from their specifications: one module a family, one function a class.

Each module says which document a waveform comes from and what is simplified.
"""

from __future__ import annotations

import importlib

from radiofm_ml.synth.signals.base import Emission, Signal, SignalClass

# A module has CLASSES: the SignalClass entries that it provides, in order.
_MODULES: tuple[str, ...] = (
    "on_off_keying",
    "key_fob",
    "lora",
    "ism_fsk",
    "metering",
    "adsb",
    "ais",
    "digital_voice",
    "keying",
    "packet",
    "paging",
    "radiosonde",
    "wifi",
    "cellular",
    "bluetooth",
    "dab",
    "ieee802154",
    "nr",
    "nbiot",
    "lte_sidelink",
    "aviation",
    "video",
    "time_signals",
    "sstv",
    "apt",
    "broadcast",
)

# The 20 classes of the published identification task (arXiv 2511.15162), by their names there.
TWENTY = (
    "ads-b", "airband", "ais", "automatic-picture-transmission", "bluetooth", "cellular",
    "digital-audio-broadcasting", "digital-speech-decoder", "fm", "lora", "morse", "on-off-keying", "packet",
    "pocsag", "Radioteletype", "remote-keyless-entry", "RS41-Radiosonde", "sstv", "vor", "wifi",
)  # fmt: skip


def all_classes() -> dict[str, SignalClass]:
    """Every class by its label."""
    modules = (importlib.import_module(f"{__name__}.{name}") for name in _MODULES)
    return {c.label: c for module in modules for c in module.CLASSES}


__all__ = ["Emission", "Signal", "SignalClass", "TWENTY", "all_classes"]
