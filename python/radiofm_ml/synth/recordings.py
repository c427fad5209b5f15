# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Synthetic scenes as SigMF recordings, annotated with what is in them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from radiofm_ml import __version__, atomic
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.container import parse_metadata
from radiofm_ml.sigmf.metadata_text import EXTENSION
from radiofm_ml.sigmf.sample_types import SampleType
from radiofm_ml.synth.dataset import SceneSettings, scenes
from radiofm_ml.synth.scene import Box, Scene

_PEAK = 0.9  # of full scale


def write_recordings(
    folder: Path,
    count: int,
    n_samples: int,
    seed: int,
    settings: SceneSettings,
    datatype: str = "ci16_le",
    track: Callable[[Iterable, str], Iterable] = lambda items, label: items,
) -> list[Path]:
    """Make what is missing of ``count`` recordings of each label, and return their metadata files.

    ``index.csv`` lists them (label, session, file, sample_rate). Each recording is
    a transmission, and a session, of its own, so that ``windows`` is not read. Raises ValueError for an
    unknown datatype.
    """
    settings, sample_type = replace(settings, windows=1), SampleType.parse(datatype)
    if not sample_type.is_complex:
        raise ValueError(f"scenes are complex; choose a complex datatype, not {datatype!r}")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(label, number) for number in range(count) for label in settings.labels]
    paths = [folder / f"{label}-{seed}-{number:05d}.sigmf-meta" for label, number in wanted]
    missing = [at for at, path in enumerate(paths) if not path.exists()]
    for at in track(missing, "synthesising"):
        label, number = wanted[at]
        scene, front_end = next(scenes(label, number, seed, n_samples, settings))
        write_scene(paths[at], scene, front_end, f"synthetic-{label}-{seed}-{number}", sample_type)
    _write_index(folder)
    return paths


def metadata(scene: Scene, front_end: int, session: str, datatype: str) -> dict:
    """SigMF metadata of a scene; frequencies of annotations are absolute."""
    return {
        "global": {
            "core:datatype": datatype,
            "core:sample_rate": scene.sample_rate,
            "core:version": metadata_schema.VERSION,
            "core:description": f"synthetic scene: {scene.label} {scene.variant}".strip(),
            "core:recorder": f"radiofm {__version__} synth",
            "core:hw": f"simulated receiver {front_end}",
            "core:extensions": [dict(EXTENSION)],
            "radiofm:label": scene.label,
            "radiofm:session": session,
            "radiofm:front_end": front_end,
            "radiofm:synthetic": True,
        },
        "captures": [{"core:sample_start": 0, "core:frequency": scene.frequency}],
        "annotations": [_annotation(box, scene.frequency) for box in scene.boxes],
    }


def _annotation(box: Box, frequency: float) -> dict:
    return {
        "core:sample_start": box.start,
        "core:sample_count": box.count,
        "core:freq_lower_edge": frequency + box.lower,
        "core:freq_upper_edge": frequency + box.upper,
        "core:label": box.label,
        "core:comment": f"{box.variant} at {box.snr_db:.1f} dB in its own band".strip(),
        "radiofm:snr_db": round(box.snr_db, 2),
        "radiofm:variant": box.variant,
        "radiofm:main": box.main,
    }


def write_scene(path: Path, scene: Scene, front_end: int, session: str, sample_type: SampleType) -> None:
    """A recording of a scene, its peak below full scale. Raises OSError."""
    # the samples first: a metadata file says that both are there
    meta = metadata(scene, front_end, session, sample_type.name)
    metadata_schema.check(meta)
    x = scene.samples
    peak = float(np.abs(x.view(np.float32)).max())
    data = sample_type.from_complex(x * np.float32(_PEAK / peak if peak else 0.0))
    for target, content in (
        (path.with_suffix(".sigmf-data"), data.tobytes()),
        (path, json.dumps(meta, indent=2, allow_nan=False).encode() + b"\n"),
    ):
        atomic.write_bytes(target, content)


def is_synthetic(path: Path) -> bool:
    """Is it the metadata of a recording that was made here?"""
    return bool(_about(path).get("radiofm:synthetic"))


def _about(path: Path) -> dict:
    """The global object of metadata; empty where they are none."""
    try:
        info = parse_metadata(path.read_bytes(), str(path)).get("global")
    except (OSError, ValueError):
        return {}
    return info if isinstance(info, dict) else {}


def _write_index(folder: Path) -> None:
    """List every recording of the folder."""
    index = folder / "index.csv"
    with atomic.replacing(index) as part, part.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["label", "session", "file", "sample_rate"])
        for path in sorted(folder.glob("*.sigmf-meta")):
            info = _about(path)
            if info.get("radiofm:synthetic"):
                table.writerow([info["radiofm:label"], info["radiofm:session"],
                                path.with_suffix(".sigmf-data").name, info["core:sample_rate"]])  # fmt: skip
