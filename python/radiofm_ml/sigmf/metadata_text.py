# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A ``.sigmf-meta`` file that is written: its text, its place, and what one that is not complete says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radiofm_ml.arguments import is_number
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.container import ARCHIVES, META, base_name, parse_metadata
from radiofm_ml.sigmf.dataset_placement import AnnotationError

EXTENSION = {"name": "radiofm", "version": "1.0.0", "optional": True}
INCOMPLETE, RESUME = "radiofm:incomplete", "radiofm:resume"  # in ``global``, while a file is not complete


def metadata_text(info: dict, captures: Iterable[dict], annotations: Iterable[str]) -> str:
    """A ``.sigmf-meta`` file of its ``global`` object, captures, and annotations in JSON: a line each."""
    text = json.dumps(info, indent=2, allow_nan=False).replace("\n", "\n  ")
    return "".join(('{\n  "global": ', text, ',\n  "captures": ', _lines(map(as_json, captures)),
                    ',\n  "annotations": ', _lines(annotations), "\n}\n"))


def output_path(path: str | os.PathLike) -> Path:
    """The ``.sigmf-meta`` file that ``path`` names for writing. Raises AnnotationError."""
    path = Path(path)
    if path.name.lower().endswith(ARCHIVES):
        raise AnnotationError(f"{path}: annotations are not written into archives; name a {META} file")
    if path.suffix and not path.name.lower().endswith(META):
        raise AnnotationError(f"{path}: must end in {META}; name a {META} file")
    path = base_name(path)
    path = path.with_name(path.name + META)
    if path.is_symlink():
        path = path.resolve()  # or the link would be replaced, not the file
    if not path.parent.is_dir():
        raise AnnotationError(f"{path}: folder {path.parent} does not exist; create it")
    if (path.exists() and not path.is_file()) or not os.access(path.parent, os.W_OK):
        raise AnnotationError(f"{path}: cannot be written here; choose another name or folder")
    return path


def finite(value: Any, left_out: set[str]) -> Any:
    """``value`` without the fields that hold a NaN or infinite number, whose names ``left_out`` gets."""
    if not isinstance(value, dict):
        return value
    bad = {key for key, field in value.items() if not isinstance(field, dict) and not _is_json(field)}
    left_out |= bad
    return {key: finite(field, left_out) for key, field in value.items() if key not in bad}


def _is_json(value) -> bool:
    try:
        as_json(value)
    except ValueError:
        return False
    return True


def tool(generator: object) -> str:
    """A generator's name without its version."""
    return re.sub(r"[\s/]+v?\d[\w.+-]*$", "", str(generator)).strip()


def _lines(entries) -> str:
    text = ",\n    ".join(entries)
    return f"[\n    {text}\n  ]" if text else "[]"


def read_incomplete(path: Path) -> dict | None:
    """Metadata that are written while they are not complete; None where there are none."""
    try:
        meta = metadata_schema.tidied(parse_metadata(path.read_bytes(), str(path)))[0]
    except (OSError, ValueError):
        return None
    return meta


def progress(meta: dict | None) -> float:
    """The sample that an interrupted run came to, as its metadata say."""
    state = {} if meta is None else meta["global"].get(RESUME)
    sample = state.get("sample") if isinstance(state, dict) else None
    return sample if is_number(sample) else -1


def version(path: Path) -> tuple | None:
    """Another one after every change of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def as_json(value: object) -> str:
    return json.dumps(value, allow_nan=False)
