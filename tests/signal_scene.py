# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A band with three kinds of signals, for tests, and a bundle that tells them apart."""

from pathlib import Path

import numpy as np
from radiofm_ml import bundle as bundles
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import calibrate
from radiofm_ml.signals import SignalEncoder
from sigmf_files import write_recording
from tiny_bundle import make_bundle

RATE, CENTRE = 1e6, 433e6
# (start, stop, Hz from the centre, Hz): narrow, wide and middling, filled evenly
NARROW = [(at, at + 60_000, -300e3, 12e3) for at in (100_000, 300_000, 500_000, 700_000)]
WIDE = [(at, at + 20_000, 200e3, 200e3) for at in (60_000, 250_000, 440_000, 630_000, 820_000)]
MIDDLE = [(at, at + 40_000, -100e3, 40e3) for at in (200_000, 400_000, 600_000, 800_000)]
SAMPLES = 950_000


def scene(emissions=(*NARROW, *WIDE, *MIDDLE), samples: int = SAMPLES, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    iq = 0.01 * rng.standard_normal(2 * samples, np.float32).view(np.complex64)
    for start, stop, frequency, width in emissions:
        count = stop - start
        bins = np.fft.fftfreq(count, 1 / RATE)
        spectrum = rng.standard_normal(2 * count).view(np.complex128) * (np.abs(bins - frequency) < width / 2)
        iq[start:stop] += np.fft.ifft(spectrum) * (0.1 * np.sqrt(count))
    return iq


def record(base: Path, iq: np.ndarray | None = None, **info) -> Path:
    return write_recording(base, scene() if iq is None else iq, **{
        "sample_rate": RATE, "captures": [{"core:sample_start": 0, "core:frequency": CENTRE}], **info})


def signal_bundle(path: Path) -> bundles.Bundle:
    """Random weights, calibrated for signals that scatter about as those of the scene do."""
    bundle = make_bundle(path, signals=True)
    rng, size = np.random.default_rng(3), bundle.signals.size
    kinds = np.repeat(np.arange(24), 12)
    spread = 0.016 * rng.uniform(0.5, 2.0, (len(kinds), 1))
    points = 0.6 * rng.standard_normal((24, size))[kinds] + spread * rng.standard_normal((len(kinds), size))
    table = calibrate(points, kinds, "none", shots=(1, 5), ways=(1, 3), metrics=("euclidean",),
                      episodes=2, queries=5)
    return bundles.save_calibration(bundle, {"signals": table})


def encoder(path: Path) -> SignalEncoder:
    return SignalEncoder(open_engine(signal_bundle(path)))
