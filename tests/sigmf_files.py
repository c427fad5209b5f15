# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Recordings made for tests."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from radiofm_ml.sigmf.recording import RecordingError, open_recording


def write_recording(
    base: Path,
    data: bytes | np.ndarray,
    datatype: str = "cf32_le",
    captures: list | None = None,
    annotations: list | None = None,
    **info,
) -> Path:
    """A SigMF pair; ``info`` are ``core:`` keys of the global object. Returns the metadata file."""
    meta = {
        "global": {
            "core:datatype": datatype,
            "core:version": "1.2.0",
            **{f"core:{key}": value for key, value in info.items()},
        },
        "captures": [{"core:sample_start": 0}] if captures is None else captures,
        "annotations": annotations or [],
    }
    data_path = base.with_name(info.get("dataset", base.name + ".sigmf-data"))
    data_path.write_bytes(data if isinstance(data, bytes) else data.tobytes())
    path = base.with_name(base.name + ".sigmf-meta")
    path.write_text(json.dumps(meta))
    return path


def ramp(n: int) -> np.ndarray:
    """complex64 (n,): every sample tells its index."""
    return (np.arange(n) + 0.5j).astype(np.complex64)


def change(path: Path, section: str = "global", **values) -> Path:
    """Set ``core:`` keys of a metadata file's global object, or of the first entry of a section."""
    meta = json.loads(path.read_text())
    entry = meta["global"] if section == "global" else meta[section][0]
    entry.update({f"core:{key}": value for key, value in values.items()})
    path.write_text(json.dumps(meta))
    return path


def archive(path: Path, *pairs: Path, folder: str = "", mode: str = "w", data_first: bool = False) -> Path:
    """A tar of SigMF pairs, given by their metadata files."""
    with tarfile.open(path, mode) as tar:
        for meta in pairs:
            files = [meta, meta.with_suffix(".sigmf-data")]
            for file in reversed(files) if data_first else files:
                tar.add(file, arcname=folder + file.name)
    return path


def broken(path: Path, match: str) -> None:
    """It cannot be opened, and one line that names it says why."""
    with pytest.raises(RecordingError, match=match) as caught:
        open_recording(path)
    assert str(caught.value).isprintable() and str(path.parent) in str(caught.value)
