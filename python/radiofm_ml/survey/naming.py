# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What signals are called: a taught label, or unknown; and which of the unknown belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from radiofm_ml.embeddings import Embeddings
from radiofm_ml.fewshot import UNKNOWN, FewShot
from radiofm_ml.fewshot.groups import Groups

GROUP_FILE = "unknown.groups.safetensors"  # in the folder of a survey


@dataclass(frozen=True)
class Names:
    """What the N signals of a recording are called.

    labels      as they are written: of an unknown 'unknown', or 'unknown 3' where it belongs to a group
    nearest     the taught label that each is or, of an unknown, is nearest to; '' where nothing is taught
    unknown     bool (N,)
    confidence  float64 (N,), NaN where nothing is taught
    cell        int64 (N,): of an unknown, where the groups have it; else 0
    """

    labels: list[str]
    nearest: list[str]
    unknown: np.ndarray
    confidence: np.ndarray
    cell: np.ndarray


def name_signals(sets: Sequence[Embeddings], few: FewShot, groups: Groups | None = None) -> list[Names]:
    """Name the signals of several recordings. groups: they take the unknown of all of these, in the order of
    recordings and of their ends."""
    names = [_decided(signals, few) for signals in sets]
    if groups is None:
        return names
    names = [_in_cells(signals, called, groups) for signals, called in zip(sets, names, strict=True)]
    return [_grouped(called, groups) for called in names]


def _decided(signals: Embeddings, few: FewShot) -> Names:
    decision = few.predict(signals.embedding)
    sure = decision.confidence() if few.labels else np.full(len(signals), np.nan)
    nearest = [few.labels[index] if index >= 0 else "" for index in decision.index]
    labels = [UNKNOWN if unknown else label for label, unknown in zip(nearest, decision.unknown, strict=True)]
    return Names(labels, nearest, decision.unknown, sure, np.zeros(len(signals), np.int64))


def _in_cells(signals: Embeddings, names: Names, groups: Groups) -> Names:
    at, cell = np.flatnonzero(names.unknown), names.cell.copy()
    if len(at):
        times = signals.sample_start[at] / signals.sample_rate[at]
        cell[at] = groups.add(signals.embedding[at], times, at.tolist())
    return replace(names, cell=cell)


def _grouped(names: Names, groups: Groups) -> Names:
    at = np.flatnonzero(names.unknown)
    labels = list(names.labels)
    for i, label in zip(at.tolist(), groups.labels(names.cell[at]) if len(at) else [], strict=True):
        labels[i] = label
    return replace(names, labels=labels)
