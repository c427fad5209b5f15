# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A decision as an annotation, and back: what the ``radiofm:`` fields say is in docs/radiofm.sigmf-ext.md."""

from __future__ import annotations

from radiofm_ml.sigmf.decisions import MORE, Decision
from radiofm_ml.sigmf.frequency_runs import FrequencyRuns
from radiofm_ml.sigmf.recording import CHANNEL

CELL = "radiofm:cell"


def annotation_of(d: Decision, offset: int, generator: str, channel: int | None) -> dict:
    """A decision as it stands in the metadata. offset: ``core:offset`` of the recording."""
    entry: dict = {"core:sample_start": d.start + offset, "core:sample_count": d.count}
    if d.lower is not None:
        entry |= {"core:freq_lower_edge": d.lower, "core:freq_upper_edge": d.upper}
    entry |= {"core:label": d.label, "core:generator": generator}
    if d.comment:
        entry["core:comment"] = d.comment
    if d.weight:
        entry["radiofm:confidence"] = round(d.confidence, 6)
    if channel is not None:
        entry[CHANNEL] = channel
    entry |= {"radiofm:unknown": d.unknown, "radiofm:decisions": d.decisions}
    for key, value in (("nearest", d.nearest), ("cell", d.cell), ("model", d.model), ("task", d.task)):
        if value:
            entry[f"radiofm:{key}"] = value
    return entry | {f"radiofm:{key}": value for key, value in d.more.items()}


def decision_of(a: dict, offset: int, runs: FrequencyRuns) -> Decision:
    """The opposite of ``annotation_of``."""
    start, confidence = a["core:sample_start"] - offset, a.get("radiofm:confidence")
    return Decision(
        start, a["core:sample_count"], a["core:label"], a["radiofm:unknown"],
        a.get("radiofm:nearest", ""), a.get("radiofm:model", ""), a.get("radiofm:task", ""),
        a.get("core:comment", ""),
        runs.at(start),
        a.get("core:freq_lower_edge"), a.get("core:freq_upper_edge"),
        0 if confidence is None else a["core:sample_count"], confidence or 0.0, a["radiofm:decisions"],
        cell=a.get(CELL, 0), more={name: a[f"radiofm:{name}"] for name in MORE if f"radiofm:{name}" in a})
