# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Embeddings with the place they come from, and the ``.npz`` file they are kept in.

N tiles or signals, D values in an embedding.
"""

from __future__ import annotations

import math
import os
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiofm_ml.atomic import replacing
from radiofm_ml.files import check_regular
from radiofm_ml.outputs import OutputError, check_file

SUFFIX = ".npz"


class EmbeddingsError(ValueError):
    """A file of embeddings that cannot be read or written; one line that names it and the cure."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings and where they come from: the arrays of an ``.npz`` file, and ``model``.

    embedding        float32 (N, D)
    sample_start     int64 (N,): first sample of the tile, or of the signal
    sample_count     int64 (N,): samples in the tile, less padding, or in the signal
    sample_rate      float64 (N,): in samples per second; NaN where not known, like the following
    rx_freq          float64 (N,): centre frequency in Hz, of the last capture that the tile touches
    freq_lower_edge  float64 (N,): band of the tile's strongest signal, or of the signal, in Hz (see
                     ``band_edges``)
    freq_upper_edge  float64 (N,)
    model            id of the bundle, or of its embeddings of signals
    snr, bandwidth   float64 (N,), of signals only: signal over noise in dB; Hz that hold 95 % of its power
    source           of what the signals were found in and how, for those who would find them again
    """

    embedding: np.ndarray
    sample_start: np.ndarray
    sample_count: np.ndarray
    sample_rate: np.ndarray
    rx_freq: np.ndarray
    freq_lower_edge: np.ndarray
    freq_upper_edge: np.ndarray
    model: str
    snr: np.ndarray | None = None
    bandwidth: np.ndarray | None = None
    source: str = ""

    @property
    def of_signals(self) -> bool:
        return self.snr is not None

    def __len__(self) -> int:
        return len(self.embedding)

    def save(self, path: str | os.PathLike, *, overwrite: bool = False,
             sources: Iterable[str | os.PathLike] = ()) -> None:
        """Write an ``.npz`` file, as a whole or not at all; ``overwrite`` and ``sources`` as for
        ``EmbeddingFile``. Raises EmbeddingsError."""
        file = EmbeddingFile(path, self.embedding.shape[1], self.model, overwrite=overwrite, sources=sources,
                             signals=self.of_signals, source=self.source)
        file.add(self)
        file.close()

    @classmethod
    def join(cls, parts: list[Embeddings]) -> Embeddings:
        """Parts that follow one another, of one model; at least one."""
        names = [name for name, _ in _COLUMNS + (_OF_SIGNALS if parts[0].of_signals else ())]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(**columns, model=parts[0].model, source=parts[0].source)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Embeddings:
        """Read what ``save`` wrote. Raises EmbeddingsError."""
        try:
            check_regular(path)
            with np.load(path, allow_pickle=False) as arrays:
                columns = _COLUMNS + (_OF_SIGNALS if _OF_SIGNALS[0][0] in arrays else ())
                loaded = cls(**{name: arrays[name].astype(kind) for name, kind in columns},
                             model=str(arrays["model"]), source=str(arrays.get("source", "")))
            size = (len(loaded.embedding),)
            for name, _ in columns:
                shape = getattr(loaded, name).shape
                if (shape if name != "embedding" else shape[:-1]) != size:
                    raise ValueError(f"array {name!r} has shape {shape}")
            return loaded
        except FileNotFoundError:
            raise EmbeddingsError(f"{path}: no such file; check the name") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise EmbeddingsError(f"{path}: not an .npz of embeddings ({error}); "
                                "write it again with 'radiofm embed'") from None


_COLUMNS = (("embedding", "f4"), ("sample_start", "i8"), ("sample_count", "i8"), ("sample_rate", "f8"),
            ("rx_freq", "f8"), ("freq_lower_edge", "f8"), ("freq_upper_edge", "f8"))
_OF_SIGNALS = (("snr", "f8"), ("bandwidth", "f8"))


def check_output(path: str | os.PathLike, *, overwrite: bool = False,
                 sources: Iterable[str | os.PathLike] = ()) -> Path:
    """The file to write embeddings to (see ``outputs.check_file``). Raises EmbeddingsError."""
    try:
        return check_file(path, SUFFIX, _holds_embeddings, overwrite=overwrite, sources=sources)
    except OutputError as error:
        raise EmbeddingsError(str(error)) from None


def _holds_embeddings(path: Path) -> bool:
    """Is it an ``.npz`` with the arrays of ours? Nothing but its directory is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        needed = {"model", *(name for name, _ in _COLUMNS)}
        return needed <= names <= needed | {"source", *(name for name, _ in _OF_SIGNALS)}
    except Exception:  # as many kinds as there are damaged files
        return False


class EmbeddingFile:
    """An ``.npz`` that is written while embeddings come in, without keeping them in memory.

    They wait in a nameless temporary file beside it; ``close`` writes the ``.npz`` and puts it in place. A
    file that is there and holds no embeddings is replaced only with ``overwrite``, one of ``sources`` never.
    signals: it gets the columns that only signals have. source: see ``Embeddings``.
    Raises EmbeddingsError when it cannot be written, in the constructor where that can be seen then.
    """

    def __init__(self, path: str | os.PathLike, embedding_size: int, model: str, *, overwrite: bool = False,
                 sources: Iterable[str | os.PathLike] = (), signals: bool = False, source: str = ""):
        self.path, self.model = check_output(path, overwrite=overwrite, sources=sources), model
        self._source = {"source": np.array(source)} if source else {}
        self._dtype = np.dtype([(name, kind, (embedding_size,) if name == "embedding" else ())
                                for name, kind in _COLUMNS + (_OF_SIGNALS if signals else ())])
        try:
            self._rows = tempfile.TemporaryFile(dir=self.path.parent)
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, embeddings: Embeddings) -> None:
        rows = np.empty(len(embeddings), self._dtype)
        for name in self._dtype.names:
            rows[name] = getattr(embeddings, name)
        try:
            self._rows.write(rows.tobytes())
        except OSError as error:
            raise self._unwritable(error) from None

    def discard(self) -> None:
        """Forget all that was added; what lies at ``path`` stays."""
        self._rows.close()

    def close(self) -> None:
        """Write the file. Does nothing after ``close`` or ``discard``."""
        if self._rows.closed:
            return
        try:
            with self._rows, replacing(self.path) as part, open(part, "wb") as file:
                np.savez(file, model=np.array(self.model), **self._source, **self._columns())
        except OSError as error:
            raise self._unwritable(error) from None

    def _columns(self) -> dict[str, np.ndarray]:
        self._rows.flush()
        count = os.fstat(self._rows.fileno()).st_size // self._dtype.itemsize
        rows = np.memmap(self._rows, self._dtype, "r", shape=(count,)) if count else np.empty(0, self._dtype)
        return {name: rows[name] for name in self._dtype.names}

    def _unwritable(self, error: OSError) -> EmbeddingsError:
        reason = error.strerror or error
        return EmbeddingsError(f"{self.path}: cannot be written: {reason}; choose another place")


def band_edges(band: tuple[float, float], sample_rate: float | None,
               frequency: float | None) -> tuple[float, float]:
    """Edges in Hz of a band given in fractions of the sample rate; NaN where the rate is not known.

    Relative to baseband where the centre frequency is not known, as SigMF has it.
    """
    if sample_rate is None or not math.isfinite(sample_rate):
        return math.nan, math.nan
    centre = 0.0 if frequency is None or math.isnan(frequency) else frequency
    return centre + band[0] * sample_rate, centre + band[1] * sample_rate
