# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pictures with a label at every pixel: the published LTE/NR layout, and annotated SigMF recordings.

**LTE/NR frames** (the layout of MathWorks' spectrum-sensing data, as arXiv 2411.09996 uses it): a folder of
``LTE_NR_spect_frame_<i>.mat`` (``rxSpectrogram``: rows x columns, time down and frequency across, in dB, or
grey values of whole numbers 0..255), ``LTE_NR_labels_frame_<i>.mat`` (``data``: 0 noise, 127 NR, 255 LTE) and
``LTE_NR_metadata_frame_<i>.mat``. Every frame that has both is read, whatever the numbers. A 256x256 picture
is two tiles of 128x256; a picture that is no whole number of tiles is resized, its labels to the nearest. If
the metadata name a ``frontEnd``, frames of one are kept together in the split, else each frame is on its own.

**Annotated recordings**: every tile of a recording, the annotations painted in (``boxes.paint``), larger ones
first. Pixels of an annotation without edges in frequency, and of one labelled 'unknown', do not count where
nothing else is painted ('unknown' is a signal all the same where only noise and signal are told apart).
Recordings of one receiver (``core:hw``), and those that do not say, of one file, are kept together in the
split.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import torch

from radiofm_ml.data.layouts import LTE_NR, LTE_NR_VALUES
from radiofm_ml.heads.boxes import paint
from radiofm_ml.heads.metrics import IGNORED
from radiofm_ml.sigmf.recording import (
    UNKNOWN,
    Recording,
    RecordingError,
    find_recordings,
    open_recording,
)
from radiofm_ml.sigmf.tiles import tile_batches, tile_frequency
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_rows
from radiofm_ml.tasks import TaskData, TaskError, split_groups

_log = logging.getLogger(__name__)

NOISE, SIGNAL = "noise", "signal"
TEST_SHARE = 0.25  # of the groups
GREY_DB = 60.0  # range that grey values 0..255 are taken for, where the picture does not say dB

_FRAME = re.compile(r"LTE_NR_spect_frame_(\d+)\.mat")


class HalfPrecision:
    """Tiles (N, 1, rows, cols), kept in float16 (steps of 0.002 at the most) and given as float32."""

    def __init__(self, tiles: np.ndarray):
        self._tiles = np.asarray(tiles, np.float16)
        self.shape = self._tiles.shape

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index) -> np.ndarray:
        return self._tiles[index].astype(np.float32)


def load(path: Path, spec: SpectrogramSpec, seed: int = 0) -> TaskData:
    """Frames in the published layout, or recordings whose annotations' labels are the classes.
    Raises TaskError."""
    if any(_FRAME.fullmatch(file.name) for file in Path(path).iterdir()) if Path(path).is_dir() else False:
        return load_frames(path, spec, seed)
    return load_recordings(path, spec, seed)


def load_occupancy(path: Path, spec: SpectrogramSpec, seed: int = 0) -> TaskData:
    """Annotated recordings; whatever is annotated counts as 'signal'. Raises TaskError."""
    return load_recordings(path, spec, seed, labels=(NOISE, SIGNAL))


# -- LTE/NR frames --------------------------------------------------------------------------------------
def load_frames(folder: Path, spec: SpectrogramSpec, seed: int = 0) -> TaskData:
    """A folder of frames in the published layout. Raises TaskError."""
    folder = Path(folder)
    numbers = sorted(int(m[1]) for file in folder.iterdir() if (m := _FRAME.fullmatch(file.name)))
    if not numbers:
        raise TaskError(f"{folder}: holds no LTE_NR_spect_frame_<i>.mat; name the folder of the frames")
    tiles, labels, groups = [], [], []
    for number in numbers:
        picture = read_frame(folder, number)
        made, painted = picture_tiles(*picture[:2], spec)
        tiles.append(made.astype(np.float16))
        labels.append(painted)
        groups += [picture[2]] * len(made)
    groups = np.array(groups)
    train, test = split_groups(groups, TEST_SHARE, seed)
    return TaskData(
        "lte-nr",
        "segmentation",
        HalfPrecision(np.concatenate(tiles)[:, None]),
        np.concatenate(labels),
        LTE_NR,
        groups,
        {"train": train, "test": test},
        tiles=True,
        facts={"frames": len(numbers), "tiles": len(groups), "split": "by front end, or by frame"},
    )


def read_frame(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray, str]:
    """(picture float32 (rows, cols) in dB, class of each pixel uint8 (rows, cols), name of its group)."""
    picture = _matrix(folder / f"LTE_NR_spect_frame_{number}.mat", "rxSpectrogram")
    file = folder / f"LTE_NR_labels_frame_{number}.mat"
    values = _matrix(file, "data")
    if values.shape != picture.shape:
        raise TaskError(f"{file}: 'data' is {values.shape}, the picture {picture.shape}; they must be alike")
    labels = np.full(values.shape, IGNORED, np.uint8)
    for index, value in enumerate(LTE_NR_VALUES):
        labels[values == value] = index
    if (labels == IGNORED).any():
        wrong = values[labels == IGNORED].flat[0]
        raise TaskError(f"{file}: 'data' holds {wrong}; labels are {LTE_NR_VALUES}")
    if picture.dtype.kind in "ui":
        picture = picture.astype(np.float32) * (GREY_DB / 255)
    group = _front_end(folder / f"LTE_NR_metadata_frame_{number}.mat") or f"frame-{number}"
    return picture.astype(np.float32), labels, group


def _matrix(file: Path, key: str) -> np.ndarray:
    value = _mat(file).get(key)
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != 2
        or value.dtype.kind not in "fui"
        or not value.size
    ):
        raise TaskError(f"{file}: key {key!r} must be a matrix of numbers (rows x columns)")
    return value


def _front_end(file: Path) -> str:
    value = _mat(file).get("frontEnd") if file.is_file() else None
    return (
        str(value.flat[0])
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "US"
        else ""
    )


def _mat(file: Path) -> dict:
    from scipy.io import loadmat

    if not file.is_file():
        raise TaskError(f"{file}: missing; each frame needs its spect and its labels file")
    try:
        return loadmat(file)
    except NotImplementedError:  # v7.3 is HDF5, which scipy does not read
        return _mat73(file)
    except Exception as error:  # whatever a damaged file makes scipy raise
        raise TaskError(f"{file}: not a readable .mat file ({error}); fetch it again") from None


def _mat73(file: Path) -> dict:
    import h5py

    try:
        with h5py.File(file) as mat:  # MATLAB counts the first axis fastest
            return {key: np.array(value).T for key, value in mat.items() if isinstance(value, h5py.Dataset)}
    except OSError as error:
        raise TaskError(f"{file}: not a readable .mat file ({error}); fetch it again") from None


def picture_tiles(picture: np.ndarray, labels: np.ndarray,
                  spec: SpectrogramSpec) -> tuple[np.ndarray, np.ndarray]:
    """Model-ready tiles float32 (n, tile_rows, tile_cols) of a picture in dB, one below the other, and their
    labels uint8 of the same shape.

    A picture as wide as a tile and a whole number of tiles high is cut; another is resized to the nearest
    such number. Levels are then those of any tile: relative to its own noise floor, clipped.
    """
    count = max(1, round(picture.shape[0] / spec.tile_rows * spec.tile_cols / picture.shape[1]))
    size = count * spec.tile_rows, spec.tile_cols
    rows = torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None, None]
    if picture.shape != size:
        rows = torch.nn.functional.interpolate(rows, size, mode="bicubic", antialias=True)
    plain = SpectrogramSpec.from_dict(spec.to_dict() | {
        "resize": "none", "rows": spec.tile_rows, "fft_size": spec.tile_cols})
    tiles = tiles_from_rows(rows.reshape(count, spec.tile_rows, spec.tile_cols), plain).numpy()
    return tiles, nearest(labels, size).reshape(count, spec.tile_rows, spec.tile_cols)


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (rows, cols) resized: each pixel takes the one that its middle lies in, so no label is made
    up."""
    index = [np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
             for new, old in zip(size, labels.shape, strict=True)]
    return labels[np.ix_(*index)]


# -- annotated recordings -------------------------------------------------------------------------------
def load_recordings(path: Path, spec: SpectrogramSpec, seed: int = 0,
                    labels: tuple[str, ...] | None = None) -> TaskData:
    """Tiles of annotated SigMF recordings, in a folder or one of them.

    labels: 'noise' and one name for whatever is annotated; None for the annotations' own. A recording whose
    annotations have no place in the spectrum is left out with a warning; a tile in which nothing counts is in
    no part of the split. Raises TaskError.
    """
    found = find_recordings(path) if Path(path).is_dir() else [Path(path)]
    parts, reasons = [], []
    for file in found:
        try:
            with open_recording(file) as recording:
                if not recording.annotations:
                    continue
                if reason := _useless(recording, occupancy=labels is not None):
                    reasons.append(f"{file}: {reason}")
                    _log.warning("%s; left out", reasons[-1])
                else:
                    parts.append(_recording_tiles(recording, spec))
        except RecordingError as error:
            raise TaskError(str(error)) from None
    if not parts:
        raise TaskError(reasons[0] if reasons else
                        f"{path}: holds no annotated recording; name a folder of .sigmf-meta files with "
                        "annotations")
    names = labels or (NOISE, *sorted({name for part in parts for name in part[2]} - {NOISE}))
    targets = np.concatenate([_painted(part, names, spec) for part in parts])
    groups = np.array([part[3] for part in parts for _ in part[0]])
    tiles = np.concatenate([part[0] for part in parts])
    counts = (targets != IGNORED).any((1, 2))
    train, test = (part[counts[part]] for part in split_groups(groups, TEST_SHARE, seed))
    return TaskData("occupancy" if labels else "signals", "segmentation", HalfPrecision(tiles[:, None]),
                    targets, names, groups, {"train": train, "test": test}, tiles=True,
                    facts={"recordings": len(parts), "tiles": len(tiles), "split": "by receiver (core:hw)"})


def _useless(recording: Recording, occupancy: bool) -> str:
    """Why nothing can be learnt from the recording's annotations, '' if it can."""
    wanted = [a for a in recording.annotations if occupancy or a.label.casefold() != UNKNOWN]
    if not wanted:
        return f"all its annotations are labelled '{UNKNOWN}'; say what they are"
    placed = [a for a in wanted if a.freq_lower is not None]
    if not placed:
        return ("its annotations state no core:freq_lower_edge and core:freq_upper_edge, so that they have "
                "no place in the spectrum; add both")
    rate = recording.sample_rate
    if rate is None:
        return "states no core:sample_rate, so that its annotations have no place in the spectrum; add it"
    if not any(abs(edge - centre) <= rate / 2 or a.freq_lower < centre < a.freq_upper
               for a in placed for centre in [recording.capture_at(a.sample_start).frequency or 0.0]
               for edge in (a.freq_lower, a.freq_upper)):
        centre = recording.capture_at(placed[0].sample_start).frequency or 0.0
        return ("the frequency edges of all its annotations lie outside its band "
                f"({centre - rate / 2:.10g} to {centre + rate / 2:.10g} Hz); correct them")
    return ""


def _recording_tiles(recording: Recording, spec: SpectrogramSpec):
    """(tiles float16, annotations of each tile, names of their labels, group)."""
    tiles = np.concatenate([made.astype(np.float16) for _, made in tile_batches(recording, spec)])
    group = recording.meta["global"].get("core:hw") or recording.path.name
    rate = recording.sample_rate
    inside = [[] for _ in tiles]
    for a in recording.annotations:
        end = a.sample_start + a.sample_count
        first = max(0, (a.sample_start - spec.samples_per_tile) // spec.stride)
        for k in range(first, min(len(tiles), end // spec.stride + 1)):
            centre = tile_frequency(recording, spec, k) or 0.0
            edges = None if a.freq_lower is None else (
                (a.freq_lower - centre) / rate, (a.freq_upper - centre) / rate)
            inside[k].append((a.sample_start - k * spec.stride, a.sample_count, edges, a.label or SIGNAL))
    labels = {a.label or SIGNAL for a in recording.annotations if a.label.casefold() != UNKNOWN}
    return tiles, inside, labels, group


def _painted(part, names: tuple[str, ...], spec: SpectrogramSpec) -> np.ndarray:
    """uint8 (tiles, tile_rows, tile_cols)."""
    targets = np.zeros((len(part[0]), spec.tile_rows, spec.tile_cols), np.uint8)
    index = {name: i for i, name in enumerate(names)}
    other = 1 if names == (NOISE, SIGNAL) else IGNORED  # an 'unknown' may be any of several

    def area(annotation):
        _, count, edges, _ = annotation
        return np.inf if edges is None else count * (edges[1] - edges[0])

    for picture, inside in zip(targets, part[1], strict=True):
        for start, count, edges, label in sorted(inside, key=area, reverse=True):
            value = index.get(label, other)
            lower, upper = (-0.5, 0.5) if edges is None else edges
            if upper > -0.5 and lower < 0.5:
                paint(picture, start, count, lower, upper, IGNORED if edges is None else value, spec)
    return targets
