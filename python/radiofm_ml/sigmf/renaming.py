# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Other names for what annotations call unknown, once somebody knows them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from radiofm_ml import atomic, files
from radiofm_ml.arguments import is_whole
from radiofm_ml.outputs import is_ours
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.container import MAX_METADATA, META, parse_metadata
from radiofm_ml.sigmf.dataset_placement import AnnotationError
from radiofm_ml.sigmf.decision_fields import CELL
from radiofm_ml.sigmf.decisions import check_text
from radiofm_ml.sigmf.metadata_text import INCOMPLETE, metadata_text
from radiofm_ml.sigmf.recording import UNKNOWN

_OF_AN_UNKNOWN = ("radiofm:confidence", "radiofm:nearest", CELL)


def rename_unknown(path: str | os.PathLike, name: Callable[[str, int], str]) -> int:
    """Give the unknown signals in a ``.sigmf-meta`` file the names that they have now.

    name(label, cell): the new label of what is labelled so and has this ``radiofm:cell`` (0: none); the same
    label if it stays. What gets another name than 'unknown' or 'unknown 3' is no unknown any more: its
    confidence and nearest label, which were those of an unknown, go. Annotations that others wrote stay as
    they are, and so does the file where nothing changes. Returns how many were renamed. Raises
    AnnotationError.
    """
    path = Path(path)
    if not path.name.lower().endswith(META):
        raise AnnotationError(f"{path}: annotations lie in a file that ends in {META}; name that one")
    path = path.resolve()  # or a link would be replaced, not the file
    try:
        with atomic.alone(path):
            meta = parse_metadata(files.read_regular(path, MAX_METADATA), str(path))
            count = _rename(meta, name, path)
            if count:
                _write(path, meta)
            return count
    except OSError as error:
        raise AnnotationError(f"{path}: annotations cannot be renamed: {error.strerror or error}") from None
    except ValueError as error:  # RecordingError and AnnotationError are ValueErrors
        text = str(error)
        raise AnnotationError(text if text.startswith(f"{path}:") else f"{path}: {text}") from None


def _rename(meta: dict, name: Callable[[str, int], str], path: Path) -> int:
    annotations = meta.get("annotations")
    if not isinstance(meta.get("global"), dict) or not isinstance(annotations, list):
        raise AnnotationError(f"{path}: is not SigMF metadata; it has no annotations to rename")
    if meta["global"].get(INCOMPLETE):
        raise AnnotationError(f"{path}: is being annotated, or was left incomplete; run that again to its "
                              "end before anything in it is renamed")
    count = 0
    for entry in annotations:
        if not isinstance(entry, dict) or entry.get("radiofm:unknown") is not True \
                or not is_ours(entry.get("core:generator")):
            continue
        old, cell = entry.get("core:label"), entry.get(CELL, 0)
        new = name(old, cell if is_whole(cell, 1) else 0) if isinstance(old, str) else old
        if new != old:
            _relabel(entry, new)
            count += 1
    return count


def _relabel(entry: dict, label: str) -> None:
    check_text(label)
    entry["core:label"] = label
    if label.split(" ")[0] != UNKNOWN:
        entry["radiofm:unknown"] = False
        for key in _OF_AN_UNKNOWN:
            entry.pop(key, None)


def _write(path: Path, meta: dict) -> None:
    try:
        metadata_schema.check(meta)
        others = set(meta) - set(metadata_schema.SECTIONS)
        if others:
            raise ValueError(f"{sorted(others)[0]!r:.40} is no section of SigMF metadata")
        text = metadata_text(meta["global"], meta.get("captures", []),
                             (json.dumps(entry, allow_nan=False) for entry in meta["annotations"]))
    except ValueError as error:
        raise AnnotationError(f"{path}: would break the SigMF schema: {error}; correct it") from None
    atomic.write_text(path, text)
