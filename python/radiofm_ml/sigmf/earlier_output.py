# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What lies where annotations are to be written: whether it may be replaced, and what of it is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

from radiofm_ml.outputs import same_file
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.container import DATA, META, parse_metadata
from radiofm_ml.sigmf.dataset_placement import AnnotationError, leads_to
from radiofm_ml.sigmf.metadata_text import EXTENSION
from radiofm_ml.sigmf.recording import Recording


def read_output(path: Path, recording: Recording, overwrite: bool) -> tuple[dict | None, bool]:
    """The metadata that will be replaced, if any, and whether they are our annotations of the recording, or
    its own. Raises AnnotationError if they must not be replaced."""
    data = path.with_name(path.name[:-len(META)] + DATA)
    if same_file(path, recording.path):
        if os.path.realpath(path) == os.path.realpath(recording.path):
            return recording.meta, True
        raise AnnotationError(f"{path}: is another name of {recording.path}; name that one")
    if same_file(path, recording.data_path):
        raise AnnotationError(f"{path}: holds the recording's samples; choose another name")
    if data.is_file() and not leads_to(data, recording):
        raise AnnotationError(f"{data}: is there and holds other samples; choose another output name")
    if not path.exists():
        return None, True
    try:
        meta = metadata_schema.tidied(parse_metadata(path.read_bytes(), str(path)))[0]
    except (OSError, ValueError) as error:  # RecordingError is a ValueError
        text = str(error).removeprefix(f"{path}: ")
        if overwrite:
            return None, True
        raise AnnotationError(f"{path}: is there, but is not SigMF metadata ({text}); "
                              "move it away or choose another name") from None
    wrong = _foreign(meta, path, recording)
    if wrong and not overwrite:
        raise AnnotationError(f"{path}: {wrong}; choose another name, or say --overwrite")
    return meta, not wrong


def _foreign(there: dict, path: Path, recording: Recording) -> str:
    """Why metadata are not our annotations of this recording; '' if they are."""
    info = there["global"]
    if EXTENSION["name"] not in {e["name"] for e in info.get("core:extensions", [])}:
        return "is there and was written by something else"
    name = os.path.basename(info.get("core:dataset") or path.name[:-len(META)] + DATA)
    data = path.parent / name
    if data.exists() and not info.get("core:metadata_only"):
        same = leads_to(data, recording)
    else:
        own = recording.meta["global"]
        same = there.get("captures") == recording.meta["captures"] and all(
            info.get(key) == own.get(key) for key in ("core:datatype", "core:sample_rate"))
    return "" if same else "is there and belongs to other samples"


def foreign_annotations(recording: Recording, there: dict | None) -> list[dict]:
    """Annotations of the recording, and those that others have put into the output since. there: what it
    holds, if that is of the recording."""
    kept = list(recording.meta["annotations"])
    if there is not None and there is not recording.meta:
        known = recording.meta["global"].get("core:sha512"), there["global"].get("core:sha512")
        if None in known or known[0] == known[1]:
            texts = {json.dumps(a, sort_keys=True) for a in kept}
            kept += [a for a in there["annotations"] if json.dumps(a, sort_keys=True) not in texts]
    return kept
