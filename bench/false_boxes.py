# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""False boxes in simulated noise, white and behind a receiver's filter, beside the rate that was stated.

The filter sags, ripples and falls by 25 dB at the edges of the band; there is a line at its middle, and the
gain drifts by 2 dB. The intervals are Poisson's, 95 %.
"""

import argparse

import numpy as np
from radiofm_ml.detect.finder import find
from radiofm_ml.detect.rows import formats, row_format
from radiofm_ml.detect.settings import Settings
from scipy import signal, stats

PIECE = 1 << 18


def receiver() -> np.ndarray:
    f = np.linspace(0, 1, 64)
    gain_db = -3 * f**2 - 25 * np.clip((f - 0.88) / 0.12, 0, 1) + 0.7 * np.sin(25 * f)
    return signal.firwin2(129, f, 10 ** (gain_db / 20)).astype(np.float32)


def noise(seed: int, samples: int, shaped: bool):
    rng, taps = np.random.default_rng(seed), receiver()
    for at in range(0, samples, PIECE):
        x = rng.standard_normal(2 * (PIECE + len(taps) - 1), np.float32).view(np.complex64)
        if not shaped:
            yield x[:PIECE]
            continue
        drift = 10 ** (np.sin(2 * np.pi * (at + np.arange(PIECE)) / 3e7) / 20)
        yield ((signal.oaconvolve(x, taps, "valid") + 0.5) * drift).astype(np.complex64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=float, default=3e7, help="of each; a million is 1 s MHz")
    parser.add_argument("--rates", type=float, nargs="*", default=(10.0, 1.0, 0.1), help="per second and MHz")
    options = parser.parse_args()
    rate, samples = 10e6, round(options.samples)
    ways = {"128 x 8": [row_format(rate, 128)], "512 x 8": [row_format(rate, 512)],
            "1024 x 8": [row_format(rate, 1024)], "all three": list(formats(rate)),
            "512 x 4": [row_format(rate, 512, averaging=4)], "256 x 8": [row_format(rate, 256)],
            "4096 x 8": [row_format(rate, 4096)], "512 x 2": [row_format(rate, 512, averaging=2)],
            "512 x 16": [row_format(rate, 512, averaging=16)]}
    print("noise     rows      stated  measured  (95 %)")
    for shaped in (False, True):
        for way, forms in ways.items():
            for stated in options.rates:
                settings = Settings(false_boxes=stated, min_level_db=0.0)
                boxes = find(noise(options.seed, samples, shaped), rate, settings, forms)
                count = sum(box.ended for box in boxes)
                span = samples / 1e6
                low, high = stats.chi2.ppf((0.025, 0.975), (2 * count + 1e-9, 2 * count + 2)) / 2 / span
                kept = low <= stated <= high
                print(f"{'receiver' if shaped else 'white':9} {way:9} {stated:6g}  {count / span:8.3f}  "
                      f"({low:.3f} to {high:.3f}) {'' if kept else 'outside'}", flush=True)


main()
