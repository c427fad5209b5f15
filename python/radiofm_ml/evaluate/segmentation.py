# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How well a picture of labels agrees with the truth: pixel accuracy and intersection over union."""

from __future__ import annotations

import numpy as np

from radiofm_ml.tasks.segmentation import IGNORED


def confusion(truth: np.ndarray, decided: np.ndarray, classes: int) -> np.ndarray:
    """Pixels int64 (classes, classes): true class down, decided across. Pixels of value 255 do not count."""
    counts = truth != IGNORED
    pairs = truth[counts].astype(np.int64) * classes + decided[counts]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores(pixels: np.ndarray, labels: tuple[str, ...]) -> dict:
    """Of a confusion matrix in pixels: accuracy, IoU of each class that is there or was decided, their
    mean."""
    hit = np.diag(pixels).astype(float)
    union = pixels.sum(0) + pixels.sum(1) - hit
    iou = {label: float(h / u) for label, h, u in zip(labels, hit, union, strict=True) if u}
    total = pixels.sum()
    return {"pixel_accuracy": float(hit.sum() / total) if total else 0.0,
            "mean_iou": float(np.mean(list(iou.values()))) if iou else 0.0, "iou": iou, "pixels": int(total)}
