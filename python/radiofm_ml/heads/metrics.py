# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How well decisions fit the truth: of classes, of numbers, and of pictures of labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

IGNORED = 255  # label of a pixel that does not count


def confusion_matrix(truth: ArrayLike, decided: ArrayLike, n_labels: int) -> np.ndarray:
    """Counts, int64 (n_labels, n_labels): row = truth, column = decision. truth, decided: label numbers."""
    truth, decided = np.asarray(truth, np.int64).ravel(), np.asarray(decided, np.int64).ravel()
    for name, values in (("truth", truth), ("decided", decided)):
        if len(values) and not 0 <= values.min() <= values.max() < n_labels:
            raise ValueError(f"{name} has a label number outside 0..{n_labels - 1}")
    if len(truth) != len(decided):
        raise ValueError(f"{len(truth)} true labels for {len(decided)} decisions")
    return np.bincount(truth * n_labels + decided, minlength=n_labels**2).reshape(n_labels, n_labels)


def classification_metrics(truth: ArrayLike, decided: ArrayLike, n_labels: int) -> dict[str, float]:
    """accuracy; balanced_accuracy: the mean recall of the labels that occur in ``truth``; macro_f1, of the
    same labels."""
    counts = confusion_matrix(truth, decided, n_labels)
    rows = counts.sum(1)
    present = rows > 0
    if not present.any():
        raise ValueError("no query to score")
    right = np.diag(counts)
    f1 = 2 * right / np.maximum(rows + counts.sum(0), 1)
    return {"accuracy": float(right.sum() / rows.sum()),
            "balanced_accuracy": float((right[present] / rows[present]).mean()),
            "macro_f1": float(f1[present].mean())}


def distances(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Euclidean errors (N,) of predicted (N, M) against truth (N, M), in their unit."""
    predicted, truth = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (predicted, truth))
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions are {predicted.shape}, the truth is {truth.shape}")
    return np.linalg.norm(predicted - truth, axis=1)


def error_metrics(errors: ArrayLike) -> dict[str, float]:
    """mean, median and p90 (90th percentile) of errors (N,)."""
    errors = np.asarray(errors, np.float64).ravel()
    if not len(errors):
        raise ValueError("no query to score")
    return {"mean": float(errors.mean()), "median": float(np.median(errors)),
            "p90": float(np.quantile(errors, 0.9))}


def pixel_confusion(truth: np.ndarray, decided: np.ndarray, classes: int) -> np.ndarray:
    """Pixels int64 (classes, classes): true class down, decided across. Pixels of value ``IGNORED`` do not
    count."""
    counts = truth != IGNORED
    return confusion_matrix(truth[counts], decided[counts], classes)


def pixel_metrics(pixels: np.ndarray, labels: tuple[str, ...]) -> dict:
    """Of a confusion matrix in pixels: pixel_accuracy; iou, the intersection over union of each class that is
    there or was decided, and their mean, mean_iou; pixels, how many they are."""
    hit = np.diag(pixels).astype(float)
    union = pixels.sum(0) + pixels.sum(1) - hit
    iou = {label: float(h / u) for label, h, u in zip(labels, hit, union, strict=True) if u}
    total = pixels.sum()
    return {"pixel_accuracy": float(hit.sum() / total) if total else 0.0,
            "mean_iou": float(np.mean(list(iou.values()))) if iou else 0.0, "iou": iou, "pixels": int(total)}
