# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a task hands to tuning: inputs, targets, which of them belong together, and the parts of its split.

    data = load_task("csi-esp32", "data/csi/esp32_har.npz", spec)
    data.inputs[data.splits["train"]]        # float32 (n, C, H, W)

A loader is ``load(path, spec, seed) -> TaskData`` and is named in ``LOADERS``. It reads one published layout,
splits by group, and raises TaskError.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.tasks.task_data import TaskData, TaskError, split_groups, take_turns

__all__ = ["LOADERS", "TaskData", "TaskError", "load_task", "split_groups", "take_turns"]

# Task: module and function of its loader.
LOADERS: dict[str, tuple[str, str]] = {
    "activity-esp32": ("radiofm_ml.tasks.csi", "load_esp32"),
    "activity-esp32-centred": ("radiofm_ml.tasks.csi", "load_esp32_centred"),
    "activity-ntu-fi": ("radiofm_ml.tasks.csi", "load_ntu_fi"),
    "activity-ntu-fi-published": ("radiofm_ml.tasks.csi", "load_ntu_fi_published"),
    "position-nr": ("radiofm_ml.tasks.positioning", "load_positioning"),
    "position-nr-published": ("radiofm_ml.tasks.positioning", "load_positioning_published"),
    "uwb-sight": ("radiofm_ml.tasks.cir", "load_sight"),
    "uwb-ranging": ("radiofm_ml.tasks.cir", "load_ranging"),
    "segmentation": ("radiofm_ml.tasks.segmentation", "load"),
    "occupancy": ("radiofm_ml.tasks.segmentation", "load_occupancy"),
    "identification": ("radiofm_ml.tasks.identification", "load"),
    "images": ("radiofm_ml.tasks.images", "load"),
}


def load_task(name: str, path: Path, spec: SpectrogramSpec, seed: int = 0) -> TaskData:
    """Read the data of a task of ``LOADERS``. Raises TaskError."""
    if name not in LOADERS:
        raise TaskError(f"no task {name!r}; there are: {', '.join(sorted(LOADERS))}")
    if not Path(path).exists():
        raise TaskError(f"{path}: no such file or folder; check the name")
    module, function = LOADERS[name]
    return getattr(importlib.import_module(module), function)(Path(path), spec, seed)
