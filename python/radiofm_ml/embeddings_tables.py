# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Embeddings as tables for other programs: Parquet, and CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from radiofm_ml import atomic, files, outputs
from radiofm_ml.embeddings import Embeddings

PARQUET, CSV = ".parquet", ".csv"
_MODEL = b"radiofm:model"


def write_table(path: str | os.PathLike, embeddings: Embeddings, *, overwrite: bool = False,
                sources: Iterable[str | os.PathLike] = ()) -> None:
    """Write embeddings as the ending of ``path`` says, a row each.

    Parquet keeps ``embedding`` as one column of lists of float32, and the model in the file's metadata; CSV
    has a column for each of its values.
    Raises OutputError, OSError, and ImportError where pyarrow is missing.
    """
    if Path(path).name.lower().endswith(PARQUET):
        arrow = _arrow()
        path = outputs.check_file(path, PARQUET, _is_parquet, overwrite=overwrite, sources=sources)
        _write_parquet(arrow, path, embeddings)
    else:
        path = outputs.check_file(path, CSV, _is_csv, overwrite=overwrite, sources=sources)
        atomic.write_text(path, _csv(embeddings))


def _columns(embeddings: Embeddings) -> dict[str, np.ndarray]:
    """All but the embedding itself."""
    names = ["sample_start", "sample_count", "sample_rate", "rx_freq", "freq_lower_edge", "freq_upper_edge"]
    return {name: getattr(embeddings, name)
            for name in names + (["snr", "bandwidth"] if embeddings.of_signals else [])}


def _arrow():
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet needs the package pyarrow; install it by 'pip install \"pyarrow<19\"', "
                          f"which takes any NumPy, or name a .csv file ({error})") from None
    return pyarrow


def _write_parquet(arrow, path: Path, embeddings: Embeddings) -> None:
    flat = arrow.array(np.ascontiguousarray(embeddings.embedding, np.float32).reshape(-1))
    size = embeddings.embedding.shape[1]
    columns = {"embedding": arrow.FixedSizeListArray.from_arrays(flat, size), **_columns(embeddings)}
    table = arrow.table(columns).replace_schema_metadata(
        {_MODEL: embeddings.model.encode(), b"generator": outputs.GENERATOR.encode()})
    with atomic.replacing(path) as part:
        arrow.parquet.write_table(table, part)


def _is_parquet(path: Path) -> bool:
    try:
        files.check_regular(path)
        return _MODEL in (_arrow().parquet.read_schema(path).metadata or {})
    except Exception:  # as many kinds as there are damaged files
        return False


def _csv(embeddings: Embeddings) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = _columns(embeddings)
    writer.writerow([*columns, *(f"e{i}" for i in range(embeddings.embedding.shape[1]))])
    for row in zip(*columns.values(), embeddings.embedding, strict=True):
        writer.writerow(["" if value != value else f"{value:.17g}" for value in row[:-1]]
                        + [f"{value:.9g}" for value in row[-1]])
    return text.getvalue()


def _is_csv(path: Path) -> bool:
    try:
        with files.open_regular(path) as file:
            return file.read(256).startswith(b"sample_start,sample_count,sample_rate,rx_freq,")
    except OSError:
        return False
