# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""WiFi channel state information: which activity is this?

NTU-Fi HAR (Yang et al., "SenseFi", arXiv 2207.07859): a folder with train_amp/<activity>/*.mat and
test_amp/<activity>/*.mat, each with the array CSIamp (342, packets): 3 antennas x 114 subcarriers of
amplitude in dB, 2000 packets as published.

ESP32 (GeoTecINIT/stability-csi-har): an .npz with pairs of arrays named D{set}_e{recording}_{direction}-x,
(n, 56 subcarriers, 50 packets) of amplitude, and -y, n labels. The sets were recorded at different times:
D1 is for training, D2 and D3 show the drift.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from radiofm_ml.files import check_regular
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.tasks import TaskData, TaskError, split_groups
from radiofm_ml.tasks.npz import read_arrays

ANTENNAS, SUBCARRIERS = 3, 114
PARTS = ("train_amp", "test_amp")
# What SenseFi's and WavesFM's loaders do to an array (3, 114, packets); arXiv 2207.07859, 2511.15162.
SENSEFI_MEAN, SENSEFI_STD, SENSEFI_STEP = 42.3199, 4.9802, 4
WAVESFM_RANGE = (2.44, 54.72)
WAVESFM_MEAN, WAVESFM_STD = (0.7396, 0.7722, 0.7758), (0.0960, 0.0764, 0.0888)
WAVESFM_SIZE = (224, 224)

MOVING_DB, STANDING_DB = 0.45, 1.0  # spread of each picture, so that neither drowns the other

_ESP32_KEY = re.compile(r"(D\d+)_(e\d+)_(rx_tx|tx_rx)-x")


class CsiFiles:
    """NTU-Fi HAR recordings, read when they are indexed: float32 (n, C, H, W).

    files: paths of .mat files, owners headers are checked at once. prepare: (3, 114, packets) to (C, H, W).
    Raises TaskError naming the file, also while indexing.
    """

    def __init__(self, files: list[Path], prepare: Callable[[np.ndarray], np.ndarray]):
        self.files, self.prepare = files, prepare
        packets = {path: _packets(path) for path in files}
        first = packets[files[0]]
        for path, count in packets.items():
            if count != first:
                raise TaskError(f"{path}: CSIamp has {count} packets, {files[0].name} has {first}; cut the "
                                "recordings to one length")
        self.shape = (len(files), *self[np.array([0])].shape[1:])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return np.stack([self.prepare(read_csi_amplitude(self.files[i])) for i in np.atleast_1d(index)])


def _open_mat(path: Path, read: Callable):
    try:
        check_regular(path)
        return read(str(path))
    except NotImplementedError:
        raise TaskError(f"{path}: is a MATLAB v7.3 file; save it with -v7, like the published ones") from None
    except Exception as error:  # scipy raises a different kind for every way in which a file is broken
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise TaskError(f"{path}: not a readable MATLAB file ({line}); fetch it again") from None


def _packets(path: Path) -> int:
    from scipy.io import whosmat

    shapes = {name: shape for name, shape, _ in _open_mat(path, whosmat)}
    if "CSIamp" not in shapes:
        raise TaskError(f"{path}: no array CSIamp, only {', '.join(shapes) or 'nothing'}; "
                        "NTU-Fi HAR's files hold it")
    shape = shapes["CSIamp"]
    rows = int(np.prod(shape[:-1]))
    if rows != ANTENNAS * SUBCARRIERS or len(shape) not in (2, 3):
        raise TaskError(f"{path}: CSIamp is {' x '.join(map(str, shape))}, needed are "
                        f"{ANTENNAS * SUBCARRIERS} x packets")
    return shape[-1]


def read_csi_amplitude(path: Path) -> np.ndarray:
    """CSIamp of a file, float32 (3 antennas, 114 subcarriers, packets). Raises TaskError."""
    from scipy.io import loadmat

    content = _open_mat(path, lambda name: loadmat(name, variable_names=["CSIamp"]))
    if "CSIamp" not in content:
        raise TaskError(f"{path}: no array CSIamp; NTU-Fi HAR's files hold it")
    values = np.asarray(content["CSIamp"])
    if values.dtype.kind not in "fiu" or values.size % (ANTENNAS * SUBCARRIERS) or not values.size:
        raise TaskError(f"{path}: CSIamp must hold real numbers, {ANTENNAS * SUBCARRIERS} x packets, got "
                        f"{values.dtype} {values.shape}")
    values = values.reshape(ANTENNAS, SUBCARRIERS, -1).astype(np.float32)
    if not np.isfinite(values).all():
        raise TaskError(f"{path}: CSIamp holds NaN or infinite values; leave the file out")
    return values


def prepare_tile(values: np.ndarray) -> np.ndarray:
    """(3, 114, packets) to (1, packets/4, 342): time down, frequency across, the antennas side by side.

    A picture of one channel, because a frozen encoder sees only the mean of several.
    """
    return np.ascontiguousarray(values[:, :, ::SENSEFI_STEP].reshape(1, ANTENNAS * SUBCARRIERS, -1)
                                .transpose(0, 2, 1))


def prepare_sensefi(values: np.ndarray) -> np.ndarray:
    """SenseFi's: every 4th packet, (x - 42.3199) / 4.9802; (3, 114, packets/4)."""
    return (values[:, :, ::SENSEFI_STEP] - np.float32(SENSEFI_MEAN)) / np.float32(SENSEFI_STD)


def prepare_wavesfm(values: np.ndarray) -> np.ndarray:
    """WavesFM's: to 224 x 224 (bicubic, antialiased), to 0..1 from 2.44..54.72, standardised by channel."""
    import torch
    from torch.nn.functional import interpolate

    low, high = WAVESFM_RANGE
    picture = interpolate(torch.from_numpy(values)[None], WAVESFM_SIZE, mode="bicubic", antialias=True)[0]
    mean, std = (torch.tensor(v)[:, None, None] for v in (WAVESFM_MEAN, WAVESFM_STD))
    return (((picture - low) / (high - low) - mean) / std).numpy()


PREPARE = {"tile": prepare_tile, "sensefi": prepare_sensefi, "wavesfm": prepare_wavesfm}


def person(name: str, activity: str) -> str:
    """Who or which session a file's name says; '' where it says neither.

    The last number counts the repetitions and the activity is known, so that 'box3_07' and 'fall3-2' of
    'box' and 'fall' give '3', 'user2_box_5' gives 'user2', and 'box12' gives ''.
    """
    stem = re.sub(r"[-_ .]*\d+$", "", Path(name).stem)
    stem = re.sub(re.escape(activity), "", stem, flags=re.IGNORECASE)
    return stem.strip("-_ .").lower()


def load_ntu_fi(path: Path, spec: SpectrogramSpec, seed: int, *, split: str = "group",
                preprocessing: str = "tile", share: float = 0.25) -> TaskData:
    """NTU-Fi HAR from its folder.

    split: 'group', ``share`` of the persons (where a name says none: of each activity's files) of both
    published parts are tested on; 'published', train_amp against test_amp, which share persons.
    preprocessing: see ``PREPARE``; tuning standardises and resizes what comes out.
    """
    if split not in ("group", "published"):
        raise TaskError(f"split must be 'group' or 'published', got {split!r}")
    if preprocessing not in PREPARE:
        raise TaskError(f"preprocessing must be one of {', '.join(PREPARE)}, got {preprocessing!r}")
    found = [(part, folder.name, file) for part in PARTS for folder in sorted((path / part).glob("*"))
             if folder.is_dir() for file in sorted(folder.glob("*.mat"))]
    for part in PARTS:
        if not any(p == part for p, _, _ in found):
            raise TaskError(f"{path / part}: no <activity>/*.mat in it; name the folder that holds "
                            f"{' and '.join(PARTS)}")
    labels = tuple(dict.fromkeys(sorted(activity for _, activity, _ in found)))
    targets = np.array([labels.index(activity) for _, activity, _ in found])
    parts = np.array([part for part, _, _ in found])
    persons = [person(file.name, activity) for _, activity, file in found]
    named = all(persons)
    own = [f"{part}/{activity}/{file.name}" for part, activity, file in found]
    facts = {"source": "NTU-Fi HAR", "preprocessing": preprocessing, "files": len(found),
             "persons": len(set(persons)) if named else None}
    if split == "published":
        # Persons are in both parts; groups only keep a person together when train_amp is split further.
        owners = [f"{part}/{who}" for part, who in zip(parts, persons, strict=True)]
        groups = np.array(owners if named else own)
        train, test = (np.flatnonzero(parts == part) for part in PARTS)
        facts["split"] = "published: train_amp against test_amp, the same persons in both"
    else:
        groups = np.array(persons if named else own)
        train, test = split_groups(groups, share, seed, None if named else targets)
        facts["split"] = (f"{share:.0%} of the persons held out" if named else
                          f"{share:.0%} of each activity's files held out; their names tell no person")
    inputs = CsiFiles([file for _, _, file in found], PREPARE[preprocessing])
    return TaskData("activity", "classification", inputs, targets, labels, groups,
                    {"train": train, "test": test}, facts=facts)


def load_ntu_fi_published(path: Path, spec: SpectrogramSpec, seed: int) -> TaskData:
    """The published split and WavesFM's preprocessing, to compare with published numbers."""
    return load_ntu_fi(path, spec, seed, split="published", preprocessing="wavesfm")


def level_db(amplitude: np.ndarray) -> np.ndarray:
    """Amplitudes (N, subcarriers, packets) to dB (N, packets, subcarriers): time down, frequency across.

    A packet's mean over the subcarriers is taken off, and with it the receiver's gain control.
    """
    decibel = 20 * np.log10(np.maximum(amplitude, 1e-3)).transpose(0, 2, 1)
    return decibel - decibel.mean(2, keepdims=True)


def load_esp32(path: Path, spec: SpectrogramSpec, seed: int, *, centred: bool = False) -> TaskData:
    """ESP32 activities: train on set D1, test on the later ones, each a part of its own ('test-D2', ...).

    Inputs (N, 1, packets, subcarriers): ``level_db`` less the window's mean over time: what moves. Where
    people and things stand changes from set to set, and with it the rest of the level.
    centred: beside it, to the right, the level less the mean of the window's set, which needs all windows
    of the set, but not their labels. A group is a recording with both directions. ``seed`` changes nothing:
    the sets are given.
    """
    arrays = read_arrays(path)
    windows, names, groups, sets = [], [], [], []
    for key in sorted(arrays):
        match = _ESP32_KEY.fullmatch(key)
        if not match:
            continue
        x, y = arrays[key], arrays.get(key[:-1] + "y")
        if y is None or x.ndim != 3 or x.dtype.kind != "f" or y.shape != x.shape[:1] or y.dtype.kind != "U":
            raise TaskError(f"{path}: '{key}' is {x.dtype} {x.shape}, needed are amplitudes (n, subcarriers, "
                            f"packets) and n labels in '{key[:-1]}y'")
        if windows and x.shape[1:] != windows[0].shape[1:]:
            raise TaskError(f"{path}: '{key}' has windows of {x.shape[1:]}, others of {windows[0].shape[1:]}")
        if not np.isfinite(x).all() or x.min(initial=0) < 0:
            raise TaskError(f"{path}: '{key}' holds NaN, infinite or negative amplitudes; leave it out")
        windows.append(x)
        names += y.tolist()
        groups += [f"{match[1]}_{match[2]}"] * len(x)
        sets += [match[1]] * len(x)
    sets = np.array(sets)
    later = sorted(set(sets) - {"D1"})
    if "D1" not in sets or not later:
        raise TaskError(f"{path}: needs arrays of D1, to train on, and of a later set, named like "
                        f"D1_e01_rx_tx-x; it holds {', '.join(list(arrays)[:4]) or 'nothing'}")
    amplitude = np.concatenate(windows)
    labels = tuple(sorted(set(names)))
    level = level_db(amplitude)
    inputs = (level - level.mean(1, keepdims=True)) / MOVING_DB
    if centred:
        for name in ("D1", *later):
            level[sets == name] -= level[sets == name].mean((0, 1))
        inputs = np.concatenate([inputs, level / STANDING_DB], 2)
    inputs = inputs.astype(np.float32)[:, None]
    splits = {"train": np.flatnonzero(sets == "D1"),
              **{f"test-{name}": np.flatnonzero(sets == name) for name in later}}
    facts = {"source": "GeoTecINIT/stability-csi-har",
             "windows": {name: int((sets == name).sum()) for name in ("D1", *later)},
             "centred": "each set by its own unlabelled mean" if centred else "no",
             "split": "D1 is trained on, the sets recorded later are tested on"}
    return TaskData("activity", "classification", inputs, np.array([labels.index(n) for n in names]), labels,
                    np.array(groups), splits, facts=facts)


def load_esp32_centred(path: Path, spec: SpectrogramSpec, seed: int) -> TaskData:
    """With the level beside what moves, each set's centred by its own unlabelled mean."""
    return load_esp32(path, spec, seed, centred=True)
