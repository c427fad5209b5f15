# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What signals are called: a taught label, or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radiofm_ml.embeddings import Embeddings
from radiofm_ml.fewshot import UNKNOWN, FewShot


@dataclass(frozen=True)
class Names:
    """Of N signals: the label, or of an unknown the nearest one ('' if nothing is taught); whether it is
    unknown, bool (N,); how sure that is, float64 (N,), NaN where nothing is taught; and the number of the
    group that an unknown belongs to, int64 (N,), 0 for none."""

    nearest: list[str]
    unknown: np.ndarray
    confidence: np.ndarray
    group: np.ndarray

    @property
    def labels(self) -> list[str]:
        """As they are written: 'unknown', or 'unknown 3' where it belongs to a group."""
        return [label if not unknown else f"{UNKNOWN} {group}" if group else UNKNOWN
                for label, unknown, group in zip(self.nearest, self.unknown, self.group, strict=True)]


def name_signals(sets: Sequence[Embeddings], few: FewShot) -> list[Names]:
    """Name the signals of several recordings."""
    return [_decided(signals, few) for signals in sets]


def _decided(signals: Embeddings, few: FewShot) -> Names:
    decision = few.predict(signals.embedding)
    labels = few.labels
    sure = decision.confidence() if labels else np.full(len(signals), np.nan)
    nearest = [labels[index] if index >= 0 else "" for index in decision.index]
    return Names(nearest, decision.unknown, sure, np.zeros(len(signals), np.int64))
