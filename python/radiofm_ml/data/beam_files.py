# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DeepBeam's HDF5 files of raw I/Q by beam (arXiv 2012.14350, section 6): read lazily, written streaming.

Data sets, of N samples, ordered gain, tx_beam, (angle,) frame, block, sample, the last the fastest:

    iq        (N, 2)  I and Q, of any float type
    tx_beam   (N,)    a label for each sample, as are all of these
    rx_beam   (N,)
    gain      (N,)    numbers (dB), or strings in the Pi-Radio files ('att-tx-5-0-')
    angle     (N,)    in files of angles of arrival only

A published file has up to 350 GB and 22,118,400,000 samples, so that its labels are not read either: as their
order is fixed, the first boundary of each is found by bisection, and every other boundary looked at. What the
labels do not say is how many blocks a frame has: it comes from the attribute ``blocks_per_frame`` (``write``
leaves it there), from the published names (srf 15, mrf 5), or from the caller.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from radiofm_ml.atomic import replacing
from radiofm_ml.files import check_regular

BLOCK_LENGTH = 2048
BLOCKS_PER_FRAME = {"srf": 15, "mrf": 5}  # NI and Pi-Radio arrays, as published
MEMORY_LIMIT = 4 << 30  # bytes that load_blocks takes without being asked
_SLAB = 32 << 20  # bytes read at once
_CHUNK = 8192  # samples of I/Q in a chunk: a few blocks, as training reads one block of a frame
_NAME = re.compile(r"(?P<array>srf|mrf)-(?P<config>basic|diagonal|obstacle)-config-(?P<beams>\d+)-beams"
                   r"(?P<aoa>-aoa)?(?:-tx-ant-(?P<tx_antenna>\d+)-rx-ant-(?P<rx_antenna>\d+))?\.(?:h5|hdf5)")


class BeamFileError(ValueError):
    """A file that cannot be used; one line that names it and the cure."""


@dataclass(frozen=True)
class BeamFileName:
    """What a published name says: srf-basic-config-24-beams-aoa-tx-ant-0-rx-ant-1.h5; antennas None where it
    has none (mrf-basic-config-5-beams.h5)."""

    array: str
    config: str
    beams: int
    aoa: bool
    tx_antenna: int | None
    rx_antenna: int | None


def parse_name(path: str | os.PathLike) -> BeamFileName | None:
    """The parts of a published file name, None for any other name."""
    found = _NAME.fullmatch(Path(path).name)
    if not found:
        return None
    numbers = {key: found[key] and int(found[key]) for key in ("beams", "tx_antenna", "rx_antenna")}
    return BeamFileName(found["array"], found["config"], aoa=bool(found["aoa"]), **numbers)


# -- reading -----------------------------------------------------------------------------------------------
class BeamFile:
    """An open file; a context manager.

    name     BeamFileName, or None
    gains, beams, angles  values of the labels, in the order of the file; angles is () where there are none
    frames   frames for each gain, beam (and angle)
    blocks_per_frame, block_length  blocks in a frame, samples in a block
    attributes  attributes of the file (what its writer noted)

    Raises BeamFileError.
    """

    def __init__(self, path: str | os.PathLike, blocks_per_frame: int | None = None,
                 block_length: int | None = None):
        self.path = Path(path)
        self.name = parse_name(path)
        try:
            check_regular(self.path)
            self._file = h5py.File(self.path, "r")
        except FileNotFoundError:
            raise BeamFileError(f"{self.path}: no such file") from None
        except OSError as error:
            raise BeamFileError(f"{self.path}: not a whole HDF5 file ({_line(error)}); fetch or write it "
                                "again") from None
        try:
            self.attributes = dict(self._file.attrs)
            self._index(blocks_per_frame, block_length)
        except (OSError, RuntimeError) as error:  # what HDF5 raises where a part cannot be read
            self.close()
            raise BeamFileError(f"{self.path}: cannot be read ({_line(error)}); fetch it again") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> BeamFile:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def read(self, gain_i: int, beam_i: int, frames: int | slice | Sequence[int] | np.ndarray,
             angle_i: int = 0, blocks: int = 1) -> np.ndarray:
        """The first ``blocks`` blocks of frames, complex64 (n_frames, blocks, block_length), in the order
        asked for.

        gain_i, beam_i, angle_i   indexes into gains, beams, angles (0 where there are no angles)
        frames                    one frame, a slice, or indexes

        Raises IndexError for an index beyond the file, BeamFileError where the I/Q cannot be read or holds
        NaN or infinite values.
        """
        for what, index, size in (("gain", gain_i, len(self.gains)), ("beam", beam_i, len(self.beams)),
                                  ("angle", angle_i, max(1, len(self.angles)))):
            if not 0 <= index < size:
                raise IndexError(f"{self.path}: {what} index {index}, the file has {size}")
        if not 1 <= blocks <= self.blocks_per_frame:
            raise IndexError(f"{self.path}: {blocks} blocks of a frame wanted, there are "
                             f"{self.blocks_per_frame}")
        if isinstance(frames, slice):
            frames = range(*frames.indices(self.frames))
        frames = np.atleast_1d(np.asarray(frames, np.int64))
        if len(frames) and not (0 <= frames.min() and frames.max() < self.frames):
            raise IndexError(f"{self.path}: frames {frames.min()} to {frames.max()}, the file has "
                             f"{self.frames} for each gain and beam")
        first = ((gain_i * len(self.beams) + beam_i) * max(1, len(self.angles)) + angle_i) * self.frames
        iq = np.empty((len(frames), blocks * self.block_length, 2), np.float32)
        at_once = max(1, _SLAB // (blocks * self.block_length * 2 * self._iq.dtype.itemsize))
        for start, end in _runs(frames, at_once):
            iq[start:end] = self._rows(first + int(frames[start]), end - start, blocks)
        finite = np.isfinite(iq).all((1, 2))
        if not finite.all():
            angle = f", angle {self.angles[angle_i]}" if self.angles else ""
            raise BeamFileError(
                f"{self.path}: 'iq' holds NaN or infinite values at gain {self.gains[gain_i]}, beam "
                f"{self.beams[beam_i]}{angle}, frame {frames[~finite][0]}; leave that frame out or fetch the "
                "file again")
        return iq.view(np.complex64).reshape(len(frames), blocks, self.block_length)

    def _rows(self, frame: int, count: int, blocks: int) -> np.ndarray:
        """I/Q of the first blocks of ``count`` frames one after the other, (count, samples, 2)."""
        stride, block = self.blocks_per_frame * self.block_length, blocks * self.block_length
        try:
            if block == stride:
                return self._iq[frame * stride:(frame + count) * stride].reshape(count, block, 2)
            # One slice after the other: on chunked data 100 times as fast as a MultiBlockSlice of them all.
            return np.stack([self._iq[i * stride:i * stride + block] for i in range(frame, frame + count)])
        except (OSError, RuntimeError) as error:
            raise BeamFileError(f"{self.path}: 'iq' cannot be read at frame {frame} of all ({_line(error)}); "
                                "fetch the file again") from None

    # -- what the file has -------------------------------------------------------------------------------
    def _index(self, blocks_per_frame: int | None, block_length: int | None) -> None:
        self._iq = self._dataset("iq")
        if self._iq.ndim != 2 or self._iq.shape[1] != 2 or self._iq.dtype.kind != "f":
            raise BeamFileError(f"{self.path}: 'iq' is {self._iq.dtype} {self._iq.shape}, needed are floats "
                                "(N, 2), columns I and Q")
        n = len(self._iq)
        if not n:
            raise BeamFileError(f"{self.path}: holds no samples; write it again")
        labels = {key: self._dataset(key) for key in ("gain", "tx_beam", "rx_beam")}
        if "angle" in self._file:
            labels["angle"] = self._dataset("angle")
        for key, dataset in labels.items():
            if dataset.shape not in ((n,), (n, 1)):
                raise BeamFileError(f"{self.path}: '{key}' is {dataset.shape}, needed is ({n},), a label for "
                                    "each row of 'iq'; the file is truncated, fetch or write it again")
        self.gains, rows = self._values(labels["gain"], n)
        self.beams, rows = self._values(labels["tx_beam"], rows)
        self.angles = ()
        if "angle" in labels:
            self.angles, rows = self._values(labels["angle"], rows)
        self._check_order(labels, rows)
        self.block_length = int(block_length or self.attributes.get("block_length", BLOCK_LENGTH))
        self.blocks_per_frame = self._blocks_per_frame(blocks_per_frame)
        self.frames, rest = divmod(rows, self.blocks_per_frame * self.block_length)
        if rest or not self.frames:
            raise BeamFileError(
                f"{self.path}: {rows} samples for each gain and beam are not whole frames of "
                f"{self.blocks_per_frame} blocks of {self.block_length}; the file is truncated, or give its "
                "blocks_per_frame and block_length")
        expected = self.name.beams if self.name else len(self.beams)
        if len(self.beams) > expected or (len(self.beams) < expected and not self.name.aoa):
            raise BeamFileError(f"{self.path}: holds {len(self.beams)} beams, its name says {expected}; "
                                "it is truncated, or rename it")

    def _dataset(self, key: str) -> h5py.Dataset:
        found = self._file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise BeamFileError(f"{self.path}: no data set '{key}'; it holds "
                                f"{', '.join(self._file) or 'nothing'}: not a DeepBeam file, or an "
                                "unfinished one; fetch or write it again")
        return found

    def _blocks_per_frame(self, asked: int | None) -> int:
        found = asked or self.attributes.get("blocks_per_frame") or (
            self.name and BLOCKS_PER_FRAME[self.name.array])
        if not found:
            raise BeamFileError(f"{self.path}: neither its name nor an attribute says how many blocks a "
                                "frame has; give blocks_per_frame (15 in NI files, 5 in Pi-Radio's)")
        return int(found)

    def _values(self, labels: h5py.Dataset, rows: int) -> tuple[tuple, int]:
        """The values that follow one another in the first ``rows`` rows, each for as many; and how many."""
        first, low, high = _label(labels, 0), 0, rows  # rows[low] has the first value, rows[high] has not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _label(labels, middle) == first else (low, middle)
        count, rest = divmod(rows, high)
        values = tuple(_label(labels, i * high) for i in range(count)) if count <= 4096 else ()
        if rest or len(set(values)) != count:
            raise self._wrong_order(labels.name)
        return values, high

    def _check_order(self, labels: dict[str, h5py.Dataset], rows: int) -> None:
        """Labels just before and just after every boundary must be those that the order promises."""
        angles = self.angles or (None,)
        wanted = [{"gain": g, "tx_beam": b, "angle": a}
                  for g in self.gains for b in self.beams for a in angles]
        for i, after in enumerate(wanted[1:], 1):
            for key in labels.keys() - {"rx_beam"}:
                before = wanted[i - 1]
                if _labels(labels[key], i * rows - 1, i * rows + 1) != [before[key], after[key]]:
                    raise self._wrong_order(key)
        for key in labels.keys() - {"rx_beam"}:
            if _label(labels[key], len(wanted) * rows - 1) != wanted[-1][key]:
                raise self._wrong_order(key)

    def _wrong_order(self, key: str) -> BeamFileError:
        return BeamFileError(f"{self.path}: '{key.lstrip('/')}' is not in the order gain, tx_beam, angle, "
                             "frame with as many samples of each, or the file is truncated; sort it, or "
                             "fetch it again")


def _labels(labels: h5py.Dataset, start: int, end: int) -> list:
    values = labels[start:end].ravel().tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def _label(labels: h5py.Dataset, row: int):
    return _labels(labels, row, row + 1)[0]


def _runs(frames: np.ndarray, longest: int) -> Iterable[tuple[int, int]]:
    """Slices of ``frames`` that hold consecutive frames, of at most ``longest``."""
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    for start, end in zip([0, *breaks], [*breaks, len(frames)], strict=True):
        for at in range(start, end, longest):
            yield at, min(at + longest, end)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# -- splits ------------------------------------------------------------------------------------------------
def published_split(frames: int, share: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Frames to train on, the first ``share``, and to test on, the others: contiguous in time. To be used for
    every (gain, beam) alike. Raises ValueError where a part would be empty."""
    cut = _cut(frames, share)
    return np.arange(cut), np.arange(cut, frames)


def frame_split(frames: int, share: float = 0.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same shuffled, each part in rising order: no frame is in both, but neighbours in time are."""
    cut = _cut(frames, share)
    order = np.random.default_rng(seed).permutation(frames)
    return np.sort(order[:cut]), np.sort(order[cut:])


def _cut(frames: int, share: float) -> int:
    cut = int(frames * share + 1e-9)
    if not 0 < cut < frames:
        raise ValueError(f"{share:g} of {frames} frames leaves a part empty; use more frames")
    return cut


# -- many blocks at once -----------------------------------------------------------------------------------
def load_blocks(file: BeamFile, frames: Sequence[int] | np.ndarray, blocks_per_frame: int = 1,
                gains: Sequence[int] | None = None, beams: Sequence[int] | None = None,
                angles: Sequence[int] | None = None, label: str = "beam",
                limit: int = MEMORY_LIMIT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Examples for training: the first ``blocks_per_frame`` blocks of these frames of each gain, beam, angle.

    gains, beams, angles   indexes to take, in this order; None for all
    label                  'beam' or 'angle': what the second array says
    limit                  bytes of I/Q that may be taken

    Returns complex64 (N, blocks_per_frame, block_length), and int64 (N,) twice: the index of the beam (or
    angle) and of the gain, into ``file.beams`` (``file.angles``) and ``file.gains``. Raises BeamFileError,
    also where it would be more than ``limit``.
    """
    if label not in ("beam", "angle"):
        raise ValueError(f"label must be 'beam' or 'angle', got {label!r}")
    if label == "angle" and not file.angles:
        raise BeamFileError(f"{file.path}: has no data set 'angle'; take one of the files named -aoa-")
    gains = range(len(file.gains)) if gains is None else gains
    beams = range(len(file.beams)) if beams is None else beams
    angles = range(max(1, len(file.angles))) if angles is None else angles
    parts = [(gain, beam, angle) for gain in gains for beam in beams for angle in angles]
    frames = np.arange(file.frames)[frames] if isinstance(frames, slice) else np.asarray(frames)
    shape = len(parts) * len(frames), blocks_per_frame, file.block_length
    wanted = int(np.prod(shape, dtype=np.int64)) * 8
    if wanted > limit:
        raise BeamFileError(f"{file.path}: these frames are {wanted / 2**30:.1f} GiB of I/Q, the limit is "
                            f"{limit / 2**30:.1f}; take fewer frames, gains or blocks, or raise the limit")
    iq = np.empty(shape, np.complex64)
    for i, (gain, beam, angle) in enumerate(parts):
        iq[i * len(frames):(i + 1) * len(frames)] = file.read(gain, beam, frames, angle, blocks_per_frame)
    of_gain, of_beam, of_angle = np.repeat(np.array(parts, np.int64).reshape(-1, 3), len(frames), axis=0).T
    return iq, (of_beam if label == "beam" else of_angle).copy(), of_gain.copy()


# -- writing -----------------------------------------------------------------------------------------------
def write(path: str | os.PathLike, iq: Iterable[np.ndarray], gains: Sequence, beams: Sequence,
          angles: Sequence | None, frames: int, blocks: int, block_length: int = BLOCK_LENGTH,
          dtype: str = "float32", rx_beam: int = 0, attributes: Mapping | None = None,
          on_progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Write a file piece by piece; it has its name only when it is whole.

    iq           complex arrays of any shape and size, one after the other in the order of the file: gain,
                 beam, (angle,) frame, block, sample
    gains        numbers, or strings as in the Pi-Radio files
    angles       None (or empty) for a file without
    frames       for each gain, beam (and angle); ``blocks`` in a frame
    dtype        of 'iq': float16, float32 or float64
    attributes   to be noted in the file, beside blocks_per_frame and block_length
    on_progress  called with samples written and samples in all

    Raises ValueError, and leaves nothing behind, where ``iq`` has more or fewer samples than that, or NaN or
    infinite ones; BeamFileError where the file cannot be written.
    """
    path = Path(path)
    angles = list(angles) if angles is not None and len(angles) else []
    for what, values in (("gains", gains), ("beams", beams), ("angles", angles or [0])):
        if not len(values) or len(set(values)) != len(values):
            raise ValueError(f"{what} must be at least one, and all different, got {list(values)}")
    if np.dtype(dtype).kind != "f":
        raise ValueError(f"dtype must be a float type, got {dtype}")
    if min(frames, blocks, block_length) < 1:
        raise ValueError("frames, blocks and block_length must be at least 1")
    run = frames * blocks * block_length
    total = run * len(gains) * len(beams) * max(1, len(angles))
    try:
        with replacing(path) as part, h5py.File(part, "w") as file:
            file.attrs.update(attributes or {})
            file.attrs.update({"blocks_per_frame": blocks, "block_length": block_length})
            _write_labels(file, total, run, gains, beams, angles, rx_beam)
            _write_iq(file, total, iq, dtype, on_progress)
    except OSError as error:
        raise BeamFileError(f"{path}: cannot be written ({_line(error)}); free some space or choose another "
                            "place") from None
    return path


def _write_labels(file: h5py.File, total: int, run: int, gains: Sequence, beams: Sequence, angles: Sequence,
                  rx_beam: int) -> None:
    """Labels for each sample. They are constant for long and shrink to nothing."""
    inner = {"angle": run, "tx_beam": run * max(1, len(angles))}
    inner["gain"] = inner["tx_beam"] * len(beams)
    values = {"gain": _plain(gains), "tx_beam": _plain(beams), "rx_beam": _plain([rx_beam])}
    if angles:
        values["angle"] = _plain(angles)
    chunk = min(total, 1 << 18)
    for key, each in values.items():
        labels = file.create_dataset(key, (total,), each.dtype, chunks=(chunk,),
                                     compression="gzip", compression_opts=1, shuffle=True)
        for start in range(0, total, chunk):
            rows = np.arange(start, min(start + chunk, total))
            labels[start:start + chunk] = each[rows // inner.get(key, total) % len(each)]


def _plain(values: Sequence) -> np.ndarray:
    """In the smallest type that holds them."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.result_type(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))
    return array.astype("S") if array.dtype.kind == "U" else array


def _write_iq(file: h5py.File, total: int, pieces: Iterable[np.ndarray], dtype: str,
              on_progress: Callable[[int, int], None]) -> None:
    dataset = file.create_dataset("iq", (total, 2), dtype, chunks=(min(total, _CHUNK), 2))
    done = 0
    for piece in pieces:
        piece = np.ascontiguousarray(piece, np.complex64).reshape(-1)
        if done + len(piece) > total:
            raise ValueError(f"the I/Q has more than the {total} samples that the file is to hold")
        with np.errstate(over="ignore"):
            columns = piece.view(np.float32).reshape(-1, 2).astype(dtype)
        if not np.isfinite(columns).all():
            raise ValueError(f"the I/Q holds NaN, infinite values, or values beyond {dtype}, after sample "
                             f"{done}")
        dataset[done:done + len(piece)] = columns
        done += len(piece)
        on_progress(done, total)
    if done != total:
        raise ValueError(f"the I/Q ended after {done} of {total} samples")
