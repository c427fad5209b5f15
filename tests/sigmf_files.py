# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Recordings made for tests."""

import json
from pathlib import Path

import numpy as np


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
