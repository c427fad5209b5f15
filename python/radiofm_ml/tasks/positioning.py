# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""5G NR positioning: where is the transmitter, from the channels to several base stations?

The published layout (Gao et al., "CSI Dataset towards 5G NR High-Precision Positioning", IEEE DataPort) is a
folder of MATLAB v7.3 files, one for each signal-to-noise ratio:

    dataset_SNR10_outdoor.mat  dataset_SNR20_outdoor.mat  dataset_SNR50_outdoor.mat
        features          (N, 4, 16, 193) float64     base station, antenna, frequency bin
        labels/position   (N, 3)          float64     x, y, z in metres, in a box of 80 x 60 x 40

Indoor files (dataset_SNR10_indoor*.mat) have 5 base stations and a box of 60 x 20 x 4 metres. The shapes are
those that an HDF5 reader sees; MATLAB stores its dimensions in reverse order, so that arrays which MATLAB
shows as (N, 4, 16, 193) arrive as (193, 16, 4, N): both are read.

The files hold the same positions, so all copies of a position belong to one group.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiofm_ml.data.layouts import ANTENNAS, BINS, SCENES, PositioningScene
from radiofm_ml.files import check_regular
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.tasks import TaskData, TaskError, split_groups

COORDINATES = ("x", "y", "z")
FILE_NAME = re.compile(r"dataset_SNR(\d+)_(outdoor|indoor).*\.mat")
WAVESFM_SIZE = (224, 224)


@dataclass(frozen=True)
class _File:
    path: Path
    snr: int
    scene: str
    reverse: bool  # the dimensions of 'features' lie in reverse order
    position: np.ndarray  # float64 (n, 3)


class ChannelFiles:
    """'features' of one or more files as one array, read when it is indexed: float32 (n, stations, H, W).

    prepare: float32 (n, stations, 16, 193) to (n, stations, H, W). Raises
    TaskError naming the file.
    """

    def __init__(self, files: list[_File], prepare: Callable = lambda values: values):
        self.files, self.prepare = files, prepare
        self.starts = np.cumsum([0] + [len(f.position) for f in files])
        shape = (SCENES[files[0].scene].stations, ANTENNAS, BINS)
        shape = prepare(np.zeros((1, *shape), np.float32)).shape[1:]
        self.shape = (int(self.starts[-1]), *shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        index = np.atleast_1d(index)
        stations = SCENES[self.files[0].scene].stations
        values = np.empty((len(index), stations, ANTENNAS, BINS), np.float32)
        owner = np.searchsorted(self.starts, index, side="right") - 1
        for number in np.unique(owner):
            mine = np.flatnonzero(owner == number)
            values[mine] = self._read(self.files[number], index[mine] - self.starts[number])
        return self.prepare(values)

    @staticmethod
    def _read(file: _File, rows: np.ndarray) -> np.ndarray:
        wanted, back = np.unique(rows, return_inverse=True)  # h5py reads in rising order, each row once
        try:
            with _h5py().File(file.path, "r") as content:
                features = content["features"]
                values = features[..., wanted].T if file.reverse else features[wanted]
        except (OSError, KeyError, ValueError) as error:
            raise TaskError(f"{file.path}: 'features' cannot be read ({_line(error)}); fetch it "
                            "again") from None
        if not np.isfinite(values).all():
            bad = wanted[~np.isfinite(values).reshape(len(values), -1).all(1)][0]
            raise TaskError(f"{file.path}: 'features' holds NaN or infinite values in example {bad}; leave "
                            "it out")
        return values[back]


def _h5py():
    try:
        import h5py
    except ImportError:
        raise TaskError("positioning needs the Python package h5py: pip install h5py") from None
    return h5py


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def open_positioning(path: Path) -> _File:
    """Check a file and read its positions. Raises TaskError naming the file and what is wrong."""
    named = FILE_NAME.fullmatch(path.name)
    if not named:
        raise TaskError(f"{path}: the name must be like dataset_SNR10_outdoor.mat; rename it")
    snr, scene = int(named[1]), named[2]
    h5py = _h5py()
    try:
        check_regular(path)
        content = h5py.File(path, "r")
    except OSError as error:
        raise TaskError(f"{path}: not a whole MATLAB v7.3 (HDF5) file ({_line(error)}); fetch it again, or "
                        "save it with -v7.3") from None
    with content:
        for key in ("features", "labels/position"):
            if key not in content or not isinstance(content[key], h5py.Dataset):
                raise TaskError(f"{path}: no data set '{key}'; it holds {', '.join(content) or 'nothing'}")
        shape, stations = content["features"].shape, SCENES[scene].stations
        reverse = shape[:3] == (BINS, ANTENNAS, stations)
        if len(shape) != 4 or not (reverse or shape[1:] == (stations, ANTENNAS, BINS)):
            raise TaskError(f"{path}: 'features' is {shape}, needed is (N, {stations}, {ANTENNAS}, {BINS}) "
                            f"for {scene}, or its reverse")
        n = shape[-1] if reverse else shape[0]
        try:
            position = np.asarray(content["labels/position"][()], np.float64)
        except (OSError, TypeError, ValueError) as error:
            raise TaskError(f"{path}: 'labels/position' cannot be read ({_line(error)}); fetch it again") \
                from None
    if position.shape == (3, n) and (reverse or n != 3):
        position = position.T
    if position.shape != (n, 3) or not n:
        raise TaskError(f"{path}: 'labels/position' is {position.shape}, needed is ({n}, 3), one for each of "
                        "'features'")
    if not np.isfinite(position).all():
        raise TaskError(f"{path}: 'labels/position' holds NaN or infinite values; leave those examples out")
    return _File(path, snr, scene, reverse, position)


def prepare_tile(values: np.ndarray) -> np.ndarray:
    """(n, stations, 16, 193) to (n, 1, 193, stations x 16): the stations side by side, because a frozen
    encoder sees only the mean of several channels, and the read-out 'frequency' keeps columns apart."""
    return values.reshape(len(values), 1, -1, values.shape[-1]).swapaxes(2, 3)


def prepare_wavesfm(scene: PositioningScene) -> Callable:
    """WavesFM's preprocessing: float32 (n, stations, 16, 193) to (n, stations, 224, 224)."""
    import torch
    from torch.nn.functional import interpolate

    mean, std = (torch.tensor(v)[:, None, None] for v in (scene.mean, scene.std))

    def prepare(values: np.ndarray) -> np.ndarray:
        picture = interpolate(torch.from_numpy(values), WAVESFM_SIZE, mode="bicubic", antialias=True)
        return (((picture - scene.low) / (scene.high - scene.low) - mean) / std).numpy()

    return prepare


def load_positioning(path: Path, spec: SpectrogramSpec, seed: int, *, split: str = "position",
                     preprocessing: str = "tile", share: float = 0.2) -> TaskData:
    """Positions in metres, of one file or of all files in a folder (of one scene).

    split: 'position', all copies of ``share`` of the positions are tested on; 'published', ``share`` of the
    rows, whose positions are in the training part at other signal-to-noise ratios (for comparison only).
    preprocessing: 'tile' or 'wavesfm'; tuning standardises and resizes what comes out.
    """
    if split not in ("position", "published"):
        raise TaskError(f"split must be 'position' or 'published', got {split!r}")
    if preprocessing not in ("tile", "wavesfm"):
        raise TaskError(f"preprocessing must be 'tile' or 'wavesfm', got {preprocessing!r}")
    names = sorted(path.glob("dataset_SNR*.mat")) if path.is_dir() else [path]
    if not names:
        raise TaskError(f"{path}: no dataset_SNR*.mat in it; name the folder of the published files, or make "
                        "some with 'radiofm synth positioning'")
    files = [open_positioning(name) for name in names]
    scenes = {file.scene for file in files}
    if len(scenes) > 1:
        raise TaskError(f"{path}: holds indoor and outdoor files; put each kind into a folder of its own")
    scene = SCENES[files[0].scene]
    targets = np.concatenate([file.position for file in files]).astype(np.float32)
    if split == "position":
        # To the millimetre: what was written as float32 and as float64 is one position.
        groups = np.unique(np.round(targets, 3), axis=0, return_inverse=True)[1].reshape(-1)
        rule = f"{share:.0%} of the positions held out, with all their copies"
    else:
        groups = np.arange(len(targets))
        rule = f"{share:.0%} of the rows held out, as published: test positions are in train at another SNR"
    train, test = split_groups(groups, share, seed)
    facts = {"files": [file.path.name for file in files], "snr_db": [file.snr for file in files],
             "positions": len(np.unique(np.round(targets, 3), axis=0)), "box": list(scene.box), "split": rule,
             "preprocessing": preprocessing}
    inputs = ChannelFiles(files, prepare_wavesfm(scene) if preprocessing == "wavesfm" else prepare_tile)
    return TaskData("position", "regression", inputs, targets, COORDINATES, groups,
                    {"train": train, "test": test}, unit="m", facts=facts)


def load_positioning_published(path: Path, spec: SpectrogramSpec, seed: int) -> TaskData:
    """The published split and preprocessing, to compare with published numbers."""
    return load_positioning(path, spec, seed, split="published", preprocessing="wavesfm")
