# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""UWB channel impulse responses of DW1000 radios: is there a line of sight, and how far is the other end?

The layout is an .npz made of marckolak/uwb-cirs-2018 (CC-BY-4.0): cir (N, 256, 2) int16, the real and the
imaginary part of 256 taps at 1.0016 ns from 32 taps before the first path; label 'LOS', 'NLOS' or 'NDP NLOS'
(no direct path at all); true_dist in metres; config, the geometry: transmitter and receiver stood still while
some 300 responses were taken, so that a split must be by config.

A response is a short I/Q recording of a 500 MHz signal, and becomes a tile as one does: a spectrogram, time
down, frequency across, DC in the middle, in dB over the response's own noise floor.

'ranging' is the true distance in metres from the response alone: the file has no range that the radio
measured, whose error could be corrected, and the place of the first path in it says nothing of the distance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.tasks import TaskData, TaskError, split_groups
from radiofm_ml.tasks.npz import read_arrays

KEYS = ("cir", "label", "true_dist", "config")
SIGHT = ("LOS", "NLOS")
LABELS = {"LOS": 0, "NLOS": 1, "NDP NLOS": 1}
WINDOW, HOP, BINS = 32, 2, 64  # taps; the band is 500 MHz of the 998.4 MHz that 64 bins span
EARLY = 24  # taps before the first path that hold noise alone
CLIP_DB = (-10.0, 60.0)


def spectrograms(cir: np.ndarray) -> np.ndarray:
    """float32 (N, 1, rows, 64) of complex responses (N, taps): dB over the noise before the first path.

    Row i is the spectrum of taps 2i .. 2i + 31 under a Hann window.
    """
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(cir, WINDOW, axis=1)[:, ::HOP]
    spectrum = np.fft.fftshift(np.fft.fft(frames * window, BINS), axes=2)
    power = spectrum.real**2 + spectrum.imag**2
    noise = np.mean(np.abs(cir[:, :EARLY]) ** 2, axis=1) * np.sum(window**2)
    decibel = 10 * np.log10(np.maximum(power, 1e-9) / np.maximum(noise, 1e-9)[:, None, None])
    return np.clip(decibel, *CLIP_DB).astype(np.float32)[:, None]


def _load(path: Path, per_config: int) -> dict[str, np.ndarray]:
    """The arrays, at most ``per_config`` responses of each config, evenly spread over its own."""
    arrays = read_arrays(path, KEYS)
    cir, n = arrays["cir"], len(arrays["cir"])
    if cir.ndim != 3 or cir.shape[1] < 2 * WINDOW or cir.shape[2] != 2 or cir.dtype.kind not in "if":
        raise TaskError(f"{path}: 'cir' is {cir.dtype} {cir.shape}, needed are numbers (N, taps, 2) with "
                        f"{2 * WINDOW} taps or more")
    for key in KEYS[1:]:
        if arrays[key].shape != (n,):
            raise TaskError(f"{path}: '{key}' is {arrays[key].shape}, needed is ({n},), one for each 'cir'")
    distance = arrays["true_dist"]
    if distance.dtype.kind not in "if" or not np.isfinite(distance).all() or not np.isfinite(cir).all():
        raise TaskError(f"{path}: 'cir' or 'true_dist' holds what is no finite number; leave those rows out")
    unknown = sorted(set(map(str, np.unique(arrays["label"]))) - set(LABELS))
    if unknown:
        raise TaskError(f"{path}: 'label' has {unknown[0]!r}; known are {', '.join(LABELS)}")
    chosen = []
    for config in np.unique(arrays["config"]):
        mine = np.flatnonzero(arrays["config"] == config)
        chosen.append(mine[np.unique(np.linspace(0, len(mine) - 1, per_config).astype(int))])
    chosen = np.sort(np.concatenate(chosen)) if chosen else np.array([], int)
    arrays = {key: value[chosen] for key, value in arrays.items()}
    real, imaginary = (arrays["cir"][..., i].astype(np.float32) for i in (0, 1))
    arrays["cir"] = real + 1j * imaginary
    return arrays


def _read(path: Path, seed: int, per_config: int, share: float) -> tuple[dict, dict]:
    """(arrays, what TaskData says of either task: inputs, groups, splits, facts)."""
    arrays = _load(path, per_config)
    sights = np.unique(arrays["label"], return_inverse=True)[1]
    train, test = split_groups(arrays["config"], share, seed, sights)
    facts = {"responses": len(sights), "configs": len(np.unique(arrays["config"])),
             "responses_per_config": per_config,
             "test_configs": [int(c) for c in np.unique(arrays["config"][test])],
             "split": f"{share:.0%} of the configs of each of {len(np.unique(sights))} kinds held out"}
    return arrays, {"inputs": spectrograms(arrays["cir"]), "groups": arrays["config"],
                    "splits": {"train": train, "test": test}, "facts": facts}


def load_sight(path: Path, spec: SpectrogramSpec, seed: int, *, per_config: int = 60,
               share: float = 1 / 3) -> TaskData:
    """LOS against NLOS, with and without a direct path; a third of the geometries are tested on."""
    arrays, common = _read(path, seed, per_config, share)
    return TaskData("line-of-sight", "classification", labels=SIGHT,
                    targets=np.array([LABELS[v] for v in arrays["label"]]), **common)


def load_ranging(path: Path, spec: SpectrogramSpec, seed: int, *, per_config: int = 60,
                 share: float = 1 / 3) -> TaskData:
    """Distance in metres; a third of the geometries, and so of the distances, are tested on."""
    arrays, common = _read(path, seed, per_config, share)
    common["facts"]["target"] = "true distance, from the response alone"
    return TaskData("distance", "regression", labels=("distance",), unit="m",
                    targets=arrays["true_dist"].astype(np.float32)[:, None], **common)
