# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The inner loops of detection: in C++ where it is built (``compiled``), in NumPy elsewhere, with the same
results. ``reference`` says what each does."""

from __future__ import annotations

try:
    from radiofm_ml.detect._kernels import (
        Blob,
        Blobs,
        SignalMap,
        column_ranks,
        common_steps,
        cut,
        least_means,
        mean,
        row_quantiles,
        whiten,
    )

    compiled = True
except ImportError:
    from radiofm_ml.detect.reference import (
        Blob,
        Blobs,
        SignalMap,
        column_ranks,
        common_steps,
        cut,
        least_means,
        mean,
        row_quantiles,
        whiten,
    )

    compiled = False

__all__ = ["Blob", "Blobs", "SignalMap", "column_ranks", "common_steps", "compiled", "cut", "least_means",
           "mean", "row_quantiles", "whiten"]
