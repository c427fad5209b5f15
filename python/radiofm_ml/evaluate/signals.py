# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Few-shot identification of real recordings by their signals: found, cut out, and taught by a few from other
sessions.

The benchmark and its split are those of ``identification``. The unit is the signal: shots are signals,
spread over recordings; a recording is one query, by the mean of its signals' embeddings. The sample rate is
withheld. Nothing says which of the signals found in a recording is the one that it is labelled by: those with
at least ``STRONG`` of the energy of its strongest are taken. A recording in which none is found is a wrong
answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import bundle as bundles
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.stream import Box, together
from radiofm_ml.engines import open_engine
from radiofm_ml.evaluate.identification import Split, draw_episode, random_encoder, read_index
from radiofm_ml.evaluate.reports import over_seeds
from radiofm_ml.pipeline import cut_signals, embed_recording
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.signals import Evidence, Look, SignalEncoder, embedding_of, evidence_of
from radiofm_ml.train.export import encode
from radiofm_ml.train.signal_export import WEIGHTS, Source, scale, source

STRONG = 0.1
UNKNOWN_SHARE = 3  # one in so many labels is left out, to be told as unknown


@dataclass(frozen=True)
class Items(Split):
    """N signals, or tiles: of which label, session, recording, and group that a split must not divide."""

    labels: np.ndarray
    sessions: np.ndarray
    recordings: np.ndarray
    groups: np.ndarray

    def of(self, owner: np.ndarray) -> Items:
        """Those of the rows ``owner``."""
        return Items(self.labels[owner], self.sessions[owner], self.recordings[owner], self.groups[owner])


def listed(folder: Path, everything: bool = False) -> tuple[list[Path], Items]:
    """The recordings of ``identification.read_index``. Raises ValueError."""
    rows, groups = read_index(folder, everything)
    return [folder / row["file"] for row in rows], Items(
        np.array([row["label"] for row in rows]), np.array([row["session"] for row in rows]),
        np.arange(len(rows)), np.array(groups))


# -- features -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Parts:
    """Looks at the parts of signals, their boxes, and of which recording they are."""

    looks: list[Look]
    recording: np.ndarray
    boxes: list[Box]


def find(paths: Sequence[Path], encoder: SignalEncoder, track: Callable) -> Parts:
    """Of all signals of recordings."""
    looks, owners, boxes = [], [], []
    for number, path in enumerate(track(paths, "finding signals")):
        recording = open_recording(path)
        for cut in cut_signals(recording, Settings()):
            looks.append(encoder.look(cut, recording.sample_rate))
            owners.append(number)
            boxes.append(cut.box)
    return Parts(looks, np.array(owners), boxes)


def embedded(parts: Parts, network: Callable[[np.ndarray], np.ndarray],
             signals: bundles.Signals) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings (N, K) of the strong signals, whose parts are put together; the recording of each (N,), and
    its numbers (N, M)."""
    def join(one: tuple[Evidence, float], following: tuple[Evidence, float]) -> tuple[Evidence, float]:
        return one[0] + following[0], one[1] + following[1]

    made = evidence_of(parts.looks, network, signals)
    whole = together((((int(recording), box.signal), (evidence, box.energy)) for recording, box, evidence
                      in zip(parts.recording, parts.boxes, made, strict=True)), join)
    owner = np.array([recording for recording, _ in whole])
    energy = np.array([energy for _, energy in whole.values()])
    most = np.zeros(owner.max() + 1)
    np.maximum.at(most, owner, energy)
    kept = energy >= STRONG * most[owner]
    found = [evidence for evidence, _ in whole.values()]
    return (np.stack([embedding_of(e, signals) for e in found])[kept], owner[kept],
            np.stack([e.numbers() for e in found])[kept])


def random_network(bundle: bundles.Bundle, background: Source, seed: int) -> tuple[Callable, bundles.Signals]:
    """The bundle's architecture with random weights; its projection and its scale are fitted alike."""
    shown = torch.from_numpy(np.concatenate(background.pictures))
    network = random_encoder(bundle, shown, seed)
    return (lambda pictures: encode(network, torch.from_numpy(pictures)),
            scale(encode(network, shown), background.numbers, bundle.picture))


# -- episodes -----------------------------------------------------------------------------------------
def play(features: np.ndarray, items: Items, shots: int, seed: int, episodes: int,
         asked: np.ndarray | None = None, found: dict[str, float] | None = None) -> tuple[float, float]:
    """Balanced accuracy of nearest prototypes over recordings, and AUROC of the distance between known and
    unknown labels (each episode leaves a third out), means over episodes.

    features: float32 (N, K), compared as they are. asked: bool (N,), of which signals queries may be. found:
    of each label the share of recordings in which there is a signal; the others count as wrong.
    """
    rng = np.random.default_rng(seed)
    asked = np.ones(len(features), bool) if asked is None else asked
    usable = items.usable()
    accuracies, areas = [], []
    for _ in range(episodes):
        support, queries = draw_episode(items, usable, shots, rng)
        prototypes = np.stack([features[s].mean(0) for s in support])
        means, truth = [], []
        for label, members in enumerate(queries):
            members = members[asked[members]]
            for recording in np.unique(items.recordings[members]):
                means.append(features[members[items.recordings[members] == recording]].mean(0))
                truth.append(label)
        means, truth = np.stack(means), np.array(truth)
        distance = ((means[:, None] - prototypes) ** 2).sum(2)
        right = distance.argmin(1) == truth
        accuracies.append(np.mean([right[truth == label].mean() * (found[usable[label]] if found else 1.0)
                                   for label in np.unique(truth)]))
        left_out = rng.permutation(len(usable))[:max(1, len(usable) // UNKNOWN_SHARE)]
        unknown = np.isin(truth, left_out)
        least = np.delete(distance, left_out, axis=1).min(1)
        if unknown.any() and not unknown.all():
            areas.append(_area(least, unknown, truth))
    return float(np.mean(accuracies)), float(np.mean(areas))


def _area(score: np.ndarray, positive: np.ndarray, label: np.ndarray) -> float:
    """Area under the ROC, each label counting alike."""
    weight = np.array([1.0 / (label == one).sum() for one in label])
    higher = score[positive][:, None] > score[~positive][None]
    equal = score[positive][:, None] == score[~positive][None]
    both = weight[positive][:, None] * weight[~positive][None]
    return float(((higher + 0.5 * equal) * both).sum() / both.sum())


def evaluate(ref: str | os.PathLike, folder: Path, shots: Sequence[int] = (1, 5),
             seeds: Sequence[int] = (0, 1, 2), episodes: int = 40, everything: bool = False,
             tiles: str | os.PathLike = "radiofm-small",
             track: Callable = lambda items, label: items) -> dict:
    """All numbers: {labels, rows: [{method, shots, queries, mean, std, seeds, unknown}]}; ``std`` is over the
    seeds, ``unknown`` the mean AUROC.

    ref: a bundle that reads signals. tiles: one that reads tiles, to compare with; '' for none.
    """
    bundle = bundles.load(ref, bundles.SIGNALS)
    engine = open_engine(bundle)
    paths, recordings = listed(folder, everything)
    parts = find(paths, SignalEncoder(engine), track)
    own, owner, numbers = embedded(parts, engine.embed, bundle.signals)
    items = recordings.of(owner)
    background = source(bundle.picture, 4, track=track)
    randoms = [embedded(parts, *random_network(bundle, background, seed))[0]
               for seed in track(list(seeds), "random encoders")]
    methods = {
        bundle.id: [(own, items)] * len(seeds),
        "random encoder": [(features, items) for features in randoms],
        "bandwidth and duration": [(numbers[:, :2] * WEIGHTS[:2], items)] * len(seeds),
    }
    if tiles:
        of_tiles = _of_tiles(tiles, paths, recordings, track)
        methods[f"whole tiles, {Path(tiles).name}"] = [of_tiles] * len(seeds)
    there = np.isin(np.arange(len(paths)), owner)
    found = {label: float(there[recordings.labels == label].mean()) for label in np.unique(recordings.labels)}
    rows = []
    for count, (index, seed) in track([(c, s) for c in shots for s in enumerate(seeds)], "episodes"):
        for method, variants in methods.items():
            features, of = variants[index]
            for queries, asked in (("all", None), ("held out of pre-training", of.held_out)):
                share = found if of is items else None
                rows.append((method, count, queries,
                             *play(features, of, count, seed, episodes, asked, share)))
    return {"model": bundle.id, "folder": folder.name, "recordings": len(paths), "signals": len(own),
            "without a signal": int((~there).sum()),
            "labels": sorted({str(label) for label in recordings.labels}), "episodes": episodes,
            "rows": _summary(rows)}


def _of_tiles(ref, paths, recordings: Items, track: Callable) -> tuple[np.ndarray, Items]:
    engine = open_engine(ref, reads="tiles")
    made = [embed_recording(open_recording(path), engine).embedding for path in track(paths, "whole tiles")]
    owner = np.repeat(np.arange(len(made)), [len(m) for m in made])
    x = np.concatenate(made)
    x = x - x.mean(0)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), recordings.of(owner)


def _summary(rows: list[tuple]) -> list[dict]:
    found = []
    for key in dict.fromkeys(row[:3] for row in rows):
        values = np.array([row[3:] for row in rows if row[:3] == key])
        found.append({"method": key[0], "shots": key[1], "queries": key[2], **over_seeds(values[:, 0]),
                      "unknown": float(values[:, 1].mean())})
    return found


def print_table(result: dict) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(title=f"signals of {result['recordings']} recordings, {len(result['labels'])} labels: "
                        "balanced accuracy / AUROC of unknown labels",
                  caption=f"mean ± spread over seeds, {result['episodes']} episodes; shots from other "
                          "sessions")
    columns = list(dict.fromkeys((row["shots"], row["queries"]) for row in result["rows"]))
    table.add_column("features")
    for count, queries in columns:
        table.add_column(f"{count} shot{'s' * (count > 1)}\nqueries: {queries}", justify="right")
    for method in dict.fromkeys(row["method"] for row in result["rows"]):
        cells = {(r["shots"], r["queries"]): r for r in result["rows"] if r["method"] == method}
        table.add_row(method, *(f"{cells[c]['mean']:.3f} ± {cells[c]['std']:.3f} / {cells[c]['unknown']:.2f}"
                                for c in columns))
    console().print(table)
